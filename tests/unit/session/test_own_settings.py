"""Settings of the proxy's own, as a PostgreSQL client says them."""

from __future__ import annotations

from tests.unit.session.stage import (
    COLUMNS,
    IDLE,
    IN_TRANSACTION,
    Stage,
    answers,
    asks,
    client,
    complete,
    error,
    query,
    released,
    result,
    rows,
    told,
    writes,
)

SELECT = query("SELECT a FROM orders")


def served(stage: Stage, request: bytes, by: str) -> None:
    stage >> client(request) << asks(by, request)
    stage >> answers(by, result("1")) << told(result("1")) << released(by)


def test_what_is_set_follows_its_transaction() -> None:
    stage = Stage(late_begin=True)
    writes(stage, "orders")

    def say(sql: str, tag: str, ready: bytes) -> None:
        stage >> client(query(sql)) << told(complete(tag) + ready)

    say("BEGIN", "BEGIN", IN_TRANSACTION)
    say("SET LOCAL tidegate.consistency TO eventual", "SET", IN_TRANSACTION)
    stage >> client(SELECT) << asks("replica", SELECT)
    reply = COLUMNS + rows("1")
    stage >> answers("replica", reply + IDLE) << told(reply + IN_TRANSACTION)
    stage << released("replica")
    say("COMMIT", "COMMIT", IDLE)
    served(stage, SELECT, "primary")
    say("BEGIN", "BEGIN", IN_TRANSACTION)
    say("SET tidegate.consistency TO eventual", "SET", IN_TRANSACTION)
    say("ROLLBACK", "ROLLBACK", IDLE)
    served(stage, SELECT, "primary")
    say("BEGIN", "BEGIN", IN_TRANSACTION)
    say("SAVEPOINT a", "SAVEPOINT", IN_TRANSACTION)
    say("SET tidegate.consistency TO eventual", "SET", IN_TRANSACTION)
    say("COMMIT", "COMMIT", IDLE)
    served(stage, SELECT, "replica")
    say("RESET tidegate.consistency", "RESET", IDLE)
    served(stage, SELECT, "primary")


def test_what_there_is_not_can_not_be_set() -> None:
    stage = Stage()
    unknown = error("42704", 'unrecognized configuration parameter "tidegate.nothing"')
    for sql in ("SET tidegate.nothing = 1", "RESET tidegate.nothing"):
        stage >> client(query(sql)) << told(unknown + IDLE)


def test_nothing_is_set_in_a_transaction_that_has_failed() -> None:
    stage = Stage(late_begin=True)
    stage >> client(query("BEGIN")) << told(complete("BEGIN") + IN_TRANSACTION)
    assert stage.session.late is not None
    stage.session.late.is_failed = True
    stage >> client(query("SET tidegate.consistency = 'bounded'"))
    event = stage.events.popleft()
    assert b"25P02" in event[2]
