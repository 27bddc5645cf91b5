"""One control connection per server, kept open: it says what the server is and how far it is.

Its lifetime is the server's incarnation (see `group`); it is asked once per
interval, and at once when somebody wants a position. What a failure means is decided elsewhere.
How a server is asked is its engine's: a `Link`. PostgreSQL's is here, an adapter to asyncpg.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, NamedTuple, Protocol, cast, final

import asyncpg

from proxy.observe.logs import Logger
from proxy.topology.group import Server, Sighting
from proxy.types import Position, Role

log = Logger("topology")

_SIGHT: Final = """
SELECT pg_is_in_recovery(),
       (SELECT system_identifier FROM pg_control_system()),
       CASE WHEN pg_is_in_recovery()
            THEN (SELECT greatest(c.timeline_id, r.min_recovery_end_timeline, w.received_tli)
                  FROM pg_control_checkpoint() c
                  CROSS JOIN pg_control_recovery() r
                  LEFT JOIN pg_stat_wal_receiver w ON true)
            ELSE ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::int
       END,
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() - '0/0'::pg_lsn
            ELSE pg_current_wal_insert_lsn() - '0/0'::pg_lsn
       END::bigint
"""
"""Works as an unprivileged role. The timeline of a replica is the newest of three places that
learn of it at different times; `received_tli` is NULL without the rights of pg_monitor."""

_IS_THERE: Final = """
SELECT EXISTS (SELECT FROM pg_stat_get_activity($1)
               WHERE backend_start IS NULL
                  OR abs(extract(epoch FROM backend_start)::float8 - $2) < 0.001)
"""
"""Whether a server process is still there. Its start is NULL where we may not see it: then it may
be the one that is meant."""

_IS_BUSY: Final = """
SELECT EXISTS (SELECT FROM pg_stat_get_activity($1)
               WHERE CASE WHEN state <> 'disabled' THEN state NOT LIKE 'idle%'
                          ELSE EXISTS (SELECT FROM pg_catalog.pg_locks
                                       WHERE pid = $1 AND locktype = 'virtualxid') END)
"""
"""Whether a server process may be running something. Who may not see its state (pg_read_all_stats),
or where `track_activities` is off, sees whether it has a transaction: in one it may be."""

_PAGE: Final = 8192
_HEADER: Final = 24
"""Of a page of the log. The first page of a segment has a longer one, and is left alone: what a
segment's size is would have to be asked."""

QUICK_FIRST: Final = 0.001
QUICK_LAST: Final = 0.064
"""Seconds between two questions while somebody waits for a position: short at first, doubling,
so that a replica that is long behind is not asked a thousand times a second."""

RETRY_FIRST: Final = 0.05
RETRY_LAST: Final = 1.0
"""Seconds between two attempts to see a server again: doubling, as a restart takes half a second
and a dead host minutes."""

FAILURES: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # of a connection that the server has said goodbye on
)
"""What a control connection may fail with."""


@dataclass(slots=True, frozen=True)
class Control:
    """How the control connections are made. Times in seconds."""

    user: str
    password: str
    database: str
    application_name: str
    tls: ssl.SSLContext | bool | str
    interval: float
    timeout: float


class Watcher(Protocol):
    """Who is told what a witness finds."""

    def met(self, server: Server) -> None:
        """A new witness stands: a new incarnation of the server begins."""

    def asking(self, server: Server) -> None:
        """The question is being sent: what was acknowledged by now is covered by the answer."""

    def saw(self, server: Server, sighting: Sighting) -> None:
        """The server answered."""

    def lost(self, server: Server, error: str) -> None:
        """The witness is gone, or none could be had."""


class Sight(NamedTuple):
    """What a server said of itself: a `Sighting` without its times."""

    role: Role
    system: int
    timeline: int
    position: Position


class Link(Protocol):
    """One control connection, as a witness uses it. What fails, fails with one of `FAILURES`."""

    async def look(self) -> Sight:
        """Ask the server what it is and how far it is."""

    async def fence(self, pid: int, start: float) -> bool:
        """End a session of a client's: see `Witness.fence`."""

    async def is_busy(self, pid: int) -> bool:
        """Tell whether a session may be running something: see `Witness.is_busy`."""

    def close(self) -> None:
        """Let go, without a farewell."""


OpenLink = Callable[["Control", Server, Callable[[], None]], Awaitable[Link]]
"""Opens one to a server; what is passed is called when it turns out to be broken."""


async def connect(
    control: Control, server: Server, database: str | None = None
) -> asyncpg.Connection[Any]:
    """Open a control connection."""
    return await asyncpg.connect(
        host=server.host,
        port=server.port,
        user=control.user,
        password=control.password or None,
        database=database or control.database,
        ssl=control.tls,
        timeout=control.timeout,
        command_timeout=control.timeout,
        server_settings={
            "application_name": control.application_name,
            "search_path": "",
            "statement_timeout": "0",
            "default_transaction_isolation": "read committed",
        },
    )


@final
class PostgresLink:
    """A control connection to PostgreSQL."""

    __slots__ = ("_connection",)

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        self._connection = connection

    async def look(self) -> Sight:
        row = await self._connection.fetchrow(_SIGHT)
        recovering, system, timeline, position = cast(tuple[bool, int, int, int | None], row)
        role = Role.REPLICA if recovering else Role.PRIMARY
        return Sight(role, system, timeline & 0xFFFF_FFFF, reachable(position or 0))

    async def fence(self, pid: int, start: float) -> bool:
        connection = self._connection
        if not await connection.fetchval(_IS_THERE, pid, start):
            return True
        with contextlib.suppress(asyncpg.InsufficientPrivilegeError):
            await connection.fetchval("SELECT pg_terminate_backend($1)", pid)
        return not await connection.fetchval(_IS_THERE, pid, start)

    async def is_busy(self, pid: int) -> bool:
        return bool(await self._connection.fetchval(_IS_BUSY, pid))

    def close(self) -> None:
        self._connection.terminate()


async def open_postgres(
    control: Control, server: Server, broken: Callable[[], None]
) -> PostgresLink:
    """Open a link to PostgreSQL."""
    connection = await connect(control, server)
    connection.add_termination_listener(lambda _: broken())
    return PostgresLink(connection)


@final
class Witness:
    """Keeps one server in sight. `run` is its task.

    Args:
        server: Which one.
        control: How its control connection is made.
        watcher: Who is told.
        open_link: By the server's engine.
    """

    __slots__ = (
        "_asked",
        "_control",
        "_link",
        "_open_link",
        "_server",
        "_turn",
        "_waiting",
        "_wanted",
        "_watcher",
    )

    def __init__(
        self,
        server: Server,
        control: Control,
        watcher: Watcher,
        open_link: OpenLink = open_postgres,
    ) -> None:
        self._server = server
        self._control = control
        self._watcher = watcher
        self._open_link = open_link
        self._link: Link | None = None
        self._turn = asyncio.Lock()  # one question at a time
        self._asked = asyncio.Event()
        self._wanted: Callable[[], bool] | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def want(self, still: Callable[[], bool]) -> None:
        """Ask again soon, and go on asking quickly while `still()` says that it matters."""
        self._wanted = still
        self._asked.set()

    async def confirm(self) -> int:
        """Wait for a sign of life that was asked for after this call; returns the incarnation.

        Raises:
            ConnectionError: The witness was lost meanwhile.
        """
        if self._link is None:
            raise ConnectionError(f"{self._server.name} is out of sight")
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._asked.set()
        await future
        return self._server.incarnation

    async def fence(self, pid: int, start: float) -> bool:
        """End one session of a server; returns whether it is seen to be gone.

        Only a session with this start, in seconds since 1970, is meant: a number is used again.
        Without the right to end it, it is only looked for: it will be gone some day.
        """
        link = self._link
        if link is None:
            return False
        async with self._turn:
            return await link.fence(pid, start)

    async def is_busy(self, pid: int) -> bool:
        """Tell whether a session may be running something; True where that can't be seen."""
        link = self._link
        if link is None:
            return True
        async with self._turn:
            return await link.is_busy(pid)

    def poke(self) -> None:
        """Ask again at once: something may have changed."""
        self._asked.set()

    async def run(self) -> None:
        """Keep the server in sight until cancelled."""
        retry = RETRY_FIRST
        while True:
            error = "lost"
            seen_at = self._server.seen_at
            try:
                await self._watch()
            except FAILURES as exc:
                error = describe(exc)
            except Exception as exc:
                # A bug; but a server that nobody looks at any more would be worse.
                log.exception("a witness met a bug", exc, server=self._server.name)
                error = describe(exc)
            finally:
                self._end(error)
            if self._server.seen_at != seen_at:
                retry = RETRY_FIRST  # it was there until now, and may be back at once
            await asyncio.sleep(min(retry, self._control.interval))
            retry = min(2 * retry, RETRY_LAST)

    async def _watch(self) -> None:
        link = await self._open_link(self._control, self._server, self._asked.set)
        try:
            self._watcher.met(self._server)
            self._link = link
            quick = QUICK_FIRST
            while True:
                await self._ask(link)
                if self._wanted is not None and self._wanted():
                    await self._pause(quick)
                    quick = min(2 * quick, QUICK_LAST)
                else:
                    self._wanted = None
                    quick = QUICK_FIRST
                    await self._rest()
        finally:
            link.close()

    async def _ask(self, link: Link) -> None:
        async with self._turn:
            await self._ask_now(link)

    async def _ask_now(self, link: Link) -> None:
        self._asked.clear()
        waiting, self._waiting = self._waiting, []
        sent_at = monotonic()
        self._watcher.asking(self._server)
        try:
            sight = await link.look()
        except BaseException:
            self._waiting += waiting
            raise
        self._watcher.saw(self._server, Sighting(*sight, sent_at=sent_at, received_at=monotonic()))
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _rest(self) -> None:
        """Until the next interval, or until somebody asks."""
        try:
            async with asyncio.timeout(self._control.interval):
                await self._asked.wait()
        except TimeoutError:
            return

    async def _pause(self, seconds: float) -> None:
        """A short rest that a confirmation still ends at once."""
        if self._waiting:
            return
        await asyncio.sleep(seconds)

    def _end(self, error: str) -> None:
        self._link = None
        self._watcher.lost(self._server, error)
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_exception(ConnectionError(f"{self._server.name}: {error}"))


def reachable(position: int) -> Position:
    """The position that a replica reaches once it has everything up to this one.

    At the beginning of a page the primary's insert position stands behind the page's header, while
    what a replica has replayed ends with the page before, until the next record comes. No record
    ends right behind a header, so nothing is lost by going back in front of it.
    """
    if position % _PAGE == _HEADER:
        return Position(position - _HEADER)
    return Position(position)


def describe(exc: BaseException) -> str:
    """Say in one line why a control connection failed; never with a secret in it."""
    text = str(exc).splitlines()[0] if str(exc) else ""
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__
