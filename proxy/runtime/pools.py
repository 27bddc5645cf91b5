"""The pools: opens what the books ask for, and tells those who wait.

A pool is of one (server, user, database). All decisions about lending are in `proxy.pool.book`;
here are the tasks that open connections, and what an opening that fails means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from time import monotonic
from typing import Final, cast, final

from proxy.errors import ClientVisibleError, PoolTimeout, ServerRefused, ShuttingDown
from proxy.observe.logs import Logger
from proxy.pool.book import Book, Limits
from proxy.runtime.server import ServerConnection
from proxy.session.ports import Holder, Link, Waiter
from proxy.session.state import SessionState
from proxy.topology.group import Server
from proxy.types import Role

log = Logger("pool")

REMEMBERED: Final = 1000
"""Pools whose refusals are remembered, so that each is told of once; then it begins anew."""

FORGOTTEN_AFTER: Final = 5.0
"""Seconds for which an empty pool is kept: long enough to be seen by whoever looks at metrics."""

Opener = Callable[[], Awaitable[ServerConnection]]


@final
class Pool:
    """Server connections of one user to one database on one server."""

    def __init__(
        self,
        server: Server,
        user: str,
        database: str,
        limits: Limits,
        opener: Opener,
        retry: float,
        unreachable: Callable[[Server, str, bool], None],
        refusals: dict[str, str],
    ) -> None:
        self.name = f"{user}@{server.name}/{database}"
        self.server = server
        self.user = user
        self.database = database
        self.book: Book[ServerConnection, Waiter, Holder] = Book(limits)
        self._opener = opener
        self._retry = retry
        self._unreachable = unreachable  # is told why, and whether the server is only full
        self._last_failure = ""
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reclaiming: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        self._is_refused = False  # the last login was, by the server's own word
        self._refusals = refusals  # by replicas, that were told of, by the names of pools
        self._refused_until = 0.0
        self._used_at = monotonic()
        self.patient = True  # whether to stay in line when the server can't be reached

    def try_acquire(
        self, flavour: SessionState, preferred: Link | None = None
    ) -> ServerConnection | None:
        """Lend an idle connection at once, or None."""
        return self.book.try_acquire(flavour, cast(ServerConnection | None, preferred))

    def wait(self, waiter: Waiter) -> None:
        """Stand in line; a connection is opened if there is room for one."""
        now = monotonic()
        self.book.wait(waiter, now)
        if now < self._not_before and not self.patient and not self.book.total:
            self._turn_to_others()  # nothing will come free here before the next try
            return
        if now < self._refused_until and not self.book.total and self.server.role is Role.REPLICA:
            self._turn_to_others()
            return
        self._open_more()
        self._reclaim()

    def leave(self, waiter: Waiter) -> None:
        """Step out of the line."""
        self.book.leave(waiter)

    def release(self, connection: ServerConnection) -> None:
        """Take a connection back, or let it go if it is worn."""
        now = monotonic()
        is_going = connection.is_lost or connection.exchange.farewell is not None
        if is_going or self.book.is_worn(connection, now):
            self.discard(connection)
            return
        waiter = self.book.release(connection, now)
        if waiter is not None:
            waiter.acquired(connection)

    def offer(self, connection: ServerConnection, holder: Holder) -> None:
        """Let a connection be asked for that is lent, and not used."""
        self.book.offer(connection, holder, monotonic())
        self._reclaim()

    def discard(self, connection: ServerConnection) -> None:
        """Close a connection for good."""
        self.book.remove(connection)
        connection.close()
        self._open_more()

    def retire(self, keep: int = 0) -> None:
        """Lend none of the present connections again: they are of another incarnation.

        Args:
            keep: Those to the database of this number are none of them.
        """
        book = self.book
        for connection in [it for it in book.idle if it.facts.database != keep]:
            book.remove(connection)
            connection.close()
        for connection in book.busy:
            if connection.facts.database != keep:
                connection.retired = True

    def try_again(self) -> None:
        """Wait no longer with opening what is wanted: the server may be well again."""
        self._not_before = 0.0
        self._open_more()

    def is_over(self, now: float) -> bool:
        """Tell if nobody needs this pool: it holds nothing, and has not for a while."""
        book = self.book
        if book.total or book.waiting:
            self._used_at = now
            return False
        is_kept = book.limits.minimum > 0 and not self._is_refused
        return not is_kept and now - self._used_at >= FORGOTTEN_AFTER

    def close_idle(self) -> None:
        """Close what nobody has."""
        for connection in list(self.book.idle):
            self.book.remove(connection)
            connection.close()

    def turn_away(self, error: ClientVisibleError) -> None:
        """Tell everybody in line that there is nothing to be had here."""
        for waiter in self.clear_line():
            waiter.not_acquired(error)

    def clear_line(self) -> list[Waiter]:
        """Send everybody in line away; the caller tells them where to."""
        waiters = [place.waiter for place in self.book.waiting]
        self.book.waiting.clear()
        return waiters

    def upkeep(self, now: float) -> None:
        """Close what is overdue, end waits that are too long, open what should be there."""
        due = self.book.tick(now)
        for connection in due.close:
            connection.close()
        limits = self.book.limits
        for waiter in due.timed_out:
            waiter.not_acquired(
                PoolTimeout(
                    f"no server connection came free in {limits.wait_timeout:g} s"
                    f" (pool {self.name}, {len(self.book.busy)} busy,"
                    f" {len(self.book.waiting)} waiting)",
                    detail=self._last_failure,
                )
            )
        self._open_more()
        self._reclaim()

    async def close(self) -> None:
        """Close idle connections and refuse whoever waits; busy ones go when they are released."""
        idle, waiters = self.book.close()
        for connection in idle:
            connection.close()
        for waiter in waiters:
            waiter.not_acquired(ShuttingDown("the proxy is shutting down"))
        if self._reclaiming is not None:
            self._reclaiming.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _open_more(self) -> None:
        now = monotonic()
        if now < self._not_before or (self._is_refused and not self.book.waiting):
            return
        for _ in range(self.book.to_open(now)):
            self.book.opening += 1
            task = self._loop.create_task(self._open())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def _reclaim(self) -> None:
        """Ask for what is offered, for those who would get nothing else."""
        book = self.book
        if not book.offered:
            return
        now = monotonic()
        while due := book.reclaim(now):
            for connection, holder in due:
                holder.asked_for(connection)
        delay = book.reclaim_in(now)
        if delay is not None and self._reclaiming is None:
            self._reclaiming = self._loop.call_later(delay, self._reclaim_again)

    def _reclaim_again(self) -> None:
        self._reclaiming = None
        self._reclaim()

    async def _open(self) -> None:
        try:
            connection = await self._opener()
        except ServerRefused as refusal:
            self.book.open_failed()
            self._refused(refusal)
        except (ClientVisibleError, OSError) as error:
            self.book.open_failed()
            self._failed(str(error))
        except BaseException:
            self.book.open_failed()
            raise
        else:
            self._opened(connection)

    def _opened(self, connection: ServerConnection) -> None:
        self._is_refused = False
        self._last_failure = ""
        self._refusals.pop(self.name, None)
        connection.on_lost = self._lost
        now = monotonic()
        if connection.is_lost or connection.incarnation != self.server.incarnation:
            self.book.open_failed()
            connection.close()
            self._open_more()
            return
        if self.book.closed:
            self.book.open_failed()
            connection.close()
            return
        waiter = self.book.opened(connection, now)
        if waiter is not None:
            waiter.acquired(connection)

    def _lost(self, connection: ServerConnection) -> None:
        self.book.remove(connection)
        self._open_more()

    def _refused(self, error: ServerRefused) -> None:
        if error.is_full:
            self._failed(error.message, is_full=True)
        elif error.is_passing:
            self._failed(error.message)
        else:
            self._is_refused = True
            if self.server.role is Role.REPLICA:
                self._refused_by_replica(error)
            self.turn_away(error)

    def _refused_by_replica(self, error: ServerRefused) -> None:
        """The primary serves what this would have, and no client hears why: the operator must.

        Others than this user may be served well here. It is asked again after a while only.
        """
        self._last_failure = error.message
        self._refused_until = monotonic() + self._retry
        if self._refusals.get(self.name) != error.message:
            if len(self._refusals) >= REMEMBERED:
                self._refusals.clear()
            self._refusals[self.name] = error.message
            log.warning("a replica refuses a user", pool=self.name, error=error.message)

    def _failed(self, reason: str, *, is_full: bool = False) -> None:
        now = monotonic()
        if now >= self._not_before:  # not for each of those that were being opened at once
            log.warning("no connection opened", pool=self.name, error=reason)
            self._loop.call_later(self._retry, self.try_again)
        self._last_failure = reason
        self._unreachable(self.server, reason, is_full)
        self._not_before = now + self._retry
        if not self.patient:
            self._turn_to_others()

    def _turn_to_others(self) -> None:
        self.turn_away(
            PoolTimeout(f"server {self.server.name} can't be reached: {self._last_failure}")
        )


@final
class Pools:
    """All pools of one server group, made as they are asked for."""

    def __init__(self, make: Callable[[Server, str, str], Pool]) -> None:
        self._make = make
        self._pools: dict[tuple[str, str, str], Pool] = {}

    def of(self, server: Server, user: str, database: str) -> Pool:
        """Find or make the pool of a user and database on a server."""
        key = (server.name, user, database)
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = self._make(server, user, database)
        return pool

    def __iter__(self) -> Iterator[Pool]:
        return iter(self._pools.values())

    def on(self, server: Server) -> list[Pool]:
        """Find the pools on one server."""
        return [pool for pool in self._pools.values() if pool.server is server]

    def upkeep(self, now: float) -> None:
        """See `Pool.upkeep`. Pools that nobody needs are forgotten: clients name what they like."""
        for key, pool in list(self._pools.items()):
            pool.upkeep(now)
            if pool.is_over(now):
                del self._pools[key]

    async def close(self) -> None:
        """Close them all."""
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))
