"""When a MySQL server's definitions are looked at, and when they have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxy.sql.mysql import catalog_queries as queries
from proxy.topology import mysql_catalogs
from proxy.topology.catalogs import DefinitionsBusy
from proxy.topology.mysql_catalogs import MySQLSource
from tests.unit.sql.mysql.simple_interpreter import SimpleInterpreter
from tests.unit.sql.mysql.test_catalog import Server

ALL = "GRANT ALL PRIVILEGES ON *.* TO `tidegate`@`%`"


class Connection:
    """Answers from a table of answers, and notes what was asked."""

    def __init__(self, version: str = "10.11.6-MariaDB") -> None:
        self.version = version
        self.asked: list[str] = []
        self.server = Server()
        self.answers: dict[str, Any] = {
            queries.COMMANDS: [("Com_alter_table", "0"), ("Com_grant", "0")],
            queries.FINGERPRINT: [(0, "a", "b")],
            queries.DETAILS: [("x",)],
            queries.RIGHTS: [(ALL,)],
            queries.files(is_mariadb=True): [],
            queries.COUNTERS_BY_TIME: [],
        }
        for name, sql in queries.queries(is_mariadb=True).items():
            self.answers[sql] = self.server.rows[name]

    def get_server_info(self) -> str:
        return self.version

    @asynccontextmanager
    async def cursor(self, _: object) -> Any:
        yield self

    async def execute(self, sql: str) -> None:
        self.asked.append(sql)

    async def fetchall(self) -> Any:
        return self.answers[self.asked[-1]]


@pytest.fixture
def connection() -> Connection:
    return Connection()


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


def open_source(connection: Any) -> MySQLSource:
    return MySQLSource(connection, SimpleInterpreter(), 1.0, lambda: None)


def test_nothing_new_is_nothing_new(connection: Connection, runner: asyncio.Runner) -> None:
    source = open_source(connection)
    first = runner.run(source.fingerprint(anew=True))
    assert runner.run(source.fingerprint(anew=True)) == first


@pytest.mark.parametrize("sql", [queries.FINGERPRINT])
def test_another_digest_is_a_change(
    connection: Connection, runner: asyncio.Runner, sql: str
) -> None:
    source = open_source(connection)
    first = runner.run(source.fingerprint(anew=True))
    connection.answers[sql] = [(0, "a", "c")]
    assert runner.run(source.fingerprint(anew=True)) != first


def test_a_dear_digest_is_asked_seldom(
    connection: Connection, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def tick() -> float:
        nonlocal now
        now += 1.0
        return now

    monkeypatch.setattr(mysql_catalogs, "monotonic", tick)
    source = open_source(connection)
    for _ in range(5):
        runner.run(source.fingerprint(anew=False))
    assert connection.asked.count(queries.FINGERPRINT) == 1
    connection.answers[queries.COMMANDS] = [("Com_alter_table", "1"), ("Com_grant", "0")]
    runner.run(source.fingerprint(anew=False))
    assert connection.asked.count(queries.FINGERPRINT) == 2


def test_two_changes_in_one_second_are_told_apart(
    connection: Connection, runner: asyncio.Runner
) -> None:
    source = open_source(connection)
    connection.answers[queries.FINGERPRINT] = [(1, "a", "b")]
    first = runner.run(source.fingerprint(anew=True))
    connection.answers[queries.FINGERPRINT] = [(0, "a", "b")]
    connection.answers[queries.DETAILS] = [("y",)]
    assert runner.run(source.fingerprint(anew=True)) != first


def test_what_is_new_grows_old_without_a_change(
    connection: Connection, runner: asyncio.Runner
) -> None:
    source = open_source(connection)
    connection.answers[queries.FINGERPRINT] = [(1, "a", "b")]
    first = runner.run(source.fingerprint(anew=True))
    connection.answers[queries.FINGERPRINT] = [(0, "a", "b")]
    assert runner.run(source.fingerprint(anew=True)) == first
    assert runner.run(source.fingerprint(anew=True)) == first


def test_a_command_about_rights_counts_twice(
    connection: Connection, runner: asyncio.Runner
) -> None:
    """It may only have begun when it is counted."""
    source = open_source(connection)
    seen = [runner.run(source.fingerprint(anew=True))]
    connection.answers[queries.COMMANDS] = [("Com_alter_table", "0"), ("Com_grant", "1")]
    seen += [runner.run(source.fingerprint(anew=False)) for _ in range(3)]
    assert len(set(seen)) == 3
    assert seen[2] == seen[3]


def test_a_catalog_is_not_read_with_too_few_rights(
    connection: Connection, runner: asyncio.Runner
) -> None:
    connection.answers[queries.RIGHTS] = [("GRANT SELECT, PROCESS ON *.* TO `a`@`%`",)]
    with pytest.raises(DefinitionsBusy, match="SHOW VIEW, TRIGGER"):
        runner.run(open_source(connection).load())


def test_a_catalog_counts_when_nothing_moved_meanwhile(
    connection: Connection, runner: asyncio.Runner
) -> None:
    source = open_source(connection)
    runner.run(source.fingerprint(anew=True))
    connection.answers[queries.FINGERPRINT] = [(0, "a", "c")]
    runner.run(source.load())
    assert connection.asked.count(queries.TABLES) == 2


def test_what_counts_for_a_parent_counts_for_its_children(
    connection: Connection, runner: asyncio.Runner
) -> None:
    parent, child = connection.server.table("p"), connection.server.table("c")
    connection.server.key("c", "p", "NO ACTION", "CASCADE")
    connection.answers[queries.COUNTERS_BY_TIME] = [("shop", "p", 0, 5), ("shop", "c", 0, 7)]
    source = open_source(connection)
    runner.run(source.load())
    before = {row[0]: row[1:] for row in runner.run(source.counters())}
    connection.answers[queries.COUNTERS_BY_TIME] = [("shop", "p", 0, 6), ("shop", "c", 0, 7)]
    after = {row[0]: row[1:] for row in runner.run(source.counters())}
    assert before[parent.oid] != after[parent.oid]
    assert before[child.oid] != after[child.oid]


COUNTING = [("Com_truncate", "0"), ("Performance_schema_table_handles_lost", "0")]


def counting_source(connection: Connection, runner: asyncio.Runner) -> MySQLSource:
    """Open one on a server whose performance_schema is on."""
    connection.answers |= {
        mysql_catalogs._SETTINGS: [],
        queries.HAS_USERSTAT: [],
        queries.HAS_COUNTERS: [(1,)],
        queries.COUNTS_ALL: [(1,)],
        queries.UNSEEN: COUNTING,
    }
    source = open_source(connection)
    runner.run(source.begin())
    return source


def test_an_era_lasts_until_something_is_done_that_is_not_seen(
    connection: Connection, runner: asyncio.Runner
) -> None:
    source = counting_source(connection, runner)
    assert source.counts_at_once
    first = runner.run(source.era())
    assert first == runner.run(source.era()) is not None
    connection.answers[queries.UNSEEN] = [("Com_truncate", "1"), COUNTING[1]]
    assert runner.run(source.era()) != first


@pytest.mark.parametrize(
    ("sql", "answer"),
    [
        (queries.COUNTS_ALL, [(0,)]),
        (queries.UNSEEN, [COUNTING[0], ("Performance_schema_table_handles_lost", "1")]),
    ],
)
def test_there_is_no_era_where_something_is_not_counted(
    connection: Connection, runner: asyncio.Runner, sql: str, answer: Any
) -> None:
    source = counting_source(connection, runner)
    connection.answers[sql] = answer
    assert runner.run(source.era()) is None


def test_servers_without_counters_tell_of_definitions_alone(
    connection: Connection, runner: asyncio.Runner
) -> None:
    connection.answers[queries.UNSEEN] = COUNTING[:1]
    source = open_source(connection)
    assert not source.counts_at_once
    assert runner.run(source.era()) is not None


def test_locked_tables_may_not_have_been_counted_by_userstat(
    connection: Connection, runner: asyncio.Runner
) -> None:
    table = connection.server.table("t")
    connection.answers |= {
        mysql_catalogs._SETTINGS: [],
        queries.HAS_USERSTAT: [("userstat", "ON")],
        queries.IN_USE: [("shop", "t", 1, 0), ("mysql", "proc", 1, 0)],
    }
    source = open_source(connection)
    runner.run(source.begin())
    runner.run(source.load())
    assert list(runner.run(source.uncounted())) == [table.oid]
