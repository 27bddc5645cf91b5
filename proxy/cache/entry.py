"""What is kept: results, the answers made of them, and where both are found and wait.

The costs are what CPython 3.11 allocates for the objects, besides the text of keys and
replies; `tests/unit/cache/test_cache_memory.py` measures them.
"""

from __future__ import annotations

from math import inf
from typing import Final, final
from weakref import WeakValueDictionary

from mypy_extensions import mypyc_attr

from proxy.cache.admission import Worth
from proxy.cache.key import Key, Shape
from proxy.freshness.ledger import Ledger
from proxy.freshness.tables import NEVER, ReadSet
from proxy.observe.counters import Count

CONTEXT_BYTES: Final = 832
"""A context, its two dicts, its shape and its place among the others, without its settings."""

ENTRY_BYTES: Final = 530
"""An entry, its key, its places in dict and queue, a ghost's, and the heads of two strings."""

ANSWER_BYTES: Final = 250
"""An answer, its place in a dict, and the head of its request."""

PIECE_BYTES: Final = 41
"""The head of a string, and the tuple's reference to it."""


@final
class Entry:
    """One result, with the version of its tables when it was asked for.

    Attributes:
        context: How it was asked for.
        key: What was asked.
        pieces: The reply's parts, as its protocol made them; answers share them.
        read_set: What it depends on.
        version: It is good while `fast_ok(read_set, version)` holds; `NEVER`: to weaker contracts
            only.
        generation: Of the catalogs when it was asked for: in another it is good to nobody.
        current_at: Nothing acknowledged before this is missing from it.
        filled_at: When it was kept.
        worth: The statistics of its statement.
        heat: Hits, of which eviction takes notice, and which it wears off.
        answers: The answers made of it, the latest last.
        cost: Bytes of memory.
        queue: Where it is; None once it has left the cache.
    """

    __slots__ = (
        "answers",
        "context",
        "cost",
        "current_at",
        "filled_at",
        "generation",
        "heat",
        "key",
        "newer",
        "older",
        "pieces",
        "queue",
        "read_set",
        "version",
        "worth",
    )

    def __init__(
        self,
        context: Context,
        key: Key,
        pieces: tuple[bytes, ...],
        read_set: ReadSet,
        version: int,
        worth: Worth,
    ) -> None:
        self.context = context
        self.key = key
        self.pieces = pieces
        self.read_set = read_set
        self.version = version
        self.worth = worth
        self.generation = -1
        self.current_at = -inf
        self.filled_at = -inf
        self.heat = 0
        self.answers: tuple[Answer, ...] = ()
        self.cost = ENTRY_BYTES + sum(map(len, key[:-1])) + sum(map(len, pieces))
        self.queue: Queue | None = None
        self.newer: Entry | None = None
        self.older: Entry | None = None

    @property
    def is_current(self) -> bool:
        """Whether it was known to be current when it was kept."""
        return self.version != NEVER


@final
class Limits:
    """What a ready answer must keep to besides freshness, as a rule or a hint wants it.

    Attributes:
        max_age: Seconds since its entry was kept, at most.
        count: Of the statements that the rule has decided on.
    """

    __slots__ = ("count", "max_age")

    def __init__(self, max_age: float, count: Count | None) -> None:
        self.max_age = max_age
        self.count = count

    def allow(self, entry: Entry, now: float) -> bool:
        """Tell whether an entry may be answered with, and count it if so."""
        if now - entry.filled_at > self.max_age:
            return False
        if self.count is not None:
            self.count.number += 1
        return True


@final
class Answer:
    """A reply to one exact request, ready to be sent.

    Attributes:
        entry: The result it is made of, which says whether it is still good.
        pieces: To be written in this order.
        home: The dict it stands in.
        request: Under what it stands there.
        limits: What it must keep to; None: nothing but freshness.
    """

    __slots__ = ("entry", "home", "limits", "pieces", "request")

    def __init__(
        self, entry: Entry, pieces: tuple[bytes, ...], home: dict[bytes, Answer], request: bytes
    ) -> None:
        self.entry = entry
        self.pieces = pieces
        self.home = home
        self.request = request
        self.limits: Limits | None = None

    @property
    def cost(self) -> int:
        """Bytes that it takes beside its entry, whose pieces it shares."""
        shared = self.entry.pieces
        own = sum(
            len(piece) + PIECE_BYTES
            for piece in self.pieces
            if not any(piece is other for other in shared)
        )
        return ANSWER_BYTES + len(self.request) + own


@mypyc_attr(native_class=False)  # weakly referenced, which a native class can't be
@final
class Context:
    """One way of being asked, and what is cached for it.

    Held by the sessions that are in it and by the entries in it; with the last of them it
    is gone. Only the store changes the dicts.

    Attributes:
        shape: What it stands for.
        ledger: Judges its entries.
        answers: Ready answers, by the request as it came.
        entries: Results, by what was asked.
    """

    __slots__ = ("__weakref__", "answers", "entries", "ledger", "shape")

    def __init__(self, shape: Shape, ledger: Ledger) -> None:
        self.shape = shape
        self.ledger = ledger
        self.answers: dict[bytes, Answer] = {}
        self.entries: dict[Key, Entry] = {}

    @property
    def cost(self) -> int:
        """Bytes that the context itself takes."""
        return CONTEXT_BYTES + sum(len(name) + len(value) for name, value in self.shape.settings)

    def release(self) -> None:
        """Give back the room of dicts that are empty now, and were large perhaps."""
        for content in (self.entries, self.answers):
            if not content:
                content.clear()


@final
class Contexts:
    """Interns contexts: sessions that are asked alike share one."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: WeakValueDictionary[Shape, Context] = WeakValueDictionary()

    def intern(self, shape: Shape, ledger: Ledger) -> Context:
        """Find the context of a shape: once at login, and whenever a setting changes."""
        context = self._known.get(shape)
        if context is None:
            context = self._known[shape] = Context(shape, ledger)
        return context

    def __len__(self) -> int:
        return len(self._known)


@final
class Queue:
    """A first-in first-out queue from whose middle an entry can leave at once.

    A deque or a dict would keep a hole for each entry that was invalidated; here the
    entries are linked to each other.
    """

    __slots__ = ("count", "newest", "oldest", "used")

    def __init__(self) -> None:
        self.count = 0
        self.used = 0
        self.newest: Entry | None = None
        self.oldest: Entry | None = None

    def append(self, entry: Entry) -> None:
        """Put an entry behind all others."""
        newest = self.newest
        if newest is None:
            self.oldest = entry
        else:
            newest.newer = entry
        entry.older = newest
        self.newest = entry
        entry.queue = self
        self.count += 1
        self.used += entry.cost

    def remove(self, entry: Entry) -> None:
        """Let an entry leave, from wherever it is."""
        older, newer = entry.older, entry.newer
        if older is None:
            self.oldest = newer
        else:
            older.newer = newer
        if newer is None:
            self.newest = older
        else:
            newer.older = older
        entry.older = entry.newer = entry.queue = None
        self.count -= 1
        self.used -= entry.cost
