"""What a read may count on: the contracts, and which cached results each of them may be given.

`strong` is the rule of docs/freshness.md. The weaker ones are about time, and time is counted from
the request: with `bounded`, nothing is missing that had been acknowledged for longer than
`max_staleness` when the read was asked for. What is not known to be younger counts as infinitely
old.
"""

from __future__ import annotations

from typing import Final, final

from proxy.freshness.floor import Floor
from proxy.types import Consistency

_SESSION: Final = Consistency.SESSION
_STRONG: Final = Consistency.STRONG


@final
class Contract:
    """A contract, with its bound.

    Attributes:
        consistency: Which.
        max_staleness: Seconds. Of `eventual` it bounds cached results only.
    """

    __slots__ = ("consistency", "max_staleness")

    def __init__(self, consistency: Consistency, max_staleness: float) -> None:
        self.consistency = consistency
        self.max_staleness = max_staleness

    @property
    def is_strong(self) -> bool:
        """Whether it is the strong one."""
        return self.consistency is _STRONG

    def oldest(self, now: float, floor: Floor | None) -> float:
        """Since when nothing may be missing from a cached result.

        Args:
            now: When the read was asked for.
            floor: What its client has seen, if somebody has counted.
        """
        bound = now - self.max_staleness
        if self.consistency is _SESSION and floor is not None:
            return max(bound, floor.at)
        return bound

    def __repr__(self) -> str:
        return f"<Contract {self.consistency.value} {self.max_staleness:g}>"


STRONG: Final = Contract(Consistency.STRONG, 0.0)
