"""What was written between two moments, by a server's own counters.

Where nobody can tell what a commit will write, all is marked for it; but some servers count what is
written to each table, and so say afterwards which it can have been. What others wrote meanwhile is
in that too: too much, never too little.

A tally counts when it was taken: before the first statement of the transaction was sent, and after
its commit was acknowledged.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from proxy.freshness.watch import Counters
from proxy.types import Table


@dataclass(slots=True, frozen=True)
class Tally:
    """The counters of a moment.

    Attributes:
        era: What is the same for as long as whatever is done shows in definitions or counters: of
            the earlier of two tallies as it was before they were read, of the later one after.
        counters: Of every table; None where a write may be acknowledged before it is counted.
    """

    era: Hashable
    counters: Mapping[Table, Counters] | None


@dataclass(slots=True, frozen=True)
class Told:
    """What a server tells of a commit afterwards.

    Attributes:
        written: The tables that it can have written to; None: any.
    """

    written: frozenset[Table] | None


def tell(before: Tally, after: Sequence[Tally]) -> Told | None:
    """Say what can be told of a commit that changed no definition; None: nothing.

    Args:
        before: Taken before anything of it was sent.
        after: Taken after it was acknowledged. One alone may miss a count that is just being moved
            from one place to another.
    """
    written: set[Table] = set()
    is_counted = bool(after)
    for tally in after:
        if tally.era != before.era:
            return None
        if before.counters is None or tally.counters is None:
            is_counted = False
        else:
            written |= _differing(before.counters, tally.counters)
    return Told(frozenset(written) if is_counted else None)


def _differing(
    before: Mapping[Table, Counters], after: Mapping[Table, Counters]
) -> frozenset[Table]:
    """Say which have moved; what was not counted before has."""
    return frozenset(table for table, counters in after.items() if before.get(table) != counters)
