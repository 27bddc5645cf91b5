"""The first level of the cache: results in memory, bounded in bytes.

Eviction is S3-FIFO: three first-in first-out queues. A new result enters a *small* queue
(a tenth of the room); only what was asked for again on its way through goes on to the
*main* one, so a scan passes through the tenth and leaves the rest alone. What fell out of
the small queue is remembered by its hash, a *ghost*; should it come back soon, it goes
straight to the main one. A hit moves nothing: it counts.

J. Yang, Y. Zhang, Z. Qiu, Y. Yue, K. V. Rashmi: FIFO Queues are All You Need for Cache
Eviction, SOSP 2023, https://doi.org/10.1145/3600006.3613147.

What a commit made stale is not hunted: it is dropped when it is found, or falls out.
"""

from __future__ import annotations

from collections import deque
from math import inf
from typing import Final, final

from proxy.cache.admission import Worth
from proxy.cache.entry import Answer, Context, Entry, Limits, Queue
from proxy.cache.key import Key
from proxy.freshness.tables import NEVER, ReadSet

SMALL_SHARE: Final = 10
"""The small queue gets one part in ten of the room."""

MOST_HEAT: Final = 3
"""Hits beyond these don't keep an entry any longer: what was hot once must cool down."""

MOST_ANSWERS: Final = 8
"""Forms of a request that find an entry at once, the latest; others find it by its key."""


@final
class Use:
    """What a cached result is good enough for.

    Attributes:
        is_strong: Whether it must be what the primary would say now.
        max_age: Seconds since it was kept, at most.
        oldest: Since when nothing may be missing from it; of `eventual`, since when it is kept.
        by_filling: Whether the latter counts.
        handed_at: What had been acknowledged at this time must be in it, in any case.
    """

    __slots__ = ("by_filling", "handed_at", "is_strong", "max_age", "oldest")

    def __init__(
        self,
        *,
        is_strong: bool,
        max_age: float,
        oldest: float,
        by_filling: bool,
        handed_at: float = -inf,
    ) -> None:
        self.is_strong = is_strong
        self.max_age = max_age
        self.oldest = oldest
        self.by_filling = by_filling
        self.handed_at = handed_at

    def allows(self, entry: Entry) -> bool:
        """Tell whether an entry that may not be current is good enough."""
        if self.is_strong or entry.current_at <= self.handed_at:
            return False
        return (entry.filled_at if self.by_filling else entry.current_at) >= self.oldest


@final
class Store:
    """Finds, keeps and forgets results.

    Args:
        capacity: Bytes of memory for everything, by measured costs.
        max_entry_bytes: Larger results are not kept, and need not be gathered; nor are those
            that don't fit into the small queue.

    Attributes:
        fills: Results stored.
        overtaken: Results not stored, since a commit came before their last byte.
        stale: Results found outdated and dropped.
        evicted: Results dropped for room.
    """

    __slots__ = (
        "_context_bytes",
        "_ghosts",
        "_ghosts_in_order",
        "_main",
        "_small",
        "capacity",
        "evicted",
        "fills",
        "max_entry_bytes",
        "overtaken",
        "stale",
    )

    def __init__(self, capacity: int, max_entry_bytes: int) -> None:
        self.capacity = capacity
        self.max_entry_bytes = max_entry_bytes
        self.fills = self.overtaken = self.stale = self.evicted = 0
        self._small = Queue()
        self._main = Queue()
        self._ghosts: set[int] = set()
        self._ghosts_in_order: deque[int] = deque()
        self._context_bytes = 0

    @property
    def used(self) -> int:
        """Bytes in use."""
        return self._small.used + self._main.used + self._context_bytes

    def __len__(self) -> int:
        return self._small.count + self._main.count

    # Looking.

    def find_answer(
        self, answers: dict[bytes, Answer], request: bytes, now: float
    ) -> Answer | None:
        """Find the ready answer to a request, if it is what the primary would say now.

        Args:
            answers: The context's; or those of one prepared statement, where the request
                names it and means something else in another session.
            request: Bytes as they came.
            now: The time by which the ledger counts.
        """
        answer = answers.get(request)
        if answer is None:
            return None
        entry = answer.entry
        if entry.context.ledger.fast_ok(entry.read_set, entry.version, now):
            if answer.limits is not None and not answer.limits.allow(entry, now):
                return None
            entry.heat += 1
            entry.worth.hits += 1.0
            return answer
        self._refuse(entry)
        return None

    def find(self, context: Context, key: Key, now: float) -> Entry | None:
        """Find a result by what was asked, if it is what the primary would say now."""
        entry = context.entries.get(key)
        if entry is None:
            return None
        if context.ledger.fast_ok(entry.read_set, entry.version, now):
            entry.heat += 1
            entry.worth.hits += 1.0
            return entry
        self._refuse(entry)
        return None

    def find_by(
        self, context: Context, key: Key, now: float, use: Use, *, generation: int
    ) -> Entry | None:
        """Find a result that is good enough for a contract, or young enough for a rule.

        Args:
            context: How it is asked for.
            key: What is asked.
            now: The time by which everything is counted.
            use: What is good enough.
            generation: Of the catalogs: a result of another one may have been of other tables,
                or of somebody who had the right to see them.
        """
        entry = context.entries.get(key)
        if entry is None or now - entry.filled_at > use.max_age:
            return None
        if context.ledger.fast_ok(entry.read_set, entry.version, now):
            entry.current_at = now
        elif not use.allows(entry) or entry.generation != generation:
            if use.is_strong:
                self._refuse(entry)
            return None
        entry.heat += 1
        entry.worth.hits += 1.0
        return entry

    def has(self, context: Context, key: Key, now: float, use: Use, *, generation: int) -> bool:
        """Tell whether `find_by` would find a result now; nothing is counted."""
        entry = context.entries.get(key)
        if entry is None or now - entry.filled_at > use.max_age:
            return False
        if context.ledger.fast_ok(entry.read_set, entry.version, now):
            return True
        return use.allows(entry) and entry.generation == generation

    # Keeping.

    def fill(
        self,
        context: Context,
        key: Key,
        pieces: tuple[bytes, ...],
        *,
        read_set: ReadSet,
        version: int,
        worth: Worth,
        now: float,
        generation: int = -1,
        is_current: bool = True,
        current_at: float | None = None,
    ) -> Entry | None:
        """Keep a result, at its last byte.

        Args:
            context: How it was asked for.
            key: What was asked.
            pieces: The whole reply.
            read_set: What it depends on.
            version: The version of that, taken before the statement was sent.
            worth: The statistics of the statement.
            now: The time by which the ledger counts.
            generation: Of the catalogs that it was asked for by.
            is_current: Whether whoever answered was to have all that the tables need.
            current_at: Since when something may be missing from it, where it is wanted even so.

        Returns:
            The entry; None when it was overtaken by a commit, or is too large.
        """
        stamp = context.ledger.stamp(read_set, version, now) if is_current else None
        if stamp is None and current_at is None:
            self.overtaken += 1
            worth.leave()
            return None
        entry = Entry(context, key, pieces, read_set, NEVER if stamp is None else stamp, worth)
        entry.generation = generation
        entry.filled_at = now
        entry.current_at = now if stamp is not None or current_at is None else current_at
        if entry.cost > min(self.max_entry_bytes, self.capacity // SMALL_SHARE):
            return None
        replaced = context.entries.get(key)
        if replaced is not None:
            self.drop(replaced)
        if not context.entries:
            self._context_bytes += context.cost
        context.entries[key] = entry
        self._queue_for(entry).append(entry)
        self.fills += 1
        self._make_room()
        return entry

    def remember(
        self,
        entry: Entry,
        answers: dict[bytes, Answer],
        request: bytes,
        pieces: tuple[bytes, ...],
        limits: Limits | None = None,
    ) -> None:
        """Let a request find an entry at once when it comes again.

        Args:
            entry: What answers it.
            answers: Where the request has this meaning.
            request: Bytes as they came.
            pieces: The whole reply, made of the entry's pieces where it can be.
            limits: What it must keep to besides freshness.
        """
        if entry.queue is None or request in answers:
            return
        if len(entry.answers) == MOST_ANSWERS:
            self._forget_oldest_answer(entry)
        answer = answers[request] = Answer(entry, pieces, answers, request)
        answer.limits = limits
        entry.answers += (answer,)
        self._charge(entry, answer.cost)
        self._make_room()

    # Forgetting.

    def drop(self, entry: Entry) -> None:
        """Take an entry out, with every way that leads to it."""
        queue = entry.queue
        if queue is None:
            return
        queue.remove(entry)
        for answer in entry.answers:
            del answer.home[answer.request]
        entry.answers = ()
        context = entry.context
        del context.entries[entry.key]
        if not context.entries:
            context.release()
            self._context_bytes -= context.cost
        entry.worth.leave()
        self._trim_ghosts()

    def clear(self) -> None:
        """Forget everything."""
        for queue in (self._small, self._main):
            while queue.oldest is not None:
                self.drop(queue.oldest)
        self._ghosts.clear()
        self._ghosts_in_order.clear()

    def _refuse(self, entry: Entry) -> None:
        # While a commit is pending an entry is neither served nor stale: a rollback
        # makes it good again.
        if entry.context.ledger.version(entry.read_set) != entry.version:
            self.drop(entry)
            self.stale += 1

    def _forget_oldest_answer(self, entry: Entry) -> None:
        oldest, *_ = entry.answers
        del oldest.home[oldest.request]
        entry.answers = entry.answers[1:]
        self._charge(entry, -oldest.cost)

    def _charge(self, entry: Entry, cost: int) -> None:
        entry.cost += cost
        if entry.queue is not None:
            entry.queue.used += cost

    def _queue_for(self, entry: Entry) -> Queue:
        ghost = hash((entry.context, entry.key))
        if ghost in self._ghosts:
            self._ghosts.discard(ghost)
            return self._main
        return self._small

    def _make_room(self) -> None:
        while self.used > self.capacity:
            if self._small.used * SMALL_SHARE >= self.capacity or not self._main.count:
                self._evict_small()
            else:
                self._evict_main()

    def _evict_small(self) -> None:
        entry = self._small.oldest
        if entry is None:
            return
        if entry.heat > 1:
            self._small.remove(entry)
            entry.heat = 0
            self._main.append(entry)
        else:
            self._evict(entry)
            self._leave_ghost(entry)

    def _evict_main(self) -> None:
        entry = self._main.oldest
        if entry is None:
            return
        if entry.heat > 0:
            self._main.remove(entry)
            entry.heat = min(entry.heat, MOST_HEAT) - 1
            self._main.append(entry)
        else:
            self._evict(entry)

    def _evict(self, entry: Entry) -> None:
        self.drop(entry)
        self.evicted += 1

    def _leave_ghost(self, entry: Entry) -> None:
        ghost = hash((entry.context, entry.key))
        self._ghosts.add(ghost)
        self._ghosts_in_order.append(ghost)
        self._trim_ghosts()

    def _trim_ghosts(self) -> None:
        """Keep no more ghosts than entries: an entry's cost counts the place of one."""
        while len(self._ghosts_in_order) > len(self):
            self._ghosts.discard(self._ghosts_in_order.popleft())
