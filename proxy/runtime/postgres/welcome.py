"""What a new client is told of its session: asked of a server once, then known.

The values a server reports (ParameterStatus) depend on the user, the database and the startup
parameters, and only the server knows how it will spell them. So the first client of a kind borrows
a server connection, has its settings applied there, and the answer serves all that follow.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final, Protocol, cast, final

from proxy.engines.postgres.grammar import defaults
from proxy.engines.postgres.quoting import written
from proxy.errors import ClientVisibleError, RemoteProtocolError, ServerLost
from proxy.routing.terms import NO_WISHES, Wishes
from proxy.runtime.pools import Pools
from proxy.runtime.server import ServerConnection
from proxy.session.grammar import Defaults, Grammar
from proxy.session.own import PREFIX, with_value
from proxy.session.ports import Dialect, Line, Link, Waiter
from proxy.session.state import SessionState
from proxy.topology.group import Group
from proxy.wire.postgres import backend
from proxy.wire.postgres.errors import LoginRefused
from proxy.wire.postgres.exchange import Exchange
from proxy.wire.postgres.startup import Startup

KNOWN: Final = 10_000
"""Kinds of clients that are remembered; then it begins anew."""


class Lender(Protocol):
    """Where a server connection is borrowed: the group's lender."""

    group: Group
    pools: Pools
    dialect: Dialect
    grammar: Grammar

    def wait_for_primary(self, waiter: Waiter, /) -> Line:
        """Stand in line for a primary."""

    def release(self, link: Link, /) -> None:
        """Take a connection back."""


@dataclass(slots=True, frozen=True)
class Greeting:
    """ParameterStatus messages, ready to be sent, and what a session of this kind begins with."""

    parameters: bytes
    defaults: Defaults


def startup_state(wish: Startup) -> SessionState:
    """The state of a session that has only sent its startup parameters."""
    settings = {}
    for name, value in wish.settings.items():
        key = name.decode("utf-8", "surrogateescape")
        if not key.startswith(PREFIX):
            settings[key] = written(key, value.decode("utf-8", "surrogateescape"))
    return SessionState.of(settings, {})


def startup_wishes(wish: Startup) -> Wishes:
    """What a client said of the proxy's own settings when it came.

    Raises:
        UnknownSetting: There is no such setting.
        InvalidSetting: It can't have this value.
    """
    wishes = NO_WISHES
    for name, value in wish.settings.items():
        key = name.decode("utf-8", "surrogateescape")
        if key.startswith(PREFIX):
            wishes = with_value(wishes, key, value.decode("utf-8", "surrogateescape"))
    return wishes


@final
class Welcomes:
    """See the module."""

    __slots__ = ("_known", "_lender")

    def __init__(self, lender: Lender) -> None:
        self._lender = lender
        self._known: dict[tuple[str, str, SessionState], Greeting] = {}

    def forget(self) -> None:
        """There is a new primary: it may have other defaults."""
        self._known.clear()

    async def greeting(self, user: str, database: str, state: SessionState) -> Greeting:
        """Find what a client of this kind is told.

        Raises:
            ClientVisibleError: The server would not let it in, or would not set its parameters.
        """
        key = (user, database, state)
        known = self._known.get(key)
        if known is None:
            known = await self._ask(user, database, state)
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[key] = known
        return known

    async def _ask(self, user: str, database: str, state: SessionState) -> Greeting:
        lender = self._lender
        borrower = _Borrower()
        connection = await borrower.borrow(lender, user, database, state)
        try:
            if connection.state is not state:
                await borrower.apply(lender, connection, state)
        except BaseException:
            connection.user = None
            connection.abort("could not be brought to a client's settings")
            raise
        exchange = cast(Exchange, connection.exchange)
        parameters = b"".join(
            backend.parameter_status(name, value) for name, value in exchange.parameters.items()
        )
        encoding = exchange.parameters.get(b"client_encoding", b"").decode()
        facts = connection.facts
        connection.user = None
        lender.release(connection)
        return Greeting(
            parameters, defaults(facts.search_path, facts.isolation, encoding, facts.shape)
        )


class _Borrower:
    """Has a server connection for a moment."""

    def __init__(self) -> None:
        self._outcome: asyncio.Future[ServerConnection]
        self._lender: Lender
        self._kind: tuple[str, str, SessionState]

    async def borrow(
        self, lender: Lender, user: str, database: str, state: SessionState
    ) -> ServerConnection:
        """Stand in line like everybody else."""
        self._lender = lender
        self._kind = (user, database, state)
        self._outcome = asyncio.get_running_loop().create_future()
        self._line = lender.wait_for_primary(self)
        if lender.group.primary is not None:
            self.primary_found()
        try:
            return await self._outcome
        finally:
            if not self._outcome.done() or self._outcome.cancelled():
                self._line.leave(self)

    def primary_found(self) -> None:
        """Ask its pool."""
        lender = self._lender
        self._line.leave(self)
        primary = lender.group.primary
        if primary is None:
            self._line = lender.wait_for_primary(self)
            return
        user, database, state = self._kind
        pool = lender.pools.of(primary, user, database)
        self._line = pool
        connection = pool.try_acquire(state)
        if connection is not None:
            self.acquired(connection)
        else:
            pool.wait(self)

    def acquired(self, link: Link) -> None:
        """It is ours."""
        connection = cast(ServerConnection, link)
        if self._outcome.done():
            self._lender.release(connection)
        else:
            connection.user = self
            self._outcome.set_result(connection)

    def not_acquired(self, error: ClientVisibleError) -> None:
        """There is none."""
        if not self._outcome.done():
            self._outcome.set_exception(error)

    async def apply(
        self, lender: Lender, connection: ServerConnection, state: SessionState
    ) -> None:
        """Bring the connection to the client's settings."""
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        changes = connection.state.changes_to(state, lender.grammar)
        connection.write(connection.exchange.ask(lender.dialect.apply(changes)))
        await self._done
        error = connection.exchange.error
        if error is not None:
            raise LoginRefused(_fatal(error))
        connection.state = state

    def server_data(self, link: Link, data: bytes) -> None:
        """The server answers."""
        try:
            link.exchange.feed(data)
        except RemoteProtocolError as error:
            link.abort(error.message)
            return
        if link.exchange.done and not self._done.done():
            self._done.set_result(None)

    def server_lost(self, link: Link, reason: str) -> None:
        """The connection broke."""
        done = getattr(self, "_done", None)
        if done is not None and not done.done():
            done.set_exception(ServerLost(f"server {link.server.name} was lost: {reason}"))

    def server_paused(self, link: Link, paused: bool) -> None:
        """We send next to nothing."""


def _fatal(error: bytes) -> bytes:
    """The server's own words, as the end of a login that they are here."""
    fields = backend.read_error(error)
    rest = {
        kind: value
        for kind, value in fields.items()
        if kind not in (backend.SEVERITY, backend.SEVERITY_UNTRANSLATED)
    }
    sqlstate, text = rest.pop(backend.SQLSTATE, b"XX000"), rest.pop(backend.MESSAGE, b"")
    return backend.error_response(b"FATAL", sqlstate, text, rest)
