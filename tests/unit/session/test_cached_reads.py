"""What was read is answered from memory, in whatever shape it was asked for."""

from __future__ import annotations

import pytest

from proxy.types import Reason
from proxy.wire.postgres import backend
from proxy.wire.postgres.errors import LoginRefused
from tests.unit.session.stage import (
    BOUND,
    CLOSED,
    COLUMNS,
    FLUSH,
    IDLE,
    PARSED,
    SYNC,
    Stage,
    answers,
    asks,
    at_once,
    bind,
    client,
    close,
    close_portal,
    complete,
    describe,
    describe_statement,
    error,
    execute,
    notice,
    parse,
    query,
    refuses,
    released,
    result,
    rows,
    says_what_is_set,
    told,
    waits,
)

TEXT = "SELECT a FROM orders"
SELECT = query(TEXT)
READ = parse("", TEXT) + bind("") + describe() + execute() + SYNC
READ_RESULT = PARSED + BOUND + COLUMNS + rows("1") + IDLE


@pytest.fixture
def stage() -> Stage:
    return Stage(cache=True)


@pytest.fixture
def filled(stage: Stage) -> Stage:
    """The result of `SELECT` is in the cache."""
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    return stage


def test_a_simple_query_is_answered_with_what_the_extended_protocol_fetched(stage: Stage) -> None:
    stage >> client(READ) << asks("replica", READ)
    stage >> answers("replica", READ_RESULT) << told(READ_RESULT) << released("replica")
    stage >> client(SELECT) << told(result("1"))
    assert stage.reasons[-1] is Reason.HIT


def test_the_extended_protocol_is_answered_with_what_a_simple_query_fetched(filled: Stage) -> None:
    filled >> client(READ) << told(READ_RESULT)


@pytest.mark.parametrize(
    ("batch", "answer"),
    [
        (parse("", TEXT) + bind("") + execute() + SYNC, PARSED + BOUND + rows("1") + IDLE),
        (
            parse("", TEXT) + bind("") + execute() + close_portal() + SYNC,
            PARSED + BOUND + rows("1") + CLOSED + IDLE,
        ),
        (
            parse("s", TEXT) + bind("s") + describe() + execute() + SYNC,
            PARSED + BOUND + COLUMNS + rows("1") + IDLE,
        ),
    ],
    ids=["plain", "with Close", "named"],
)
def test_batches_of_every_shape_are_served_and_kept(
    stage: Stage, batch: bytes, answer: bytes
) -> None:
    """What is kept of one serves the others, whatever else was asked around it."""
    stage >> client(batch)
    stage.events.clear()
    stage >> answers("replica", answer)
    stage.events.clear()
    other, _ = stage.enter("other")
    stage >> client(batch, session=other) << told(answer, name="other")
    short = parse("", TEXT) + bind("") + execute() + SYNC
    other, _ = stage.enter("third")
    stage >> client(short, session=other)
    assert stage.events.popleft() == told(PARSED + BOUND + rows("1") + IDLE, name="third")


@pytest.mark.parametrize(
    "batch",
    [
        parse("", TEXT) + bind("") + execute() + parse("", "SELECT b FROM items") + SYNC,
        parse("t", "nonsense") + parse("", TEXT) + bind("") + execute() + SYNC,
        parse("", TEXT) + bind("") + bind("", portal="p") + execute() + SYNC,
        parse("", TEXT) + bind("") + execute() + close("") + SYNC,
        parse("", TEXT) + bind("") + execute() + describe_statement("") + SYNC,
        parse("", TEXT) + bind("") + execute(rows=1) + SYNC,
        parse("", TEXT) + bind("") + execute() + FLUSH + SYNC,
    ],
    ids=["Parse behind", "Parse before", "two Binds", "Close", "Describe", "row limit", "Flush"],
)
def test_a_batch_that_does_more_than_read_is_not_answered_from_memory(
    filled: Stage, batch: bytes
) -> None:
    filled >> client(batch)
    assert filled.events.popleft()[0] == "asks"


def test_the_first_rows_of_a_result_are_kept_as_such(filled: Stage) -> None:
    """Drivers fetch a single value so. The portal is gone with the batch that opened it."""
    batch = parse("", TEXT) + bind("") + execute(rows=1) + SYNC
    first = backend.data_row([b"1"]) + backend.PORTAL_SUSPENDED
    answer = PARSED + BOUND + first + IDLE
    filled >> client(batch) << asks("replica", batch)
    filled >> answers("replica", answer) << told(answer) << released("replica")
    filled >> client(batch) << told(answer)
    filled >> client(parse("", TEXT) + bind("") + execute(rows=2) + SYNC)
    assert filled.events.popleft()[0] == "asks"


def test_what_is_found_at_once_says_what_the_server_would_have_remembered(stage: Stage) -> None:
    """A batch answered unread leaves its unnamed statement behind."""
    stage >> client(READ) << asks("replica", READ)
    stage >> answers("replica", READ_RESULT) << told(READ_RESULT) << released("replica")
    again = bind("") + execute() + SYNC
    stage >> client(again) << told(BOUND + rows("1") + IDLE)


def test_a_prepared_read_is_found_by_its_own_clients_name(stage: Stage) -> None:
    stage >> client(parse("s", TEXT) + SYNC)
    stage.events.clear()
    stage >> answers("primary", PARSED + IDLE)
    stage.events.clear()
    use = bind("s") + execute() + SYNC
    stage >> client(use)
    stage.events.clear()
    stage >> answers("replica", PARSED + BOUND + rows("1") + IDLE)
    stage.events.clear()
    stage >> client(use) << told(BOUND + rows("1") + IDLE)
    assert b"s" in stage.session.named


PREPARED_ANEW = close("s") + parse("s", "SELECT b FROM items") + SYNC
OPEN_BATCH = bind("s") + execute() + FLUSH + PREPARED_ANEW


@pytest.mark.parametrize(
    ("between", "replies"),
    [
        (PREPARED_ANEW, [CLOSED + PARSED + IDLE]),
        (OPEN_BATCH, [PARSED + BOUND + rows("1") + PARSED + IDLE]),
        (query("SET timezone TO 'UTC'"), [complete("SET") + IDLE]),
        (query("DEALLOCATE ALL"), [complete("DEALLOCATE ALL") + IDLE]),
        (query("DEALLOCATE s"), []),
        (query("SELECT sets()"), [result("1"), says_what_is_set(timezone="UTC")]),
    ],
    ids=["prepared anew", "in an open batch", "SET", "DEALLOCATE ALL", "DEALLOCATE", "function"],
)
def test_a_name_is_not_found_at_once_when_it_may_mean_something_else(
    stage: Stage, between: bytes, replies: list[bytes]
) -> None:
    session = stage.session
    use = bind("s") + execute() + SYNC
    session.receive(parse("s", TEXT) + SYNC)
    answers("primary", PARSED + IDLE)(stage)
    session.receive(use)
    answers("replica", PARSED + BOUND + rows("1") + IDLE)(stage)
    session.receive(use)
    assert session.named
    session.receive(between)
    for reply in replies:
        answers("primary", reply)(stage)
    assert session.answers is not None
    assert not session.named


def test_settings_part_results(filled: Stage) -> None:
    runs = query("SET timezone TO 'UTC'")
    filled >> client(runs) << asks("primary", runs)
    filled >> answers("primary", complete("SET") + IDLE)
    filled.events.clear()
    filled >> client(SELECT)
    assert filled.events.popleft()[:2] == ("asks", "replica")


def test_a_setting_that_shapes_nothing_does_not(filled: Stage) -> None:
    runs = query("SET statement_timeout TO 0")
    filled >> client(runs) << asks("primary", runs)
    filled >> answers("primary", complete("SET") + IDLE)
    filled.events.clear()
    filled >> client(SELECT) << at_once(result("1"))


def test_an_answer_with_a_notice_in_it_is_not_kept(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    answer = COLUMNS + notice() + rows("1") + IDLE
    stage >> answers("replica", COLUMNS) << told(COLUMNS)
    stage >> answers("replica", answer[len(COLUMNS) :])
    stage.events.clear()
    stage >> client(SELECT) << asks("replica", SELECT)


def test_a_clock_word_is_not_kept(stage: Stage) -> None:
    today = query("SELECT a FROM orders WHERE d = 'today'")
    stage >> client(today) << asks("replica", today)
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    stage >> client(today) << asks("replica", today)


def test_a_clock_word_among_parameters_is_not_kept(stage: Stage) -> None:
    batch = parse("", TEXT + " WHERE d = $1") + bind("", "Today ") + execute() + SYNC
    answer = PARSED + BOUND + rows("1") + IDLE
    stage >> client(batch) << asks("replica", batch)
    stage >> answers("replica", answer) << told(answer) << released("replica")
    stage >> client(batch) << asks("replica", batch)


def test_parameters_part_results(stage: Stage) -> None:
    def ask(value: str) -> bytes:
        return parse("", TEXT + " WHERE a = $1") + bind("", value) + execute() + SYNC

    answer = PARSED + BOUND + rows("1") + IDLE
    stage >> client(ask("1")) << asks("replica", ask("1"))
    stage >> answers("replica", answer) << told(answer) << released("replica")
    stage >> client(ask("2")) << asks("replica", ask("2"))


def test_a_follower_leads_when_the_leader_is_refused() -> None:
    stage = Stage(cache=True, size=0, replicas=0)
    other, _ = stage.enter("other")
    stage >> client(SELECT) << waits("primary")
    stage >> client(SELECT, session=other)
    stage >> refuses("primary", LoginRefused(error("28P01", "no", "FATAL")))
    assert ("waits", "primary") in stage.events
    assert stage.shell.is_closed
