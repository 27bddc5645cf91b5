"""What a primary's log says of one database: a slot of our own, and the stream read from it.

The slot is temporary: it ends with its connection, however that ends, so nothing is left behind
that would make the server keep its log. What is missed in between, nobody will tell of; see
`proxy.freshness.feed`.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, final

import asyncpg

from proxy.errors import RemoteProtocolError, ServerLost
from proxy.runtime.engine import Hearer, View, Written
from proxy.runtime.postgres.opening import reach
from proxy.runtime.server import Address, ServerConnection
from proxy.topology.witness import FAILURES, Control, connect, describe, reachable
from proxy.types import Position
from proxy.wire.postgres.changes import Reader, Transaction, unquote
from proxy.wire.postgres.credentials import Credentials
from proxy.wire.postgres.replication import Stream, Told, make_slot, start, status
from proxy.wire.postgres.visibility import Snapshot

LOOK: Final = """
SELECT pg_catalog.pg_current_snapshot()::text,
       (pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8,
       (SELECT (pg_catalog.pg_current_wal_insert_lsn() - restart_lsn)::int8
        FROM pg_catalog.pg_replication_slots WHERE slot_name = $1)
"""

ASK: Final = 1.0
"""Seconds between two looks while the server makes the slot."""

MAX_NAMES: Final = 10_000
"""Names of tables that are remembered as they are written in the stream."""

MUCH: Final = 64 * 1024
"""Bytes at once, as of a large transaction, that take a millisecond or more."""

Name = tuple[str, str]


@final
class PostgresChanges:
    """See `proxy.runtime.engine.Changes`. It is its server connection's user."""

    def __init__(
        self,
        connection: ServerConnection,
        control: asyncpg.Connection[Any],
        slot: str,
        hearer: Hearer,
    ) -> None:
        self._connection = connection
        self._control = control
        self._slot = slot
        self._hearer = hearer
        self._stream = Stream()
        self._reader = Reader()
        self._reached = 0
        self._names: dict[bytes, Name | None] = {}
        self._failure: Exception | None = None
        self.heard_at = monotonic()

    async def start(self, limit: int) -> None:
        """Have the slot made, which waits for whoever writes, and ask for the stream.

        Args:
            limit: How many bytes of log may be kept meanwhile.
        """
        slot = self._slot.encode()
        dialogue = make_slot(slot)
        making = asyncio.ensure_future(self._connection.converse(dialogue))
        try:
            while not making.done():
                await asyncio.wait((making,), timeout=ASK)
                kept = (await self.look()).kept
                if kept > limit:
                    raise ServerLost(f"it keeps {kept} bytes of log until all transactions end")
        finally:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)  # or its error is told to nobody
        making.result()
        self._connection.user = self
        self._connection.write(start(slot))
        self.heard_at = monotonic()

    # Changes

    async def look(self) -> View:
        """See the base."""
        if self._failure is not None:
            raise self._failure
        row = await self._control.fetchrow(LOOK, self._slot)
        assert row is not None
        try:
            snapshot = Snapshot(row[0])
        except RemoteProtocolError as error:
            raise ServerLost(error.message) from None
        return View(snapshot, reachable(row[1]), row[2] or 0)

    def confirm(self) -> None:
        """See the base."""
        self._connection.write(status(self._reached, asks=True))

    def close(self) -> None:
        """See the base: the slot goes with its connection."""
        self._connection.user = None
        self._connection.close()
        self._control.terminate()

    # The server connection's user

    def server_data(self, link: ServerConnection, data: bytes) -> None:
        """Take in what it tells."""
        if self._failure is not None:
            return
        self.heard_at = monotonic()
        try:
            for told in self._stream.feed(data):
                self._take(told)
        except (RemoteProtocolError, ServerLost) as error:
            self._fail(error.message)
        if len(data) >= MUCH:
            # Others' turn: a loop reads on from one connection as long as there is anything.
            link.pause_reading()
            asyncio.get_running_loop().call_soon(link.resume_reading)

    def server_lost(self, link: ServerConnection, reason: str) -> None:
        """Nothing more will be told."""
        self._fail(reason)

    def server_paused(self, link: ServerConnection, paused: bool) -> None:
        """The little that is said to it waits."""

    def _fail(self, reason: str) -> None:
        if self._failure is None:
            self._failure = ServerLost(reason)
            self._hearer.lost()

    def _take(self, told: Told) -> None:
        if told.text is not None:
            transaction = self._reader.take(told.text)
            if transaction is None:
                return
            self._hearer.heard(self._written(transaction))
        self._reached = max(self._reached, told.reached)
        self._hearer.reached(Position(self._reached))
        if told.is_asking:
            self._connection.write(status(self._reached))

    def _written(self, transaction: Transaction) -> Written:
        rows: dict[Name, int] = {}
        is_clear = transaction.is_clear
        for written, number in transaction.rows.items():
            name = self._name(written)
            if name is None:
                is_clear = False
            else:
                rows[name] = rows.get(name, 0) + number
        emptied = {name for it in transaction.truncated if (name := self._name(it)) is not None}
        is_clear = is_clear and len(emptied) == len(transaction.truncated)
        return Written(transaction.xid, rows, frozenset(emptied), is_clear)

    def _name(self, written: bytes) -> Name | None:
        """Read a name, of a database in UTF-8 or with nothing but ASCII in its names."""
        if written not in self._names:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            found = unquote(written)
            name = None
            with contextlib.suppress(UnicodeDecodeError):
                name = found and (found[0].decode(), found[1].decode())
            self._names[written] = name
        return self._names[written]


async def open_changes(
    address: Address,
    parameters: Mapping[bytes, bytes],
    credentials: Credentials,
    control: Control,
    hearer: Hearer,
    limit: int,
) -> PostgresChanges:
    """Begin to read what is written in one database from now on.

    Args:
        address: Of the primary.
        parameters: Of the startup message: user, database, application_name.
        credentials: Of the control user.
        control: How what can be seen is asked; in its own database, as it is the same in all.
        hearer: Is told.
        limit: How many bytes of its log the server may keep for us.

    Raises:
        ServerLost: It could not be reached, broke, or does not do it; it has the server's words.
    """
    server = address.server
    slot = f"tidegate_{secrets.token_hex(8)}"
    try:
        asked = await connect(control, server)
    except FAILURES as error:
        raise ServerLost(describe(error)) from None
    connection = None
    try:
        async with asyncio.timeout(address.timeout):
            connection, _ = await reach(
                address, {**parameters, b"replication": b"database"}, credentials
            )
        changes = PostgresChanges(connection, asked, slot, hearer)
        await changes.start(limit)
    except BaseException as error:
        asked.terminate()
        if connection is not None:
            connection.abort("not followed")
        if isinstance(error, FAILURES):
            raise ServerLost(describe(error)) from None
        raise
    return changes
