"""Who may log in, and what logs in to the servers in their name. No password is stored.

What is stored of a user's password is read from the servers with `auth_query` at each login, unless
the user is listed: a password that was changed counts at once, and a role that was dropped is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, final

import asyncpg

from proxy.errors import NoPrimary
from proxy.observe.logs import Logger
from proxy.runtime.accounts import BaseAccounts
from proxy.settings.model import ServerGroup
from proxy.topology.group import Group
from proxy.topology.witness import FAILURES, Control, connect, describe
from proxy.wire.postgres.credentials import Credentials

log = Logger("accounts")

RETRY: Final = 0.2
"""Seconds between two tries while no server answers."""

_LASTING: Final = ("22", "28", "3D", "42")
"""Classes of SQLSTATEs that asking again does not change: no rights, no table, a wrong login."""

_MAY_VACATE: Final = """
SELECT FROM pg_database d, pg_roles r
WHERE d.datname = $1 AND r.rolname = $2
  AND (pg_has_role(r.oid, d.datdba, 'MEMBER') OR d.datistemplate AND r.rolcreatedb)
"""
"""Whoever is, or may become, the owner; a superuser is everybody. A template is anybody's to copy
who may make databases."""


@final
class Accounts(BaseAccounts[bytes, Credentials]):
    """See the module.

    Where no server answers, and the user is not listed, `stored` raises `NoPrimary`.
    """

    def __init__(
        self,
        settings: ServerGroup,
        control: Control,
        group: Group,
        clock: Callable[[], float],
        changed: Callable[[str], None],
    ) -> None:
        super().__init__(settings, control, group, changed)
        self._clock = clock
        self._connection: asyncpg.Connection[Any] | None = None

    async def may_vacate(self, database: str, role: str) -> bool:
        """Tell if a role may drop or rename a database, or copy it; not known: it may not."""
        try:
            async with self._lock:
                row = await self._fetch(_MAY_VACATE, database, role)
        except FAILURES as error:
            log.warning("rights not known", group=self._group.name, error=describe(error))
            return False
        return row is not None

    def credentials(self, user: str) -> Credentials:
        """Find what logs in to the servers for a user."""
        return self._credentials.get(user, Credentials())

    def _find_listed(self, user: str) -> bytes | None:
        listed = self._settings.users.get(user)
        if listed is None or (secret := listed.password or listed.verifier) is None:
            return None
        return secret.get_secret_value().encode()

    async def _find(self, user: str) -> bytes | None:
        """Ask until a server answers, for as long as a client waits for one."""
        deadline = self._clock() + self._settings.query_wait_timeout
        while True:
            try:
                return await self._ask(user)
            except FAILURES as error:
                if _is_lasting(error) or self._clock() >= deadline:
                    raise self._no_answer(error) from None
            await asyncio.sleep(RETRY)

    def _no_answer(self, error: BaseException) -> NoPrimary:
        log.error("auth_query failed", group=self._group.name, error=describe(error))
        return NoPrimary(f'no server of group "{self._group.name}" could be asked for logins')

    async def _look_up(self, user: str) -> bytes | None:
        row = await self._fetch(self._settings.auth_query, user)
        return row[1].encode() if row is not None and row[1] is not None else None

    async def _fetch(self, question: str, *arguments: str) -> asyncpg.Record | None:
        """Ask, and once more where the connection has been lost meanwhile."""
        try:
            return await self._fetch_once(question, *arguments)
        except FAILURES:
            return await self._fetch_once(question, *arguments)

    async def _fetch_once(self, question: str, *arguments: str) -> asyncpg.Record | None:
        try:
            connection = await self._reach()
            return await connection.fetchrow(question, *arguments)
        except FAILURES:
            self._drop()
            raise

    async def _reach(self) -> asyncpg.Connection[Any]:
        """Have a connection, to the primary if there is one: replicas learn of a change later."""
        primary = self._group.primary
        if primary is not None and self._asked_of is not primary:
            self._drop()
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
        return self._connection

    async def _connect(self) -> asyncpg.Connection[Any]:
        """Ask any server: what is stored of a password is on the replicas too."""
        last: Exception = OSError("no servers")
        for server in self._by_preference():
            try:
                connection = await connect(self._control, server)
            except FAILURES as error:
                last = error
            else:
                self._asked_of = server
                return connection
        raise last

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None


def _is_lasting(error: BaseException) -> bool:
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate).startswith(_LASTING)
