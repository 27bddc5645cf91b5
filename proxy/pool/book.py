"""The book of one pool: which connections are idle, who has which, who waits.

Pure: it opens nothing and reads no clock. Every method takes facts and `now`
and says what is to be done; the shell does it and tells the outcome. One book
serves one (server, user, database). Theory: PgBouncer's pools, with the waiting
line strictly first come, first served.

One that is lent may be offered: whoever has it does not use it, and would rather keep it, but gives
it back when others wait for more than there will be.

A connection is anything hashable; what the book needs to know of it, it keeps
itself. `flavour` is an opaque mark of the session state a connection was left
in: lending one whose flavour fits saves setting the state again.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar, final


class Lendable(Protocol):
    """What a book asks of a connection."""

    idle_since: float

    @property
    def opened_at(self) -> float:
        """When it was opened."""

    @property
    def share(self) -> float:
        """How much of a lifetime it has: more or less 1, so that not all are replaced at once."""

    @property
    def flavour(self) -> object:
        """The state its session was left in."""

    @property
    def retired(self) -> bool:
        """Whether it must not be lent again."""


C = TypeVar("C", bound=Lendable)
W = TypeVar("W")
H = TypeVar("H")

FLAVOUR_SEARCH: Final = 4
"""How many idle connections are looked at for a fitting flavour: enough to find
one among a few applications, few enough to stay cheap with many."""


GRACE: Final = 0.1
"""Seconds for which an offer is not taken up: whoever means to use a connection again right behind
what was last said there, as drivers do, shall find it."""


@dataclass(slots=True, frozen=True)
class Limits:
    """How large a pool may grow, and how long its connections live. Times in seconds."""

    size: int
    minimum: int = 0
    reserve: int = 0
    reserve_after: float = 5.0
    wait_timeout: float = 120.0
    idle_timeout: float = 600.0
    lifetime: float = 3600.0


@final
class Waiting(Generic[W]):
    """One who stands in line, since when."""

    __slots__ = ("since", "waiter")

    def __init__(self, waiter: W, since: float) -> None:
        self.waiter = waiter
        self.since = since


@final
class Offer(Generic[H]):
    """Who would give a connection back, since when."""

    __slots__ = ("holder", "since")

    def __init__(self, holder: H, since: float) -> None:
        self.holder = holder
        self.since = since


@final
class Upkeep(Generic[C, W]):
    """What `Book.tick` found to do: what to close, whose wait is over, how many to open."""

    __slots__ = ("close", "open", "timed_out")

    def __init__(self, close: list[C], timed_out: list[W], to_open: int) -> None:
        self.close = close
        self.timed_out = timed_out
        self.open = to_open


class Book(Generic[C, W, H]):
    """Who has which connection. See the module."""

    __slots__ = ("busy", "closed", "idle", "limits", "offered", "opening", "waiting")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.idle: list[C] = []  # the most recently used last
        self.busy: set[C] = set()
        self.offered: dict[C, Offer[H]] = {}  # of those that are busy; the oldest offer first
        self.opening = 0
        self.waiting: deque[Waiting[W]] = deque()
        self.closed = False

    @property
    def total(self) -> int:
        """Connections that are open or being opened."""
        return len(self.idle) + len(self.busy) + self.opening

    def try_acquire(self, flavour: object, preferred: C | None = None) -> C | None:
        """Lend an idle connection at once, or None: then `wait` is next.

        Nobody overtakes the line: while others wait there is nothing to lend.

        Args:
            flavour: The state that is wanted.
            preferred: The connection to be had again, if it happens to be idle.
        """
        idle = self.idle
        if not idle or self.waiting:
            return None
        connection = idle[-1]
        if preferred is not None and preferred in idle:
            connection = preferred
        elif connection.flavour is not flavour:
            for candidate in idle[-2 : -1 - FLAVOUR_SEARCH : -1]:
                if candidate.flavour is flavour:
                    connection = candidate
                    break
        if connection is idle[-1]:
            idle.pop()
        else:
            idle.remove(connection)
        self.busy.add(connection)
        return connection

    def wait(self, waiter: W, now: float) -> None:
        """Stand in line."""
        self.waiting.append(Waiting(waiter, now))

    def leave(self, waiter: W) -> bool:
        """Step out of the line; False when `waiter` was not in it."""
        for place in self.waiting:
            if place.waiter is waiter:
                self.waiting.remove(place)
                return True
        return False

    def to_open(self, now: float) -> int:
        """How many connections should be opened now; the caller counts them with `opening`."""
        if self.closed:
            return 0
        limits = self.limits
        wanted = max(len(self.waiting) - self.opening, limits.minimum - self.total)
        room = limits.size - self.total
        if room <= 0 and self.longest_wait(now) >= limits.reserve_after:
            room = limits.size + limits.reserve - self.total
        return max(0, min(wanted, room))

    def opened(self, connection: C, now: float) -> W | None:
        """Take in a connection that was `opening`; the first in line gets it, if any."""
        self.opening -= 1
        return self._lend_or_keep(connection, now)

    def open_failed(self) -> None:
        """An opening came to nothing."""
        self.opening -= 1

    def release(self, connection: C, now: float) -> W | None:
        """Take a connection back; the first in line gets it at once, if any."""
        self._take_back(connection)
        return self._lend_or_keep(connection, now)

    def remove(self, connection: C) -> None:
        """Forget a connection that is gone, whether lent or idle."""
        self._take_back(connection)
        if connection in self.idle:
            self.idle.remove(connection)

    def offer(self, connection: C, holder: H, now: float) -> None:
        """Note that its holder does not need a connection that is lent, until it is used again."""
        self.offered.pop(connection, None)
        self.offered[connection] = Offer(holder, now)

    def reclaim(self, now: float) -> list[tuple[C, H]]:
        """Say whom to ask for a connection that is offered: as many as are needed.

        An offer is forgotten then: who has used the connection since says so, and keeps it.
        """
        due: list[tuple[C, H]] = []
        for connection, offer in self.offered.items():
            if len(due) >= self._unserved() or now - offer.since < GRACE:
                break
            due.append((connection, offer.holder))
        for connection, _ in due:
            del self.offered[connection]
        return due

    def reclaim_in(self, now: float) -> float | None:
        """In how many seconds to `reclaim` again; None: nobody waits for what is offered."""
        if not self._unserved():
            return None
        for offer in self.offered.values():
            return max(0.0, offer.since + GRACE - now)
        return None

    def _unserved(self) -> int:
        """How many wait for whom nothing is being opened."""
        return max(0, len(self.waiting) - self.opening)

    def is_worn(self, connection: C, now: float) -> bool:
        """Tell if a connection must be closed instead of being lent again."""
        if self.closed or connection.retired:
            return True
        if now - connection.opened_at >= self.limits.lifetime * connection.share:
            return True
        return self.total > self.limits.size and not self.waiting

    def tick(self, now: float) -> Upkeep[C, W]:
        """Find what is overdue; meant to be called about once a second."""
        limits = self.limits
        timed_out: list[W] = []
        while self.waiting and now - self.waiting[0].since >= limits.wait_timeout:
            timed_out.append(self.waiting.popleft().waiter)
        spare = self.total - limits.minimum
        close: list[C] = []
        for connection in list(self.idle):
            unused = now - connection.idle_since >= limits.idle_timeout and spare > 0
            if unused or self.is_worn(connection, now):
                self.idle.remove(connection)
                close.append(connection)
                spare -= 1
        return Upkeep(close, timed_out, self.to_open(now))

    def longest_wait(self, now: float) -> float:
        """How long the first in line has been waiting, in seconds."""
        return now - self.waiting[0].since if self.waiting else 0.0

    def close(self) -> tuple[list[C], list[W]]:
        """Lend no more; returns what is idle, to be closed, and who waited in vain."""
        self.closed = True
        idle, self.idle = self.idle, []
        waiters = [place.waiter for place in self.waiting]
        self.waiting.clear()
        return idle, waiters

    def _take_back(self, connection: C) -> None:
        self.busy.discard(connection)
        if self.offered:
            self.offered.pop(connection, None)

    def _lend_or_keep(self, connection: C, now: float) -> W | None:
        if self.waiting:
            self.busy.add(connection)
            return self.waiting.popleft().waiter
        connection.idle_since = now
        self.idle.append(connection)
        return None
