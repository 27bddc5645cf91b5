"""What is known of users' passwords: read from the servers, or listed, or shown by clients.

What is stored is asked by one connection that is kept: a server has no connection to open and to
miss for each login.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Final, final

import aiomysql
from pymysql.constants import ER
from pymysql.err import MySQLError

from proxy.errors import NoPrimary
from proxy.observe.logs import Logger
from proxy.runtime.accounts import BaseAccounts
from proxy.settings.model import ServerGroup
from proxy.topology.group import Group, Server
from proxy.topology.mysql_witness import ER_SPECIFIC_ACCESS_DENIED, closing, connect, tell_end
from proxy.topology.witness import Control, describe
from proxy.wire.mysql.credentials import ELSEWHERE, Credentials, Stored
from proxy.wire.mysql.verified import Verified

log = Logger("accounts")

FAILURES: Final = (OSError, TimeoutError, MySQLError, asyncio.IncompleteReadError)

RETRY: Final = 0.1
"""Seconds between two attempts to reach a server."""

_ACCOUNTS: Final = """
SELECT plugin, authentication_string AS secret FROM mysql.user
WHERE user = %s ORDER BY host = '%%' DESC, host
"""
"""Of one name there may be several accounts, by where they come from. All clients come from here,
as a server sees them; so the one that is meant for all counts first."""

_LASTING: Final = (
    ER.DBACCESS_DENIED_ERROR,
    ER.TABLEACCESS_DENIED_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR,
    ER_SPECIFIC_ACCESS_DENIED,
)
"""Errors that asking again, or another server, does not change."""

VERIFIED_FOR: Final = 3600.0
"""Seconds for which the check of a password that was shown is kept."""


@final
class Accounts(BaseAccounts[Stored, Credentials]):
    """See the module.

    Where what is stored may not be read, the servers themselves must be asked with the password.

    Attributes:
        verified: Who has shown the password itself.
    """

    def __init__(
        self,
        settings: ServerGroup,
        control: Control,
        group: Group,
        changed: Callable[[str], None],
    ) -> None:
        super().__init__(settings, control, group, changed)
        self._connection: aiomysql.Connection | None = None
        self.verified = Verified(VERIFIED_FOR)

    def _find_listed(self, user: str) -> Stored | None:
        listed = self._settings.users.get(user)
        if listed is None or listed.password is None:
            return None
        return Stored.listed(listed.password.get_secret_value().encode())

    async def _find(self, user: str) -> Stored | None:
        """Ask until a server answers, for as long as a client waits for one."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._settings.query_wait_timeout
        while True:
            try:
                return await self._ask(user)
            except FAILURES as error:
                name = self._group.name
                if _is_lasting(error):
                    log.warning("accounts can't be read", group=name, error=describe(error))
                    return ELSEWHERE
                # Not that the password is wrong, which a client would believe for good.
                if loop.time() >= deadline:
                    log.warning("no server answers", group=name, error=describe(error))
                    what = f'no server of group "{name}" could be asked for logins'
                    raise NoPrimary(what) from None
            await asyncio.sleep(RETRY)

    async def _look_up(self, user: str) -> Stored | None:
        rows = await self._fetch(_ACCOUNTS, user)
        if not rows:
            return None
        return Stored(_bytes(rows[0]["plugin"] or ""), _bytes(rows[0]["secret"] or b""))

    def _has_changed(self, user: str) -> None:
        self.verified.forget(user.encode())
        self._changed(user)

    def learn(self, user: str, credentials: Credentials) -> None:
        """See the base: what was shown earlier is kept with it."""
        earlier = self._credentials.get(user)
        if earlier is not None:
            credentials = credentials.with_earlier(earlier)
        self._credentials[user] = credentials

    def credentials(self, user: str) -> Credentials:
        """Find what logs in to the servers for a user."""
        return self._credentials.get(user, Credentials())

    async def fetch(self, question: str, *arguments: object) -> list[dict[str, Any]]:
        """Ask the primary, or any server while there is none.

        Raises:
            OSError: None answers.
        """
        async with self._lock:
            return await self._fetch(question, *arguments)

    async def _fetch(self, question: str, *arguments: object) -> list[dict[str, Any]]:
        """Ask by the connection that is there; without one, or when it is lost, by a new one."""
        last: BaseException = OSError("no servers")
        if self._connection is not None and self._group.primary in (None, self._asked_of):
            try:
                return await self._put(self._connection, question, arguments)
            except FAILURES as error:
                if _is_lasting(error):
                    raise
                last = error
        for server in self._by_preference():
            try:
                return await self._put(await self._connect(server), question, arguments)
            except FAILURES as error:
                if _is_lasting(error):
                    raise
                last = error
        raise last

    async def execute(self, server: Server, statement: str) -> None:
        """Have a server do something.

        Raises:
            OSError: It can't be reached.
        """
        connection = await connect(self._control, server)
        try:
            await self._say(connection, statement, ())
        finally:
            connection.close()

    async def _connect(self, server: Server) -> aiomysql.Connection:
        """Have a connection to a server, in the place of the one that was."""
        self._drop()
        connection = await connect(self._control, server)
        self._connection, self._asked_of = connection, server
        tell_end(connection, partial(self._lost, connection))
        return connection

    async def _put(
        self, connection: aiomysql.Connection, question: str, arguments: tuple[object, ...]
    ) -> list[dict[str, Any]]:
        """Ask; a connection that may still owe an answer is not kept."""
        is_usable = False
        try:
            rows = await self._say(connection, question, arguments)
            is_usable = True
            return rows
        except FAILURES as error:
            is_usable = _is_lasting(error)
            raise
        finally:
            if not is_usable:
                self._drop()

    async def _say(
        self, connection: aiomysql.Connection, question: str, arguments: tuple[object, ...]
    ) -> list[dict[str, Any]]:
        with closing(connection):
            async with (
                asyncio.timeout(self._control.timeout),
                connection.cursor(aiomysql.DictCursor) as cursor,
            ):
                await cursor.execute(question, arguments or None)
                return list(await cursor.fetchall())

    def _lost(self, connection: aiomysql.Connection) -> None:
        """A connection has ended, maybe long after another took its place."""
        if connection is self._connection:
            self._drop()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _is_lasting(error: BaseException) -> bool:
    return isinstance(error, MySQLError) and bool(error.args) and error.args[0] in _LASTING


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")
