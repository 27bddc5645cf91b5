"""The fleet protocol as a model: never stale with all its rules, and stale without any of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.cases import MISSED_IN, ORDINARY
from tests.model.explorer import explore
from tests.model.rules import Rule
from tests.model.scene import Scene
from tests.model.states import Fleet

DOCUMENT = Path(__file__).parents[2] / "docs" / "fleet.md"

CAP = 50_000
"""States; more than any of these explorations needs."""

SMALL = [Rule.ANSWERED, Rule.VERSION, Rule.FIRST_BYTE, Rule.LAST_BYTE, Rule.NEED, Rule.JOINED]
"""Rules that are missed within few states."""


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.name)
def test_without_a_rule_a_read_is_stale(rule: Rule) -> None:
    report = explore(MISSED_IN[rule].lacking(rule), CAP)
    assert report.trace, f"nothing was found without {rule.name}: {report}"


@pytest.mark.parametrize("name", ORDINARY)
def test_with_all_rules_no_read_is_stale(name: str) -> None:
    report = explore(ORDINARY[name], CAP)
    assert report.complete, str(report)


@pytest.mark.parametrize("rule", SMALL, ids=lambda rule: rule.name)
def test_what_is_taken_for_the_same_hides_no_shorter_trace(rule: Rule) -> None:
    scene = MISSED_IN[rule].lacking(rule)
    assert len(explore(scene).trace) == len(explore(scene, reduce=as_it_is).trace)


def test_what_is_taken_for_the_same_hides_no_stale_read() -> None:
    scene = ORDINARY["broken"]
    everything = explore(scene, reduce=as_it_is)
    assert everything.complete
    assert explore(scene).states < everything.states


def test_every_rule_is_in_the_document() -> None:
    text = DOCUMENT.read_text()
    assert [rule.name for rule in Rule if f"`{rule.name}`" not in text] == []


def as_it_is(fleet: Fleet, scene: Scene) -> Fleet:
    """Take no two states for the same."""
    return fleet
