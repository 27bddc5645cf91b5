"""Is there one order of all operations that explains what everybody saw?

An order explains a history when every read in it returns what the last write before it
wrote, and when an operation that had ended before another began comes before that other.
For objects whose versions are numbered in the order of their writes that needs no search: an
order exists for an object exactly when no operation began with an older version than some
operation had already ended with (the test suite compares this with a search on small
histories). Sorting and one sweep decide it for all objects at once, since such orders can be
put together (Herlihy and Wing, "Linearizability", 1990, section 3). Reads of several objects
must agree on one order besides: of two, one has seen at least as much of everything. And each must
be of one instant: none of what it saw was replaced before the rest was there.

This is strict: a session's own writes and reads are only the special case that the two
operations are one client's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import accumulate, pairwise
from math import inf

from tests.consistency.anomalies import Anomaly, Kind, Verdict
from tests.consistency.history import Act, History, Operation
from tests.consistency.versions import Step, Versions


def judge(history: History) -> Verdict:
    """Find everything that is wrong with a history, in O(n log n)."""
    versions = Versions(history.operations)
    anomalies = versions.anomalies
    anomalies += _find_too_old(versions.steps)
    anomalies += _find_forks(versions.steps)
    anomalies += _find_torn(versions.steps)
    anomalies.sort(key=lambda it: it.operation.start)
    return Verdict(history, anomalies)


class Known:
    """The newest of each object that had been written or seen by an instant."""

    def __init__(self) -> None:
        self._by_act: dict[Act, dict[str, Step]] = {Act.WRITE: {}, Act.READ: {}}
        self._by_client: dict[tuple[str, str], Step] = {}

    def learn(self, step: Step) -> None:
        """Note that an operation has ended."""
        operation, name, version = step
        newest = self._by_act[operation.act]
        before = newest.get(name)
        if before is None or version > before.version:
            newest[name] = step
        key = (operation.client, name)
        before = self._by_client.get(key)
        if before is None or version > before.version:
            self._by_client[key] = step

    def contradiction(self, step: Step) -> Operation | None:
        """Find what an operation that begins now should have known, the client's own first."""
        operation, name, version = step
        for known in (
            self._by_client.get((operation.client, name)),
            self._by_act[Act.WRITE].get(name),
            self._by_act[Act.READ].get(name),
        ):
            if known is not None and known.version > version:
                return known.operation
        return None


def _find_too_old(steps: list[Step]) -> Iterator[Anomaly]:
    """Sweep over time: at each beginning, compare with what had ended before."""
    known = Known()
    ended = iter(sorted(steps, key=lambda it: it.operation.end))
    following = next(ended, None)
    for step in sorted(steps, key=lambda it: it.operation.start):
        while following is not None and following.operation.end < step.operation.start:
            known.learn(following)
            following = next(ended, None)
        witness = known.contradiction(step)
        if witness is not None:
            kind = _too_old(step.operation, witness)
            yield Anomaly(kind, step.name, step.operation, witness)


def _too_old(operation: Operation, witness: Operation) -> Kind:
    if operation.act is Act.WRITE:
        return Kind.MISORDERED
    is_own = operation.client == witness.client
    if witness.act is Act.WRITE:
        return Kind.OWN_WRITE_MISSED if is_own else Kind.STALE
    return Kind.OWN_READ_UNDONE if is_own else Kind.WENT_BACK


def _find_forks(steps: list[Step]) -> Iterator[Anomaly]:
    """Compare what reads of the same objects saw of them.

    Sorted, the sights must grow in all places from each to the next: then they do
    between any two, and where they don't, neither of the two neighbours is the older one.
    """
    sights: defaultdict[tuple[str, ...], list[tuple[tuple[int, ...], int, Operation]]]
    sights = defaultdict(list)
    for number, sight in enumerate(_sights(steps)):
        sight.sort(key=lambda it: it.name)
        names = tuple(it.name for it in sight)
        sights[names].append((tuple(it.version for it in sight), number, sight[0].operation))
    for names, them in sights.items():
        them.sort()
        for (older, _, one), (newer, _, other) in pairwise(them):
            if any(a > b for a, b in zip(older, newer, strict=True)):
                first, last = sorted((one, other), key=lambda it: it.start)
                yield Anomaly(Kind.FORK, " and ".join(names), last, first)


def _sights(steps: list[Step]) -> list[list[Step]]:
    """Gather what each read of several objects saw."""
    seen: defaultdict[int, list[Step]] = defaultdict(list)
    for step in steps:
        if step.operation.act is Act.READ and len(step.operation.values) > 1:
            seen[id(step.operation)].append(step)
    return list(seen.values())


def _find_torn(steps: list[Step]) -> Iterator[Anomaly]:
    """Compare when what a read saw can have been there: from a write on, up to the next.

    A version was not there before its write was sent, and no more when a newer one's had been
    acknowledged.
    """
    writes: defaultdict[str, list[Step]] = defaultdict(list)
    for step in steps:
        if step.operation.act is Act.WRITE:
            writes[step.name].append(step)
    begun: dict[tuple[str, int], Operation] = {}
    for name, them in writes.items():
        begun.update(((name, step.version), step.operation) for step in them)
    replaced = {name: Replacements(them) for name, them in writes.items()}
    for sight in _sights(steps):
        versions: dict[str, int] = {}
        latest: Operation | None = None
        for step in sight:
            known = versions.setdefault(step.name, step.version)
            if known != step.version:
                yield Anomaly(Kind.TORN, step.name, step.operation)
            it = begun.get((step.name, step.version))
            if it is not None and (latest is None or it.start > latest.start):
                latest = it
        for step in sight:
            end = replaced[step.name].end(step.version) if step.name in replaced else inf
            if latest is not None and latest.start > end:
                yield Anomaly(Kind.TORN, step.name, step.operation, latest)
                break


class Replacements:
    """When the versions of one object had certainly been replaced."""

    def __init__(self, writes: list[Step]) -> None:
        writes = sorted(writes, key=lambda it: it.version)
        self._versions = [it.version for it in writes]
        ends = accumulate((it.operation.end for it in reversed(writes)), min)
        self._ends = [*reversed(list(ends)), inf]

    def end(self, version: int) -> float:
        """Return when the first newer one had been acknowledged."""
        return self._ends[bisect_right(self._versions, version)]
