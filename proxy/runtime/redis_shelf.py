"""The shelf of the cache's second level: Redis, or what speaks like it (Valkey, ElastiCache).

Everything that is asked for in one turn of the loop goes in one MGET. Whoever waits does so for
`l2_timeout` at most, however long Redis takes; and while it fails, nobody asks (`cache.breaker`):
that it is back is found out by a task of its own. Results are written by another task, which is
handed them and told of none; where too many wait they are dropped. Claims (`cache.second`) are set
and looked for as results are, and those that are ours are renewed by a third.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Final, NamedTuple, final

from proxy.cache.breaker import Breaker
from proxy.cache.sealed import PREFIX, Realm
from proxy.cache.second import LIFE, Lookup, Outcome, Stage, Statistics, Write
from proxy.observe.logs import Logger
from proxy.runtime.redis_clients import FAILURES, reason_of
from proxy.runtime.redis_stores import Cluster, OneServer, Store

log = Logger("cache")

GIVE_UP: Final = 1.0
"""Seconds after which a command that nobody waits for any more is given up, and its connection."""

SLOTS: Final = 4
"""Commands under way; what is asked meanwhile is gathered for the next one."""

TURNS: Final = 3
"""Turns of the loop in which what has come by the last moment is read: where the loop itself was
held up, timers go off before anybody has looked."""

MOST_WAITING: Final = 1000
MOST_BYTES: Final = 16 * 2**20
"""What may wait to be written: some tenths of a second of a busy proxy's results."""

PIPELINED: Final = 32
"""Results written at a time."""

RENEWED: Final = LIFE / 3
"""Seconds after which claims are renewed."""

IN_THREAD: Final = 16 * 2**10
"""Bytes above which a result is packed by a thread: 64 kB would hold up everything for 0.8 ms."""

_LIFE: Final = round(LIFE * 1000)

_PROBES: Final = (PREFIX + b"probe", PREFIX + b"sonde")
"""Where it is tried. One server of a cluster, asked as if it were alone, refuses two that have not
the same slot."""


class _Result(NamedTuple):
    name: bytes
    version: int
    pieces: tuple[bytes, ...]
    size: int


@final
class _Batch:
    """What was asked for in one turn of the loop."""

    __slots__ = ("is_over", "lookups", "timer")

    def __init__(self) -> None:
        self.lookups: list[Lookup] = []
        self.is_over = False  # its lookups may be about something else since
        self.timer: asyncio.TimerHandle | None = None


@final
class RedisShelf:
    """See the module. Made in a running loop; `start` sets it to work.

    Args:
        group: The server group's name, for the log.
        url: As the settings have it.
        is_cluster: Whether it is in cluster mode.
        realm: Whose results these are.
        statistics: Where it is counted what has become of results.
        timeout: Seconds that a fetch may take.
        lifetime: Seconds after which Redis forgets a result.
        compress_above: Bytes that are not worth to be compressed.
    """

    def __init__(
        self,
        group: str,
        url: str,
        realm: Realm,
        statistics: Statistics,
        *,
        is_cluster: bool,
        timeout: float,
        lifetime: float,
        compress_above: int,
    ) -> None:
        self.breaker = Breaker()
        self._group = group
        self._realm = realm
        self._writes = statistics.writes
        self._timeout = timeout
        self._lifetime = max(1, round(lifetime * 1000))
        self._compress_above = compress_above
        self._clock = monotonic
        self._store: Store = Cluster(url, GIVE_UP) if is_cluster else OneServer(url, GIVE_UP)
        self._forming: _Batch | None = None
        self._waiting: list[_Batch] = []
        self._busy = 0
        self._results: deque[_Result] = deque()
        self._bytes = 0
        self._has_results = asyncio.Event()
        self._claims: dict[bytes, float] = {}  # ours, and until when
        self._has_claims = asyncio.Event()
        self._is_down = asyncio.Event()
        self._is_down.set()
        self._has_said = False
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, spawn: Callable[[Coroutine[Any, Any, None]], None]) -> None:
        """Begin to try it, and to write to it."""
        spawn(self._keep_trying())
        spawn(self._keep_writing())
        spawn(self._keep_claims())

    async def close(self) -> None:
        """Hang up. What is asked for then is late."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._store.close()

    # Fetching.

    @property
    def is_open(self) -> bool:
        """See `Shelf`."""
        return self.breaker.allows

    def get(self, lookup: Lookup) -> bool:
        """See `Shelf`."""
        if not self.is_open:
            return False
        batch = self._forming
        if batch is None:
            loop = asyncio.get_running_loop()
            batch = self._forming = _Batch()
            batch.timer = loop.call_later(self._timeout, self._too_late, batch, TURNS)
            loop.call_soon(self._turn_is_over)
        batch.lookups.append(lookup)
        return True

    def get_later(self, lookup: Lookup, seconds: float) -> None:
        """See `Shelf`."""
        asyncio.get_running_loop().call_later(seconds, self._get_now, lookup)

    def _get_now(self, lookup: Lookup) -> None:
        if not lookup.is_over and not self.get(lookup):
            lookup.give_up(Outcome.SKIPPED, self._clock())

    def _turn_is_over(self) -> None:
        if self._forming is not None:
            self._waiting.append(self._forming)
            self._forming = None
        self._send()

    def _send(self) -> None:
        if self._waiting and self._busy < SLOTS:
            batches, self._waiting = self._waiting, []
            self._busy += 1
            task = asyncio.get_running_loop().create_task(self._fetch(batches))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fetch(self, batches: list[_Batch]) -> None:
        lookups = [lookup for batch in batches for lookup in batch.lookups if not lookup.is_over]
        began = self._clock()
        try:
            if not self.breaker.allows:
                for lookup in lookups:
                    lookup.give_up(Outcome.SKIPPED, began)
            elif lookups:
                async with asyncio.timeout(GIVE_UP):
                    found, claimed = await self._ask(lookups)
                self._has_come(batches, began)
                _tell(lookups, found, claimed, self._clock())
        except FAILURES as error:
            self._has_failed(error)
            for lookup in lookups:
                lookup.give_up(Outcome.FAILED, self._clock())
        finally:
            self._busy -= 1
            self._send()

    async def _ask(
        self, lookups: list[Lookup]
    ) -> tuple[dict[bytes, bytes | None], dict[bytes, bool]]:
        """Ask for what they want: what stands under each key, and which claims are ours now."""
        keys: dict[bytes, None] = {}
        claims: dict[bytes, None] = {}
        for lookup in lookups:
            if lookup.stage is Stage.CLAIM:
                claims[lookup.claim] = None
                continue
            keys[lookup.name] = None
            if lookup.stage is Stage.BOTH:
                keys[lookup.claim] = None
        found: list[bytes | None] = []
        claimed: list[bool] = []
        if claims:
            claimed = await self._store.claim([_place(it) for it in claims], _LIFE)
        if keys:
            found = await self._store.fetch([_place(it) for it in keys])
        return dict(zip(keys, found, strict=True)), dict(zip(claims, claimed, strict=True))

    def _has_come(self, batches: list[_Batch], began: float) -> None:
        if self._clock() - began <= self._timeout:
            self.breaker.answered()
        for batch in batches:
            batch.is_over = True
            if batch.timer is not None:
                batch.timer.cancel()

    def _too_late(self, batch: _Batch, turns: int) -> None:
        """Nobody waits for a batch any longer."""
        if batch.is_over:
            return
        overdue = [lookup for lookup in batch.lookups if not lookup.is_over]
        now = self._clock()
        if overdue and turns:
            asyncio.get_running_loop().call_soon(self._too_late, batch, turns - 1)
            return
        if overdue:
            self.breaker.late(now)
            self._look_at_breaker(f"it takes longer than {self._timeout * 1000:g} ms")
        for lookup in overdue:
            lookup.give_up(Outcome.LATE, now)

    # Keeping.

    def put(self, name: bytes, version: int, pieces: tuple[bytes, ...]) -> None:
        """See `Shelf`."""
        size = sum(map(len, pieces))
        if not self.is_open:
            self._writes.count(Write.SKIPPED)
        elif len(self._results) >= MOST_WAITING or self._bytes + size > MOST_BYTES:
            self._writes.count(Write.DROPPED)
        else:
            self._results.append(_Result(name, version, pieces, size))
            self._bytes += size
            self._has_results.set()

    async def _keep_writing(self) -> None:
        while True:
            await self._has_results.wait()
            batch = self._next_results()
            if not batch:
                self._has_results.clear()
            elif not self.breaker.allows:
                self._count(Write.SKIPPED, len(batch))
            else:
                await self._write(batch)

    def _next_results(self) -> list[_Result]:
        results = self._results
        batch = [results.popleft() for _ in range(min(PIPELINED, len(results)))]
        self._bytes -= sum(result.size for result in batch)
        return batch

    async def _write(self, batch: list[_Result]) -> None:
        try:
            async with asyncio.timeout(GIVE_UP):
                values = [(_place(each.name), await self._seal(each)) for each in batch]
                await self._store.keep(values, self._lifetime)
        except FAILURES as error:
            self._has_failed(error)
            self._count(Write.FAILED, len(batch))
        else:
            self._count(Write.STORED, len(batch))

    async def _seal(self, result: _Result) -> bytes:
        seal = self._realm.seal
        asked = (result.name, result.version, result.pieces, self._compress_above)
        if result.size < IN_THREAD:
            return seal(*asked)
        return await asyncio.to_thread(seal, *asked)

    def _count(self, outcome: Write, times: int) -> None:
        for _ in range(times):
            self._writes.count(outcome)

    # Claims.

    def hold(self, claim: bytes, until: float) -> None:
        """See `Shelf`."""
        self._claims[claim] = until
        self._has_claims.set()

    def let_go(self, claim: bytes) -> None:
        """See `Shelf`."""
        self._claims.pop(claim, None)

    async def _keep_claims(self) -> None:
        while True:
            await self._has_claims.wait()
            await asyncio.sleep(RENEWED)
            now = self._clock()
            self._claims = {claim: until for claim, until in self._claims.items() if until > now}
            if not self._claims:
                self._has_claims.clear()
            elif self.breaker.allows:
                await self._renew([_place(claim) for claim in self._claims])

    async def _renew(self, keys: list[bytes]) -> None:
        try:
            async with asyncio.timeout(GIVE_UP):
                await self._store.renew(keys, _LIFE)
        except FAILURES as error:
            self._has_failed(error)

    # Whether it works.

    def _has_failed(self, error: Exception) -> None:
        self.breaker.failed(self._clock())
        self._look_at_breaker(reason_of(error))

    def _look_at_breaker(self, why: str) -> None:
        if not self.breaker.allows:
            self._say_skipped(why)
            self._is_down.set()

    async def _keep_trying(self) -> None:
        breaker = self.breaker
        while True:
            await self._is_down.wait()
            await asyncio.sleep(breaker.wait(self._clock()))
            breaker.try_now()
            why = await self._why_unfit()
            if why:
                breaker.failed(self._clock())
                self._say_skipped(why)
            else:
                self._is_down.clear()
                breaker.tried()
                self._say_asked()

    async def _why_unfit(self) -> str:
        """Try it: whether it can be written to and read from, and how quickly; empty: it is fit."""
        try:
            async with asyncio.timeout(GIVE_UP):
                await self._store.keep([(probe, b"") for probe in _PROBES], 1000)
                began = self._clock()
                await self._store.fetch(_PROBES)
        except FAILURES as error:
            return reason_of(error)
        seconds = self._clock() - began
        if seconds <= self._timeout:
            return ""
        return f"it takes {seconds * 1000:.1f} ms, and may take {self._timeout * 1000:g} ms"

    def _say_skipped(self, why: str) -> None:
        if not self._has_said:
            self._has_said = True
            log.warning("the second level of the cache is skipped", group=self._group, why=why)

    def _say_asked(self) -> None:
        log.info("the second level of the cache is asked", group=self._group)
        self._has_said = False


def _tell(
    lookups: list[Lookup],
    found: dict[bytes, bytes | None],
    claimed: dict[bytes, bool],
    now: float,
) -> None:
    """Tell those who have asked. Of two who want the same claim one gets it."""
    for lookup in lookups:
        if lookup.stage is Stage.CLAIM:
            lookup.claimed(now, is_ours=claimed.get(lookup.claim, False))
            claimed[lookup.claim] = False
        else:
            is_claimed = found.get(lookup.claim) is not None
            lookup.answered(found[lookup.name], now, is_claimed=is_claimed)


def _place(name: bytes) -> bytes:
    """Say under which key an entry stands in Redis."""
    return PREFIX + name.hex().encode()
