"""What one session has seen is handed to another, which then sees no less."""

from __future__ import annotations

import pytest

from proxy.errors import NoPrimary
from proxy.freshness.contracts import Contract
from proxy.types import Consistency, Reason, Role
from tests.unit.session.every_engine.steps import SELECT, hears_error, reads, runs
from tests.unit.session.stage import (
    GONE,
    Stage,
    answers,
    at_once,
    breaks,
    cancels,
    client,
    elsewhere,
    hangs_up,
    left,
    released,
    tells_position,
    told,
    waits,
    writes,
)
from tests.unit.session.words import Words

SHOW = "SHOW tidegate.position"


def weak(words: Words, consistency: Consistency, *, cache: bool = False) -> Stage:
    """Replica and primary are at 100, where the primary has been seen."""
    stage = Stage(words=words, contract=Contract(consistency, 60.0), cache=cache)
    sees(stage, 100)
    stage.now += 1.0
    return stage


@pytest.fixture
def eventual(words: Words) -> Stage:
    return weak(words, Consistency.EVENTUAL)


@pytest.fixture
def bounded(words: Words) -> Stage:
    return weak(words, Consistency.BOUNDED)


def sees(stage: Stage, position: int) -> None:
    stage.see(stage.servers["primary"], Role.PRIMARY, position)


def replay(stage: Stage, position: int) -> None:
    stage.see(stage.servers["replica"], Role.REPLICA, position)


def takes(stage: Stage, value: str) -> None:
    stage >> client(stage.words.query(f"SET tidegate.position = {value}"))
    stage << told(stage.words.done("SET"))


# To be told it.


def test_the_primary_is_asked_where_it_is(stage: Stage, words: Words) -> None:
    stage >> client(words.query(SHOW)) << waits("a position")
    stage >> client(words.query(SELECT))
    stage.quiet()  # one thing after another
    stage >> tells_position("150")
    assert b"150" in stage.events.popleft()[2]
    assert stage.events.popleft()[:2] == ("asks", "replica")


def test_it_is_told_in_an_open_transaction(stage: Stage, words: Words) -> None:
    runs(stage, "BEGIN", "BEGIN")
    stage >> client(words.query(SHOW)) << waits("a position")
    stage >> tells_position("150")
    assert b"150" in stage.events.popleft()[2]
    runs(stage, "COMMIT", "COMMIT", block=False)
    stage << released("primary")
    stage.finish()


def test_what_a_server_says_meanwhile_is_heard(stage: Stage, words: Words) -> None:
    runs(stage, "BEGIN", "BEGIN")
    stage >> client(words.query(SHOW)) << waits("a position")
    stage >> breaks("primary") << left("a position")
    assert stage.shell.is_closed
    assert stage.balancer.load(stage.servers["primary"]).outstanding == 0


def test_who_waits_for_it_may_go(stage: Stage, words: Words) -> None:
    stage >> client(words.query(SHOW)) << waits("a position")
    stage >> hangs_up() << left("a position") << GONE
    stage.finish()


def test_the_wait_for_it_can_be_cancelled(stage: Stage, words: Words) -> None:
    stage >> client(words.query(SHOW)) << waits("a position")
    stage >> cancels() << left("a position")
    hears_error(stage, b"canceling statement")
    reads(stage, "replica", "1")


def test_without_a_primary_nobody_can_tell(stage: Stage, words: Words) -> None:
    stage >> client(words.query(SHOW)) << waits("a position")
    stage >> elsewhere(lambda s: s.askers.waiting.pop().not_acquired(NoPrimary("no primary")))
    hears_error(stage, b"no primary")
    reads(stage, "replica", "1")


def test_what_is_only_prepared_waits_for_nothing(stage: Stage, words: Words) -> None:
    stage >> client(words.prepare(1, SHOW))
    assert stage.events.popleft()[2]
    stage.quiet()
    stage >> client(words.run(1)) << waits("a position")
    stage >> tells_position("150")
    assert b"150" in stage.events.popleft()[2]


# To see it.


def test_a_replica_must_have_it(eventual: Stage) -> None:
    writes(eventual, "orders")
    sees(eventual, 150)
    reads(eventual, "replica", "1")
    takes(eventual, "'150'")
    reads(eventual, "primary", "2")
    assert eventual.reasons[-1] is Reason.BEHIND
    replay(eventual, 149)
    reads(eventual, "primary", "2")
    replay(eventual, 150)
    reads(eventual, "replica", "2")


def test_what_the_primary_was_not_seen_to_have_is_asked_for(eventual: Stage) -> None:
    """Another member has told it, which has looked later."""
    takes(eventual, "'150'")
    replay(eventual, 160)  # seen sooner than its primary
    reads(eventual, "primary", "2")
    assert eventual.samplings
    eventual.now += 0.1
    sees(eventual, 155)
    reads(eventual, "replica", "2")


def test_what_was_lost_is_nowhere_so_all_that_there_is_will_do(eventual: Stage) -> None:
    takes(eventual, "'900'")
    reads(eventual, "primary", "1")
    eventual.now += 0.1
    sees(eventual, 120)
    reads(eventual, "primary", "1")
    replay(eventual, 120)
    reads(eventual, "replica", "1")


def test_it_counts_beside_a_bound(bounded: Stage) -> None:
    writes(bounded, "orders")
    sees(bounded, 150)
    reads(bounded, "replica", "1")
    takes(bounded, "'150'")
    reads(bounded, "primary", "2")
    replay(bounded, 150)
    reads(bounded, "replica", "2")
    bounded.now += 61.0
    writes(bounded, "orders")
    reads(bounded, "primary", "3")  # it has what was handed, and is too old


def test_a_table_that_nobody_is_known_to_have_written_must_be_as_new(eventual: Stage) -> None:
    sees(eventual, 150)
    reads(eventual, "replica", "1")
    takes(eventual, "'150'")
    reads(eventual, "primary", "2")


def test_in_a_new_epoch_it_is_found_anew(eventual: Stage) -> None:
    sees(eventual, 150)
    takes(eventual, "'150'")
    reads(eventual, "primary", "1")
    eventual.see(eventual.servers["primary"], Role.PRIMARY, 130, timeline=2)
    eventual.see(eventual.servers["replica"], Role.REPLICA, 130, timeline=2)
    reads(eventual, "primary", "1")
    eventual.now += 0.1
    sees_again = eventual.servers["primary"]
    eventual.see(sees_again, Role.PRIMARY, 130, timeline=2)
    reads(eventual, "replica", "1")


@pytest.mark.parametrize("forgets", ["DEFAULT", "'100'"])
def test_it_may_be_forgotten(eventual: Stage, forgets: str) -> None:
    sees(eventual, 150)
    takes(eventual, "'150'")
    reads(eventual, "primary", "1")
    takes(eventual, forgets)
    reads(eventual, "replica", "1")


def test_what_is_no_position_changes_nothing(eventual: Stage, words: Words) -> None:
    sees(eventual, 150)
    takes(eventual, "'150'")
    for value in ("'x'", "''", "'150x'"):
        eventual >> client(words.query(f"SET tidegate.position = {value}"))
        hears_error(eventual, b"tidegate.position")
    reads(eventual, "primary", "1")


def test_a_strong_read_is_what_it_was(caching: Stage, words: Words) -> None:
    sees(caching, 150)
    takes(caching, "'150'")
    reads(caching, "replica", "1")
    caching >> client(words.query(SELECT)) << at_once(words.result("1"))


def test_a_session_that_counts_what_it_sees_counts_it_too(words: Words) -> None:
    stage = weak(words, Consistency.SESSION)
    reads(stage, "replica", "1")  # its table is as it was: as good as the primary
    sees(stage, 150)
    takes(stage, "'150'")
    reads(stage, "primary", "1")
    stage.now += 0.1
    sees(stage, 150)
    replay(stage, 150)
    reads(stage, "replica", "1")


# What was kept.


@pytest.fixture
def kept(words: Words) -> Stage:
    """An old result is good enough for whoever has been handed nothing."""
    stage = weak(words, Consistency.EVENTUAL, cache=True)
    reads(stage, "replica", "1")
    writes(stage, "orders")
    sees(stage, 150)
    stage >> client(words.query(SELECT)) << told(words.result("1"))
    return stage


def test_what_was_kept_before_is_not_good_enough(kept: Stage, words: Words) -> None:
    kept.now += 1.0
    takes(kept, "'150'")
    kept.now += 1.0
    reads(kept, "primary", "2")
    kept >> client(words.query(SELECT)) << at_once(words.result("2"))
    writes(kept, "orders")
    kept.now += 1.0
    kept >> client(words.query(SELECT)) << told(words.result("2"))  # it was kept later


def test_what_has_not_changed_since_it_was_kept_is(kept: Stage, words: Words) -> None:
    reads(kept, "replica", "1", sql="SELECT a FROM items")
    kept.now += 1.0
    takes(kept, "'150'")
    items = words.query("SELECT a FROM items")
    kept >> client(items) << at_once(words.result("1"))


def test_it_does_not_take_what_another_fetches_from_behind(words: Words) -> None:
    stage = weak(words, Consistency.EVENTUAL, cache=True)
    writes(stage, "orders")
    sees(stage, 150)
    other, _ = stage.enter("other")
    query = words.query(SELECT)
    takes(stage, "'150'")
    stage >> client(query, session=other)
    assert stage.events.popleft()[:2] == ("asks", "replica")
    stage >> client(query)
    stage.quiet()
    stage >> answers("replica", words.result("1"))
    assert stage.events.popleft() == told(words.result("1"), name="other")
    assert ("asks", "primary", query) in stage.events
