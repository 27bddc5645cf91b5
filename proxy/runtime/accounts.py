"""Who may log in, and what logs in to the servers in their name. No password is stored.

What is stored of a user's password is read from the servers with `auth_query` unless the user is
listed, and is believed for a few seconds: a login that fails makes it be read anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, final

import asyncpg

from proxy.errors import NoPrimary
from proxy.observe.logs import Logger
from proxy.settings.model import ServerGroup
from proxy.topology.group import Group, Server
from proxy.topology.witness import FAILURES, Control, connect, describe
from proxy.wire.postgres.credentials import Credentials

log = Logger("accounts")

BELIEVED: Final = 5.0
"""Seconds for which a secret that was read is believed."""


@final
class Accounts:
    """See the module."""

    __slots__ = (
        "_clock",
        "_connection",
        "_control",
        "_credentials",
        "_group",
        "_lock",
        "_read",
        "_settings",
    )

    def __init__(
        self, settings: ServerGroup, control: Control, group: Group, clock: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._control = control
        self._group = group
        self._clock = clock
        self._connection: asyncpg.Connection[Any] | None = None
        self._lock = asyncio.Lock()
        self._read: dict[str, tuple[float, bytes | None]] = {}
        self._credentials: dict[str, Credentials] = {}

    async def stored_secret(self, user: str) -> bytes | None:
        """Find what is stored of a user's password; None: no such user, or no password.

        Raises:
            NoPrimary: No server answers, and the user is not listed.
        """
        listed = self._settings.users.get(user)
        if listed is not None and (secret := listed.password or listed.verifier) is not None:
            return secret.get_secret_value().encode()
        now = self._clock()
        read_at, known = self._read.get(user, (-BELIEVED, None))
        if now - read_at < BELIEVED:
            return known
        secret_bytes = await self._ask(user)
        if len(self._read) > 10_000:
            self._read.clear()
        self._read[user] = (now, secret_bytes)
        return secret_bytes

    def forget(self, user: str) -> None:
        """A login failed: the password may have been changed."""
        self._read.pop(user, None)

    def learn(self, user: str, credentials: Credentials) -> None:
        """A client has proven who it is: this is what logs in to the servers."""
        self._credentials[user] = credentials

    def credentials(self, user: str) -> Credentials:
        """Find what logs in to the servers for a user."""
        return self._credentials.get(user, Credentials())

    async def _ask(self, user: str) -> bytes | None:
        async with self._lock:
            for again in (True, False):
                try:
                    if self._connection is None or self._connection.is_closed():
                        self._connection = await self._connect()
                    row = await self._connection.fetchrow(self._settings.auth_query, user)
                except (
                    OSError,
                    asyncpg.InterfaceError,
                    asyncpg.PostgresError,
                    TimeoutError,
                ) as error:
                    self._drop()
                    if not again:
                        log.error(
                            "auth_query failed", group=self._group.name, error=describe(error)
                        )
                        raise NoPrimary(
                            f'no server of group "{self._group.name}" could be asked for logins'
                        ) from None
                else:
                    return row[1].encode() if row is not None and row[1] is not None else None
        raise AssertionError("unreachable")

    async def _connect(self) -> asyncpg.Connection[Any]:
        """Ask any server: what is stored of a password is on the replicas too."""
        last: Exception = OSError("no servers")
        for server in sorted(self._group.servers, key=self._preference):
            try:
                return await connect(self._control, server)
            except FAILURES as error:
                last = error
        raise last

    def _preference(self, server: Server) -> int:
        return 0 if server is self._group.primary else 1

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None

    def close(self) -> None:
        """Hang up."""
        self._drop()
