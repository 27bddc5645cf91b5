"""What two tallies of a server's counters tell of a commit between them."""

from __future__ import annotations

import pytest

from proxy.freshness.tally import Tally, Told, tell
from proxy.freshness.watch import Counters
from proxy.types import Table

T, U, V = (Table("def", oid) for oid in (101, 102, 103))


def tally(era: object = 1, **rows: int) -> Tally:
    named = {"t": T, "u": U, "v": V}
    return Tally(era, {named[name]: Counters(count, 0) for name, count in rows.items()})


BEFORE = tally(t=1, u=1)


@pytest.mark.parametrize(
    ("after", "written"),
    [
        ([tally(t=1, u=1)], set()),
        ([tally(t=2, u=1)], {T}),
        ([tally(t=1, u=1, v=0)], {V}),  # it is counted from now on
        ([tally(t=1, u=1), tally(t=1, u=2)], {U}),
        ([tally(t=2, u=1), tally(t=1, u=1)], {T}),
    ],
)
def test_whatever_has_moved_in_either_is_written(after: list[Tally], written: set[Table]) -> None:
    assert tell(BEFORE, after) == Told(frozenset(written))


@pytest.mark.parametrize(
    "after", [[tally(2, t=1, u=1)], [BEFORE, tally(None, t=1, u=1)], [tally(2, t=1), BEFORE]]
)
def test_nothing_is_told_across_eras(after: list[Tally]) -> None:
    assert tell(BEFORE, after) is None


def test_what_is_not_counted_may_be_any_table() -> None:
    assert tell(Tally(1, None), [Tally(1, None)]) == Told(None)
    assert tell(BEFORE, [Tally(1, None)]) == Told(None)
    assert tell(BEFORE, []) == Told(None)
