"""What a binary log tells of a commit: who it is, and which tables it wrote.

Rows are not read, only whose they are. What is a statement in the log (a definition; a session that
has set `binlog_format`) may have written anything, but for TRUNCATE; and so may what is compressed
in one event (`binlog_transaction_compression`), but for what is small, where there is zstd.

Sources: the pages "Binlog Event" and below in the MySQL source documentation; "Replication
Protocol" in MariaDB's knowledge base.
"""

from __future__ import annotations

import re
from struct import Struct
from typing import Final, final

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import binlog as b
from proxy.wire.mysql import compression
from proxy.wire.mysql.binlog import Event
from proxy.wire.mysql.codec import read_lenenc_int

PART: Final = 64
"""Events of rows after which a commit is told of: a large one takes seconds to its last."""

_QUERY: Final = Struct("<IIBHH")
_GTID: Final = Struct("<B16sQ")
_MARIA_GTID: Final = Struct("<QIB")
_LARGEST: Final = (1 << 63) - 1

MUCH: Final = 256 * 1024
"""Bytes that a compressed event may become: more takes others' time, and is taken for anything."""

# Fields of a compressed event, and what it may be compressed with.
_END: Final = 0
_ALGORITHM: Final = 2
_FULL_SIZE: Final = 3
_ZSTD: Final = 0

_STANDALONE: Final = 1
"""FL_STANDALONE: one statement, and nothing that ends it."""

_BEGINS: Final = re.compile(rb"\s*(?:BEGIN|XA\s+START|START\s+TRANSACTION)\b", re.IGNORECASE)
_ENDS: Final = re.compile(rb"\s*(?:COMMIT|ROLLBACK(?!\s+TO\b)(?!\s+WORK\s+TO\b))\b", re.IGNORECASE)
_SAYS_NOTHING: Final = re.compile(
    rb"\s*(?:SAVEPOINT|RELEASE\s+SAVEPOINT|ROLLBACK\s+(?:WORK\s+)?TO|XA\s+END"
    rb"|DROP\s+(?:/\*!\d+\s+)?TEMPORARY)\b",
    re.IGNORECASE,
)
"""Of a temporary table nobody reads but who has it."""

_NAME: Final = rb"(?:`([\x20-\x5F\x61-\x7E]+)`|([A-Za-z0-9_$]+))"
_TRUNCATES: Final = re.compile(
    rb"\s*TRUNCATE\s+(?:TABLE\s+)?" + _NAME + rb"(?:\s*\.\s*" + _NAME + rb")?\s*;?\s*",
    re.IGNORECASE,
)

_SILENT: Final = frozenset(
    (
        *(b.INTVAR, b.RAND, b.USER_VAR, b.ROWS_QUERY, b.ANNOTATE_ROWS, b.IGNORABLE),
        *(b.TRANSACTION_CONTEXT, b.VIEW_CHANGE),
    )
)
"""Belong to a commit, and write nothing."""

_OUTSIDE: Final = frozenset(
    (
        *(b.STOP, b.ROTATE, b.FORMAT_DESCRIPTION, b.PREVIOUS_GTIDS, b.HEARTBEAT, b.HEARTBEAT_V2),
        *(b.BINLOG_CHECKPOINT, b.GTID_LIST, b.START_ENCRYPTION),
    )
)
"""Belong to the log."""

Name = tuple[bytes, bytes]
"""A schema and a table in it."""


@final
class Commit:
    """One, or a part of it.

    Attributes:
        gtid: Its id, as the server says it: "uuid:7", or "0-101-7".
        rows: How many events tell of rows of a table.
        emptied: These were.
        is_clear: Whether that is all.
        place: Where it ends in the log, or the part does.
        is_over: Whether nothing of it comes any more.
    """

    __slots__ = ("emptied", "gtid", "is_clear", "is_over", "place", "rows")

    def __init__(self, gtid: str) -> None:
        self.gtid = gtid
        self.rows: dict[Name, int] = {}
        self.emptied: set[Name] = set()
        self.is_clear = True
        self.is_over = False
        self.place = 0


@final
class Reader:
    """Puts events together."""

    __slots__ = ("_current", "_events", "_is_open", "_maps")

    def __init__(self) -> None:
        self._current: Commit | None = None
        self._is_open = False  # whether something will say where the current one ends
        self._events = 0
        self._maps: dict[int, Name] = {}

    @property
    def is_inside(self) -> bool:
        """Tell whether a commit has begun that is not over."""
        return self._current is not None

    def take(self, event: Event) -> Commit | None:
        """Take an event; returns the commit that it ends, or a part of it.

        Raises:
            RemoteProtocolError: It is out of place, or not understood.
        """
        kind = event.kind
        if kind in _OUTSIDE:
            if kind == b.ROTATE or kind == b.FORMAT_DESCRIPTION:
                self._maps.clear()
            return None
        if kind == b.GTID or kind == b.MARIA_GTID:
            self._begin(event)
            return None
        if kind == b.GTID_TAGGED:
            raise RemoteProtocolError("a commit with a tag in its GTID, which is not read")
        if kind == b.ANONYMOUS_GTID:
            raise RemoteProtocolError("a commit without a GTID in a binary log")
        if kind == b.INCIDENT:
            raise RemoteProtocolError("an incident: the binary log lacks something")
        current = self._current
        if current is None:
            if event.flags & b.IGNORABLE_FLAG:
                return None
            raise RemoteProtocolError("an event outside of commits in a binary log")
        current.place = event.place
        if self._ends(current, event):
            self._current = None
            current.is_over = True
            return current
        if self._events < PART:
            return None
        self._events = 0
        self._current = Commit(current.gtid)
        return current

    def _begin(self, event: Event) -> None:
        body = event.body
        if self._current is not None:
            raise RemoteProtocolError("a commit without an end in a binary log")
        if event.kind == b.GTID:
            if len(body) < _GTID.size:
                raise RemoteProtocolError("a GTID is cut off")
            _, sid, number = _GTID.unpack_from(body)
            text = sid.hex()
            uuid = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
            gtid = f"{uuid}:{number}"
            self._is_open = False
        else:
            if len(body) < _MARIA_GTID.size:
                raise RemoteProtocolError("a GTID is cut off")
            number, domain, flags = _MARIA_GTID.unpack_from(body)
            gtid = f"{domain}-{event.server}-{number}"
            self._is_open = not flags & _STANDALONE
        if not 0 < number <= _LARGEST:
            raise RemoteProtocolError("a GTID without a number")
        self._current = Commit(gtid)
        self._events = 0

    def _ends(self, current: Commit, event: Event) -> bool:
        """Take in an event of a commit; tells whether it is the last."""
        kind = event.kind
        if kind in b.ROWS:
            name = self._maps.get(_table_id(event.body))
            if name is None:
                current.is_clear = False
            else:
                current.rows[name] = current.rows.get(name, 0) + 1
            self._events += 1
            return False
        if kind == b.TABLE_MAP:
            self._map(event.body)
            return False
        if kind == b.QUERY:
            return self._take_statement(current, event)
        if kind == b.XID or kind == b.XA_PREPARE:
            return True
        if kind == b.TRANSACTION_PAYLOAD:
            self._unpack(current, event)
        elif kind not in _SILENT and not event.flags & b.IGNORABLE_FLAG:
            current.is_clear = False
        if kind == b.TRANSACTION_PAYLOAD:
            return True
        return kind == b.QUERY_COMPRESSED and not self._is_open

    def _unpack(self, current: Commit, event: Event) -> None:
        """Take in events that are compressed in one; they are all of their commit."""
        try:
            data = _inflated(event)
            pos = 0
            while pos < len(data):
                inner = _inner(data, pos, event)
                pos += b.EVENT_HEADER + len(inner.body)
                self._ends(current, inner)
        except RemoteProtocolError:
            current.is_clear = False

    def _map(self, body: bytes) -> None:
        """Learn what a table is called by the events that follow."""
        number = _table_id(body)
        pos = 8
        schema, pos = _name(body, pos)
        table, pos = _name(body, pos)
        self._maps[number] = (schema, table)

    def _take_statement(self, current: Commit, event: Event) -> bool:
        found = _statement(event.body)
        if found is None:
            current.is_clear = False
            return not self._is_open
        schema, text = found
        if _BEGINS.match(text):
            self._is_open = True
            return False
        if self._is_open and _ENDS.match(text):
            return True
        if not _SAYS_NOTHING.match(text):
            match = _TRUNCATES.fullmatch(text) if event.is_whole else None
            if match is None:
                current.is_clear = False
            else:
                first = match[1] or match[2]
                second = match[3] or match[4]
                current.emptied.add((first, second) if second else (schema, first))
        return not self._is_open


def _inflated(event: Event) -> bytes:
    """What is compressed in an event.

    Raises:
        RemoteProtocolError: It can't be told.
    """
    if not event.is_whole or not compression.HAS_ZSTD:
        raise RemoteProtocolError("compressed events are not read")
    body = event.body
    algorithm = size = -1
    field, pos = read_lenenc_int(body, 0)
    while field != _END:
        length, pos = read_lenenc_int(body, pos)
        if field == _ALGORITHM:
            algorithm, _ = read_lenenc_int(body, pos)
        elif field == _FULL_SIZE:
            size, _ = read_lenenc_int(body, pos)
        field, pos = read_lenenc_int(body, pos + length)
    if algorithm != _ZSTD or not 0 <= size <= MUCH:
        raise RemoteProtocolError("compressed events that are not read")
    return compression.Zstd().decompress(body[pos:], size)


def _inner(data: bytes, pos: int, outer: Event) -> Event:
    """Read one of the events that were compressed; these have no checksums."""
    if len(data) - pos < b.EVENT_HEADER:
        raise RemoteProtocolError("a compressed event is cut off")
    size = int.from_bytes(data[pos + 9 : pos + 13], "little")
    if not b.EVENT_HEADER <= size <= len(data) - pos:
        raise RemoteProtocolError("a compressed event is cut off")
    flags = int.from_bytes(data[pos + 17 : pos + 19], "little")
    body = data[pos + b.EVENT_HEADER : pos + size]
    if data[pos + 4] == b.TRANSACTION_PAYLOAD:
        raise RemoteProtocolError("compressed events in compressed events")
    return Event(data[pos + 4], flags, outer.server, outer.place, body, True)


def _table_id(body: bytes) -> int:
    if len(body) < 8:
        raise RemoteProtocolError("an event of rows is cut off")
    return int.from_bytes(body[:6], "little")


def _name(body: bytes, pos: int) -> tuple[bytes, int]:
    """Read a name in front of which stands its length, and behind it a zero byte."""
    if pos >= len(body):
        raise RemoteProtocolError("a table's name is cut off")
    stop = pos + 1 + body[pos]
    if stop >= len(body):
        raise RemoteProtocolError("a table's name is cut off")
    return body[pos + 1 : stop], stop + 1


def _statement(body: bytes) -> tuple[bytes, bytes] | None:
    """Read the current schema and the statement; None: it does not begin in what was kept."""
    if len(body) < _QUERY.size:
        raise RemoteProtocolError("a statement in a binary log is cut off")
    _, _, size, _, variables = _QUERY.unpack_from(body)
    start = _QUERY.size + variables
    stop = start + size
    if stop >= len(body):
        return None
    return body[start:stop], body[stop + 1 :]
