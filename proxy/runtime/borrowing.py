"""A server connection is borrowed for a moment, to see what a client's session will be like."""

from __future__ import annotations

import asyncio
from typing import Protocol, cast, final

from proxy.errors import ClientVisibleError, RemoteProtocolError, ServerLost
from proxy.runtime.pools import Pools
from proxy.runtime.server import ServerConnection
from proxy.session.grammar import Grammar
from proxy.session.ports import Dialect, Line, Link, Waiter
from proxy.session.state import UNTOUCHED, SessionState
from proxy.topology.group import Group


class Lender(Protocol):
    """Where a server connection is borrowed: the group's service."""

    group: Group
    pools: Pools
    dialect: Dialect
    grammar: Grammar

    def wait_for_primary(self, waiter: Waiter, /) -> Line:
        """Stand in line for a primary."""

    def release(self, link: Link, /) -> None:
        """Take a connection back."""


@final
class StateRefused(Exception):
    """The server would not take a client's settings.

    Attributes:
        message: What it said: an error, in its protocol.
    """

    def __init__(self, message: bytes) -> None:
        super().__init__("refused by the server")
        self.message = message


@final
class Borrower:
    """Has a server connection for a moment."""

    def __init__(self) -> None:
        self._outcome: asyncio.Future[ServerConnection]
        self._lender: Lender
        self._kind: tuple[str, str, SessionState]

    async def borrow(
        self, lender: Lender, user: str, database: str, state: SessionState
    ) -> ServerConnection:
        """Stand in line like everybody else, and have the connection brought to a client's state.

        Returns:
            The connection, to be given back with `give_back`.

        Raises:
            ClientVisibleError: There is none.
            StateRefused: The server would not have it so.
        """
        connection = await self._wait(lender, user, database, state)
        if connection.state is state:
            return connection
        try:
            await self._apply(lender, connection, state)
        except BaseException:
            self._drop(connection)
            raise
        error = connection.exchange.error
        if error is not None:
            self._drop(connection)
            raise StateRefused(error)
        return connection

    def give_back(self, connection: ServerConnection) -> None:
        """Let others have it."""
        connection.user = None
        self._lender.release(connection)

    def _drop(self, connection: ServerConnection) -> None:
        connection.user = None
        connection.abort("could not be brought to a client's settings")

    async def _wait(
        self, lender: Lender, user: str, database: str, state: SessionState
    ) -> ServerConnection:
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

    async def _apply(
        self, lender: Lender, connection: ServerConnection, state: SessionState
    ) -> None:
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        dialect, grammar = lender.dialect, lender.grammar
        commands: list[bytes] = []
        if grammar.must_begin_anew(connection.state.settings, state.settings):
            commands.append(dialect.anew)
            connection.state = UNTOUCHED
        commands.append(dialect.apply(connection.state.changes_to(state, grammar)))
        if text := dialect.together(commands):
            connection.write(connection.exchange.ask(text))
            await self._done
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
