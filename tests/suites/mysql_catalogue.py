"""The suites of MariaDB and MySQL.

Neither asyncmy nor node's mysql2 has its tests in what is published. SQLAlchemy's run on the one;
for the other there is a script of our own, of what its documentation promises.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from proxy.demo.mysql_programs import Flavour
from tests.suites.frameworks import DJANGO_SDIST, UNITTEST, django
from tests.suites.outcomes import read_lines
from tests.suites.suite import Command, Run, Suite, pytest_command

HERE: Final = Path(__file__).parent
SUPPORT: Final = HERE / "mysql_support"

FLAVOURS: Final[tuple[Flavour, ...]] = ("mariadb", "mysql")

PYTEST: Final = ("pytest", "pytest-timeout")
ONE_TEST: Final = ("--timeout", "60")
"""Seconds for one test, by pytest-timeout: one that hangs is one that fails."""

SETUPTOOLS: Final = "setuptools>=77"
"""Older ones do not know how a license is named by now."""

DRIVERS: Final = {
    "pymysql": ("PyMySQL==1.2.4", "cryptography"),
    "mysqldb": ("mysqlclient==2.3.2",),
    "aiomysql": ("aiomysql==0.3.2", "cryptography"),
    "asyncmy": ("asyncmy==0.2.18", "cryptography"),
    "mysqlconnector": ("mysql-connector-python==26.10.0",),
}


def _plain(run: Run, *arguments: str) -> tuple[str, ...]:
    config = ("-c", str(HERE / "plain.ini"))
    return pytest_command(run.workshop.python, run.report, *ONE_TEST, *config, *arguments)


def _pymysql(run: Run) -> Command:
    """Put its tests where they were when it had them, into a package as it was then."""
    package = next(run.workshop.folder.glob("venv/lib/*/site-packages/pymysql"))
    for old in (run.workshop.sources / "pymysql" / "tests", SUPPORT / "pymysql"):
        into = package / "tests" if old.name == "tests" else package
        shutil.copytree(old, into, dirs_exist_ok=True)
    access = run.access
    address = {"host": "127.0.0.1", "port": access.port}
    account = {"user": access.user, "passwd": access.password}
    databases = [
        {**address, **account, "db": "test1", "use_unicode": True, "local_infile": True},
        {**address, **account, "db": "test2"},
    ]
    (package / "tests" / "databases.json").write_text(json.dumps(databases))
    return Command(_plain(run, "--rootdir", str(package), str(package / "tests")))


def _aiomysql(run: Run) -> Command:
    sources, access = run.workshop.sources, run.access
    assert access.authority is not None
    shutil.copy(access.authority, sources / "tests" / "ssl_resources" / "ssl" / "ca.pem")
    return Command(
        _plain(
            run,
            *("--rootdir", str(sources), "--mysql-address", f"one=127.0.0.1:{access.port}"),
            *("-k", "not uvloop", "tests"),
        ),
        folder=sources,
        environment={"MYSQL_ROOT_PASSWORD": access.password},
    )


def _mysqlclient(run: Run) -> Command:
    access = run.access
    options = run.report.with_suffix(".cnf")
    options.write_text(
        "[MySQLdb-tests]\n"
        f"host=127.0.0.1\nport={access.port}\nuser={access.user}\npassword={access.password}\n"
        f"database={access.database}\ndefault-character-set=utf8mb4\n"
    )
    return Command(
        _plain(run, "--rootdir", str(run.workshop.sources), "tests"),
        folder=run.workshop.sources,
        environment={"TESTDB": str(options)},
    )


def _connector(run: Run) -> Command:
    run.report.unlink(missing_ok=True)
    access = run.access
    return Command(
        (
            *(str(run.workshop.python), str(SUPPORT / "connector.py")),
            *("--skip-install", "--use-external-server", "--host", "127.0.0.1"),
            *("--port", str(access.port), "--user", access.user, "--password", access.password),
        ),
        folder=run.workshop.sources,
        environment={"PYTHONPATH": str(UNITTEST), "OUTCOMES": str(run.report)},
    )


def _ours(run: Run, *command: str) -> Command:
    """Run a script of our own."""
    run.report.unlink(missing_ok=True)
    return Command(
        command,
        environment={
            "OUTCOMES": str(run.report),
            "AUTHORITY": str(run.access.authority),
            "MODULES": str(run.workshop.folder),
        },
    )


DJANGO: Final = """
aggregation annotations backends basic bulk_create datatypes dates datetimes db_functions
db_utils delete expressions get_or_create indexes introspection lookup many_to_many model_fields
multiple_database or_lookups ordering queries raw_query schema select_for_update select_related
timezones transaction_hooks transactions update
"""
"""A third of what uses the database: it makes and drops tables, which takes MySQL long."""


def sqlalchemy(driver: str, flavour: Flavour) -> Suite:
    """SQLAlchemy's compliance suite for dialects, and what it has of tests of MySQL's."""

    def command(run: Run) -> Command:
        url = run.access.url(f"{flavour}+{driver}") + "?charset=utf8mb4"
        return Command(
            pytest_command(
                run.workshop.python,
                run.report,
                *ONE_TEST,
                *("--backend-only", "--maxfail", "1000000", "--dburi", url),
                *("test/dialect/test_suite.py", "test/dialect/mysql"),
            ),
            folder=run.workshop.sources,
        )

    return Suite(
        f"sqlalchemy-{driver}",
        "sqlalchemy",
        command,
        engine=flavour,
        sdist="SQLAlchemy==2.1.9",
        packages=(*PYTEST, "greenlet", "typing-extensions", *DRIVERS[driver]),
        setup=("CREATE DATABASE test_schema", "CREATE DATABASE test_schema_2"),
    )


def _on_each(make: Callable[[Flavour], Suite]) -> tuple[Suite, ...]:
    return tuple(make(flavour) for flavour in FLAVOURS)


ALL: Final = (
    *_on_each(
        lambda flavour: Suite(
            "pymysql",
            "test1",
            _pymysql,
            engine=flavour,
            sdist="PyMySQL==0.10.1",  # the last one with its tests
            packages=(*DRIVERS["pymysql"], *PYTEST),
            setup=("CREATE DATABASE test2",),
        )
    ),
    *_on_each(
        lambda flavour: Suite(
            "aiomysql",
            "test_pymysql",
            _aiomysql,
            engine=flavour,
            sdist="aiomysql==0.3.2",
            packages=(
                "aiomysql==0.3.2",
                "PyMySQL==1.1.2",
                "cryptography",
                *PYTEST,
                "uvloop",
                "SQLAlchemy<2",
            ),
            builders=(SETUPTOOLS, "setuptools_scm"),
        )
    ),
    *_on_each(
        lambda flavour: Suite(
            "mysqlclient",
            "test",
            _mysqlclient,
            engine=flavour,
            sdist="mysqlclient==2.3.2",
            packages=(*DRIVERS["mysqldb"], *PYTEST),
            builders=(SETUPTOOLS,),
        )
    ),
    Suite(
        "connector",
        "myconnpy",
        _connector,
        engine="mysql",  # it asks MariaDB for what MySQL alone has, before its first test
        sdist="mysql-connector-python==26.10.0",
        packages=DRIVERS["mysqlconnector"],
        read=read_lines,
    ),
    *_on_each(
        lambda flavour: Suite(
            "mysql2",
            "test",
            lambda run: _ours(run, "node", str(SUPPORT / "mysql2.mjs")),
            engine=flavour,
            modules=("mysql2@3.24.6",),
            read=read_lines,
        )
    ),
    *_on_each(
        lambda flavour: Suite(
            "mariadb-programs",
            "dumped",
            lambda run: _ours(run, sys.executable, str(SUPPORT / "programs.py")),
            engine=flavour,
            read=read_lines,
        )
    ),
    *_on_each(
        lambda flavour: Suite(
            "django",
            "django",
            lambda run: django(run, DJANGO),
            engine=flavour,
            sdist=DJANGO_SDIST,
            packages=(DJANGO_SDIST, *DRIVERS["mysqldb"], "tblib"),
            read=read_lines,
        )
    ),
    *(sqlalchemy(driver, flavour) for driver in DRIVERS for flavour in FLAVOURS),
)
