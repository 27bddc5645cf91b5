"""Reads wait until it is known what others had committed (`out_of_band = "strict"`)."""

from __future__ import annotations

import pytest

from proxy.settings.rule import Rule
from proxy.types import Consistency, Reason
from tests.unit.session.stage import (
    GONE,
    Stage,
    answers,
    asks,
    client,
    hangs_up,
    query,
    released,
    result,
    told,
    waits,
)

SELECT = query("SELECT a FROM orders")
INSERT = query("INSERT INTO orders VALUES (1)")


@pytest.fixture
def stage() -> Stage:
    stage = Stage(cache=True)
    stage.is_strict = True
    return stage


def admit(stage: Stage) -> None:
    stage.in_line.pop().admitted()


def test_a_read_waits_for_the_log_and_is_served_as_ever(stage: Stage) -> None:
    stage >> client(SELECT) << waits("the log")
    stage >> admit << asks("replica", SELECT)
    stage >> answers("replica", result("1")) << told(result("1")) << released("replica")


def test_it_goes_to_the_primary_when_the_log_is_not_read_far_enough(stage: Stage) -> None:
    stage >> client(SELECT) << waits("the log")
    errand = stage.session.errand
    assert errand is not None
    stage >> (lambda s: s.in_line.pop().primary_found()) << asks("primary", SELECT)
    assert errand.reason is Reason.UNCONFIRMED


def test_it_goes_to_the_primary_when_no_log_is_read(stage: Stage) -> None:
    stage.may_confirm = False
    stage >> client(SELECT) << asks("primary", SELECT)


def test_who_waits_may_go(stage: Stage) -> None:
    stage >> client(SELECT) << waits("the log")
    stage >> hangs_up() << ("left", "a primary") << GONE


def test_a_write_waits_for_nothing(stage: Stage) -> None:
    stage >> client(INSERT)
    assert not stage.in_line


def test_a_weaker_contract_waits_for_nothing() -> None:
    stage = Stage(rules=[Rule(consistency=Consistency.EVENTUAL)])
    stage.is_strict = True
    stage >> client(SELECT) << asks("replica", SELECT)
