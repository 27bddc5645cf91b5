"""Weaker contracts: what a read may be served with less than strong, and by whom it asks for
that."""

from __future__ import annotations

import pytest

from proxy.freshness.contracts import Contract
from proxy.types import Consistency, Reason, Role
from tests.unit.session.stage import (
    COLUMNS,
    IDLE,
    IN_TRANSACTION,
    Stage,
    answers,
    asks,
    at_once,
    client,
    complete,
    elsewhere,
    error,
    marked,
    query,
    released,
    result,
    rows,
    settled,
    told,
    writes,
)

TEXT = "SELECT a FROM orders"
SELECT = query(TEXT)


def hinted(hint: str, text: str = TEXT) -> bytes:
    return query(f"/* tidegate: {hint} */ {text}")


BOUNDED = hinted("consistency=bounded max_staleness=5s")
EVENTUAL = hinted("consistency=eventual max_staleness=5s")
SESSION = hinted("consistency=session max_staleness=5s")


def sample(stage: Stage, position: int = 100) -> None:
    """The primary's witness has looked again."""
    stage.see(stage.servers["primary"], Role.PRIMARY, position)


def replay(stage: Stage, name: str, position: int) -> None:
    stage.see(stage.servers[name], Role.REPLICA, position)


def wait(stage: Stage, seconds: float) -> None:
    stage.now += seconds


def served(stage: Stage, request: bytes, by: str) -> None:
    stage >> client(request) << asks(by, request)
    stage >> answers(by, result("1")) << told(result("1")) << released(by)


@pytest.fixture
def lagging() -> Stage:
    """`orders` was written after the replica's last word of itself, and the position is not
    known."""
    stage = Stage()
    sample(stage)
    wait(stage, 1.0)
    writes(stage, "orders")
    return stage


def test_a_strong_read_does_not_see_less(lagging: Stage) -> None:
    served(lagging, SELECT, "primary")


def test_a_bounded_read_is_served_by_a_replica_that_is_proven_young_enough(lagging: Stage) -> None:
    served(lagging, BOUNDED, "replica")
    wait(lagging, 3.9)
    served(lagging, BOUNDED, "replica")
    wait(lagging, 0.2)
    served(lagging, BOUNDED, "primary")
    assert lagging.reasons[-1] is Reason.BEHIND


def test_a_replica_with_unknown_lag_is_infinitely_old() -> None:
    stage = Stage()
    writes(stage, "orders")
    served(stage, BOUNDED, "primary")
    assert stage.samplings


def test_what_is_young_by_the_primarys_position_only_is_too_old(lagging: Stage) -> None:
    """The replica stands still while the primary goes on."""
    for _ in range(10):
        wait(lagging, 1.0)
        sample(lagging, 200)
    served(lagging, BOUNDED, "primary")
    replay(lagging, "replica", 200)
    served(lagging, BOUNDED, "replica")


def test_a_bounded_read_does_not_wait_for_a_commit_under_way(lagging: Stage) -> None:
    table = lagging.catalog.table("orders")
    mark = lagging.ledger.mark([table], lagging.tokens())
    served(lagging, BOUNDED, "replica")
    served(lagging, SELECT, "primary")
    served(lagging, SESSION, "primary")
    lagging.ledger.rollback(mark)


def test_a_commit_meanwhile_does_not_undo_a_bounded_read(lagging: Stage) -> None:
    lagging >> client(BOUNDED) << asks("replica", BOUNDED)
    lagging >> elsewhere(lambda s: writes(s, "orders"))
    lagging >> answers("replica", result("1")) << told(result("1")) << released("replica")


def test_an_eventual_read_stays_on_a_replica_however_old(lagging: Stage) -> None:
    wait(lagging, 1000.0)
    served(lagging, EVENTUAL, "replica")


def test_a_replica_that_fails_an_eventual_read_is_replaced_by_the_primary(lagging: Stage) -> None:
    lagging >> client(EVENTUAL) << asks("replica", EVENTUAL)
    lagging >> answers("replica", error("58030") + IDLE) << released("replica")
    lagging << asks("primary", EVENTUAL)
    lagging >> answers("primary", result("1")) << told(result("1")) << released("primary")


@pytest.mark.parametrize("hint", ["consistency=eventual", "route=replica", "cache=5s"])
@pytest.mark.parametrize("text", ["UPDATE orders SET a = 1", "SELECT a FROM orders FOR UPDATE"])
def test_a_contract_is_nothing_to_what_is_not_a_proven_read(hint: str, text: str) -> None:
    stage = Stage()
    request = hinted(hint, text)
    stage >> client(request)
    if text.startswith("UPDATE"):
        stage << marked(stage.catalog.table("orders"))
    stage << asks("primary", request)


def test_a_contract_is_nothing_in_a_transaction_that_is_open_at_a_server() -> None:
    stage = Stage()
    begin = query("BEGIN")
    stage >> client(begin) << asks("primary", begin)
    reply = complete("BEGIN") + IN_TRANSACTION
    stage >> answers("primary", reply) << told(reply)
    stage >> client(EVENTUAL) << asks("primary", EVENTUAL)


def test_it_counts_beside_a_transaction_that_is_held_back(lagging: Stage) -> None:
    lagging.late_begin = True
    lagging >> client(query("BEGIN")) << told(complete("BEGIN") + IN_TRANSACTION)
    lagging >> client(EVENTUAL) << asks("replica", EVENTUAL)
    reply = COLUMNS + rows("1")
    lagging >> answers("replica", reply + IDLE) << told(reply + IN_TRANSACTION)
    lagging << released("replica")


# Cached results.


@pytest.fixture
def cached() -> Stage:
    """The result of `SELECT` is kept; then its table was written."""
    stage = Stage(cache=True)
    sample(stage)
    served(stage, SELECT, "replica")
    stage >> client(SELECT) << at_once(result("1"))
    wait(stage, 1.0)
    return stage


def own(stage: Stage, setting: str, value: str) -> None:
    sql = query(f"SET tidegate.{setting} = '{value}'")
    stage >> client(sql) << told(complete("SET") + IDLE)


def test_a_bounded_read_is_answered_with_what_was_true_just_now(cached: Stage) -> None:
    own(cached, "consistency", "bounded")
    own(cached, "max_staleness", "5s")
    writes(cached, "orders")
    cached >> client(SELECT) << told(result("1"))
    assert cached.reasons[-1] is Reason.HIT
    wait(cached, 3.9)
    cached >> client(SELECT) << told(result("1"))
    wait(cached, 0.2)
    served(cached, SELECT, "primary")


def test_a_strong_read_is_never_answered_with_what_a_weaker_one_fetched(lagging: Stage) -> None:
    stage = Stage(cache=True)
    sample(stage)
    writes(stage, "orders")
    own(stage, "consistency", "bounded")
    served(stage, SELECT, "replica")
    stage >> client(SELECT) << told(result("1"))
    other, _ = stage.enter("other")
    stage >> client(SELECT, session=other) << asks("primary", SELECT)


def test_what_is_kept_of_a_lagging_replica_is_as_old_as_its_proof(lagging: Stage) -> None:
    stage = Stage(cache=True)
    sample(stage)
    wait(stage, 4.0)
    writes(stage, "orders")
    own(stage, "consistency", "bounded")
    own(stage, "max_staleness", "5s")
    served(stage, SELECT, "replica")
    wait(stage, 0.9)
    stage >> client(SELECT) << told(result("1"))
    wait(stage, 0.2)
    served(stage, SELECT, "primary")


def test_an_eventual_read_is_answered_until_the_result_is_too_old(cached: Stage) -> None:
    eventual = hinted("consistency=eventual cache=5s")
    writes(cached, "orders")
    served(cached, eventual, "replica")
    writes(cached, "orders")
    wait(cached, 4.9)
    cached >> client(eventual) << told(result("1"))
    wait(cached, 0.2)
    served(cached, eventual, "replica")


def test_a_new_epoch_voids_what_was_kept_for_weaker_contracts_too(cached: Stage) -> None:
    own(cached, "consistency", "eventual")
    cached.planner.distrust()  # as whoever begins an epoch does
    cached.planner.know("shop", cached.catalog)  # type: ignore[arg-type]
    writes(cached, "orders")
    served(cached, SELECT, "replica")


@pytest.mark.parametrize("consistency", ["strong", "bounded", "eventual"])
def test_nothing_is_answered_that_was_kept_too_long_ago(consistency: str) -> None:
    stage = Stage(cache=True)
    sample(stage)
    aged = hinted(f"consistency={consistency} cache=5s")
    served(stage, aged, "replica")
    wait(stage, 4.9)
    stage >> client(aged) << at_once(result("1"))
    wait(stage, 0.2)
    answer = stage.session.answers
    assert answer is not None
    limits = answer[aged].limits
    assert limits is not None
    assert not limits.allow(answer[aged].entry, stage.now)
    stage.session.receive(aged)
    stage << asks("replica", aged)


def test_a_read_that_shall_not_be_cached_is_not(cached: Stage) -> None:
    never = hinted("cache=never")
    for _ in range(3):
        served(cached, never, "replica")


# Session.


def test_a_client_sees_what_it_wrote() -> None:
    stage = Stage()
    sample(stage)
    update = query("UPDATE orders SET a = 1")
    stage >> client(SESSION) << asks("replica", SESSION)
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")
    stage >> client(update) << marked(stage.catalog.table("orders")) << asks("primary", update)
    reply = complete("UPDATE 1") + IDLE
    stage >> answers("primary", reply) << told(reply) << settled(True) << released("primary")
    wait(stage, 0.1)
    served(stage, SESSION, "primary")
    wait(stage, 0.1)
    sample(stage, 200)
    served(stage, SESSION, "primary")
    wait(stage, 0.1)
    sample(stage, 200)
    replay(stage, "replica", 200)
    served(stage, SESSION, "replica")


def test_the_writes_of_others_are_seen_within_the_bound() -> None:
    stage = Stage()
    served(stage, SESSION, "replica")
    wait(stage, 0.5)
    sample(stage)
    writes(stage, "orders")
    served(stage, SESSION, "replica")
    wait(stage, 5.1)
    served(stage, SESSION, "primary")


def test_reads_do_not_go_back_from_one_replica_to_another() -> None:
    stage = Stage(replicas=2)
    replay(stage, "replica", 300)
    replay(stage, "replica2", 200)
    writes(stage, "orders")
    served(stage, SESSION, "primary")  # from here on it is counted what it has seen
    wait(stage, 0.1)
    sample(stage, 200)
    stage.balancer.load(stage.servers["replica"]).latency = 0.001
    stage.balancer.load(stage.servers["replica2"]).latency = 0.1
    served(stage, SESSION, "replica")
    wait(stage, 0.1)
    stage.balancer.load(stage.servers["replica"]).latency = 0.1
    stage.balancer.load(stage.servers["replica2"]).latency = 0.001
    served(stage, SESSION, "replica")  # the other may lack what the first has shown
    wait(stage, 0.1)
    sample(stage, 400)
    replay(stage, "replica2", 400)
    served(stage, SESSION, "replica2")


def test_a_replica_that_has_restarted_may_have_gone_back() -> None:
    stage = Stage()
    writes(stage, "orders")
    served(stage, SESSION, "primary")
    wait(stage, 0.1)
    sample(stage)
    served(stage, SESSION, "replica")
    wait(stage, 0.1)
    served(stage, SESSION, "replica")
    stage.group.met(stage.servers["replica"])
    replay(stage, "replica", 100)
    served(stage, SESSION, "primary")


def test_the_answer_of_a_replica_that_may_be_ahead_is_thrown_away() -> None:
    stage = Stage()
    sample(stage)
    stage >> client(SESSION) << asks("replica", SESSION)
    stage >> elsewhere(lambda s: writes(s, "orders"))
    stage >> answers("replica", result("1")) << released("replica") << asks("primary", SESSION)


def test_what_was_answered_from_the_cache_is_not_unseen_afterwards() -> None:
    stage = Stage(cache=True)
    sample(stage)
    own(stage, "consistency", "session")
    writes(stage, "orders")
    wait(stage, 0.1)
    other, _ = stage.enter("other")
    stage >> client(SELECT, session=other) << asks("primary", SELECT)
    answer = told(result("2"), name="other")
    stage >> answers("primary", result("2")) << answer << released("primary")
    stage >> client(SELECT) << at_once(result("2"))  # nothing is counted yet
    counted = query("SELECT count(*) FROM orders")
    served(stage, counted, "primary")
    stage >> client(SELECT) << told(result("2"))  # but now it is


# Where it is said.


def test_the_group_may_have_another_contract() -> None:
    stage = Stage(contract=Contract(Consistency.EVENTUAL, 5.0))
    writes(stage, "orders")
    served(stage, SELECT, "replica")
    served(stage, hinted("consistency=strong"), "primary")


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


def test_a_misread_hint_sends_its_statement_to_the_primary() -> None:
    stage = Stage(cache=True, contract=Contract(Consistency.EVENTUAL, 5.0))
    misread = hinted("consistency=evental")
    for _ in range(2):
        served(stage, misread, "primary")
    assert stage.misread_words == ["consistency=evental"] * 2
    assert stage.reasons[-1] is Reason.HINT
