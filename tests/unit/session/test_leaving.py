"""A client that goes, at whatever moment, leaves nothing behind on any connection."""

from __future__ import annotations

import pytest

from proxy.engines.postgres.questions import QUESTION, settings_question
from proxy.session.state import UNTOUCHED
from proxy.types import PinReason, Role
from proxy.wire.postgres import backend, frontend, tags
from tests.unit.session.stage import (
    BOUND,
    COLUMNS,
    FLUSH,
    GONE,
    IDLE,
    IN_TRANSACTION,
    LOST,
    PARSED,
    SYNC,
    Stage,
    aborted,
    answers,
    asks,
    bind,
    breaks,
    cancelled,
    client,
    complete,
    elsewhere,
    error,
    execute,
    hangs_up,
    left,
    lends,
    marked,
    parse,
    query,
    released,
    result,
    rows,
    settled,
    told,
    waits,
)

INSERT = query("INSERT INTO orders VALUES (1)")
INSERTED = complete("INSERT 0 1") + IDLE
SELECT = query("SELECT a FROM orders")
BEGIN, ROLLBACK, DISCARD = query("BEGIN"), query("ROLLBACK"), query("DISCARD ALL")
COPY = query("COPY orders FROM STDIN")
COPY_IN = backend.copy_response(tags.COPY_IN_RESPONSE, 0, [0])
GIVE_UP = frontend.copy_fail(b"the client is gone")
SPOILED = frontend.describe(tags.PORTAL, b"the client is gone") + SYNC


@pytest.fixture
def stage() -> Stage:
    return Stage()


def runs(stage: Stage, sql: str, *replies: bytes) -> None:
    stage >> client(query(sql))
    stage.events.clear()
    stage >> answers("primary", *replies)
    stage.events.clear()


def test_in_a_transaction(stage: Stage) -> None:
    runs(stage, "SET timezone TO 'UTC'", complete("SET") + IDLE)
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "SET timezone TO 'CET'", complete("SET") + IN_TRANSACTION)
    link = stage.link("primary")
    stage >> hangs_up() << asks("primary", ROLLBACK)
    stage >> answers("primary", complete("ROLLBACK") + IDLE) << released("primary") << GONE
    assert link.state is UNTOUCHED.with_setting("timezone", "'UTC'")


def test_in_mid_query_while_slow(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage.session.client_paused(True)
    link = stage.link("replica")
    assert not link.is_reading
    stage >> hangs_up() << cancelled("replica")
    assert link.is_reading


def test_in_a_transaction_while_slow(stage: Stage) -> None:
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    stage.session.client_paused(True)
    stage >> hangs_up() << asks("primary", ROLLBACK)
    assert stage.link("primary").is_reading


def test_pinned_while_slow(stage: Stage) -> None:
    stage >> client(query("LISTEN news")) << asks("primary", query("LISTEN news"))
    stage.session.client_paused(True)
    reply = complete("LISTEN") + IDLE
    stage >> answers("primary", reply) << told(reply)
    stage >> hangs_up() << asks("primary", DISCARD)
    assert stage.link("primary").is_reading


def test_while_slow_when_the_server_says_what_was_left_behind(stage: Stage) -> None:
    stage >> client(query("SELECT sets()"))
    stage.events.clear()
    stage.session.client_paused(True)
    stage >> answers("primary", result("1"))
    stage.events.clear()
    stage >> hangs_up()
    assert stage.link("primary").is_reading


def test_when_a_read_has_to_be_repeated(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> hangs_up() << cancelled("replica")
    stage >> answers("replica", error("40001") + IDLE) << released("replica") << GONE
    stage.finish()


def test_when_the_server_is_lost_as_well(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> hangs_up() << cancelled("replica")
    stage >> breaks("replica") << GONE
    stage.finish()


def test_in_a_write(stage: Stage) -> None:
    orders = stage.catalog.table("orders")
    stage >> client(INSERT) << marked(orders) << asks("primary", INSERT)
    stage >> hangs_up() << cancelled("primary")
    stage >> answers("primary", INSERTED) << told(INSERTED) << settled(True)
    stage << released("primary") << GONE
    stage.finish()


def test_in_a_write_whose_server_is_lost_as_well(stage: Stage) -> None:
    stage >> client(INSERT)
    stage.events.clear()
    stage >> hangs_up() << cancelled("primary")
    stage >> breaks("primary") << LOST << GONE


def test_with_requests_behind_the_one_that_runs(stage: Stage) -> None:
    stage >> client(SELECT + INSERT) << asks("replica", SELECT)
    stage >> hangs_up() << cancelled("replica")
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica") << GONE


def test_in_an_open_batch(stage: Stage) -> None:
    batch = parse("", "INSERT INTO orders VALUES (1)") + bind("") + execute() + FLUSH
    stage >> client(batch)
    stage.events.clear()
    stage >> hangs_up() << cancelled("primary") << asks("primary", SPOILED)
    answer = PARSED + BOUND + complete("INSERT 0 1") + error("34000") + IDLE
    stage >> answers("primary", answer) << told(answer) << settled(False)
    stage << released("primary") << GONE


def test_in_a_batch_of_ours_to_end(stage: Stage) -> None:
    stage >> client(parse("", "SELECT 1") + FLUSH)
    stage.events.clear()
    stage >> hangs_up() << cancelled("primary")
    stage >> answers("primary", PARSED + IDLE) << told(PARSED) << released("primary") << GONE


def test_in_a_copy(stage: Stage) -> None:
    stage >> client(COPY)
    stage.events.clear()
    stage >> answers("primary", COPY_IN) << told(COPY_IN)
    stage >> hangs_up() << cancelled("primary") << asks("primary", GIVE_UP)
    stage >> answers("primary", error() + IDLE) << told(error() + IDLE) << settled(False)
    stage << released("primary") << GONE


def test_before_a_copy_begins(stage: Stage) -> None:
    stage >> client(COPY)
    stage.events.clear()
    stage >> hangs_up() << cancelled("primary")
    stage >> answers("primary", COPY_IN) << told(COPY_IN) << asks("primary", GIVE_UP)
    stage >> answers("primary", error() + IDLE) << told(error() + IDLE) << settled(False)
    stage << released("primary") << GONE


def test_in_a_copy_in_the_extended_protocol(stage: Stage) -> None:
    batch = parse("", "COPY orders FROM STDIN") + bind("") + execute() + SYNC
    stage >> client(batch)
    stage.events.clear()
    stage >> answers("primary", PARSED + BOUND + COPY_IN) << told(PARSED + BOUND + COPY_IN)
    stage >> hangs_up() << cancelled("primary") << asks("primary", GIVE_UP + SPOILED)
    stage >> answers("primary", error() + IDLE) << told(error() + IDLE) << settled(False)
    stage << released("primary") << GONE


def test_in_the_middle_of_a_large_message(stage: Stage) -> None:
    big = query("INSERT INTO orders VALUES ('" + "x" * 2_000_000 + "')")
    stage >> client(big[:1_500_000])
    stage.events.clear()
    stage >> hangs_up() << aborted("primary") << LOST << GONE


def test_while_its_settings_are_made(stage: Stage) -> None:
    runs(stage, "SET timezone TO 'UTC'", complete("SET") + IDLE)
    (link,) = stage.pools[stage.servers["primary"]].idle
    link.state = UNTOUCHED
    stage >> client(INSERT) << asks("primary", query("SET \"timezone\" TO 'UTC'"))
    stage >> hangs_up()
    stage >> answers("primary", complete("SET") + IDLE) << released("primary") << GONE
    stage.finish()


def test_while_its_settings_are_refused(stage: Stage) -> None:
    runs(stage, "SET timezone TO 'UTC'", complete("SET") + IDLE)
    (link,) = stage.pools[stage.servers["primary"]].idle
    link.state = UNTOUCHED
    stage >> client(SELECT)
    stage.events.clear()
    stage >> hangs_up() << cancelled("replica")
    stage >> answers("replica", error() + IDLE)
    stage >> answers("replica", result("1")) << aborted("replica") << GONE


def test_pinned(stage: Stage) -> None:
    runs(stage, "LISTEN news", complete("LISTEN") + IDLE)
    stage >> hangs_up() << asks("primary", DISCARD)
    stage >> answers("primary", complete("DISCARD ALL") + IDLE) << released("primary") << GONE


def test_pinned_in_a_transaction(stage: Stage) -> None:
    runs(stage, "LISTEN news", complete("LISTEN") + IDLE)
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    stage >> hangs_up() << asks("primary", ROLLBACK)
    stage >> answers("primary", complete("ROLLBACK") + IDLE) << asks("primary", DISCARD)
    stage >> answers("primary", complete("DISCARD ALL") + IDLE) << released("primary") << GONE


def test_pinned_while_it_reads_from_a_replica(stage: Stage) -> None:
    runs(stage, "LISTEN news", complete("LISTEN") + IDLE)
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> hangs_up() << cancelled("replica")
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    stage << asks("primary", DISCARD)
    stage >> answers("primary", complete("DISCARD ALL") + IDLE) << released("primary") << GONE


def test_pinned_while_it_loses_a_replica(stage: Stage) -> None:
    runs(stage, "LISTEN news", complete("LISTEN") + IDLE)
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", COLUMNS) << told(COLUMNS)
    stage >> breaks("replica")
    assert stage.shell.is_closed
    stage.events.clear()
    stage >> hangs_up() << asks("primary", DISCARD)
    stage >> answers("primary", complete("DISCARD ALL") + IDLE) << released("primary") << GONE


def test_pinned_while_it_waits_for_a_replica() -> None:
    stage = Stage(size=1)
    runs(stage, "LISTEN news", complete("LISTEN") + IDLE)
    other, _ = stage.enter("other")
    stage >> client(SELECT, session=other) << asks("replica", SELECT)
    stage >> client(SELECT) << waits("replica")
    stage >> hangs_up() << left("replica") << asks("primary", DISCARD)
    stage >> answers("primary", complete("DISCARD ALL") + IDLE) << released("primary") << GONE


def test_a_connection_that_cannot_be_cleaned_up_is_dropped(stage: Stage) -> None:
    runs(stage, "LISTEN news", complete("LISTEN") + IDLE)
    stage >> hangs_up() << asks("primary", DISCARD)
    stage >> answers("primary", error("57014") + IDLE) << aborted("primary") << GONE


def test_after_something_that_may_have_left_anything_behind(stage: Stage) -> None:
    stage >> client(query("DO LANGUAGE plperl 'x'"))
    stage.events.clear()
    stage >> hangs_up() << cancelled("primary")
    reply = complete("DO") + IDLE
    stage >> answers("primary", reply) << told(reply) << settled(True)
    stage << asks("primary", DISCARD)
    stage >> answers("primary", complete("DISCARD ALL") + IDLE) << released("primary") << GONE


def test_while_the_server_says_what_was_left_behind(stage: Stage) -> None:
    runs(stage, "SELECT sets()", result("1"))
    stage >> hangs_up()
    reply = (
        backend.row_description([])
        + backend.data_row([*[b"f"] * 4, None])
        + complete("SELECT 1")
        + IDLE
    )
    stage >> answers("primary", reply) << asks("primary", DISCARD)
    stage >> answers("primary", complete("DISCARD ALL") + IDLE) << released("primary") << GONE


def test_in_a_transaction_that_may_have_left_anything_behind(stage: Stage) -> None:
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "SELECT sets()", COLUMNS + rows("1") + IN_TRANSACTION)
    stage >> hangs_up() << asks("primary", ROLLBACK)
    stage >> answers("primary", complete("ROLLBACK") + IDLE) << asks("primary", DISCARD)
    stage >> answers("primary", complete("DISCARD ALL") + IDLE) << released("primary") << GONE


def test_after_an_advisory_lock_that_came_with_an_error(stage: Stage) -> None:
    """A session's lock survives the failure of the statement that took it."""
    lock = query("SELECT pg_advisory_lock(1), 1/0")
    stage >> client(lock)
    stage.events.clear()
    stage >> answers("primary", error() + IDLE)
    asked = [event for event in stage.events if event[0] == "asks"]
    assert asked == [asks("primary", query((QUESTION + b";" + settings_question([])).decode()))]


def test_a_follower_takes_the_lead_of_a_client_that_went(stage: Stage) -> None:
    stage = Stage(cache=True)
    other, _ = stage.enter("other")
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> client(SELECT, session=other)
    stage >> hangs_up() << asks("replica", SELECT) << cancelled("replica")


def test_when_an_old_primary_is_left(stage: Stage) -> None:
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    stage >> elsewhere(lambda s: s.see(s.servers["replica"], Role.PRIMARY, timeline=2))
    stage >> breaks("primary")
    assert stage.shell.is_closed
    stage.events.clear()
    stage >> hangs_up() << GONE


def test_a_pool_that_lends_to_one_who_is_gone_gets_it_back() -> None:
    stage = Stage(size=0)
    stage >> client(INSERT) << waits("primary")
    pool = stage.pools[stage.servers["primary"]]
    waiter = pool.waiting[0]
    stage >> hangs_up() << left("primary") << GONE
    pool.waiting.append(waiter)
    stage >> lends("primary") << released("primary")


def test_in_session_pool_mode() -> None:
    stage = Stage(pins=[PinReason.SESSION_POOL])
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    runs(stage, "BEGIN", complete("BEGIN") + IN_TRANSACTION)
    runs(stage, "COMMIT", complete("COMMIT") + IDLE)
    stage >> hangs_up() << asks("primary", DISCARD)
    stage >> answers("primary", complete("DISCARD ALL") + IDLE) << released("primary") << GONE
