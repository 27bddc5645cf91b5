"""Settings of the proxy's own, as a PostgreSQL client says them."""

from __future__ import annotations

from proxy.errors import NoPrimary
from proxy.wire.postgres import backend
from tests.unit.session.stage import (
    BOUND,
    COLUMNS,
    FLUSH,
    IDLE,
    IN_TRANSACTION,
    PARSED,
    SYNC,
    Stage,
    answers,
    asks,
    bind,
    cancels,
    client,
    complete,
    describe,
    elsewhere,
    error,
    execute,
    left,
    parse,
    query,
    released,
    result,
    rows,
    tells_position,
    told,
    waits,
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


def test_where_the_primary_is_is_told_in_a_batch_that_is_not_ended() -> None:
    stage = Stage()
    asked = parse("", "SHOW tidegate.position") + bind("") + describe() + execute()
    stage >> client(asked + FLUSH) << waits("a position")
    stage >> client(SYNC)
    stage.quiet()
    columns = backend.row_description([backend.Column(b"tidegate.position")])
    stage >> tells_position("150") << told(PARSED + BOUND + columns + rows("150")) << told(IDLE)


def test_a_batch_that_can_not_be_told_is_skipped_to_its_end() -> None:
    stage = Stage()
    asked = parse("", "SHOW tidegate.position") + bind("") + execute() + FLUSH
    stage >> client(asked) << waits("a position")
    stage >> client(asked)
    no_primary = NoPrimary("no primary")
    stage >> elsewhere(lambda s: s.askers.waiting.pop().not_acquired(no_primary))
    assert b"no primary" in stage.events.popleft()[2]
    stage.quiet()
    stage >> client(SYNC) << told(IDLE)


def test_a_wait_that_was_cancelled_leaves_its_transaction_open() -> None:
    stage = Stage()
    begin = query("BEGIN")
    said = complete("BEGIN") + IN_TRANSACTION
    stage >> client(begin) << asks("primary", begin)
    stage >> answers("primary", said) << told(said)
    stage >> client(parse("", "SELECT 1") + bind("", portal="p") + SYNC)
    stage << asks("primary", stage.events[0][2])
    said = PARSED + BOUND + IN_TRANSACTION
    stage >> answers("primary", said) << told(said)
    stage >> client(query("SHOW tidegate.position")) << waits("a position")
    stage >> cancels() << left("a position")
    heard = b"".join(event[2] for event in stage.events)
    stage.events.clear()
    assert b"57014" in heard
    assert heard.endswith(IN_TRANSACTION)
    stage >> client(execute("p") + SYNC)
    assert [event[:2] for event in stage.events] == [("asks", "primary")]
