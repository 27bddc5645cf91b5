"""The second level of the cache: what memory has not is asked for where the fleet keeps it.

It is asked for what pays, and only while nothing is being written to the tables in question. What
comes is believed if it proves what it is (`sealed`) and its version is the ledger's at that very
moment: so nothing is deleted there to invalidate it, and whatever else a store does is a miss.

What is not there, and takes a server long, one member asks a server for: the one whose *claim* the
store takes first. The others look again and again until it is there, the claim is gone, or it takes
clearly longer than such statements take: then each asks a server itself. No answer depends on a
claim, only how many ask. It names the version that is wanted too, so none stands in the way of what
is asked after the next write. It is gone `LIFE` after its owner, or its owner's use for it, is.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final, Protocol, final

from proxy.cache.admission import Worth
from proxy.cache.benefit import Benefit
from proxy.cache.entry import Context, Entry
from proxy.cache.key import Key
from proxy.cache.sealed import Realm, Sealed
from proxy.freshness.tables import ReadSet
from proxy.observe.counters import Counters, Histogram

LIFE: Final = 0.3
"""Seconds that a claim lasts unless it is renewed: what one that is killed costs the others."""

SLOWEST: Final = 1.5
"""Times what servers take lately for a statement: for as long a result is waited for."""

LOOKS: Final = 16.0
"""Looks in the time that servers take, at most."""

LONGEST_PAUSE: Final = 0.05
"""Seconds between two looks."""


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


@unique
class Turn(Enum):
    """What became of a miss there too, where one member asks and the others wait."""

    LED = "led"  # it was ours to ask
    FOUND = "found"  # another member's result came
    GONE = "gone"  # whoever asked has kept nothing, or the tables were written
    LATE = "late"  # it took too long
    FAILED = "failed"  # the store did, or was late itself


@final
class Statistics:
    """What is counted of it.

    Attributes:
        reads: Misses in memory.
        writes: Results.
        turns: Misses there too.
        seconds: What fetches have taken, those included that were given up.
    """

    __slots__ = ("reads", "seconds", "turns", "writes")

    def __init__(self) -> None:
        self.reads = Counters(Outcome)
        self.writes = Counters(Write)
        self.turns = Counters(Turn)
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

    def get_later(self, lookup: Lookup, seconds: float, /) -> None:
        """The same, after some seconds; a store that is skipped by then is told of."""

    def put(self, name: bytes, version: int, pieces: tuple[bytes, ...], /) -> None:
        """Keep a result, some time, perhaps."""

    def hold(self, claim: bytes, until: float, /) -> None:
        """Renew a claim that is ours, until it is let go or some time has come."""

    def let_go(self, claim: bytes, /) -> None:
        """Renew it no more."""


@unique
class Stage(Enum):
    """What a lookup wants of the store."""

    ENTRY = "entry"
    CLAIM = "claim"  # to set it, unless it is there
    BOTH = "both"  # to see the entry, and whether the claim is there


_ENTRY: Final = Stage.ENTRY
_CLAIM: Final = Stage.CLAIM
_BOTH: Final = Stage.BOTH


@final
class Lookup:
    """One fetch. It is over once, whatever is told of it afterwards.

    Attributes:
        name: Of the entry.
        claim: Who is to ask a server, if that is to be settled.
        stage: What is wanted now.
        leads: Whether we are: then the claim is ours.
        found: What was found, if it held when it came.
        is_over: Whether that is known.
    """

    __slots__ = (
        "_asked_at",
        "_benefit",
        "_context",
        "_level",
        "_missed",
        "_pause",
        "_read_set",
        "_saved",
        "_seconds",
        "_until",
        "_version",
        "_waiter",
        "claim",
        "found",
        "is_over",
        "leads",
        "name",
        "stage",
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
        saved: float = 0.0,
    ) -> None:
        self.name = name
        self.claim = b""
        self.stage = _ENTRY
        self.leads = False
        self.found: Sealed | None = None
        self.is_over = False
        self._level = level
        self._context = context
        self._read_set = read_set
        self._benefit = benefit
        self._waiter: Waiter | None = waiter
        self._asked_at = now
        self._saved = saved  # seconds that a server takes
        self._seconds = 0.0  # that the first fetch took
        self._missed = Outcome.ABSENT  # what it found instead
        self._version = 0  # that is waited for
        self._pause = 0.0
        self._until = 0.0

    def leave(self) -> None:
        """Nobody waits for it any more."""
        self._waiter = None

    def answered(self, data: bytes | None, now: float, *, is_claimed: bool = False) -> None:
        """The store has said what it has; None: nothing.

        Args:
            data: What stands under the name.
            now: The time.
            is_claimed: Whether the claim is there, where that was asked.
        """
        if self.is_over:
            return
        outcome = self._judge(data, now)
        if self.stage is _BOTH:
            self._look_again(outcome, is_claimed, now)
            return
        self._seconds = now - self._asked_at
        if not self._begins_to_claim(outcome, now):
            self._end(outcome)

    def claimed(self, now: float, *, is_ours: bool) -> None:
        """The store has taken our claim, or has another's."""
        if self.is_over:
            return
        self.leads = is_ours
        if is_ours:
            self._turn(Turn.LED)
            return
        self._until = now + SLOWEST * self._saved
        self.stage = _BOTH
        self._level.shelf.get_later(self, self._pause)

    def give_up(self, outcome: Outcome, now: float) -> None:
        """It is not waited for any longer."""
        if self.is_over:
            return
        if self.stage is _ENTRY:
            self._seconds = now - self._asked_at
            self._end(outcome)
        else:
            self._turn(Turn.FAILED)

    @property
    def held_until(self) -> float:
        """Until when others may wait for what we ask a server for, if they began when we did."""
        return self._asked_at + self._seconds + SLOWEST * self._saved

    def _begins_to_claim(self, outcome: Outcome, now: float) -> bool:
        """Settle who asks a server; False: it does not pay."""
        level, context = self._level, self._context
        if outcome is not Outcome.ABSENT and outcome is not Outcome.STALE:
            return False
        if not level.is_shared or self._waiter is None or self._saved <= 0.0:
            return False
        if not context.ledger.is_clean(self._read_set, now):
            return False
        if not self._benefit.waits(self._saved, self._seconds):
            return False
        self._missed = outcome
        self._version = context.ledger.version(self._read_set)
        self._pause = min(max(2.0 * self._seconds, self._saved / LOOKS), LONGEST_PAUSE)
        self.claim = self.name + self._version.to_bytes(16, "big")
        self.stage = _CLAIM
        return level.shelf.get(self)

    def _look_again(self, outcome: Outcome, is_claimed: bool, now: float) -> None:
        if outcome is Outcome.HIT:
            self._turn(Turn.FOUND)
        elif now + self._pause > self._until:
            self._turn(Turn.LATE)
        elif not is_claimed or self._waiter is None or not self._is_wanted(now):
            self._turn(Turn.GONE)
        else:
            self._level.shelf.get_later(self, self._pause)

    def _is_wanted(self, now: float) -> bool:
        ledger = self._context.ledger
        is_clean = ledger.is_clean(self._read_set, now)
        return is_clean and ledger.version(self._read_set) == self._version

    def _turn(self, turn: Turn) -> None:
        """It is over, behind a miss."""
        self._level.statistics.turns.count(turn)
        if turn is not Turn.LED and turn is not Turn.FAILED and self._waiter is not None:
            self._benefit.waited(is_hit=turn is Turn.FOUND)
        self._end(Outcome.HIT if turn is Turn.FOUND else self._missed)

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

    def _end(self, outcome: Outcome) -> None:
        self.is_over = True
        statistics = self._level.statistics
        statistics.reads.count(outcome)
        statistics.seconds.record(self._seconds)
        if outcome is not Outcome.FAILED and outcome is not Outcome.SKIPPED:
            # A store that fails is skipped, which says nothing of this statement.
            self._benefit.answered(self._seconds, is_hit=outcome is Outcome.HIT)
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

    Attributes:
        is_shared: Whether other members may be getting what we miss, and we wait for them.
    """

    __slots__ = ("is_shared", "max_bytes", "realm", "shelf", "statistics")

    def __init__(
        self, realm: Realm, shelf: Shelf, statistics: Statistics, *, max_bytes: int
    ) -> None:
        self.realm = realm
        self.statistics = statistics
        self.max_bytes = max_bytes
        self.shelf = shelf
        self.is_shared = False

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
        saved = worth.seconds if worth.size <= self.max_bytes else 0.0
        lookup = Lookup(self, name, context, read_set, benefit, waiter, now, saved)
        if not self.shelf.get(lookup):
            self.statistics.reads.count(Outcome.SKIPPED)
            return None
        return lookup

    def wants(self, worth: Worth) -> bool:
        """Tell whether the next result of a statement would be kept, whatever memory wants."""
        return self.shelf.is_open and _benefit(worth).keeps(worth.seconds)

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
            self.shelf.put(name, entry.version, entry.pieces)


def _benefit(worth: Worth) -> Benefit:
    if worth.benefit is None:
        worth.benefit = Benefit()
    return worth.benefit
