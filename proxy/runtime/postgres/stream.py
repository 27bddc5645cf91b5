"""What a primary's log says of one database: a slot of our own, and the stream read from it.

The slot is temporary: it ends with its connection, however that ends, so nothing is left behind
that would make the server keep its log. What is missed in between, nobody will tell of; see
`proxy.freshness.feed`.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, final

import asyncpg

from proxy.errors import RemoteProtocolError, ServerLost
from proxy.runtime.engine import Hearer, View
from proxy.runtime.log_reader import LogReader, Name
from proxy.runtime.postgres.opening import reach
from proxy.runtime.server import Address, ServerConnection
from proxy.topology.witness import FAILURES, Control, connect, describe, reachable
from proxy.types import Position
from proxy.wire.postgres.changes import Reader, unquote
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


@final
class PostgresChanges(LogReader[bytes]):
    """See `proxy.runtime.engine.Changes`. It is its server connection's user."""

    def __init__(
        self,
        connection: ServerConnection,
        control: asyncpg.Connection[Any],
        slot: str,
        hearer: Hearer,
    ) -> None:
        super().__init__(connection, hearer)
        self._control = control
        self._slot = slot
        self._stream = Stream()
        self._reader = Reader()

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

    # LogReader

    def _take(self, data: bytes) -> None:
        """See the base."""
        for told in self._stream.feed(data):
            self._hear(told)

    def _read_name(self, said: bytes) -> Name | None:
        """See the base: of a database in UTF-8, or with nothing but ASCII in its names."""
        found = unquote(said)
        return found and (found[0].decode(), found[1].decode())

    def _hear(self, told: Told) -> None:
        if told.text is not None:
            it = self._reader.take(told.text)
            if it is None:
                return
            self._hearer.heard(self._written(it.xid, it.rows, it.truncated, it.is_clear))
        self._reached = max(self._reached, told.reached)
        self._hearer.reached(Position(self._reached))
        if told.is_asking:
            self._connection.write(status(self._reached))


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
