"""Many ask the same at the same time: one asks the server, and the others are given its answer."""

from __future__ import annotations

import pytest

from proxy.cache.flight import NOT_STORED
from proxy.errors import PoolTimeout
from proxy.freshness.tables import everything_in, schema_of
from proxy.types import Role
from tests.unit.session.every_engine.steps import SELECT
from tests.unit.session.stage import (
    GONE,
    Catalog,
    Stage,
    answers,
    asks,
    breaks,
    cancelled,
    cancels,
    client,
    elsewhere,
    hangs_up,
    lends,
    marked,
    refuses,
    released,
    told,
    waits,
    writes,
)
from tests.unit.session.words import CANCELLED, Words


@pytest.fixture
def led(words: Words) -> Stage:
    """One asks, another waits for the same."""
    stage = Stage(words=words, cache=True)
    other, _ = stage.enter("other")
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    stage >> client(query, session=other)
    stage.quiet()
    return stage


def test_a_follower_gets_what_the_leader_fetched(led: Stage, words: Words) -> None:
    (
        led
        >> answers("replica", words.result("1"))
        << told(words.result("1"))
        << told(words.result("1"), name="other")
    )
    led << released("replica")
    led.finish()


def redefine(stage: Stage, name: str) -> None:
    """Somebody else lets a name mean another table, and definitions have been read again."""
    stage.ledger.commit(stage.ledger.mark([schema_of()], stage.tokens()))
    stage.planner.distrust()
    stage.catalog = Catalog("shop")
    stage.catalog.table("something else")
    stage.catalog.table(name)
    stage.planner.know("shop", stage.catalog)  # type: ignore[arg-type]
    stage.see(stage.servers["replica"], Role.REPLICA, 200)


def test_a_result_that_was_planned_by_old_definitions_is_not_kept(
    caching: Stage, words: Words
) -> None:
    select = words.query(SELECT)
    caching >> client(select) << asks("replica", select)
    caching >> elsewhere(lambda s: redefine(s, "orders"))
    (
        caching
        >> answers("replica", words.result("1"))
        << released("replica")
        << asks("primary", select)
    )
    (
        caching
        >> answers("primary", words.result("2"))
        << told(words.result("2"))
        << released("primary")
    )
    caching >> elsewhere(lambda s: writes(s, "orders"))
    caching >> client(select) << asks("primary", select)


def test_what_waited_while_a_definition_changed_is_planned_again(words: Words) -> None:
    select = words.query(SELECT)
    stage = Stage(words=words, size=0, replicas=0)
    stage >> client(select) << waits("primary")
    stage >> elsewhere(lambda s: s.planner.distrust())
    stage >> lends("primary") << marked(everything_in("shop")) << asks("primary", select)


def test_a_follower_goes_itself_when_the_result_is_not_kept(led: Stage, words: Words) -> None:
    select = words.query(SELECT)
    first, rest = words.parts("1")
    led >> answers("replica", first) << told(first)
    led >> elsewhere(lambda s: writes(s, "orders"))
    led >> answers("replica", rest) << told(rest) << asks("primary", select) << released("replica")


def test_a_follower_leads_when_the_leader_is_told_of_an_error(led: Stage, words: Words) -> None:
    select = words.query(SELECT)
    failure = words.error(CANCELLED)
    led >> answers("replica", failure) << told(failure) << asks("replica", select)
    led << released("replica")


def test_a_follower_leads_when_the_leaders_client_goes(led: Stage, words: Words) -> None:
    select = words.query(SELECT)
    led >> hangs_up() << asks("replica", select) << cancelled("replica")


def test_a_follower_leads_when_the_leaders_server_is_lost_in_mid_answer(
    led: Stage, words: Words
) -> None:
    select = words.query(SELECT)
    first, _ = words.parts("1")
    led >> answers("replica", first) << told(first)
    led >> breaks("replica") << asks("replica", select)
    assert led.shell.is_closed


def test_a_follower_goes_itself_when_the_leaders_client_is_slow(led: Stage, words: Words) -> None:
    select = words.query(SELECT)
    led >> elsewhere(lambda s: s.session.client_paused(True)) << asks("replica", select)


def test_a_follower_waits_no_longer_than_it_must(led: Stage, words: Words) -> None:
    select = words.query(SELECT)
    led.now += 0.5
    assert led.sessions["other"].tick(led.now) is None
    led.quiet()
    led.now += 0.6
    assert led.sessions["other"].tick(led.now) is None
    led << asks("replica", select)


def test_a_follower_whose_client_goes_is_forgotten(led: Stage, words: Words) -> None:
    led >> hangs_up(led.sessions["other"]) << GONE
    led >> answers("replica", words.result("1")) << told(words.result("1")) << released("replica")


def test_a_follower_can_be_cancelled(led: Stage, words: Words) -> None:
    led >> cancels(led.sessions["other"])
    assert all(event[:2] == ("told", "other") for event in led.events)
    assert led.events
    led.events.clear()
    led >> answers("replica", words.result("1")) << told(words.result("1")) << released("replica")


def test_a_follower_leads_when_the_leader_finds_no_connection(words: Words) -> None:
    select = words.query(SELECT)
    stage = Stage(words=words, cache=True, size=0, replicas=0)
    other, _ = stage.enter("other")
    stage >> client(select) << waits("primary")
    stage >> client(select, session=other)
    stage >> refuses("primary", PoolTimeout("none"))
    assert ("waits", "primary") in stage.events


def test_landing_twice_is_nothing(led: Stage) -> None:
    led.session.flight_landed(NOT_STORED)
    led.quiet()
