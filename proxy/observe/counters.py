"""What the hot path counts with: plain numbers on slotted objects. Pure.

Nothing here knows an exporter. Whoever counts holds its counter itself, and whoever
exports reads it when it is asked. Measured on the interpreter: `count` 0.11 us,
`record` 0.18 us.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from enum import Enum
from typing import Final, Generic, TypeVar, final

E = TypeVar("E", bound=Enum)

BOUNDS: Final = (
    *(0.000_05, 0.000_1, 0.000_25, 0.000_5),
    *(0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0),
)
"""Upper bounds of the buckets, in seconds: from a hit in memory to a report."""


@final
class Count:
    """One number, held by whoever counts and read by whoever exports."""

    __slots__ = ("number",)

    def __init__(self, number: int = 0) -> None:
        self.number = number


@final
class Counters(Generic[E]):
    """How often each member of an enum was the reason."""

    __slots__ = ("counts",)

    def __init__(self, kind: type[E]) -> None:
        self.counts = dict.fromkeys(kind, 0)

    def count(self, reason: E) -> None:
        self.counts[reason] += 1

    def seen(self) -> Iterator[tuple[str, int]]:
        """Yield the reasons that occurred, by name, with how often."""
        for reason, count in self.counts.items():
            if count:
                yield str(reason.value), count


@final
class Tally:
    """Counts by a name that comes from outside, such as a table: only so many are kept apart."""

    __slots__ = ("counts", "limit")

    OTHERS: Final = "(others)"

    def __init__(self, limit: int = 1000) -> None:
        # Every name is a time series in whatever scrapes us, for as long as we live.
        self.limit = limit
        self.counts: dict[str, int] = {}

    def count(self, name: str, times: int = 1) -> None:
        if name not in self.counts and len(self.counts) >= self.limit:
            name = self.OTHERS
        self.counts[name] = self.counts.get(name, 0) + times


@final
class Histogram:
    """How long something took, in buckets with fixed bounds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0

    def record(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds

    def cumulated(self) -> list[tuple[str, float]]:
        """Return (upper bound, how many took no longer), the last bound being "+Inf"."""
        buckets: list[tuple[str, float]] = []
        count = 0
        for bound, own in zip((*map(str, BOUNDS), "+Inf"), self.counts, strict=True):
            count += own
            buckets.append((bound, count))
        return buckets
