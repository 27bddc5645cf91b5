"""`tidegate doctor` on the logs of a real server, and beside a proxy that serves the same.

One server logs in every format it knows, into one database for each way of logging statements; the
same workload runs in each, so that the same numbers must come out of all of them.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from proxy.demo.local_postgres import SUPERUSER, PostgresCluster, temporary_cluster
from proxy.demo.processes import wait_until
from proxy.doctor.events import Ran, Unread
from proxy.doctor.postgres.logs import read_log
from proxy.doctor.postgres.prefix import COMMON
from proxy.settings import load
from tests.integration.application import Application
from tests.integration.conftest import StartProxy

WAYS = {
    "said": {"log_statement": "all"},
    "timed": {"log_min_duration_statement": "0"},
    "twice": {"log_statement": "all", "log_duration": "on"},
}
"""Databases, and how statements in them are logged."""

SCHEMA = """
CREATE TABLE notes (id int PRIMARY KEY, note text);
CREATE TABLE watched (a int);
CREATE FUNCTION touched(a int) RETURNS int LANGUAGE plpgsql VOLATILE AS
    'BEGIN EXECUTE ''SELECT '' || a; RETURN a; END';
CREATE VIEW all_notes AS SELECT note FROM notes;
INSERT INTO notes VALUES (1, 'a'), (2, 'b');
"""
SECRET = "hunter2"
BY_ID = "SELECT note FROM notes WHERE id = %s"

UNUSUAL = "%n|%-8p|%u/%d|"
"""A prefix that must be said."""

UNSEEN = "function public.touched"

LAST = "INSERT INTO watched"

Row = tuple[Any, ...]


def work(dsn: str) -> None:
    """What is run, with what is expected of it behind each line."""
    with psycopg.connect(dsn, autocommit=True) as client:
        for value in (1, 1, 2):
            client.execute(BY_ID, (value,))  # 3 reads, 1 hit
        client.execute("INSERT INTO notes VALUES (3, %s)", (f"{SECRET}\n\tand more",))  # 1 write
        for _ in range(2):
            client.execute(BY_ID, (1,))  # 2 reads, 1 hit
        client.execute("SELECT now()")  # 1 read, not kept
        client.execute(
            f"SELECT note\n\tFROM all_notes -- LOG:  no\n WHERE note = '{SECRET}'''"
        )  # 1
        client.execute("SELECT touched(1)")  # 1 read, blocked, writes nothing known
        client.execute(BY_ID, (1,))  # 1 read, 1 hit
        client.execute("SELECT note FROM notes WHERE id = 1 FOR UPDATE")  # 1 read, blocked
        with client.transaction():
            client.execute(BY_ID, (1,))  # 1 read, 1 hit
            client.execute("UPDATE notes SET note = 'c' WHERE id = 1")  # 1 write
            client.execute(BY_ID, (1,))  # 1 read, blocked
        with client.transaction():  # 1 transaction is spared
            client.execute(BY_ID, (2,))  # 1 read
        with pytest.raises(psycopg.errors.DivisionByZero), client.transaction():
            client.execute("SELECT 1 / 0")  # 1 read where it is logged before it is run
    asyncio.run(_work_async(dsn))


async def _work_async(dsn: str) -> None:
    client = await asyncpg.connect(dsn)
    for value in ("a", "a"):
        await client.fetch("SELECT id FROM notes\nWHERE note = $1", value)  # 2 reads, 1 hit
    async with client.transaction():  # 1 transaction is spared
        await client.fetch("SELECT id FROM notes\nWHERE note = $1", "a")  # 1 read, 1 hit
    async with client.transaction(isolation="repeatable_read"):
        await client.fetch("SELECT id FROM notes\nWHERE note = $1", "a")  # 1 read, blocked
    await client.execute("INSERT INTO watched VALUES (1)")  # 1 write
    await client.close()


EXPECTED = {
    "reads": 17,
    "reads_that_may_leave": 13,
    "cache_hits": 6,
    "transactions": 5,
    "transactions_that_need_no_server": 2,
    "failed": 1,
}


@dataclass(frozen=True, slots=True)
class Logged:
    """The logs of a server, and the definitions of its databases."""

    cluster: PostgresCluster
    folder: Path

    @property
    def formats(self) -> list[str]:
        return ["log", "csv", "json"] if self.cluster.postgres.major >= 15 else ["log", "csv"]

    def log(self, kind: str) -> str:
        """A copy of a log, which does not grow."""
        return str(self.folder / f"all.{kind}")

    def live(self, kind: str) -> Path:
        return self.cluster.primary.data / "log" / f"all.{kind}"

    def catalog(self, database: str) -> str:
        return str(self.folder / f"{database}.json")

    def dsn(self, database: str) -> str:
        port, password = self.cluster.primary.port, self.cluster.password
        return f"postgresql://{SUPERUSER}:{password}@127.0.0.1:{port}/{database}"


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    settings = {
        "logging_collector": "on",
        "log_destination": "stderr,csvlog,jsonlog",
        "log_directory": "log",
        "log_filename": "all.log",
        "log_line_prefix": "%m [%p] %q%u@%d ",
        "shared_preload_libraries": "pg_stat_statements",
    }
    with temporary_cluster(replicas=0, settings=settings) as cluster:
        logged = Logged(cluster, tmp_path_factory.mktemp("logged"))
        configuration = logged.folder / "tidegate.toml"
        configuration.write_text(
            f'[server_groups.app]\nservers = ["{cluster.primary.address}"]\n'
            f'auth_user = "{SUPERUSER}"\nauth_password = "{cluster.password}"\n'
        )
        for database, how in WAYS.items():
            cluster.primary.execute(f"CREATE DATABASE {database}")
            cluster.primary.execute(SCHEMA, database=database)
            options = ("--config", configuration, "--database", database)
            tidegate("explain", *options, "--save-catalog", logged.catalog(database))
            for name, value in how.items():
                cluster.primary.execute(f"ALTER DATABASE {database} SET {name} = '{value}'")
            work(logged.dsn(database))
        for kind in logged.formats:
            live = logged.live(kind)
            wait_until(
                lambda live=live: live.read_text().count(LAST) == len(WAYS), "the log to be written"
            )
            Path(logged.log(kind)).write_bytes(live.read_bytes())
        yield logged


def tidegate(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "proxy", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=120)


def doctor(*arguments: object, stdin: str = "") -> dict[str, Any]:
    done = tidegate("doctor", "--json", *arguments, stdin=stdin)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert SECRET not in done.stdout
    return dict(json.loads(done.stdout))


def expected(database: str) -> dict[str, int]:
    """What is logged after it was run is not logged when it has failed."""
    return EXPECTED if database == "timed" else EXPECTED | {"reads": 18, "reads_that_may_leave": 14}


@pytest.mark.parametrize("database", WAYS)
def test_every_format_gives_the_same_numbers(logged: Logged, database: str) -> None:
    found = [
        doctor(logged.log(kind), "--catalog", logged.catalog(database)) for kind in logged.formats
    ]
    for report in found:
        assert {name: report[name] for name in EXPECTED} == expected(database)
        assert report["unread_lines"] == 0
        assert report["kinds"]["write"] == 3
        blocked = {(c["reason"], c["detail"]): c["calls"] for c in report["blocked"]}
        assert blocked == {("function", "touched"): 1, ("lock", ""): 1, ("transaction", ""): 2}
        assert {c["reason"]: c["calls"] for c in report["not_cached"]} == {"clock": 1}
        assert [c["detail"] for c in report["asked_of_the_server"]] == [UNSEEN]
        assert report["counts_for_every_table"] == []
        tables = {table["name"]: table for table in report["tables"]}
        assert tables["public.notes"] == {"name": "public.notes", "reads": 15, "writes": 2}
        assert tables["public.watched"]["writes"] == 1
        assert (report["read_seconds"] is None) == (database == "said")
        report.pop("lines")
        report.pop("source")
    assert all(report == found[0] for report in found)


def test_a_packed_log_and_stdin_and_several_logs(logged: Logged, tmp_path: Path) -> None:
    log, catalog = logged.log("csv"), logged.catalog("said")
    packed = tmp_path / "log.gz"
    packed.write_bytes(gzip.compress(Path(log).read_bytes()))
    assert doctor(packed, "--catalog", catalog)["reads"] == 18
    assert doctor("-", "--catalog", catalog, stdin=Path(log).read_text())["reads"] == 18
    assert doctor(packed, log, "--catalog", catalog)["reads"] == 36


def test_definitions_are_fetched_where_no_catalog_is_named(logged: Logged) -> None:
    report = doctor(logged.log("csv"), "--config", logged.folder / "tidegate.toml")
    assert report["reads"] == 18 + 17 + 18
    assert report["cache_hits"] == 18
    assert report["other_databases"] == {}


def test_lines_that_can_not_be_read_are_counted(logged: Logged, tmp_path: Path) -> None:
    for kind in logged.formats:
        lines = Path(logged.log(kind)).read_text().splitlines(keepends=True)
        spoiled = tmp_path / f"spoiled.{kind}"
        spoiled.write_text("".join([lines[0], 'sh: "no such thing\n', *lines[1:]]))
        report = doctor(spoiled, "--catalog", logged.catalog("said"))
        assert report["unread_lines"] == 1
        assert report["first_unread"] == f"{spoiled}, line 2"
        assert {name: report[name] for name in EXPECTED} == expected("said")


def test_the_report_is_read_by_people(logged: Logged, tmp_path: Path) -> None:
    target = tmp_path / "new.toml"
    arguments = (logged.log("log"), "--catalog", logged.catalog("twice"), "--write-config", target)
    done = tidegate("doctor", *arguments)
    assert done.returncode == 0, done.stderr
    assert SECRET not in done.stdout
    assert "77.8 % of reads can leave the primary (14 of 18)" in done.stdout
    assert "select touched (?)" in done.stdout
    assert "declare it STABLE" in done.stdout
    assert "2 of 5 transactions only read" in done.stdout
    assert tidegate("check", target).returncode == 0
    text = target.read_text()
    assert "touched" in text
    assert load(target).server_groups["app"].cache
    target.write_text("mine")
    refused = tidegate("doctor", *arguments)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == f"{target}: is there already; --force overwrites it\n"
    assert target.read_text() == "mine"
    assert tidegate("doctor", *arguments, "--force").returncode == 0
    assert target.read_text() == text


@pytest.mark.parametrize("prefix", [*COMMON, UNUSUAL, "<%h> pid=%p user=%u database=%d "])
def test_prefixes_are_recognised(logged: Logged, prefix: str) -> None:
    primary = logged.cluster.primary
    primary.execute(f"ALTER SYSTEM SET log_line_prefix = '{prefix}'")
    try:
        primary.execute("SELECT pg_reload_conf()")
        wait_until(
            lambda: primary.fetch_value("SHOW log_line_prefix") == prefix, "the prefix to be set"
        )
        begin = logged.live("log").stat().st_size
        with psycopg.connect(logged.dsn("said"), autocommit=True) as client:
            client.execute("SELECT 'a\nb'")
            client.execute("SELECT note FROM notes WHERE id = %s", (1,))
        wait_until(
            lambda: b"WHERE id" in logged.live("log").read_bytes()[begin:], "the log to be written"
        )
        lines = logged.live("log").read_bytes()[begin:].decode().splitlines(keepends=True)
    finally:
        primary.execute("ALTER SYSTEM RESET log_line_prefix")
        primary.execute("SELECT pg_reload_conf()")
    unread = Unread()
    ran = [e for e in read_log(lines, "all.log", unread, None) if isinstance(e, Ran)]
    ran = [event for event in ran if "a\nb" in event.text or "WHERE id" in event.text]
    assert unread.count == 0
    assert [event.values.strip() for event in ran] == ["", "$1 = '1'"]
    is_guessed = prefix != UNUSUAL
    assert bool({event.session for event in ran} - {""}) is is_guessed
    if "%u" in prefix and is_guessed:
        assert {(event.user, event.database) for event in ran} == {(SUPERUSER, "said")}
    given = [e for e in read_log(lines, "all.log", unread, prefix) if isinstance(e, Ran)]
    assert unread.count == 0
    given = [event for event in given if event.text in {other.text for other in ran}]
    assert [(e.text, e.values) for e in given] == [(e.text, e.values) for e in ran]
    assert len({event.session for event in given} - {""}) == 1
    if "%u" in prefix:
        assert (SUPERUSER, "said") in {(event.user, event.database) for event in given}


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        (("/nowhere.log",), 1, "No such file"),
        (("/dev/null",), 1, "/dev/null: no statement found; log_statement"),
        (("postgresql://127.0.0.1:1/x",), 1, "no server could be asked: 127.0.0.1:1"),
        (("postgresql://127.0.0.1:x/x",), 1, "not a connection string"),
        (("postgresql://127.0.0.1:1/x", "/dev/null"), 1, "by itself"),
        (("/dev/null", "--search-path", "a b"), 2, "--search-path"),
    ],
)
def test_mistakes_are_one_line(
    logged: Logged, arguments: tuple[str, ...], status: int, why: str
) -> None:
    done = tidegate("doctor", *arguments, "--catalog", logged.catalog("said"))
    assert (done.returncode, done.stdout) == (status, "")
    assert why in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_pg_stat_statements(logged: Logged, tmp_path: Path) -> None:
    primary = logged.cluster.primary
    if not primary.fetch_value(
        "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_stat_statements'"
    ):
        pytest.skip("the contrib module pg_stat_statements is not installed")
    without = tidegate("doctor", logged.dsn("said"))
    assert (without.returncode, without.stdout) == (1, "")
    assert 'database "said" has no pg_stat_statements' in without.stderr
    primary.execute("CREATE EXTENSION pg_stat_statements", database="said")
    primary.execute("SELECT pg_stat_statements_reset()", database="said")
    work_again(logged.dsn("said"))
    report = doctor(logged.dsn("said"))
    calls = {cause["detail"]: cause["calls"] for cause in report["blocked"]}
    assert calls["touched"] == 7
    assert report["reads_that_may_leave"] == 20 + 3
    assert report["cache_hits"] is None
    assert report["read_seconds"] > 0
    tables = {table["name"]: table for table in report["tables"]}
    assert tables["public.notes"]["reads"] == 20
    assert tables["public.watched"]["writes"] == 5
    shown = tidegate("doctor", logged.dsn("said")).stdout
    assert "Totals have no order and no values" in shown
    assert SECRET not in shown


def work_again(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as client:
        for _ in range(20):
            client.execute(BY_ID, (1,))
        for _ in range(7):
            client.execute("SELECT touched(1)")
        for _ in range(5):
            client.execute(f"INSERT INTO watched SELECT 1 WHERE '{SECRET}' <> ''")
        for _ in range(3):
            client.execute("SELECT date '2026-01-01' + 1")


# Beside the proxy.

STATEMENTS = 600
HITS_WITHIN = 5.0
AWAY_WITHIN = 10.0
"""Percent of reads by which the model may be wrong. It does not know that a replica is behind right
after a write, nor that the results of a statement were not worth keeping."""


def mixed(client: psycopg.Connection[Row]) -> None:
    draw = random.Random(7)
    for _ in range(STATEMENTS):
        chance = draw.random()
        if chance < 0.70:
            client.execute(BY_ID, (draw.randint(1, 12),))
        elif chance < 0.80:
            client.execute("SELECT count(*) FROM all_notes")
        elif chance < 0.84:
            client.execute("SELECT now()")
        elif chance < 0.88:
            client.execute("UPDATE notes SET note = 'd' WHERE id = %s", (draw.randint(1, 12),))
        elif chance < 0.92:
            client.execute("SELECT note FROM notes WHERE id = 1 FOR UPDATE")
        elif chance < 0.96:
            with client.transaction():
                client.execute(BY_ID, (draw.randint(1, 12),))
                client.execute("INSERT INTO watched VALUES (1)")
                client.execute("SELECT count(*) FROM watched")
        else:
            with client.transaction():
                client.execute(BY_ID, (draw.randint(1, 12),))


def test_it_predicts_what_the_proxy_does(
    logged: Logged, direct: Application, start_proxy: StartProxy
) -> None:
    with psycopg.connect(logged.dsn("said"), autocommit=True) as client:
        begin = logged.live("csv").stat().st_size
        client.execute("DROP TABLE IF EXISTS marker")
        mixed(client)
        client.execute("SELECT 'the end'")
    wait_until(lambda: "the end" in logged.live("csv").read_text(), "the log to be written")
    part = logged.live("csv").read_bytes()[begin:].decode()
    found = doctor("-", "--catalog", logged.catalog("said"), stdin=part)

    proxy = start_proxy()
    with direct.connect() as client:
        client.execute("DROP TABLE IF EXISTS notes, watched CASCADE")
        client.execute("DROP FUNCTION IF EXISTS touched")
        client.execute(SCHEMA)
    with direct.at(proxy.port).connect() as client:
        asked = f"EXPLAIN ROUTE {BY_ID % 1}".encode()
        wait_until(
            lambda: dict(client.execute(asked).fetchall())["reason"] == "replica",
            "the catalog to be read",
        )
        mixed(client)
    hits = proxy.metric("tidegate_reads_total", reason="hit")
    away = hits + proxy.metric("tidegate_reads_total", reason="replica")
    reads = found["reads"]
    assert abs(found["cache_hits"] - hits) / reads * 100 <= HITS_WITHIN
    assert abs(found["reads_that_may_leave"] - away) / reads * 100 <= AWAY_WITHIN
    spared = proxy.metric("tidegate_transactions_total", outcome="spared")
    assert found["transactions_that_need_no_server"] == spared
