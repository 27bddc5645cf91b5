"""What is known of users' passwords: read from the servers, or listed, or shown by clients."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, final

import aiomysql
from pymysql.err import MySQLError

from proxy.observe.logs import Logger
from proxy.settings.model import ServerGroup
from proxy.topology.group import Group, Server
from proxy.topology.mysql_witness import connect
from proxy.topology.witness import Control, describe
from proxy.wire.mysql.credentials import ELSEWHERE, Credentials, Stored
from proxy.wire.mysql.verified import Verified

log = Logger("accounts")

FAILURES: Final = (OSError, TimeoutError, MySQLError, asyncio.IncompleteReadError)

_ACCOUNTS: Final = """
SELECT plugin, authentication_string AS secret FROM mysql.user
WHERE user = %s ORDER BY host = '%%' DESC, host
"""
"""Of one name there may be several accounts, by where they come from. All clients come from here,
as a server sees them; so the one that is meant for all counts first."""

VERIFIED_FOR: Final = 3600.0
"""Seconds for which the check of a password that was shown is kept."""


@final
class Accounts:
    """See the module.

    Attributes:
        verified: Who has shown the password itself.
    """

    __slots__ = ("_changed", "_control", "_credentials", "_group", "_last", "_settings", "verified")

    def __init__(
        self,
        settings: ServerGroup,
        control: Control,
        group: Group,
        changed: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._control = control
        self._group = group
        self._changed = changed
        self._credentials: dict[str, Credentials] = {}
        self._last: dict[str, Stored | None] = {}
        self.verified = Verified(VERIFIED_FOR)

    async def stored(self, user: str) -> Stored | None:
        """Find what is stored of a user's password; None: there is no such user.

        Where it can't be read, the servers themselves must be asked with the password.
        """
        listed = self._settings.users.get(user)
        if listed is not None and listed.password is not None:
            return Stored.listed(listed.password.get_secret_value().encode())
        try:
            rows = await self.fetch(_ACCOUNTS, user)
        except FAILURES as error:
            log.warning("accounts can't be read", group=self._group.name, error=describe(error))
            return ELSEWHERE
        found = None
        if rows:
            secret = rows[0]["secret"] or b""
            plugin = rows[0]["plugin"] or ""
            found = Stored(_bytes(plugin), _bytes(secret))
        self._note(user, found)
        return found

    def learn(self, user: str, credentials: Credentials) -> None:
        """A client has proven who it is: this is what logs in to the servers."""
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
        last: BaseException = OSError("no servers")
        for server in sorted(self._group.servers, key=self._preference):
            try:
                return await self._fetch_from(server, question, arguments)
            except FAILURES as error:
                last = error
        raise last

    async def execute(self, server: Server, statement: str) -> None:
        """Have a server do something.

        Raises:
            OSError: It can't be reached.
        """
        await self._fetch_from(server, statement, ())

    async def _fetch_from(
        self, server: Server, question: str, arguments: tuple[object, ...]
    ) -> list[dict[str, Any]]:
        connection = await connect(self._control, server)
        try:
            async with connection.cursor(aiomysql.DictCursor) as cursor:
                await cursor.execute(question, arguments or None)
                return list(await cursor.fetchall())
        finally:
            connection.close()

    def _preference(self, server: Server) -> int:
        return 0 if server is self._group.primary else 1

    def _note(self, user: str, stored: Stored | None) -> None:
        """Compare with what was stored the last time."""
        if user in self._last and self._last[user] != stored:
            self.verified.forget(user.encode())
            self._changed(user)
        self._last[user] = stored


def _bytes(value: str | bytes) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1", "replace")
