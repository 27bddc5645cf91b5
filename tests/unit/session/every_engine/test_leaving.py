"""A client that goes leaves nothing behind."""

from __future__ import annotations

from tests.unit.session.every_engine.steps import INSERT, SELECT, runs
from tests.unit.session.stage import (
    GONE,
    Stage,
    answers,
    asks,
    cancelled,
    client,
    hangs_up,
    left,
    released,
    told,
    waits,
)
from tests.unit.session.words import CANCELLED, Words


def test_going_between_two_requests(stage: Stage) -> None:
    stage >> hangs_up() << GONE
    stage >> hangs_up()
    stage.quiet()


def test_going_in_a_transaction(stage: Stage, words: Words) -> None:
    runs(stage, "BEGIN", "BEGIN")
    stage >> hangs_up() << asks("primary", words.query("ROLLBACK"))
    stage >> answers("primary", words.done("ROLLBACK")) << released("primary") << GONE
    stage.finish()


def test_going_in_mid_query(stage: Stage, words: Words) -> None:
    query = words.query(SELECT)
    first, _ = words.parts("1")
    stage >> client(query) << asks("replica", query)
    stage >> answers("replica", first) << told(first)
    stage >> hangs_up() << cancelled("replica")
    cancel = words.error(CANCELLED)
    stage >> answers("replica", cancel) << told(cancel) << released("replica") << GONE


def test_going_while_it_waits_for_a_connection(words: Words) -> None:
    stage = Stage(words=words, size=0)
    stage >> client(words.query(INSERT)) << waits("primary")
    stage >> hangs_up() << left("primary") << GONE


def test_going_while_it_waits_for_a_primary(stage: Stage, words: Words) -> None:
    stage.group.lost(stage.servers["primary"], "gone")
    stage.group.lost(stage.servers["replica"], "gone")
    stage >> client(words.query(INSERT)) << waits("a primary")
    stage >> hangs_up() << left("a primary") << GONE
