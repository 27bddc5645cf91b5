"""A read leaves the primary, and comes back to it whenever something is in doubt."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.errors import PoolTimeout
from proxy.types import PinReason, Reason, Role
from tests.unit.session.every_engine.steps import SELECT, is_read_anew, reads
from tests.unit.session.stage import (
    Stage,
    answers,
    asks,
    breaks,
    client,
    elsewhere,
    lends,
    refuses,
    released,
    told,
    waits,
    writes,
)
from tests.unit.session.words import CANCELLED, CONFLICT, Words


def test_a_read_is_served_by_a_replica(stage: Stage) -> None:
    reads(stage, "replica", "1")
    stage.finish()
    assert stage.reasons == [Reason.REPLICA]


def test_an_answer_is_passed_on_as_it_comes(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    first, rest = words.parts("1")
    stage >> answers("replica", first) << told(first)
    stage >> answers("replica", rest) << told(rest) << released("replica")
    stage.finish()


def test_an_answer_overtaken_by_a_commit_is_thrown_away(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    stage >> elsewhere(lambda s: writes(s, "orders"))
    first, rest = words.parts("1")
    stage >> answers("replica", first)
    stage >> answers("replica", rest) << released("replica")
    is_read_anew(stage)
    stage.finish()
    assert stage.reasons == [Reason.INVALIDATED]


def test_a_commit_elsewhere_leaves_an_answer_alone(stage: Stage, words: Words) -> None:
    query, result = words.query(SELECT), words.result("1")
    stage >> client(query) << asks("replica", query)
    stage >> elsewhere(lambda s: writes(s, "items"))
    stage >> answers("replica", result) << told(result) << released("replica")


def test_what_comes_after_the_first_word_is_not_judged_again(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    first, rest = words.parts("1")
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", first) << told(first)
    stage >> elsewhere(lambda s: writes(s, "orders"))
    stage >> answers("replica", rest) << told(rest) << released("replica")


def test_a_table_with_a_commit_on_its_way_is_read_at_the_primary(stage: Stage) -> None:
    stage >> elsewhere(lambda s: s.ledger.mark([s.catalog.table("orders")], s.tokens()))
    reads(stage, "primary", "1")
    assert stage.reasons == [Reason.PENDING]


def test_an_error_on_a_replica_is_not_the_clients(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", words.error(CONFLICT)) << released("replica")
    is_read_anew(stage)
    stage.finish()


def test_a_cancelled_statement_on_a_replica_is_the_clients(stage: Stage, words: Words) -> None:
    query, cancel = words.query(SELECT), words.error(CANCELLED)
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", cancel) << told(cancel) << released("replica")
    stage.finish()


def test_a_replica_lost_before_its_first_word_is_replaced_by_the_primary(
    stage: Stage, words: Words
) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    stage >> breaks("replica")
    is_read_anew(stage)
    stage.finish()


def test_a_replica_lost_after_its_first_word_ends_the_session(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    first, _ = words.parts("1")
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", first) << told(first)
    stage >> breaks("replica")
    assert stage.shell.is_closed


def test_a_read_is_repeated_once_only(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    stage >> client(query) << asks("replica", query)
    stage >> breaks("replica") << asks("primary", query)
    stage >> breaks("primary")
    assert stage.shell.is_closed


@pytest.fixture
def unsure(stage: Stage) -> Stage:
    """The link to the replica has to be asked for its position."""
    pool = stage.pools[stage.servers["replica"]]
    link = pool.open()
    link.knows_position = False
    pool.idle.append(link)
    return stage


def asks_position(stage: Stage) -> Any:
    query = stage.words.query(SELECT)
    reached = stage.words.query(stage.dialect.reached(100).decode())
    stage >> client(query)
    return asks("replica", reached, query)


def test_a_position_is_asked_in_front_of_a_read(unsure: Stage, words: Words) -> None:
    unsure << asks_position(unsure)
    unsure >> answers("replica", words.result("1"))
    unsure >> answers("replica", words.result("5")) << told(words.result("5"))
    unsure << released("replica")
    (link,) = unsure.pools[unsure.servers["replica"]].idle
    assert link.verified_at == [100]


def test_a_replica_that_is_behind_is_not_believed(unsure: Stage, words: Words) -> None:
    unsure << asks_position(unsure)
    unsure >> answers("replica", words.result())
    unsure >> answers("replica", words.result("5")) << released("replica")
    is_read_anew(unsure)
    assert unsure.reasons == [Reason.BEHIND]
    unsure.finish()


def test_a_replica_that_cannot_tell_its_position_is_not_believed(
    unsure: Stage, words: Words
) -> None:
    unsure << asks_position(unsure)
    unsure >> answers("replica", words.error(CONFLICT) + words.result("5")) << released("replica")
    is_read_anew(unsure)


def test_a_read_that_cannot_have_a_replica_goes_to_the_primary(words: Words) -> None:
    stage = Stage(words=words, size=0)
    query, result = words.query(SELECT), words.result("1")
    stage >> client(query) << waits("replica")
    stage >> refuses("replica", PoolTimeout("none")) << waits("primary")
    stage >> lends("primary") << asks("primary", query)
    stage >> answers("primary", result) << told(result) << released("primary")


@pytest.mark.parametrize("pin", [PinReason.ADVISORY_LOCK, PinReason.SESSION_POOL])
def test_a_pinned_client_reads_from_a_replica_and_keeps_its_own_connection(
    words: Words, pin: PinReason
) -> None:
    stage = Stage(words=words, pins=[pin])
    stage >> client(words.query("INSERT INTO items VALUES (1)"))
    home = stage.link("primary")
    stage.events.clear()
    stage >> answers("primary", words.done("INSERT 0 1"))
    stage.events.clear()
    reads(stage, "replica", "1")
    stage >> client(words.query("INSERT INTO items VALUES (2)"))
    assert stage.link("primary") is home


def test_a_primary_that_comes_back_serves_who_waited(stage: Stage, words: Words) -> None:
    stage.group.lost(stage.servers["primary"], "gone")
    stage.group.lost(stage.servers["replica"], "gone")
    stage >> client(words.query(SELECT)) << waits("a primary")
    stage.group.met(stage.servers["primary"])
    stage.see(stage.servers["primary"], Role.PRIMARY)
    stage >> elsewhere(lambda s: s.in_line.pop().primary_found())
    is_read_anew(stage)
