"""Weaker contracts: what a read may be served with less than strong, and by whom it asks for
that."""

from __future__ import annotations

import pytest

from proxy.freshness.contracts import Contract
from proxy.types import Consistency, Reason, Role
from tests.unit.session.every_engine.steps import SELECT, reads, runs
from tests.unit.session.stage import (
    Stage,
    answers,
    asks,
    at_once,
    client,
    elsewhere,
    marked,
    released,
    settled,
    told,
    writes,
)
from tests.unit.session.words import CONFLICT, Words


def hinted(hint: str, text: str = SELECT) -> str:
    return f"/* tidegate: {hint} */ {text}"


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


@pytest.fixture
def lagging(words: Words) -> Stage:
    """`orders` was written after the replica's last word of itself, and the position is not
    known."""
    stage = Stage(words=words)
    sample(stage)
    wait(stage, 1.0)
    writes(stage, "orders")
    return stage


def test_a_strong_read_does_not_see_less(lagging: Stage) -> None:
    reads(lagging, "primary", "1")


def test_a_bounded_read_is_served_by_a_replica_that_is_proven_young_enough(lagging: Stage) -> None:
    reads(lagging, "replica", "1", sql=BOUNDED)
    wait(lagging, 3.9)
    reads(lagging, "replica", "1", sql=BOUNDED)
    wait(lagging, 0.2)
    reads(lagging, "primary", "1", sql=BOUNDED)
    assert lagging.reasons[-1] is Reason.BEHIND


def test_a_replica_with_unknown_lag_is_infinitely_old(words: Words) -> None:
    stage = Stage(words=words)
    writes(stage, "orders")
    reads(stage, "primary", "1", sql=BOUNDED)
    assert stage.samplings


def test_what_is_young_by_the_primarys_position_only_is_too_old(lagging: Stage) -> None:
    """The replica stands still while the primary goes on."""
    for _ in range(10):
        wait(lagging, 1.0)
        sample(lagging, 200)
    reads(lagging, "primary", "1", sql=BOUNDED)
    replay(lagging, "replica", 200)
    reads(lagging, "replica", "1", sql=BOUNDED)


def test_a_bounded_read_does_not_wait_for_a_commit_under_way(lagging: Stage) -> None:
    table = lagging.catalog.table("orders")
    mark = lagging.ledger.mark([table], lagging.tokens())
    reads(lagging, "replica", "1", sql=BOUNDED)
    reads(lagging, "primary", "1")
    reads(lagging, "primary", "1", sql=SESSION)
    lagging.ledger.rollback(mark)


def test_a_commit_meanwhile_does_not_undo_a_bounded_read(lagging: Stage, words: Words) -> None:
    lagging >> client(words.query(BOUNDED)) << asks("replica", words.query(BOUNDED))
    lagging >> elsewhere(lambda s: writes(s, "orders"))
    (
        lagging
        >> answers("replica", words.result("1"))
        << told(words.result("1"))
        << released("replica")
    )


def test_an_eventual_read_stays_on_a_replica_however_old(lagging: Stage) -> None:
    wait(lagging, 1000.0)
    reads(lagging, "replica", "1", sql=EVENTUAL)


def test_a_replica_that_fails_an_eventual_read_is_replaced_by_the_primary(
    lagging: Stage, words: Words
) -> None:
    lagging >> client(words.query(EVENTUAL)) << asks("replica", words.query(EVENTUAL))
    lagging >> answers("replica", words.error(CONFLICT)) << released("replica")
    lagging << asks("primary", words.query(EVENTUAL))
    (
        lagging
        >> answers("primary", words.result("1"))
        << told(words.result("1"))
        << released("primary")
    )


@pytest.mark.parametrize("hint", ["consistency=eventual", "route=replica", "cache=5s"])
@pytest.mark.parametrize("text", ["UPDATE orders SET a = 1", "SELECT a FROM orders FOR UPDATE"])
def test_a_contract_is_nothing_to_what_is_not_a_proven_read(
    hint: str, text: str, words: Words
) -> None:
    stage = Stage(words=words)
    request = hinted(hint, text)
    stage >> client(words.query(request))
    if text.startswith("UPDATE"):
        stage << marked(stage.catalog.table("orders"))
    stage << asks("primary", words.query(request))


def test_a_contract_is_nothing_in_a_transaction_that_is_open_at_a_server(words: Words) -> None:
    stage = Stage(words=words)
    runs(stage, "BEGIN", "BEGIN")
    stage >> client(words.query(EVENTUAL)) << asks("primary", words.query(EVENTUAL))


def test_it_counts_beside_a_transaction_that_is_held_back(lagging: Stage, words: Words) -> None:
    lagging.late_begin = True
    lagging >> client(words.query("BEGIN")) << told(words.done("BEGIN", block=True))
    reads(lagging, "replica", "1", sql=EVENTUAL, block=True)


# Cached results.


@pytest.fixture
def cached(words: Words) -> Stage:
    """The result of `SELECT` is kept; then its table was written."""
    stage = Stage(words=words, cache=True)
    sample(stage)
    reads(stage, "replica", "1")
    stage >> client(words.query(SELECT)) << at_once(words.result("1"))
    wait(stage, 1.0)
    return stage


def own(stage: Stage, setting: str, value: str) -> None:
    sql = f"SET tidegate.{setting} = '{value}'"
    stage >> client(stage.words.query(sql)) << told(stage.words.done("SET"))


def test_a_bounded_read_is_answered_with_what_was_true_just_now(
    cached: Stage, words: Words
) -> None:
    own(cached, "consistency", "bounded")
    own(cached, "max_staleness", "5s")
    writes(cached, "orders")
    cached >> client(words.query(SELECT)) << told(words.result("1"))
    assert cached.reasons[-1] is Reason.HIT
    wait(cached, 3.9)
    cached >> client(words.query(SELECT)) << told(words.result("1"))
    wait(cached, 0.2)
    reads(cached, "primary", "1")


def test_a_strong_read_is_never_answered_with_what_a_weaker_one_fetched(words: Words) -> None:
    stage = Stage(words=words, cache=True)
    sample(stage)
    writes(stage, "orders")
    own(stage, "consistency", "bounded")
    reads(stage, "replica", "1")
    stage >> client(words.query(SELECT)) << told(words.result("1"))
    other, _ = stage.enter("other")
    stage >> client(words.query(SELECT), session=other) << asks("primary", words.query(SELECT))


def test_what_is_kept_of_a_lagging_replica_is_as_old_as_its_proof(words: Words) -> None:
    stage = Stage(words=words, cache=True)
    sample(stage)
    wait(stage, 4.0)
    writes(stage, "orders")
    own(stage, "consistency", "bounded")
    own(stage, "max_staleness", "5s")
    reads(stage, "replica", "1")
    wait(stage, 0.9)
    stage >> client(words.query(SELECT)) << told(words.result("1"))
    wait(stage, 0.2)
    reads(stage, "primary", "1")


def test_an_eventual_read_is_answered_until_the_result_is_too_old(
    cached: Stage, words: Words
) -> None:
    eventual = hinted("consistency=eventual cache=5s")
    writes(cached, "orders")
    reads(cached, "replica", "1", sql=eventual)
    writes(cached, "orders")
    wait(cached, 4.9)
    cached >> client(words.query(eventual)) << told(words.result("1"))
    wait(cached, 0.2)
    reads(cached, "replica", "1", sql=eventual)


def test_a_new_epoch_voids_what_was_kept_for_weaker_contracts_too(cached: Stage) -> None:
    own(cached, "consistency", "eventual")
    cached.planner.distrust()  # as whoever begins an epoch does
    cached.planner.know("shop", cached.catalog)  # type: ignore[arg-type]
    writes(cached, "orders")
    reads(cached, "replica", "1")


@pytest.mark.parametrize("consistency", ["strong", "bounded", "eventual"])
def test_nothing_is_answered_that_was_kept_too_long_ago(consistency: str, words: Words) -> None:
    stage = Stage(words=words, cache=True)
    sample(stage)
    text = hinted(f"consistency={consistency} cache=5s")
    aged = words.query(text)
    reads(stage, "replica", "1", sql=text)
    wait(stage, 4.9)
    stage >> client(aged) << at_once(words.result("1"))
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
        reads(cached, "replica", "1", sql=never)


# Session.


def test_a_client_sees_what_it_wrote(words: Words) -> None:
    stage = Stage(words=words)
    sample(stage)
    update = words.query("UPDATE orders SET a = 1")
    reads(stage, "replica", "1", sql=SESSION)
    stage >> client(update) << marked(stage.catalog.table("orders")) << asks("primary", update)
    reply = words.done("UPDATE 1")
    stage >> answers("primary", reply) << told(reply) << settled(True) << released("primary")
    wait(stage, 0.1)
    reads(stage, "primary", "1", sql=SESSION)
    wait(stage, 0.1)
    sample(stage, 200)
    reads(stage, "primary", "1", sql=SESSION)
    wait(stage, 0.1)
    sample(stage, 200)
    replay(stage, "replica", 200)
    reads(stage, "replica", "1", sql=SESSION)


def test_the_writes_of_others_are_seen_within_the_bound(words: Words) -> None:
    stage = Stage(words=words)
    reads(stage, "replica", "1", sql=SESSION)
    wait(stage, 0.5)
    sample(stage)
    writes(stage, "orders")
    reads(stage, "replica", "1", sql=SESSION)
    wait(stage, 5.1)
    reads(stage, "primary", "1", sql=SESSION)


def test_reads_do_not_go_back_from_one_replica_to_another(words: Words) -> None:
    stage = Stage(words=words, replicas=2)
    replay(stage, "replica", 300)
    replay(stage, "replica2", 200)
    writes(stage, "orders")
    reads(stage, "primary", "1", sql=SESSION)  # from here on it is counted what it has seen
    wait(stage, 0.1)
    sample(stage, 200)
    stage.balancer.load(stage.servers["replica"]).latency = 0.001
    stage.balancer.load(stage.servers["replica2"]).latency = 0.1
    reads(stage, "replica", "1", sql=SESSION)
    wait(stage, 0.1)
    stage.balancer.load(stage.servers["replica"]).latency = 0.1
    stage.balancer.load(stage.servers["replica2"]).latency = 0.001
    reads(stage, "replica", "1", sql=SESSION)  # the other may lack what the first has shown
    wait(stage, 0.1)
    sample(stage, 400)
    replay(stage, "replica2", 400)
    reads(stage, "replica2", "1", sql=SESSION)


def test_a_replica_that_has_restarted_may_have_gone_back(words: Words) -> None:
    stage = Stage(words=words)
    writes(stage, "orders")
    reads(stage, "primary", "1", sql=SESSION)
    wait(stage, 0.1)
    sample(stage)
    reads(stage, "replica", "1", sql=SESSION)
    wait(stage, 0.1)
    reads(stage, "replica", "1", sql=SESSION)
    stage.group.met(stage.servers["replica"])
    replay(stage, "replica", 100)
    reads(stage, "primary", "1", sql=SESSION)


def test_the_answer_of_a_replica_that_may_be_ahead_is_thrown_away(words: Words) -> None:
    stage = Stage(words=words)
    sample(stage)
    stage >> client(words.query(SESSION)) << asks("replica", words.query(SESSION))
    stage >> elsewhere(lambda s: writes(s, "orders"))
    (
        stage
        >> answers("replica", words.result("1"))
        << released("replica")
        << asks("primary", words.query(SESSION))
    )


def test_what_was_answered_from_the_cache_is_not_unseen_afterwards(words: Words) -> None:
    stage = Stage(words=words, cache=True)
    sample(stage)
    own(stage, "consistency", "session")
    writes(stage, "orders")
    wait(stage, 0.1)
    other, _ = stage.enter("other")
    stage >> client(words.query(SELECT), session=other) << asks("primary", words.query(SELECT))
    answer = told(words.result("2"), name="other")
    stage >> answers("primary", words.result("2")) << answer << released("primary")
    stage >> client(words.query(SELECT)) << at_once(words.result("2"))  # nothing is counted yet
    counted = "SELECT count(*) FROM orders"
    reads(stage, "primary", "1", sql=counted)
    stage >> client(words.query(SELECT)) << told(words.result("2"))  # but now it is


# Where it is said.


def test_the_group_may_have_another_contract(words: Words) -> None:
    stage = Stage(words=words, contract=Contract(Consistency.EVENTUAL, 5.0))
    writes(stage, "orders")
    reads(stage, "replica", "1")
    reads(stage, "primary", "1", sql=hinted("consistency=strong"))


def test_a_misread_hint_sends_its_statement_to_the_primary(words: Words) -> None:
    stage = Stage(words=words, cache=True, contract=Contract(Consistency.EVENTUAL, 5.0))
    misread = hinted("consistency=evental")
    for _ in range(2):
        reads(stage, "primary", "1", sql=misread)
    assert stage.misread_words == ["consistency=evental"] * 2
    assert stage.reasons[-1] is Reason.HINT
