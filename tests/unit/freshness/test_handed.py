"""Positions that sessions hand to each other: sealed, and found anew in each epoch."""

from __future__ import annotations

from string import ascii_lowercase, digits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.freshness.handed import Handed, seal, unseal
from proxy.types import Position

KINDS = st.text(ascii_lowercase + digits, min_size=1)
BODIES = st.text(st.characters(min_codepoint=33, max_codepoint=126))


class Somewhere:
    """A place that is wherever a test says."""

    def __init__(self) -> None:
        self.at: Position | None = None
        self.asked = 0

    def find(self) -> Position | None:
        self.asked += 1
        return self.at


@given(KINDS, BODIES)
def test_what_was_sealed_is_unsealed(kind: str, body: str) -> None:
    assert unseal(kind, seal(kind, body)) == body


@given(KINDS, BODIES, st.integers(min_value=1))
def test_what_was_cut_off_is_not(kind: str, body: str, size: int) -> None:
    sealed = seal(kind, body)
    with pytest.raises(ValueError, match="no sealed"):
        unseal(kind, sealed[: -(size % len(sealed)) or None] if size % len(sealed) else "")


@given(KINDS, st.text())
def test_what_was_never_sealed_is_not(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match="no sealed"):
        unseal(kind, text)


def test_another_kind_is_not_taken_for_this_one() -> None:
    with pytest.raises(ValueError, match="no sealed"):
        unseal("lsn1", seal("gtid1", "1.2.3"))


def test_a_place_is_looked_for_until_it_is_found_and_anew_in_each_epoch() -> None:
    place = Somewhere()
    handed = Handed(place, 5.0)
    assert handed.need(1) is None
    place.at = Position(7)
    assert (handed.need(1), handed.need(1)) == (7, 7)
    assert place.asked == 2
    place.at = None
    assert (handed.need(1), handed.need(2)) == (7, None)
    place.at = Position(0)
    assert handed.need(2) == 0
