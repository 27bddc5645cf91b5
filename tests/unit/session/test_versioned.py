"""REPEATABLE READ as PostgreSQL's clients ask for it: in a BEGIN, or for a session.

What it means is tested for every engine (`every_engine`).
"""

from __future__ import annotations

import pytest

from proxy.errors import NotSerializable
from proxy.types import Table
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
    query,
    released,
    rows,
    told,
    writes,
)

RR = query("BEGIN ISOLATION LEVEL REPEATABLE READ")
OPENING = query("begin isolation level repeatable read;SELECT")
BEGIN, ROLLBACK = query("BEGIN"), query("ROLLBACK")
ORDERS, INSERT = query("SELECT a FROM orders"), query("INSERT INTO orders VALUES (1)")
BEGUN = complete("BEGIN") + IN_TRANSACTION
OPENED = complete("BEGIN") + complete("SELECT 0") + IN_TRANSACTION
LEVELS = ("read committed", "repeatable read")
REFUSED = error_message(NotSerializable("could not serialize access due to concurrent update"))


@pytest.fixture
def stage() -> Stage:
    return Stage(late_begin=True, levels=LEVELS)


def begin(stage: Stage) -> None:
    stage >> client(RR) << told(BEGUN)


def test_one_that_is_refused_has_failed(stage: Stage) -> None:
    begin(stage)
    reply = COLUMNS + rows("1")
    stage >> client(ORDERS) << asks("replica", ORDERS)
    stage >> answers("replica", reply + IDLE) << told(reply + IN_TRANSACTION) << released("replica")
    stage >> elsewhere(lambda s: writes(s, "orders"))
    stage >> client(INSERT) << asks("primary", OPENING)
    stage >> answers("primary", OPENED) << asks("primary", ROLLBACK)
    stage >> answers("primary", complete("ROLLBACK") + IDLE) << released("primary")
    stage << told(REFUSED) << told(FAILED)
    stage >> client(ROLLBACK) << told(complete("ROLLBACK") + IDLE)
    stage.finish()


def test_the_first_read_needs_no_snapshot_that_is_old(stage: Stage, orders: Table) -> None:
    begin(stage)
    stage.ledger.mark([orders], stage.tokens())
    stage >> client(ORDERS) << asks("primary", OPENING)
    stage >> answers("primary", OPENED) << asks("primary", ORDERS)


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
