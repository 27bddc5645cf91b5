"""The second level of the cache: what memory has not is asked for where the fleet keeps it.

It is asked for what pays, and only while nothing is being written to the tables in question. What
comes is believed if it proves what it is (`sealed`) and its version is the ledger's at that very
moment: so nothing is deleted there to invalidate it, and whatever else a store does is a miss.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Protocol, final

from proxy.cache.admission import Worth
from proxy.cache.benefit import Benefit
from proxy.cache.entry import Context, Entry
from proxy.cache.key import Key
from proxy.cache.sealed import Realm, Sealed
from proxy.freshness.tables import ReadSet
from proxy.observe.counters import Counters, Histogram


@unique
class Outcome(Enum):
    """What became of a miss in memory that might have been asked for."""

    HIT = "hit"
    ABSENT = "absent"
    STALE = "stale"  # its tables have been written since, or are being written
    REFUSED = "refused"  # it is not what it should be
    LATE = "late"
    FAILED = "failed"
    SKIPPED = "skipped"  # the store is not asked while it fails
    NOT_WORTH = "not_worth"  # a server is as quick, or nothing is ever found


@unique
class Write(Enum):
    """What became of a result that might have been kept."""

    STORED = "stored"
    DROPPED = "dropped"  # too many were waiting
    FAILED = "failed"
    SKIPPED = "skipped"
    TOO_LARGE = "too_large"
    NOT_WORTH = "not_worth"


@final
class Statistics:
    """What is counted of it.

    Attributes:
        reads: Misses in memory.
        writes: Results.
        seconds: What fetches have taken, those included that were given up.
    """

    __slots__ = ("reads", "seconds", "writes")

    def __init__(self) -> None:
        self.reads = Counters(Outcome)
        self.writes = Counters(Write)
        self.seconds = Histogram()


class Waiter(Protocol):
    """Who waits for a fetch: a session."""

    def fetched(self, lookup: Lookup, /) -> None:
        """It is over."""


class Shelf(Protocol):
    """The store."""

    @property
    def is_open(self) -> bool:
        """Whether it is not skipped."""

    def get(self, lookup: Lookup, /) -> bool:
        """Fetch an entry, and tell the lookup in time; False: the store is skipped."""

    def put(self, name: bytes, version: int, pieces: tuple[bytes, ...], /) -> None:
        """Keep a result, some time, perhaps."""


@final
class Lookup:
    """One fetch. It is over once, whatever is told of it afterwards.

    Attributes:
        name: Of the entry.
        found: What was found, if it held when it came.
        is_over: Whether that is known.
    """

    __slots__ = (
        "_asked_at",
        "_benefit",
        "_context",
        "_level",
        "_read_set",
        "_waiter",
        "found",
        "is_over",
        "name",
    )

    def __init__(
        self,
        level: SecondLevel,
        name: bytes,
        context: Context,
        read_set: ReadSet,
        benefit: Benefit,
        waiter: Waiter,
        now: float,
    ) -> None:
        self.name = name
        self.found: Sealed | None = None
        self.is_over = False
        self._level = level
        self._context = context
        self._read_set = read_set
        self._benefit = benefit
        self._waiter: Waiter | None = waiter
        self._asked_at = now

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self._waiter = None

    def answered(self, data: bytes | None, now: float) -> None:
        """The store has said what it has; None: nothing."""
        if not self.is_over:
            self._end(self._judge(data, now), now)

    def give_up(self, outcome: Outcome, now: float) -> None:
        """It is not waited for any longer."""
        if not self.is_over:
            self._end(outcome, now)

    def _judge(self, data: bytes | None, now: float) -> Outcome:
        if data is None:
            return Outcome.ABSENT
        level = self._level
        found = level.realm.unseal(self.name, data, level.max_bytes)
        if found is None:
            return Outcome.REFUSED
        if not self._context.ledger.fast_ok(self._read_set, found.version, now):
            return Outcome.STALE
        self.found = found
        return Outcome.HIT

    def _end(self, outcome: Outcome, now: float) -> None:
        self.is_over = True
        seconds = now - self._asked_at
        statistics = self._level.statistics
        statistics.reads.count(outcome)
        statistics.seconds.record(seconds)
        if outcome is not Outcome.FAILED and outcome is not Outcome.SKIPPED:
            # A store that fails is skipped, which says nothing of this statement.
            self._benefit.answered(seconds, is_hit=outcome is Outcome.HIT)
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.fetched(self)


@final
class SecondLevel:
    """See the module.

    Args:
        realm: Whose results these are.
        shelf: Where they are.
        statistics: What is counted.
        max_bytes: Larger results are not kept there.
    """

    __slots__ = ("_shelf", "max_bytes", "realm", "statistics")

    def __init__(
        self, realm: Realm, shelf: Shelf, statistics: Statistics, *, max_bytes: int
    ) -> None:
        self.realm = realm
        self.statistics = statistics
        self.max_bytes = max_bytes
        self._shelf = shelf

    def ask(
        self,
        context: Context,
        key: Key,
        read_set: ReadSet,
        worth: Worth,
        waiter: Waiter,
        now: float,
    ) -> Lookup | None:
        """Begin to fetch a result, if that may save time; None: ask a server.

        Args:
            context: How it is asked for.
            key: What is asked.
            read_set: What it depends on.
            worth: The statistics of its statement.
            waiter: Who is told when that is over.
            now: The time by which the ledger counts.
        """
        if not context.ledger.is_clean(read_set, now):
            return None
        benefit = _benefit(worth)
        if not benefit.asks(worth.seconds):
            self.statistics.reads.count(Outcome.NOT_WORTH)
            return None
        name = self.realm.name(context.shape, key, read_set.tables)
        lookup = Lookup(self, name, context, read_set, benefit, waiter, now)
        if not self._shelf.get(lookup):
            self.statistics.reads.count(Outcome.SKIPPED)
            return None
        return lookup

    def wants(self, worth: Worth) -> bool:
        """Tell whether the next result of a statement would be kept, whatever memory wants."""
        return self._shelf.is_open and _benefit(worth).keeps(worth.seconds)

    def keep(self, entry: Entry) -> None:
        """Keep a result that was just kept in memory, if others may want it."""
        if not entry.is_current:
            return
        writes = self.statistics.writes
        if sum(map(len, entry.pieces)) > self.max_bytes:
            writes.count(Write.TOO_LARGE)
        elif not _benefit(entry.worth).keeps(entry.worth.seconds):
            writes.count(Write.NOT_WORTH)
        else:
            name = self.realm.name(entry.context.shape, entry.key, entry.read_set.tables)
            self._shelf.put(name, entry.version, entry.pieces)


def _benefit(worth: Worth) -> Benefit:
    if worth.benefit is None:
        worth.benefit = Benefit()
    return worth.benefit
