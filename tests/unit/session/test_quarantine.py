"""What the audit has found to be wrong is the primary's alone, whatever contract is asked for."""

from __future__ import annotations

import pytest

from proxy.freshness.contracts import Contract
from proxy.types import Consistency, Reason
from tests.unit.session.stage import (
    Stage,
    answers,
    asks,
    at_once,
    client,
    query,
    released,
    result,
    told,
)

SELECT = query("SELECT a FROM orders")
BOTH = query("SELECT orders.a FROM orders, items")
OTHER = query("SELECT a FROM items")


def served(stage: Stage, request: bytes, by: str) -> None:
    stage >> client(request) << asks(by, request)
    stage >> answers(by, result("1")) << told(result("1")) << released(by)


def quarantine(stage: Stage, name: str) -> None:
    stage.ledger.quarantine([stage.catalog.table(name)], stage.tokens())


@pytest.mark.parametrize("consistency", list(Consistency))
def test_it_is_served_by_the_primary_and_not_kept(consistency: Consistency) -> None:
    stage = Stage(cache=True, contract=Contract(consistency, 3600.0))
    served(stage, SELECT, "replica")
    quarantine(stage, "orders")
    for request in (SELECT, SELECT, BOTH, BOTH):
        served(stage, request, "primary")
        assert stage.reasons[-1] is Reason.AUDIT
    served(stage, OTHER, "replica")


def test_an_answer_on_its_way_from_a_replica_does_not_count() -> None:
    stage = Stage()
    stage >> client(SELECT) << asks("replica", SELECT)
    quarantine(stage, "orders")
    stage >> answers("replica", result("1")) << released("replica") << asks("primary", SELECT)
    stage >> answers("primary", result("2")) << told(result("2")) << released("primary")


def test_what_was_kept_before_is_never_answered_again() -> None:
    stage = Stage(cache=True)
    served(stage, SELECT, "replica")
    stage >> client(SELECT) << at_once(result("1"))
    quarantine(stage, "orders")
    served(stage, SELECT, "primary")
    stage.ledger.believe(stage.ledger.quarantined)
    served(stage, SELECT, "primary")  # where it was quarantined, its position is not known
    stage >> client(SELECT) << at_once(result("1"))


def test_it_is_read_in_a_transaction_that_is_held_back() -> None:
    stage = Stage(cache=True, late_begin=True)
    quarantine(stage, "orders")
    stage >> client(query("BEGIN"))
    stage.events.clear()
    stage >> client(SELECT) << asks("primary", SELECT)
