"""A read leaves the primary, and comes back to it whenever something is in doubt."""

from __future__ import annotations

import pytest

from proxy.errors import PoolTimeout
from proxy.types import PinReason, Reason, Role
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
    elsewhere,
    error,
    execute,
    lends,
    notice,
    parse,
    query,
    refuses,
    released,
    result,
    rows,
    told,
    waits,
    writes,
)

SELECT = query("SELECT a FROM orders")
READ = parse("", "SELECT a FROM orders") + bind("") + describe() + execute() + SYNC
READ_RESULT = PARSED + BOUND + COLUMNS + rows("1") + IDLE


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_a_read_is_served_by_a_replica(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    stage.finish()
    assert stage.reasons == [Reason.REPLICA]


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


def test_an_answer_is_passed_on_as_it_comes(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", COLUMNS) << told(COLUMNS)
    stage >> answers("replica", rows("1")) << told(rows("1"))
    stage >> answers("replica", IDLE) << told(IDLE) << released("replica")
    stage.finish()


def test_an_answer_overtaken_by_a_commit_is_thrown_away(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> elsewhere(lambda s: writes(s, "orders"))
    stage >> answers("replica", COLUMNS)
    stage >> answers("replica", rows("1") + IDLE) << released("replica") << asks("primary", SELECT)
    stage >> answers("primary", result("2")) << told(result("2")) << released("primary")
    stage.finish()
    assert stage.reasons == [Reason.INVALIDATED]


def test_a_commit_elsewhere_leaves_an_answer_alone(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> elsewhere(lambda s: writes(s, "items"))
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")


def test_what_comes_after_the_first_word_is_not_judged_again(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", COLUMNS) << told(COLUMNS)
    stage >> elsewhere(lambda s: writes(s, "orders"))
    rest = rows("1") + IDLE
    stage >> answers("replica", rest) << told(rest) << released("replica")


def test_a_notice_in_front_of_an_answer_throws_it_away(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", notice())
    stage >> answers("replica", result("1")) << released("replica") << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")
    stage.finish()


def test_a_table_with_a_commit_on_its_way_is_read_at_the_primary(stage: Stage) -> None:
    stage >> elsewhere(lambda s: s.ledger.mark([s.catalog.table("orders")], s.tokens()))
    stage >> client(SELECT) << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")
    assert stage.reasons == [Reason.PENDING]


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


def test_an_error_on_a_replica_is_not_the_clients(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    conflict = error("40001", "canceling statement due to conflict with recovery")
    stage >> answers("replica", conflict + IDLE) << released("replica") << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")
    stage.finish()


def test_a_cancelled_statement_on_a_replica_is_the_clients(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    cancel = error("57014") + IDLE
    stage >> answers("replica", cancel) << told(cancel) << released("replica")
    stage.finish()


def test_a_replica_lost_before_its_first_word_is_replaced_by_the_primary(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> breaks("replica") << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")
    stage.finish()


def test_a_replica_that_says_goodbye_and_hangs_up_is_replaced_by_the_primary(
    stage: Stage,
) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", error("57P01", "terminating connection", "FATAL"))
    stage >> breaks("replica") << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")
    stage.finish()


def test_a_replica_lost_after_its_first_word_ends_the_session(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", COLUMNS) << told(COLUMNS)
    stage >> breaks("replica")
    assert stage.shell.is_closed
    stage.events.clear()
    stage.session.client_gone()
    assert stage.session in stage.gone_sessions


def test_a_read_is_repeated_once_only(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> breaks("replica") << asks("primary", SELECT)
    stage >> breaks("primary")
    assert stage.shell.is_closed


@pytest.fixture
def unsure(stage: Stage) -> Stage:
    """The link to the replica has to be asked for its position."""
    link = stage.pools[stage.servers["replica"]].open()
    link.knows_position = False
    stage.pools[stage.servers["replica"]].idle.append(link)
    return stage


def position_query(stage: Stage) -> bytes:
    return query(stage.dialect.reached(100).decode())  # type: ignore[arg-type]


ONE_ROW = COLUMNS + rows("1") + IDLE
NO_ROW = COLUMNS + rows() + IDLE


def test_a_position_is_asked_in_front_of_a_read(unsure: Stage) -> None:
    unsure >> client(SELECT) << asks("replica", position_query(unsure), SELECT)
    unsure >> answers("replica", ONE_ROW)
    unsure >> answers("replica", result("5")) << told(result("5")) << released("replica")
    (link,) = unsure.pools[unsure.servers["replica"]].idle
    assert link.verified_at == [100]


def test_a_replica_that_is_behind_is_not_believed(unsure: Stage) -> None:
    unsure >> client(SELECT) << asks("replica", position_query(unsure), SELECT)
    unsure >> answers("replica", NO_ROW)
    unsure >> answers("replica", result("5")) << released("replica") << asks("primary", SELECT)
    unsure >> answers("primary", result("6")) << told(result("6")) << released("primary")
    (link,) = unsure.pools[unsure.servers["replica"]].idle
    assert link.verified_at == []
    assert unsure.reasons == [Reason.BEHIND]
    unsure.finish()


def test_a_replica_that_cannot_tell_its_position_is_not_believed(unsure: Stage) -> None:
    unsure >> client(SELECT) << asks("replica", position_query(unsure), SELECT)
    unsure >> answers("replica", error() + IDLE + result("5"))
    unsure << released("replica") << asks("primary", SELECT)
    unsure >> answers("primary", result("6")) << told(result("6")) << released("primary")


def test_a_read_that_cannot_have_a_replica_goes_to_the_primary() -> None:
    stage = Stage(size=0)
    stage >> client(SELECT) << waits("replica")
    stage >> refuses("replica", PoolTimeout("none")) << waits("primary")
    stage >> lends("primary") << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")


@pytest.mark.parametrize("pin", [PinReason.LISTEN, PinReason.SESSION_POOL])
def test_a_pinned_client_reads_from_a_replica_and_keeps_its_own_connection(
    pin: PinReason,
) -> None:
    stage = Stage(pins=[pin])
    stage >> client(query("INSERT INTO items VALUES (1)"))
    stage.events.clear()
    home = stage.link("primary")
    stage >> answers("primary", b"C\0\0\0\x0fINSERT 0 1\0" + IDLE)
    stage.events.clear()
    stage >> client(SELECT) << asks("replica", SELECT)
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    stage >> client(query("INSERT INTO items VALUES (2)"))
    assert stage.events.pop()[:2] == ("asks", "primary")
    assert stage.link("primary") is home


def test_a_primary_that_comes_back_serves_who_waited(stage: Stage) -> None:
    stage.group.lost(stage.servers["primary"], "gone")
    stage.group.lost(stage.servers["replica"], "gone")
    stage >> client(SELECT) << waits("a primary")
    stage.group.met(stage.servers["primary"])
    stage.see(stage.servers["primary"], Role.PRIMARY)
    stage >> elsewhere(lambda s: s.in_line.pop().primary_found()) << asks("primary", SELECT)
    stage >> answers("primary", result("1")) << told(result("1")) << released("primary")
