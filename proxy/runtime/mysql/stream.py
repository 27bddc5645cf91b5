"""What the primary's binary log says: a dump of our own, read from where the log was at first.

The dump ends with its connection, and nothing is left behind; a server that has nothing to say
notices that late, so it is told to end the dump as well. What is missed between two dumps, nobody
will tell of; see `proxy.freshness.feed`.
"""

from __future__ import annotations

import asyncio
import secrets
import uuid
from collections.abc import Generator, Sequence
from typing import Final, final

from proxy.errors import ClientVisibleError, RemoteProtocolError, ServerLost
from proxy.runtime.engine import Hearer, View
from proxy.runtime.log_reader import LogReader, Name
from proxy.runtime.mysql.opening import reach
from proxy.runtime.server import Address, ServerConnection
from proxy.topology.gtid import parse_executed
from proxy.topology.visibility import Before, ByGtid, ByPlace, Numbers, parse_owned
from proxy.types import Position
from proxy.wire.mysql.binlog import Stream, dump, place_of, prepare
from proxy.wire.mysql.binlog_commits import Commit, Reader
from proxy.wire.mysql.binlog_commits import Name as Said
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.commands import QUERY
from proxy.wire.mysql.credentials import Credentials
from proxy.wire.mysql.exchange import SEPARATOR, Exchange
from proxy.wire.mysql.login import Welcome, Wish
from proxy.wire.mysql.ok import read_error

Rows = Sequence[Sequence[bytes | None]]

LIFE: Final = 1.0
"""Seconds after which a log that says nothing gives a sign of life."""

LARGEST_START: Final = (1 << 32) - 1
"""Offset at which a dump can begin: it is asked for in four bytes."""

OURS: Final = 1 << 31
"""From here on are the ids by which we ask for dumps. People give small ones, or addresses."""

_CHECK_MARIADB: Final = b"SELECT @@GLOBAL.log_bin, @@GLOBAL.binlog_format, 'ON'"
_CHECK_MYSQL: Final = b"SELECT @@GLOBAL.log_bin, @@GLOBAL.binlog_format, @@GLOBAL.gtid_mode"
_OWNED: Final = b"SELECT @@GLOBAL.gtid_owned"
_OLD_STATUS: Final = b"SHOW MASTER STATUS"
_STATUS: Final = b"SHOW BINARY LOG STATUS"
_SHOWN: Final = b"SHOW STATUS LIKE 'binlog_snapshot_%'"

_THEIR_OWN: Final = b"mysql"
"""The schema of the servers' own tables. What reads it is served by the primary."""

_NEEDS: Final = {1227: "REPLICATION CLIENT or BINLOG MONITOR"}
_ER_PARSE_ERROR: Final = 1064


class _Refused(ServerLost):
    """A question was answered by an error."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def _ask(exchange: Exchange, sql: bytes) -> Generator[bytes, bytes, Rows]:
    """Hold the dialogue of statements of ours; the rows of all of them."""
    exchange.feed((yield exchange.ask(sql)))
    while not exchange.done:
        exchange.feed((yield b""))
    if exchange.error is not None:
        error = read_error(exchange.error)
        raise _Refused(error.code, error.message.decode("utf-8", "replace"))
    return exchange.rows


@final
class _Asker:
    """Asks a server, by a connection that is there for that."""

    def __init__(self, connection: ServerConnection, welcome: Welcome) -> None:
        self.connection = connection
        self.pid = welcome.connection_id
        self.is_mariadb = welcome.is_mariadb
        self._timeout = connection.address.timeout
        connection.exchange = self._exchange = Exchange(welcome.capabilities, 1)

    async def ask(self, *sql: bytes) -> Rows:
        """Ask.

        Raises:
            ServerLost: There is no answer, or it is an error.
        """
        exchange = self._exchange
        try:
            async with asyncio.timeout(self._timeout):
                rows: Rows = await self.connection.converse(_ask(exchange, SEPARATOR.join(sql)))
                return rows
        except TimeoutError:
            raise ServerLost(f"no answer within {self._timeout:g} s") from None


@final
class _Status:
    """How far a log is, in the words of a server.

    Args:
        asker: Asks it.
        numbers: Of GTIDs.
        before: What may have been committed before the beginning.
    """

    def __init__(self, asker: _Asker, numbers: Numbers, before: Before) -> None:
        self._asker = asker
        self._numbers = numbers
        self._before = before
        self._end = _OLD_STATUS if asker.is_mariadb else _STATUS
        self._shown = -1  # at MariaDB: all up to here can be read

    async def start(self) -> tuple[str, int]:
        """Where the log ends now: the file and the offset.

        Raises:
            ServerLost: It is none from which can be told what was written.
        """
        asker = self._asker
        check = _CHECK_MARIADB if asker.is_mariadb else _CHECK_MYSQL
        ((has_log, kind, gtids),) = await asker.ask(check)
        if has_log != b"1":
            raise ServerLost("log_bin is OFF: there is no binary log to be read")
        if kind != b"ROW":
            raise ServerLost(f"binlog_format is {_text(kind)}: ROW is needed")
        if gtids != b"ON":
            raise ServerLost(f"gtid_mode is {_text(gtids)}: ON is needed")
        try:
            (row,) = await asker.ask(self._end)
        except _Refused as error:
            if error.code == _ER_PARSE_ERROR and self._end == _STATUS:
                self._end = _OLD_STATUS
                (row,) = await asker.ask(_OLD_STATUS)
            elif error.code in _NEEDS:
                raise ServerLost(f"the control user lacks {_NEEDS[error.code]}") from None
            else:
                raise
        file, offset = _text(row[0]), int(row[1] or 0)
        if row[2] or row[3]:
            raise ServerLost("binlog_do_db or binlog_ignore_db is set: not all is in the log")
        if offset > LARGEST_START:
            raise ServerLost(f"{file} is too large for reading to begin in it")
        return file, offset

    async def note_before(self, place: int) -> None:
        """Find out what was in the log before a place, and may not be visible yet."""
        if self._asker.is_mariadb:
            self._before.add(place)
            return
        ((owned,),) = await self._asker.ask(_OWNED)
        for gtid in parse_owned(_text(owned)):
            self._before.add(self._numbers.number(gtid))

    async def look(self, heard: int) -> View:
        """Find out how far the log is, and which of its commits can be read.

        Args:
            heard: The place of the last commit that was told of.
        """
        is_mariadb = self._asker.is_mariadb
        asks_both = is_mariadb and heard > self._shown  # the second takes the server a millisecond
        rows = await self._asker.ask(self._end, *((_SHOWN,) if asks_both else ()))
        position = Position(place_of(_text(rows[0][0]), int(rows[0][1] or 0)))
        if not is_mariadb:
            executed = parse_executed(_text(rows[0][4]))
            return View(ByGtid(self._numbers, executed, self._before), position, 0)
        if asks_both:
            said = {_text(row[0]).lower(): _text(row[1]) for row in rows[1:]}
            file, offset = said["binlog_snapshot_file"], said["binlog_snapshot_position"]
            self._shown = max(self._shown, place_of(file, int(offset)))
        return View(ByPlace(self._shown, self._before), position, 0)


@final
class MySQLChanges(LogReader[Said]):
    """See `proxy.runtime.engine.Changes`. It is the user of the dump's connection."""

    def __init__(
        self, connection: ServerConnection, welcome: Welcome, asker: _Asker, hearer: Hearer
    ) -> None:
        super().__init__(connection, hearer)
        self._exchange = Exchange(welcome.capabilities, 1)
        self._pid = welcome.connection_id
        self._asker = asker
        self._numbers = Numbers()
        self._before = Before()
        self._looks = 0
        self._status = _Status(asker, self._numbers, self._before)
        self._reader = Reader()
        self._stream = Stream("")
        self._heard = 0  # the place of the last commit
        self._begun = asyncio.Event()  # or has failed

    async def start(self) -> None:
        """Ask for the log from where it ends now on.

        Raises:
            ServerLost: The server does not do it; it has the server's words.
        """
        file, offset = await self._status.start()
        period = prepare(
            is_mariadb=self._asker.is_mariadb, seconds=LIFE, uuid=str(uuid.UUID(bytes=_dice()))
        )
        await self._connection.converse(_ask(self._exchange, SEPARATOR.join(period)))
        self._stream = Stream(file)
        self._connection.user = self
        self._connection.write(dump(file, offset, OURS | secrets.randbits(31)))
        self._heard = max(self._heard, place_of(file, offset))
        await self._status.note_before(place_of(file, offset))
        try:
            async with asyncio.timeout(self._connection.address.timeout):
                await self._begun.wait()
        except TimeoutError:
            raise ServerLost("nothing is told of its log") from None
        if self._failure is not None:
            raise self._failure

    # Changes

    async def look(self) -> View:
        """See the base."""
        if self._failure is not None:
            raise self._failure
        self._looks += 1
        if self._looks > 1:
            self._before.is_over = True
        reached = self._reached
        try:
            view = await self._status.look(self._heard)
        except (RemoteProtocolError, LookupError, ValueError) as error:
            raise ServerLost(f"not understood of its log: {error}") from None
        if view.position < reached:
            raise ServerLost("its log was begun anew")
        return view

    def confirm(self) -> None:
        """See the base: what is in the log is told without being asked for."""
        if self._failure is None:
            self._hearer.reached(Position(self._reached))

    def close(self) -> None:
        """See the base."""
        control = self._asker.connection
        if not self._connection.is_lost:
            control.write(packet(0, bytes((QUERY,)) + f"KILL {self._pid:d}".encode()))
        self._connection.user = None
        self._connection.abort("followed no more")
        control.close()

    # LogReader

    def _take(self, data: bytes) -> None:
        """See the base."""
        for event in self._stream.feed(data):
            commit = self._reader.take(event)
            if commit is not None:
                self._hear(commit)
            elif not self._reader.is_inside:
                self._reached = max(self._reached, event.place)
        self._begun.set()
        self._hearer.reached(Position(self._reached))

    def _read_name(self, said: Said) -> Name | None:
        """See the base."""
        return said[0].decode(), said[1].decode()

    def _fail(self, reason: str) -> None:
        super()._fail(reason)
        self._begun.set()

    def _hear(self, commit: Commit) -> None:
        is_mariadb = self._asker.is_mariadb
        xid = commit.place if is_mariadb else self._numbers.number(commit.gtid)
        self._before.add(xid)
        self._heard = commit.place
        rows = {said: number for said, number in commit.rows.items() if said[0] != _THEIR_OWN}
        written = self._written(xid, rows, commit.emptied, commit.is_clear, commit.gtid)
        self._hearer.heard(written)
        if commit.is_over:
            self._reached = max(self._reached, commit.place)


def _dice() -> bytes:
    return secrets.token_bytes(16)


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


async def open_changes(
    address: Address, wish: Wish, credentials: Credentials, hearer: Hearer
) -> MySQLChanges:
    """Begin to read a primary's binary log from now on.

    Args:
        address: Of the primary.
        wish: Who asks: the control user.
        credentials: Of the same.
        hearer: Is told.

    Raises:
        ServerLost: It could not be reached, broke, or does not do it; it has the server's words.
        ServerRefused: The control user was not let in.
    """
    opened: list[ServerConnection] = []
    try:
        async with asyncio.timeout(address.timeout):
            connection, welcome = await reach(address, wish, credentials)
            opened.append(connection)
            control, greeting = await reach(address, wish, credentials)
            opened.append(control)
        changes = MySQLChanges(connection, welcome, _Asker(control, greeting), hearer)
        await changes.start()
    except BaseException as error:
        for it in opened:
            it.abort("not followed")
        if isinstance(error, TimeoutError):
            raise ServerLost(f"server {address.server.name} did not let us in") from None
        if isinstance(error, OSError) and not isinstance(error, ClientVisibleError):
            raise ServerLost(f"server {address.server.name} can't be reached: {error}") from None
        raise
    return changes
