"""REPEATABLE READ: what is read beside a transaction is of one snapshot, or the client hears so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from proxy.errors import NotSerializable
from proxy.session.late import Held
from proxy.types import PinReason, Position, Table
from proxy.wire.postgres.errors import error_message
from tests.unit.session.stage import (
    COLUMNS,
    FAILED,
    IDLE,
    IN_TRANSACTION,
    Stage,
    answers,
    asks,
    client,
    complete,
    elsewhere,
    marked,
    query,
    released,
    rows,
    told,
)

RR = query("BEGIN ISOLATION LEVEL REPEATABLE READ")
OPENING = query("begin isolation level repeatable read;SELECT")
BEGIN, COMMIT, ROLLBACK = query("BEGIN"), query("COMMIT"), query("ROLLBACK")
ORDERS, ITEMS = query("SELECT a FROM orders"), query("SELECT a FROM items")
INSERT = query("INSERT INTO orders VALUES (1)")
BEGUN = complete("BEGIN") + IN_TRANSACTION
OPENED = complete("BEGIN") + complete("SELECT 0") + IN_TRANSACTION
LEVELS = ("read committed", "repeatable read")
REFUSED = error_message(NotSerializable("could not serialize access due to concurrent update"))


@pytest.fixture
def stage() -> Stage:
    return Stage(late_begin=True, levels=LEVELS)


def begin(stage: Stage, said: bytes = RR) -> None:
    stage >> client(said) << told(BEGUN)


def reads(stage: Stage, text: bytes, *values: str) -> None:
    reply = COLUMNS + rows(*values)
    stage >> client(text) << asks("replica", text)
    stage >> answers("replica", reply + IDLE) << told(reply + IN_TRANSACTION) << released("replica")


def commit(*tables: Table) -> Callable[[Stage], None]:
    """Somebody else writes, and the replica has it at once."""

    def happen(stage: Stage) -> None:
        stage.ledger.commit(stage.ledger.mark(tables, stage.tokens()))
        stage.ledger.position_arrived(stage.ledger.ask_position(), Position(100))

    return elsewhere(happen)


def test_reads_are_served_beside_it(stage: Stage) -> None:
    begin(stage)
    reads(stage, ORDERS, "1")
    reads(stage, ITEMS, "2")
    reads(stage, ORDERS, "1")
    stage >> client(COMMIT) << told(complete("COMMIT") + IDLE)
    assert stage.held == [Held.SPARED]


def test_what_was_not_read_may_be_written_meanwhile(stage: Stage) -> None:
    begin(stage)
    reads(stage, ORDERS, "1")
    stage >> commit(stage.catalog.table("items"))
    reads(stage, ITEMS, "2")


def test_what_was_read_may_not(stage: Stage, orders: Table) -> None:
    begin(stage)
    reads(stage, ORDERS, "1")
    stage >> commit(orders)
    stage >> client(ITEMS) << asks("replica", ITEMS)
    stage >> answers("replica", COLUMNS + rows("2") + IDLE) << released("replica")
    stage << asks("primary", OPENING)
    stage >> answers("primary", OPENED) << asks("primary", ROLLBACK)
    stage >> answers("primary", complete("ROLLBACK") + IDLE) << released("primary")
    stage << told(REFUSED) << told(FAILED)
    assert stage.held == [Held.REFUSED]
    stage >> client(ROLLBACK) << told(complete("ROLLBACK") + IDLE)
    stage.finish()


def test_a_write_opens_it_in_the_snapshot_of_what_was_read(stage: Stage, orders: Table) -> None:
    begin(stage)
    reads(stage, ITEMS, "1")
    stage >> client(INSERT) << asks("primary", OPENING)
    stage >> answers("primary", OPENED) << asks("primary", INSERT)
    done = complete("INSERT 0 1") + IN_TRANSACTION
    stage >> answers("primary", done) << told(done)
    stage >> client(COMMIT) << marked(orders) << asks("primary", COMMIT)


def test_a_write_is_refused_where_that_is_gone(stage: Stage) -> None:
    begin(stage)
    reads(stage, ITEMS, "1")
    stage >> client(INSERT) << asks("primary", OPENING)
    stage >> commit(stage.catalog.table("items"))
    stage >> answers("primary", OPENED) << asks("primary", ROLLBACK)
    stage >> answers("primary", complete("ROLLBACK") + IDLE) << released("primary")
    stage << told(REFUSED) << told(FAILED)


def test_a_commit_under_way_on_what_was_read_refuses_it_too(stage: Stage, orders: Table) -> None:
    """It may be in the snapshot of the primary, or not."""
    begin(stage)
    reads(stage, ORDERS, "1")
    stage >> client(INSERT) << asks("primary", OPENING)
    stage >> elsewhere(lambda stage: stage.ledger.mark([orders], stage.tokens()))
    stage >> answers("primary", OPENED) << asks("primary", ROLLBACK)


def test_the_first_read_needs_no_snapshot_that_is_old(stage: Stage, orders: Table) -> None:
    begin(stage)
    stage.ledger.mark([orders], stage.tokens())
    opening = query("begin isolation level repeatable read;SELECT")
    stage >> client(ORDERS) << asks("primary", opening)
    stage >> answers("primary", OPENED) << asks("primary", ORDERS)


def test_a_hit_counts_as_a_read() -> None:
    stage = Stage(late_begin=True, levels=LEVELS, cache=True)
    orders = stage.catalog.table("orders")
    reply = COLUMNS + rows("1")
    stage >> client(ORDERS) << asks("replica", ORDERS)
    stage >> answers("replica", reply + IDLE) << told(reply + IDLE) << released("replica")
    begin(stage)
    assert stage.session.answers is None
    stage >> client(ORDERS) << told(reply + IN_TRANSACTION)
    stage >> commit(orders)
    stage >> client(INSERT) << asks("primary", OPENING)
    stage >> answers("primary", OPENED) << asks("primary", ROLLBACK)


def test_a_hit_must_be_of_the_snapshot() -> None:
    stage = Stage(late_begin=True, levels=LEVELS, cache=True)
    reply = COLUMNS + rows("1")
    stage >> client(ORDERS) << asks("replica", ORDERS)
    stage >> answers("replica", reply + IDLE) << told(reply + IDLE) << released("replica")
    begin(stage)
    reads(stage, ITEMS, "2")
    stage >> commit(stage.catalog.table("items"))
    stage >> client(ORDERS) << asks("primary", OPENING)
    stage >> answers("primary", OPENED) << asks("primary", ROLLBACK)


def test_a_session_of_that_level_needs_not_say_so() -> None:
    stage = Stage(late_begin=True, levels=LEVELS)
    session, _ = stage.enter("other", {"default_transaction_isolation": "'repeatable read'"})
    stage >> client(BEGIN, session=session) << told(BEGUN, name="other")
    assert session.late is not None
    assert session.late.seen == {}


def test_another_level_is_the_clients_choice() -> None:
    stage = Stage(late_begin=True, levels=LEVELS)
    session, _ = stage.enter("other", {"default_transaction_isolation": "'repeatable read'"})
    plain = query("BEGIN ISOLATION LEVEL READ COMMITTED")
    stage >> client(plain, session=session) << told(BEGUN, name="other")
    assert session.late is not None
    assert session.late.seen is None


def test_serializable_is_begun_at_once(stage: Stage) -> None:
    text = query("BEGIN ISOLATION LEVEL SERIALIZABLE")
    stage >> client(text) << asks("primary", text)


def test_a_chained_one_has_a_snapshot_of_its_own(stage: Stage, orders: Table) -> None:
    begin(stage)
    reads(stage, ORDERS, "1")
    stage >> client(query("COMMIT AND CHAIN")) << told(complete("COMMIT") + IN_TRANSACTION)
    stage >> commit(orders)
    reads(stage, ORDERS, "2")
    stage >> client(COMMIT) << told(complete("COMMIT") + IDLE)


def test_a_pinned_connection_is_kept_when_it_is_refused() -> None:
    stage = Stage(late_begin=True, levels=LEVELS, pins=[PinReason.SESSION_POOL])
    orders = stage.catalog.table("orders")
    begin(stage)
    reads(stage, ORDERS, "1")
    stage >> client(INSERT) << asks("primary", OPENING)
    stage >> commit(orders)
    stage >> answers("primary", OPENED) << asks("primary", ROLLBACK)
    stage >> answers("primary", complete("ROLLBACK") + IDLE) << told(REFUSED) << told(FAILED)
    assert stage.session.home is not None
