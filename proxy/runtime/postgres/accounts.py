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
from proxy.settings.model import ServerGroup
from proxy.topology.group import Group, Server
from proxy.topology.witness import FAILURES, Control, connect, describe
from proxy.wire.postgres.credentials import Credentials

log = Logger("accounts")

RETRY: Final = 0.2
"""Seconds between two tries while no server answers."""

KNOWN: Final = 10_000
"""Users whose last stored secret is remembered; then it begins anew."""

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
class Accounts:
    """See the module."""

    __slots__ = (
        "_asked_of",
        "_changed",
        "_clock",
        "_connection",
        "_control",
        "_credentials",
        "_group",
        "_last",
        "_lock",
        "_questions",
        "_settings",
        "_tasks",
    )

    def __init__(
        self,
        settings: ServerGroup,
        control: Control,
        group: Group,
        clock: Callable[[], float],
        changed: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._control = control
        self._group = group
        self._clock = clock
        self._changed = changed  # is told of a user with another password, or of another user
        self._connection: asyncpg.Connection[Any] | None = None
        self._asked_of: Server | None = None
        self._lock = asyncio.Lock()
        self._questions: dict[str, asyncio.Task[bytes | None]] = {}  # not sent yet
        self._tasks: set[asyncio.Task[bytes | None]] = set()
        self._last: dict[str, bytes | None] = {}
        self._credentials: dict[str, Credentials] = {}

    async def stored_secret(self, user: str) -> bytes | None:
        """Find what is stored of a user's password; None: no such user, or no password.

        Raises:
            NoPrimary: No server answers, and the user is not listed.
        """
        listed = self._settings.users.get(user)
        if listed is not None and (secret := listed.password or listed.verifier) is not None:
            return secret.get_secret_value().encode()
        question = self._questions.get(user)
        if question is None:
            question = asyncio.get_running_loop().create_task(self._find(user))
            self._questions[user] = question
            self._tasks.add(question)
            question.add_done_callback(self._heard)
        return await asyncio.shield(question)

    async def may_vacate(self, database: str, role: str) -> bool:
        """Tell if a role may drop or rename a database, or copy it; not known: it may not."""
        try:
            async with self._lock:
                row = await self._fetch(_MAY_VACATE, database, role)
        except FAILURES as error:
            log.warning("rights not known", group=self._group.name, error=describe(error))
            return False
        return row is not None

    def learn(self, user: str, credentials: Credentials) -> None:
        """A client has proven who it is: this is what logs in to the servers."""
        self._credentials[user] = credentials

    def credentials(self, user: str) -> Credentials:
        """Find what logs in to the servers for a user."""
        return self._credentials.get(user, Credentials())

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

    async def _ask(self, user: str) -> bytes | None:
        async with self._lock:
            # Who comes from now on asks anew: this answer may be older than that login.
            self._questions.pop(user, None)
            row = await self._fetch(self._settings.auth_query, user)
        stored = row[1].encode() if row is not None and row[1] is not None else None
        self._note(user, stored)
        return stored

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

    def _note(self, user: str, stored: bytes | None) -> None:
        """Compare with what was stored the last time."""
        if self._last.get(user, stored) != stored:
            self._changed(user)
        if len(self._last) >= KNOWN:
            self._last.clear()
        self._last[user] = stored

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
        for server in sorted(self._group.servers, key=self._preference):
            try:
                connection = await connect(self._control, server)
            except FAILURES as error:
                last = error
            else:
                self._asked_of = server
                return connection
        raise last

    def _preference(self, server: Server) -> int:
        return 0 if server is self._group.primary else 1

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
        self._connection = None

    def close(self) -> None:
        """Hang up."""
        for task in self._tasks:
            task.cancel()
        self._drop()

    def _heard(self, question: asyncio.Task[bytes | None]) -> None:
        """Look at the outcome, though everybody who waited for it may be gone."""
        self._tasks.discard(question)
        if not question.cancelled():
            question.exception()


def _is_lasting(error: BaseException) -> bool:
    return isinstance(error, asyncpg.PostgresError) and str(error.sqlstate).startswith(_LASTING)
