"""The suites of PostgreSQL, and all of them.

psycopg 3 is not among them: its sdist has no tests. SQLAlchemy's and Django's run on it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from tests.suites import mysql_catalogue
from tests.suites.frameworks import DJANGO_SDIST, django
from tests.suites.outcomes import read_lines
from tests.suites.suite import Command, Run, Suite, pytest_command

HERE: Final = Path(__file__).parent

PACKAGE_OF: Final = {"psycopg": "psycopg[binary]==3.3.9", "asyncpg": "asyncpg==0.32.0"}

ONE_TEST: Final = ("--timeout", "120")
"""Seconds for one test, by pytest-timeout: one that hangs is one that fails."""

SQLALCHEMY_SETUP: Final = (
    "CREATE SCHEMA test_schema",
    "CREATE SCHEMA test_schema_2",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION citext",
)


def compliance(driver: str, only: str = "") -> Suite:
    """SQLAlchemy's compliance suite for dialects, as it is installed with us.

    Args:
        driver: Whose dialect.
        only: Which of its tests, as pytest's -k has it; all when empty.
    """

    def command(run: Run) -> Command:
        # Its plugin must be there before anything of SQLAlchemy is.
        options = ("-p", "sqlalchemy.testing.plugin.pytestplugin", "-p", "no:asyncio")
        config = HERE / "compliance"
        return Command(
            pytest_command(
                Path(sys.executable),
                run.report,
                *("-c", str(config / "setup.cfg"), *options),
                *("--dburi", run.access.url(f"postgresql+{driver}")),
                *("-k", only),
                str(config / "compliance.py"),
            ),
            folder=config,
            environment={"PYTHONPATH": str(config), "PYTHONDONTWRITEBYTECODE": "1"},
        )

    return Suite(f"compliance-{driver}", "compliance", command, setup=SQLALCHEMY_SETUP)


def sqlalchemy(driver: str) -> Suite:
    """All tests of SQLAlchemy's that need a database."""

    def command(run: Run) -> Command:
        folders = ("dialect/test_suite.py", "dialect/postgresql", "engine", "sql", "orm", "ext")
        return Command(
            pytest_command(
                run.workshop.python,
                run.report,
                *ONE_TEST,
                *(
                    "--backend-only",
                    "--maxfail",
                    "1000000",
                    "--dburi",
                    run.access.url(f"postgresql+{driver}"),
                ),
                *(f"test/{folder}" for folder in folders),
            ),
            folder=run.workshop.sources,
        )

    return Suite(
        f"sqlalchemy-{driver}",
        "sqlalchemy",
        command,
        sdist="SQLAlchemy==2.1.9",
        packages=("pytest", "pytest-timeout", "greenlet", "typing-extensions", PACKAGE_OF[driver]),
        setup=SQLALCHEMY_SETUP,
    )


UNSTEADY: Final = (
    # Fails directly too, in two runs of twenty: asyncpg closes a pool that is still connecting.
    "tests/test_pool.py::TestPool::test_pool_config_persistence",
    # Wants a driver that writes 4 MB in one batch to hear of an error before the end of it: a race
    # between the two, which a proxy that takes bytes faster than a server makes the driver win.
    "tests/test_execute.py::TestExecuteMany::test_executemany_server_failure_during_writes",
)


def _asyncpg(run: Run) -> Command:
    workshop = run.workshop
    # The sources hold the package too, uncompiled, where it would be found first.
    package = workshop.sources / "asyncpg"
    if package.exists():
        package.rename(workshop.sources / "uncompiled")
    return Command(
        pytest_command(
            workshop.python,
            run.report,
            *ONE_TEST,
            *("-c", str(HERE / "plain.ini"), "--rootdir", str(workshop.sources)),
            *(f"--deselect={test}" for test in UNSTEADY),
            "tests",
        ),
        folder=workshop.sources,
    )


def _psycopg2(run: Run) -> Command:
    return Command(
        pytest_command(
            run.workshop.python,
            run.report,
            *ONE_TEST,
            *("-c", str(HERE / "plain.ini"), "--rootdir", str(run.workshop.sources)),
            *("-W", "ignore::pytest.PytestReturnNotNoneWarning"),
            "tests",
        ),
        folder=run.workshop.sources,
        environment={
            "PSYCOPG2_TESTDB": run.access.database,
            "PSYCOPG2_TEST_REPL_DSN": "",
        },
    )


DJANGO: Final = """
aggregation aggregation_regress annotations async backends basic bulk_create composite_pk
constraints custom_lookups datatypes dates datetimes db_functions db_typecasts db_utils defer
defer_regress delete delete_regress distinct_on_fields expressions expressions_case
expressions_window extra_regress filtered_relation fixtures force_insert_update foreign_object
from_db_value generic_relations get_earliest_or_latest get_or_create indexes inspectdb
introspection lookup m2m_and_m2o m2m_intermediary m2m_multiple m2m_recursive m2m_regress
m2m_signals m2m_through m2m_through_regress many_to_many many_to_one many_to_one_null migrations
migrations2 model_fields model_inheritance model_inheritance_regress multiple_database
null_queries one_to_one or_lookups order_with_respect_to ordering pagination postgres_tests
prefetch_related proxy_models queries queryset_pickle raw_query reverse_lookup schema
select_for_update select_related select_related_onetoone select_related_regress sessions_tests
string_lookup timezones transaction_hooks transactions update update_only_fields xor_lookups
"""
"""What uses the database, of all there is."""


DRIVERS: Final = ("psycopg", "asyncpg")

SHORT: Final = (
    # Without what reads the system catalog over and over.
    compliance(
        "asyncpg", "Cursor or Isolation or Returning or Rowcount or Insert or Date or Numeric"
    ),
    compliance("psycopg", "Cursor or Isolation or Returning or Rowcount or Insert or Sequence"),
)

POSTGRES: Final = (
    *(compliance(driver) for driver in DRIVERS),
    Suite(
        "asyncpg",
        "postgres",  # many of its tests take it for granted
        _asyncpg,
        sdist="asyncpg==0.32.0",
        packages=(PACKAGE_OF["asyncpg"], "pytest", "pytest-timeout", "uvloop", "distro", "k5test"),
    ),
    Suite(
        "psycopg2",
        "psycopg2_test",
        _psycopg2,
        sdist="psycopg2==2.9.13",
        packages=("psycopg2-binary==2.9.13", "pytest", "pytest-timeout"),
        setup=("CREATE EXTENSION hstore",),
    ),
    Suite(
        "django",
        "django",
        lambda run: django(run, DJANGO),
        sdist=DJANGO_SDIST,
        packages=(DJANGO_SDIST, PACKAGE_OF["psycopg"], "tblib"),
        read=read_lines,
    ),
    *(sqlalchemy(driver) for driver in DRIVERS),
)

ALL: Final = (*POSTGRES, *mysql_catalogue.ALL)
