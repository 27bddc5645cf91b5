"""Where a transaction begins by itself, one that only reads is served as if none had begun."""

from __future__ import annotations

import pytest

from proxy.session.grammar import Defaults
from proxy.session.late import Held
from proxy.wire.mysql import ok
from proxy.wire.mysql.capabilities import STATUS_IN_TRANS
from tests.unit.session.stage import (
    Stage,
    answers,
    asks,
    at_once,
    client,
    marked,
    released,
    told,
)
from tests.unit.session.words import SHAPE, MySQLWords

ALONE = "SET SESSION autocommit = 'ON'"
SELECT = "SELECT a FROM orders"
INSERT = "INSERT INTO orders VALUES (1)"


class Manual(MySQLWords):
    """A client of a server with autocommit = 0."""

    defaults = Defaults({**MySQLWords.defaults.settings, "autocommit": "0"}, SHAPE)

    def client(self, library):  # type: ignore[no-untyped-def]
        engine = super().client(library)
        engine.status = 0  # type: ignore[attr-defined]
        return engine

    def _ok(self, rows: int, block: bool) -> ok.Ok:
        return ok.Ok(rows, status=STATUS_IN_TRANS if block else 0)


MANUAL = Manual()
AUTOMATIC = MySQLWords()
"""What is said on connections where each statement is a transaction."""


@pytest.fixture
def stage() -> Stage:
    return Stage(words=MANUAL, late_begin=True)


def reads(stage: Stage, *, first: bool = False) -> None:
    query = MANUAL.query(SELECT)
    asked = MANUAL.query(ALONE) + query if first else query
    answer = AUTOMATIC.result("1")
    stage >> client(query) << asks("replica", asked)
    set_ = AUTOMATIC.done("SET") if first else b""
    stage >> answers("replica", set_ + answer) << told(MANUAL.result("1", block=True))
    stage << released("replica")


def test_what_only_reads_begins_nothing_at_a_server(stage: Stage) -> None:
    reads(stage, first=True)
    reads(stage)
    stage >> client(MANUAL.query("COMMIT")) << told(MANUAL.done("COMMIT"))
    assert stage.held == [Held.SPARED]
    reads(stage)


def test_an_answer_from_the_cache_says_what_the_session_is_like() -> None:
    stage = Stage(words=MANUAL, late_begin=True, cache=True)
    reads(stage, first=True)
    query, answer = MANUAL.query(SELECT), MANUAL.result("1", block=True)
    stage >> client(query) << at_once(answer)
    stage >> client(MANUAL.query("ROLLBACK")) << told(MANUAL.done("ROLLBACK"))
    assert stage.session.answers is None  # the next read must begin a transaction first
    stage >> client(query) << told(answer)


def test_the_first_write_begins_it(stage: Stage) -> None:
    reads(stage, first=True)
    insert = MANUAL.query(INSERT)
    stage >> client(insert) << asks("primary", MANUAL.query("START TRANSACTION"))
    stage >> answers("primary", MANUAL.done("BEGIN", block=True)) << asks("primary", insert)
    stage >> answers("primary", MANUAL.done("INSERT 0 1", block=True))
    stage << told(MANUAL.done("INSERT 0 1", block=True))
    commit = MANUAL.query("COMMIT")
    stage >> client(commit) << marked(stage.catalog.table("orders")) << asks("primary", commit)
    assert stage.held == [Held.OPENED]


def test_what_reads_no_table_is_for_the_primary(stage: Stage) -> None:
    query = MANUAL.query("SELECT 1")
    stage >> client(query) << asks("primary", query)
    stage >> answers("primary", MANUAL.result("1")) << told(MANUAL.result("1"))
    stage << released("primary")
    assert stage.session.late is None


@pytest.mark.parametrize("late_begin", [False, True])
def test_where_none_may_be_held_back_it_is_all_the_primarys(late_begin: bool) -> None:
    levels = () if late_begin else ("read committed",)
    stage = Stage(words=MANUAL, late_begin=late_begin, levels=levels)
    query = MANUAL.query(SELECT)
    stage >> client(query) << asks("primary", query)


def sets_savepoint(stage: Stage, name: str) -> None:
    set_ = MANUAL.query(f"SAVEPOINT {name}")
    stage >> client(set_) << told(MANUAL.done("SAVEPOINT"))


def opens(stage: Stage, query: bytes, *names: str) -> None:
    """The transaction is begun for a statement, with the savepoints that were set in front."""
    stage >> client(query)
    kind, server, said = stage.events.popleft()
    assert (kind, server) == ("asks", "primary")
    assert all(f"SAVEPOINT `{name}`".encode() in said for name in names)
    tags = ["BEGIN", *["SAVEPOINT" for _ in names]]
    stage >> answers("primary", MANUAL.done_together(*tags, block=True)) << asks("primary", query)


def test_a_savepoint_in_front_of_it_is_kept_for_it(stage: Stage) -> None:
    sets_savepoint(stage, "a")
    reads(stage, first=True)
    stage >> client(MANUAL.query("SAVEPOINT b")) << told(MANUAL.done("SAVEPOINT", block=True))
    opens(stage, MANUAL.query(INSERT), "a", "b")


def test_a_savepoint_alone_is_no_transaction_yet(stage: Stage) -> None:
    sets_savepoint(stage, "a")
    stage >> client(MANUAL.query("ROLLBACK TO a")) << told(MANUAL.done("ROLLBACK"))
    stage >> client(MANUAL.query("ROLLBACK")) << told(MANUAL.done("ROLLBACK"))
    assert stage.session.late is None


@pytest.mark.parametrize("late_begin", [False, True])
def test_a_savepoint_is_kept_where_no_read_may_be_beside_it(late_begin: bool) -> None:
    levels = () if late_begin else ("read committed",)
    stage = Stage(words=MANUAL, late_begin=late_begin, levels=levels)
    sets_savepoint(stage, "a")
    opens(stage, MANUAL.query(SELECT), "a")
