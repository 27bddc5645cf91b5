"""Ways through the phases that no other conversation takes; `conftest` looks at every step."""

from __future__ import annotations

import pytest

from proxy.session.phase import FREE, OPEN, OVER, RUNNING, SETTING, WAITING
from proxy.session.state import UNTOUCHED
from tests.unit.session.stage import (
    BOUND,
    FLUSH,
    GONE,
    IDLE,
    LOST,
    PARSED,
    Stage,
    answers,
    asks,
    bind,
    breaks,
    cancelled,
    client,
    complete,
    error,
    execute,
    hangs_up,
    lends,
    parse,
    query,
    released,
    result,
    waits,
)

SELECT = query("SELECT a FROM orders")
SET = query("SET timezone TO 'UTC'")
BATCH = parse("", "INSERT INTO orders VALUES (1)") + bind("") + execute() + FLUSH


@pytest.fixture
def stage() -> Stage:
    return Stage()


def happens(stage: Stage, *messages: bytes) -> None:
    """The client sends something; what follows from it is looked at elsewhere."""
    stage >> client(*messages)
    stage.events.clear()


def other_settings(stage: Stage) -> None:
    """The client has set something, and the connection it gets has not."""
    happens(stage, SET)
    stage >> answers("primary", complete("SET") + IDLE)
    stage.events.clear()
    for link in stage.pools[stage.servers["primary"]].idle:
        link.state = UNTOUCHED


def test_a_batch_waits_for_its_connection() -> None:
    stage = Stage(size=0)
    stage >> client(BATCH) << waits("primary")
    assert stage.session.phase is WAITING
    stage >> lends("primary")
    stage.events.clear()
    assert stage.session.phase is OPEN


def test_a_batch_waits_for_its_settings(stage: Stage) -> None:
    other_settings(stage)
    happens(stage, BATCH)
    assert stage.session.phase is SETTING
    stage >> answers("primary", complete("SET") + IDLE)
    stage.events.clear()
    assert stage.session.phase is OPEN


def test_a_connection_that_was_waited_for_must_be_set() -> None:
    stage = Stage(size=1)
    other_settings(stage)
    other, _ = stage.enter("other")
    stage >> client(query("BEGIN"), session=other) << asks("primary", query("BEGIN"))
    stage >> client(query("DELETE FROM orders")) << waits("primary")
    stage >> answers("primary", complete("BEGIN") + IDLE)
    stage.events.clear()
    assert stage.session.phase is SETTING


def test_an_answer_that_does_not_count_when_the_primary_must_be_waited_for(stage: Stage) -> None:
    stage >> client(SELECT) << asks("replica", SELECT)
    stage.group.lost(stage.servers["primary"], "gone")
    stage >> answers("replica", error("40001") + IDLE)
    stage << released("replica") << waits("a primary")
    assert stage.session.phase is WAITING


def test_a_server_that_is_lost_in_an_open_batch(stage: Stage) -> None:
    happens(stage, BATCH)
    stage >> answers("primary", PARSED + BOUND)
    stage.events.clear()
    stage >> breaks("primary") << LOST
    stage.events.clear()
    assert stage.shell.is_closed
    assert stage.session.phase is FREE


def test_a_client_that_goes_before_its_server_in_an_open_batch(stage: Stage) -> None:
    happens(stage, BATCH)
    stage >> hangs_up()
    assert stage.events.popleft() == cancelled("primary")
    stage.events.clear()
    assert stage.session.phase is RUNNING  # what ends the batch has been said in its place
    stage >> breaks("primary") << LOST << GONE
    assert stage.session.phase is OVER


def test_a_large_batch_that_its_client_leaves_in_the_middle(stage: Stage) -> None:
    text = "INSERT INTO orders VALUES ($1)"
    big = bind("", "x" * 2_000_000)
    happens(stage, parse("", text) + big[:1_500_000])
    assert stage.session.phase is OPEN
    stage >> hangs_up()
    assert stage.events[-1] == GONE
    assert stage.session.phase is OVER


def test_from_beginning_to_end(stage: Stage) -> None:
    assert stage.session.phase is FREE
    happens(stage, SELECT)
    assert stage.session.phase is RUNNING
    stage >> answers("replica", result("1"))
    stage.events.clear()
    assert stage.session.phase is FREE
    stage >> hangs_up() << GONE
    assert stage.session.phase is OVER
