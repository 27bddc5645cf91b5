"""One request after the other, and nobody is sent more than he takes."""

from __future__ import annotations

import pytest

from proxy.types import PinReason
from tests.unit.session.every_engine.steps import INSERT, SELECT, hears_error, reads
from tests.unit.session.stage import (
    CLOSES,
    Stage,
    answers,
    asks,
    client,
    lends,
    marked,
    released,
    settled,
    told,
    waits,
)
from tests.unit.session.words import SYNTAX, Words


def test_requests_are_served_one_after_the_other(stage: Stage, words: Words) -> None:
    query, result = words.query(SELECT), words.result("1")
    stage >> client(query + words.query(INSERT)) << asks("replica", query)
    stage >> answers("replica", result) << told(result) << released("replica")
    stage << marked(stage.catalog.table("orders")) << asks("primary", words.query(INSERT))


def test_a_request_that_comes_in_pieces_is_served_when_it_is_whole(
    stage: Stage, words: Words
) -> None:
    query = words.query(SELECT)
    for place in range(len(query) - 1):
        stage.session.receive(query[place : place + 1])
    stage.quiet()
    stage >> client(query[-1:]) << asks("replica", query)


def test_a_slow_client_slows_its_server(stage: Stage, words: Words) -> None:
    stage >> client(words.query(SELECT)) << asks("replica", words.query(SELECT))
    link = stage.link("replica")
    stage.session.client_paused(True)
    assert not link.is_reading
    stage.session.client_paused(False)
    assert link.is_reading


def test_a_slow_client_gets_no_more_before_it_has_taken_what_it_got(
    caching: Stage, words: Words
) -> None:
    reads(caching, "replica", "1")
    caching.session.client_paused(True)
    assert caching.session.answers is None
    caching >> client(words.query(SELECT))
    caching.quiet()
    caching.session.client_paused(False)
    caching << told(words.result("1"))
    assert caching.session.answers is not None


def test_a_slow_client_that_goes_on_asking_is_not_read(stage: Stage, words: Words) -> None:
    stage.session.client_paused(True)
    big = words.query("SELECT '" + "x" * 900_000 + "'")
    stage >> client(big)
    assert stage.shell.is_reading
    stage >> client(big)
    assert not stage.shell.is_reading
    stage.quiet()


def test_a_connection_kept_for_a_slow_client_is_read_again_when_it_has_caught_up(
    words: Words,
) -> None:
    stage = Stage(words=words, pins=[PinReason.SESSION_POOL])
    orders, insert, done = (
        stage.catalog.table("orders"),
        words.query(INSERT),
        words.done("INSERT 1"),
    )
    stage >> client(insert) << marked(orders) << asks("primary", insert)
    link = stage.link("primary")
    stage.session.client_paused(True)
    stage >> answers("primary", done)
    stage.events.clear()
    stage >> client(insert)
    stage.quiet()
    assert not link.is_reading
    stage.session.client_paused(False)
    stage << marked(orders) << asks("primary", insert)
    assert link.is_reading


def test_a_connection_is_given_back_ready_to_be_read(stage: Stage, words: Words) -> None:
    """The last of a large answer may be what fills the client's buffer."""
    query, result = words.query(SELECT), words.result("1")
    stage >> client(query) << asks("replica", query)
    link = stage.link("replica")
    shell = stage.shell

    def fills_up(data: bytes) -> None:
        stage.did("told", "client", data)
        stage.session.client_paused(True)

    shell.write = fills_up  # type: ignore[method-assign]
    stage >> answers("replica", result) << told(result) << released("replica")
    assert link.is_reading


def test_too_much_behind_a_request_stops_its_client(stage: Stage, words: Words) -> None:
    query, result = words.query(SELECT), words.result("1")
    stage >> client(query) << asks("replica", query)
    more = words.query("SELECT '" + "x" * 600_000 + "'")
    stage >> client(more) >> client(more)
    assert not stage.shell.is_reading
    stage >> answers("replica", result) << told(result) << released("replica")
    stage.events.clear()
    stage >> answers("replica", result)
    stage.events.clear()
    assert stage.shell.is_reading


def test_who_waits_is_served_when_a_connection_comes_free(words: Words) -> None:
    stage = Stage(words=words, size=0)
    stage >> client(words.query(INSERT) + words.query(SELECT)) << waits("primary")
    stage >> lends("primary")
    stage.events.clear()
    stage >> answers("primary", words.done("INSERT 0 1"))
    stage.events.clear()
    assert stage.session.idle_since == stage.now


def keeps(stage: Stage, pin: PinReason) -> None:
    """A statement fails on the only connection there is, and the client keeps it for a reason."""
    words = stage.words
    orders, insert, error = stage.catalog.table("orders"), words.query(INSERT), words.error(SYNTAX)
    stage >> client(insert) << marked(orders) << asks("primary", insert)
    stage.session.pins.add(pin)
    stage >> answers("primary", error) << told(error) << settled(False)


@pytest.fixture
def single(words: Words) -> Stage:
    """A stage with one connection to each server."""
    return Stage(words=words, size=1)


def test_what_may_never_be_asked_for_keeps_nobody_waiting(single: Stage, words: Words) -> None:
    keeps(single, PinReason.DIAGNOSTICS)
    other, _ = single.enter("other")
    insert = words.query(INSERT)
    single >> client(insert, session=other) << waits("primary") << released("primary")
    assert single.link("primary").user is other
    assert not single.session.pins


def test_what_may_never_be_asked_for_is_not_kept_from_those_who_wait(
    single: Stage, words: Words
) -> None:
    orders, insert, error = single.catalog.table("orders"), words.query(INSERT), words.error(SYNTAX)
    single >> client(insert) << marked(orders) << asks("primary", insert)
    other, _ = single.enter("other")
    single >> client(insert, session=other) << waits("primary")
    single.session.pins.add(PinReason.DIAGNOSTICS)
    single >> answers("primary", error) << told(error) << settled(False) << released("primary")
    assert single.link("primary").user is other
    assert not single.session.pins


def test_what_is_used_again_is_not_given_back(single: Stage, words: Words) -> None:
    keeps(single, PinReason.DIAGNOSTICS)
    orders, insert = single.catalog.table("orders"), words.query(INSERT)
    single >> client(insert) << marked(orders) << asks("primary", insert)
    other, _ = single.enter("other")
    single >> client(insert, session=other) << waits("primary")
    single.quiet()


def test_what_the_client_cannot_do_without_is_not_given_back(single: Stage, words: Words) -> None:
    single.session.pins.add(PinReason.UNKNOWN)
    keeps(single, PinReason.DIAGNOSTICS)
    other, _ = single.enter("other")
    single >> client(words.query(INSERT), session=other) << waits("primary")
    single.quiet()
    assert single.session.pins == {PinReason.UNKNOWN, PinReason.DIAGNOSTICS}


def test_a_text_meant_for_the_proxy_is_answered_here(stage: Stage, words: Words) -> None:
    stage >> client(words.query("EXPLAIN ROUTE SELECT 1"))
    kind, _, said = stage.events.popleft()
    assert kind == "told"
    assert b"fact" in said
    stage.finish()


def test_statement_pool_mode_has_no_transactions(words: Words) -> None:
    stage = Stage(words=words, one_statement=True)
    stage >> client(words.query("BEGIN"))
    hears_error(stage, b"pool mode")
    reads(stage, "replica", "1")


def test_goodbye(stage: Stage, words: Words) -> None:
    stage >> client(words.goodbye) << CLOSES
