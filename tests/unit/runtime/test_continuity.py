"""Which views can't have come from the one before."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from proxy.runtime.continuity import OVER_FOR, Continuity
from proxy.topology.views import Row, Standing, View
from proxy.types import NO_EPOCH, Epoch, Token

EPOCH = Epoch(5, Token(7))
LATER = Epoch(6, Token(8))


def rows(**standings: Standing) -> Mapping[str, Row]:
    return {name: Row(name, standing, Token(0), NO_EPOCH) for name, standing in standings.items()}


BEFORE = View(EPOCH, False, rows(me=Standing.IN, b=Standing.IN, c=Standing.GONE), b"salt")


@pytest.fixture
def continuity() -> Continuity:
    return Continuity("me", BEFORE)


@pytest.mark.parametrize(
    ("view", "why"),
    [
        (BEFORE._replace(salt=b"other"), "made anew"),
        (BEFORE._replace(epoch=Epoch(4, Token(9))), "went back"),
        (BEFORE._replace(rows=rows(b=Standing.IN, c=Standing.GONE)), "its own row"),
        (BEFORE._replace(rows=rows(me=Standing.IN, c=Standing.GONE)), "the row of b"),
        (BEFORE._replace(rows=rows(me=Standing.IN, b=Standing.IN)), "the row of c"),
        (BEFORE._replace(rows=rows(me=Standing.IN, b=Standing.IN, c=Standing.IN)), "c in"),
    ],
)
def test_what_somebody_has_done_by_hand(continuity: Continuity, view: View, why: str) -> None:
    assert continuity.why_broken(BEFORE, EPOCH) is None
    assert why in (continuity.why_broken(view, EPOCH) or "")


@pytest.mark.parametrize(
    "view",
    [
        BEFORE,
        BEFORE._replace(rows=rows(me=Standing.IN, b=Standing.FENCED, c=Standing.GONE)),
        BEFORE._replace(rows={**BEFORE.rows, **rows(d=Standing.IN)}),
        BEFORE._replace(rows=rows(me=Standing.FENCED, b=Standing.IN, c=Standing.GONE)),
        View(LATER, False, rows(me=Standing.IN, b=Standing.IN), b"salt"),  # who was gone is struck
        View(LATER, False, rows(me=Standing.IN), b"salt"),  # b was gone meanwhile
        # A replica was promoted that had not replayed all of it.
        View(Epoch(4, Token(9)), True, rows(me=Standing.IN), b"salt"),
    ],
)
def test_what_comes_about_by_itself(continuity: Continuity, view: View) -> None:
    assert continuity.why_broken(view, EPOCH) is None


def test_an_epoch_ends_with_its_primary(continuity: Continuity) -> None:
    """Who sees that for long, and has the primary in sight, sees another life written down."""
    over = BEFORE._replace(is_over=True)
    assert continuity.is_over(over, 0.0) is None
    assert continuity.is_over(over, OVER_FOR / 2) is None
    continuity.lost_sight()
    assert continuity.is_over(over, OVER_FOR + 1) is None
    assert continuity.is_over(BEFORE, OVER_FOR + 1) is None
    assert continuity.is_over(over, 10.0) is None
    assert continuity.is_over(over, 10.0 + OVER_FOR) is not None


def test_connections_that_nobody_could_end(continuity: Continuity) -> None:
    """At one look they may be between two steps."""
    assert continuity.lacks(2, 1) is None
    assert continuity.lacks(2, 2) is None
    assert continuity.lacks(2, 1) is None
    assert continuity.lacks(2, 0) is not None
