"""A binary log as a server tells it to who asks for a dump: packets are cut into events.

Of an event only the beginning is kept: what it is about is said there, and behind it come rows of
any size that nobody here wants to see. What the events mean together is in `binlog_commits`.

Sources: "Binlog Network Stream" and "Binlog Event" in the MySQL source documentation; "Replication
Protocol" in MariaDB's knowledge base.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from struct import Struct
from typing import Final, final

from proxy.errors import RemoteProtocolError, ServerLost
from proxy.wire.mysql import commands
from proxy.wire.mysql.codec import HEADER, LARGEST, packet
from proxy.wire.mysql.ok import EOF, ERROR, OK, read_error

HEAD: Final = 4096
"""Bytes that are kept of an event. The names in a table map take 520 at most. What does not fit is
a statement, most of which nobody reads, or rows."""

EVENT_HEADER: Final = 19

# Types of events.
QUERY: Final = 2
STOP: Final = 3
ROTATE: Final = 4
INTVAR: Final = 5
RAND: Final = 13
USER_VAR: Final = 14
FORMAT_DESCRIPTION: Final = 15
XID: Final = 16
TABLE_MAP: Final = 19
INCIDENT: Final = 26
HEARTBEAT: Final = 27
IGNORABLE: Final = 28
ROWS_QUERY: Final = 29
GTID: Final = 33
ANONYMOUS_GTID: Final = 34
PREVIOUS_GTIDS: Final = 35
TRANSACTION_CONTEXT: Final = 36
VIEW_CHANGE: Final = 37
XA_PREPARE: Final = 38
TRANSACTION_PAYLOAD: Final = 40
HEARTBEAT_V2: Final = 41
GTID_TAGGED: Final = 42
ANNOTATE_ROWS: Final = 160  # from here on MariaDB's
BINLOG_CHECKPOINT: Final = 161
MARIA_GTID: Final = 162
GTID_LIST: Final = 163
START_ENCRYPTION: Final = 164
QUERY_COMPRESSED: Final = 165

ROWS: Final = frozenset((*range(20, 26), *range(30, 33), 39, *range(166, 172)))
"""Rows written, in all versions; 39 holds parts of documents, MariaDB's are compressed."""

ARTIFICIAL: Final = 0x20
IGNORABLE_FLAG: Final = 0x80

CAN_ALL: Final = 4
"""MARIA_SLAVE_CAPABILITY_GTID: the events of MariaDB itself are understood."""

_HEAD: Final = Struct("<IBIIIH")
_DUMP: Final = Struct("<BIHI")
_NAME: Final = Struct("<Q")
_HALVES: Final = 1 << 32
_CRC32: Final = 1
_CHECKSUM: Final = 4
_OFFSET: Final = 40
"""Bits of a place that hold the offset in a file."""


@final
class Event:
    """One event.

    Attributes:
        kind: Its type.
        flags: Of its header.
        server: The id of the server that wrote it first.
        place: Where it ends, see `place_of`; what is not in the log ends where the one before did.
        body: What is behind its header, or the beginning of it, without its checksum.
        is_whole: Whether that is all.
    """

    __slots__ = ("body", "flags", "is_whole", "kind", "place", "server")

    def __init__(
        self, kind: int, flags: int, server: int, place: int, body: bytes, is_whole: bool
    ) -> None:
        self.kind = kind
        self.flags = flags
        self.server = server
        self.place = place
        self.body = body
        self.is_whole = is_whole


def place_of(file: str, offset: int) -> int:
    """Write a place in a log as one number, by which places in one log compare.

    Args:
        file: The name of one of its files, "binlog.000007".
        offset: In that file.

    Raises:
        RemoteProtocolError: It is no such place.
    """
    number = file.rpartition(".")[2]
    if not (number.isascii() and number.isdigit()) or len(number) > 10:
        raise RemoteProtocolError(f"no file of a binary log: {file[:100]!r}")
    if not 0 <= offset < 1 << _OFFSET:
        raise RemoteProtocolError("no offset in a file of a binary log")
    return int(number) << _OFFSET | offset


def prepare(*, is_mariadb: bool, seconds: float, uuid: str) -> Sequence[bytes]:
    """Statements that say how a log is to be told.

    Args:
        is_mariadb: Whether the server is.
        seconds: A sign of life is wanted after as many without anything.
        uuid: Of ours: MySQL ends a dump that was begun under the same.
    """
    period = int(seconds * 1e9)
    said = [f"SET @master_heartbeat_period = {period}, @master_binlog_checksum = 'CRC32'"]
    if is_mariadb:
        said.append(f"SET @mariadb_slave_capability = {CAN_ALL}")
    else:
        said.append(f"SET @source_heartbeat_period = {period}, @source_binlog_checksum = 'CRC32'")
        said.append(f"SET @slave_uuid = '{uuid}', @replica_uuid = '{uuid}'")
    return [it.encode() for it in said]


def dump(file: str, offset: int, server_id: int) -> bytes:
    """Ask for a log from a place on (COM_BINLOG_DUMP).

    Args:
        file: The name of one of its files.
        offset: Of an event in it.
        server_id: Ours, and nobody else's: a server ends a dump that was begun under the same.
    """
    return packet(0, _DUMP.pack(commands.BINLOG_DUMP, offset, 0, server_id) + file.encode())


@final
class Stream:
    """Cuts what a server says once it was asked for its log.

    Args:
        file: The name of the log's file that it was asked for.
    """

    __slots__ = ("_alg", "_base", "_first", "_head", "_held", "_is_last", "_last", "_size", "_skip")

    def __init__(self, file: str) -> None:
        self._held = b""
        self._skip = 0  # bytes to come of a packet that nobody wants
        self._head = b""  # of a message in several packets
        self._size = 0  # of that
        self._is_last = True  # of its packets: the one that is being skipped
        self._alg = -1  # of checksums; not known yet
        self._first = file.encode()
        self._base = 0  # the place of the file's beginning
        self._last = 0  # offset of the last event's end

    def feed(self, data: bytes) -> list[Event]:
        """Take bytes and return the events that are whole, or of which all that is kept is there.

        Raises:
            RemoteProtocolError: It is no such stream.
            ServerLost: The server has ended it.
        """
        found: list[Event] = []
        if self._held:
            data = self._held + data
        pos = 0
        end = len(data)
        while True:
            if self._skip:
                skipped = min(self._skip, end - pos)
                self._skip -= skipped
                pos += skipped
                if self._skip:
                    break
                if self._is_last:
                    self._take(found)
            if end - pos < HEADER:
                break
            size = int.from_bytes(data[pos : pos + 3], "little")
            kept = max(0, min(size, HEAD - len(self._head)))
            if end - pos < HEADER + kept:
                break
            self._head += data[pos + HEADER : pos + HEADER + kept]
            self._size += size
            self._is_last = size < LARGEST
            pos += HEADER + kept
            self._skip = size - kept
            if not self._skip and self._is_last:
                self._take(found)
        self._held = data[pos:]
        return found

    def _take(self, found: list[Event]) -> None:
        head = self._head
        size = self._size
        self._head = b""
        self._size = 0
        if not head:
            raise RemoteProtocolError("an empty packet in a binary log")
        if head[0] == ERROR:
            error = read_error(packet(0, head))
            raise ServerLost(error.message.decode("utf-8", "replace"))
        if head[0] == EOF and size < 9:
            raise ServerLost("the server has ended its binary log")
        if head[0] != OK or len(head) <= EVENT_HEADER:
            raise RemoteProtocolError("not understood in a binary log")
        event = self._read(head[1:], size - 1)
        if event is not None:
            found.append(event)

    def _read(self, head: bytes, size: int) -> Event:
        _, kind, server, length, offset, flags = _HEAD.unpack_from(head)
        if length != size:
            raise RemoteProtocolError("an event of another length than its packet's")
        is_whole = len(head) == size
        if kind == FORMAT_DESCRIPTION:
            self._describe(head, is_whole)
        body = head[EVENT_HEADER:]
        if self._alg == _CRC32 and is_whole:
            stop = len(head) - _CHECKSUM
            if stop < EVENT_HEADER or zlib.crc32(head[:stop]) != int.from_bytes(
                head[stop:], "little"
            ):
                raise RemoteProtocolError("a wrong checksum in a binary log")
            body = head[EVENT_HEADER:stop]
        if kind == ROTATE:
            self._rotate(body)
        elif kind == HEARTBEAT:
            if offset > self._last % _HALVES:
                self._advance(offset)
        elif offset and not flags & ARTIFICIAL and kind != FORMAT_DESCRIPTION:
            self._advance(offset)
        return Event(kind, flags, server, self._base + self._last, body, is_whole)

    def _describe(self, head: bytes, is_whole: bool) -> None:
        """Learn whether there are checksums; servers that have none don't speak GTIDs either."""
        # Behind the version, the server's, a time, the length of headers and those of the types.
        if not is_whole or len(head) < EVENT_HEADER + 2 + 50 + 4 + 1 + 1 + _CHECKSUM:
            raise RemoteProtocolError("the description of a binary log is cut off")
        if head[EVENT_HEADER + 56] != EVENT_HEADER:
            raise RemoteProtocolError("a binary log with other headers")
        self._alg = head[len(head) - _CHECKSUM - 1]
        if self._alg not in (0, _CRC32):
            raise RemoteProtocolError("a binary log with checksums of an unknown kind")

    def _rotate(self, body: bytes) -> None:
        """The log goes on in another file, or begins; then a checksum may be behind its name."""
        if len(body) <= _NAME.size:
            raise RemoteProtocolError("the name of a binary log's file is cut off")
        name = body[_NAME.size :]
        first = self._first
        if self._alg < 0 and name.startswith(first):
            name = first
        if not name.isascii():
            raise RemoteProtocolError("no name of a binary log's file")
        self._base = place_of(name.decode(), 0)
        self._last = 0
        self._advance(int(_NAME.unpack_from(body)[0]) % _HALVES)

    def _advance(self, offset: int) -> None:
        """Note where an event ends. Offsets have four bytes in a file that may be larger."""
        full = self._last // _HALVES * _HALVES + offset
        if full < self._last:
            full += _HALVES
        if full < 1 << _OFFSET:
            self._last = full
