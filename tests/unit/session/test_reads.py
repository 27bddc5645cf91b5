"""A read leaves the primary, and comes back to it whenever something is in doubt."""

from __future__ import annotations

import pytest

from proxy.types import Reason
from proxy.wire.postgres import backend
from tests.unit.session.stage import (
    BOUND,
    COLUMNS,
    IDLE,
    PARSED,
    SYNC,
    Stage,
    answers,
    asks,
    bind,
    breaks,
    client,
    describe,
    describe_statement,
    error,
    execute,
    notice,
    parse,
    query,
    released,
    result,
    rows,
    told,
)

SELECT = query("SELECT a FROM orders")
READ = parse("", "SELECT a FROM orders") + bind("") + describe() + execute() + SYNC
READ_RESULT = PARSED + BOUND + COLUMNS + rows("1") + IDLE


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_long_result_does_not_make_its_server_slow(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage.now += 0.5
    stage >> answers("replica", COLUMNS) << told(COLUMNS)
    stage.now += 60.0
    stage >> answers("replica", rows("1") + IDLE)
    stage.events.clear()
    assert stage.balancer.load(stage.servers["replica"]).latency == 0.5


def test_a_read_in_the_extended_protocol_is_served_by_a_replica(stage: Stage) -> None:
    stage >> client(READ) << asks("replica", READ)
    stage >> answers("replica", READ_RESULT) << told(READ_RESULT) << released("replica")
    stage.finish()


def test_a_notice_in_front_of_an_answer_throws_it_away(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", notice())
    stage >> answers("replica", result("1")) << released("replica") << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")
    stage.finish()


DESCRIBED = parse("", "SELECT a FROM orders") + describe_statement("") + bind("") + execute() + SYNC


def whole_of_described() -> bytes:
    return PARSED + backend.parameter_description([]) + COLUMNS + BOUND + rows("1") + IDLE


def test_a_description_does_not_prove_that_a_snapshot_was_taken(stage: Stage) -> None:
    """A long one is sent when the server's buffer is full, before the statement is bound."""
    stage >> client(DESCRIBED) << asks("replica", DESCRIBED)
    stage >> answers("replica", PARSED + backend.parameter_description([]) + COLUMNS)
    stage >> answers("replica", BOUND + rows("1") + IDLE)
    stage << released("replica") << asks("primary", DESCRIBED)
    stage >> answers("primary", whole_of_described()) << told(whole_of_described())
    assert stage.reasons == [Reason.INVALIDATED]


def test_a_description_in_front_of_a_bound_statement_is_passed_on(stage: Stage) -> None:
    whole = whole_of_described()
    stage >> client(DESCRIBED) << asks("replica", DESCRIBED)
    stage >> answers("replica", whole) << told(whole) << released("replica")
    assert stage.reasons == [Reason.REPLICA]


def test_a_replica_that_says_goodbye_and_hangs_up_is_replaced_by_the_primary(
    stage: Stage,
) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", error("57P01", "terminating connection", "FATAL"))
    stage >> breaks("replica") << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")
    stage.finish()
