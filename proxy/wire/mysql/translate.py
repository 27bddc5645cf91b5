"""A reply in the form one server connection agreed to, made into the form of another.

Only where the two differ: what agrees is relayed as it came (`differs`). Rows are not read, and
their sequence ids are changed only while they are ahead or behind.

What is told apart: EOF packets (DEPRECATE_EOF), changes of the session's state (SESSION_TRACK), the
mark that definitions follow (OPTIONAL_RESULTSET_METADATA, and MariaDB's for its cache), MariaDB's
extended definitions and reports of progress.

One thing comes later than from a server: a client without DEPRECATE_EOF learns of OUT parameters
and of further results behind the rows, not in front of them as well.
"""

from __future__ import annotations

from typing import Final, final

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import replies
from proxy.wire.mysql.capabilities import (
    DEPRECATE_EOF,
    MARIADB_CACHE_METADATA,
    MARIADB_EXTENDED_METADATA,
    MARIADB_PROGRESS,
    OPTIONAL_RESULTSET_METADATA,
    SESSION_TRACK,
    STATUS_ANSI_QUOTES,
    STATUS_AUTOCOMMIT,
    STATUS_CURSOR_EXISTS,
    STATUS_IN_TRANS,
    STATUS_IN_TRANS_READONLY,
    STATUS_MORE_RESULTS,
    STATUS_NO_BACKSLASH_ESCAPES,
    STATUS_PS_OUT_PARAMS,
)
from proxy.wire.mysql.codec import HEADER, LARGEST, packet, read_lenenc_int, read_lenenc_string
from proxy.wire.mysql.ok import EOF, Ok, end_packet, eof_packet, ok_packet, read_eof, read_ok

_SHAPING: Final = (
    DEPRECATE_EOF
    | SESSION_TRACK
    | OPTIONAL_RESULTSET_METADATA
    | MARIADB_CACHE_METADATA
    | MARIADB_EXTENDED_METADATA
    | MARIADB_PROGRESS
)
_FLAGGED: Final = OPTIONAL_RESULTSET_METADATA | MARIADB_CACHE_METADATA
_LASTING: Final = (
    STATUS_IN_TRANS
    | STATUS_AUTOCOMMIT
    | STATUS_IN_TRANS_READONLY
    | STATUS_NO_BACKSLASH_ESCAPES
    | STATUS_ANSI_QUOTES
)
"""What an EOF of our own may repeat: nothing that is of one statement only."""
_OUT: Final = STATUS_PS_OUT_PARAMS | STATUS_MORE_RESULTS
"""MySQL says neither behind the rows, without DEPRECATE_EOF."""
_PREPARED_SIZE: Final = HEADER + 12
_PLAIN_END: Final = HEADER + 7
_NAMES: Final = 6  # length-encoded strings in front of what is extended


def differs(server: int, client: int) -> bool:
    """Tell if replies look different under these two sets of capabilities."""
    return (server ^ client) & _SHAPING != 0


@final
class Translator:
    """Translate replies, one after the other, behind the `ReplyReader` that follows them.

        translator.begin()
        said = translator.feed(reader.feed(data), reader.found)

    Args:
        server: What was agreed with the server.
        client: What was agreed with the client.
    """

    __slots__ = (
        "_client",
        "_dropped",
        "_extends",
        "_flags",
        "_is_prepared",
        "_last",
        "_owes_eof",
        "_remain",
        "_server",
        "ahead",
        "given",
        "status",
        "taken",
    )

    def __init__(self, server: int, client: int) -> None:
        self._server = server
        self._client = client
        self._extends = (server ^ client) & MARIADB_EXTENDED_METADATA != 0
        self._flags = (server & _FLAGGED != 0) != (client & _FLAGGED != 0)
        self.given = 0  # status flags that the client is to see
        self.taken = 0  # and those it is not to see
        self.status = STATUS_AUTOCOMMIT  # the last that was seen; an EOF of our own says it
        self.begin()

    def begin(self) -> None:
        """Begin a reply."""
        self.ahead = 0  # of the server's sequence ids; below 0: behind
        self._remain = 0  # bytes still to come of a packet that is renumbered
        self._last = 0  # the server's sequence id of the last packet that was looked at
        self._owes_eof = False  # column definitions have ended, rows have not begun
        self._dropped = 0  # flags of an EOF left out that have to be said behind the rows
        self._is_prepared = False

    def feed(self, data: bytes, found: list[tuple[int, int, int]]) -> bytes:
        """Translate what a reader has let pass, by what it has found in it.

        Raises:
            RemoteProtocolError: A packet can't be read, or lacks what the client must have.
        """
        pieces: list[bytes] = []
        pos = 0
        for kind, start, stop in found:
            if start > pos:
                pieces.append(self._pass(data[pos:start]))
            pos = start
            if kind == replies.ROWS:
                if self._owes_eof:
                    pieces.append(self._eof(data[start + 3]))
                continue
            self._remain = 0
            pieces.append(self._translate(kind, data[start:stop]))
            pos = stop
        if pos < len(data):
            pieces.append(self._pass(data[pos:] if pos else data))  # a slice of all is a copy
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _pass(self, data: bytes) -> bytes:
        ahead = self.ahead
        if not ahead:
            return data
        changed = bytearray(data)
        pos = self._remain
        end = len(data)
        while pos < end:
            changed[pos + 3] = (data[pos + 3] + ahead) & 0xFF
            pos += HEADER + (data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16)
        self._remain = pos - end
        return bytes(changed)

    def _translate(self, kind: int, message: bytes) -> bytes:
        if kind == replies.COLUMNS:
            return self._columns(message)
        if kind == replies.COLUMNS_END:
            return self._columns_end(message)
        self._last = message[3]
        if kind == replies.END:
            return self._end(message)
        if kind == replies.OK:
            return self._end(message) if message[HEADER] == EOF else self._ok(message)
        if kind == replies.COUNT:
            return self._count(message)
        if kind == replies.PREPARED:
            return self._prepared(message)
        if kind == replies.ERROR and self._owes_eof:
            return self._eof(message[3]) + self._pass(message)
        if kind == replies.PROGRESS and not self._client & MARIADB_PROGRESS:
            self.ahead -= 1
            return b""
        return self._pass(message)

    def _number(self, number: int) -> int:
        return (number + self.ahead) & 0xFF

    def _shown(self, status: int) -> int:
        return (status & ~self.taken) | self.given

    def _ok(self, message: bytes) -> bytes:
        said = read_ok(message)
        self.status = said.status
        said.status = self._shown(said.status)
        return ok_packet(self._number(message[3]), said, self._client)

    def _end(self, message: bytes) -> bytes:
        said = _read_end(message)
        self.status = said.status
        said.status = self._shown(said.status | self._dropped)
        self._dropped = 0
        eof = b""
        if self._owes_eof:
            # A cursor's rows are fetched, so here the two EOFs are one.
            if said.status & STATUS_CURSOR_EXISTS:
                self._owes_eof = False
            else:
                eof = self._eof(message[3])
        return eof + end_packet(self._number(message[3]), said, self._client)

    def _eof(self, number: int) -> bytes:
        """Put an EOF in front of what is the server's packet of this number."""
        self._owes_eof = False
        eof = eof_packet(self._number(number), self._shown(self.status & _LASTING))
        self.ahead += 1
        self._remain = 0
        return eof

    def _columns_end(self, eof: bytes) -> bytes:
        if self._client & DEPRECATE_EOF:
            if eof:
                self.ahead -= 1
                status, _ = read_eof(eof)
                self._dropped = _OUT if status & STATUS_PS_OUT_PARAMS else 0
            return b""
        if eof:
            return self._pass(eof)
        if self._is_prepared:
            return self._eof(self._last + 1)
        self._owes_eof = True
        return b""

    def _count(self, message: bytes) -> bytes:
        if not self._flags:
            return self._pass(message)
        _, stop = read_lenenc_int(message, HEADER)
        flag = b"\x01"
        if self._server & _FLAGGED:
            _expect_definitions(message[stop:])
            flag = b""
        return packet(self._number(message[3]), message[HEADER:stop] + flag)

    def _prepared(self, message: bytes) -> bytes:
        self._is_prepared = True
        flag = message[_PREPARED_SIZE:]
        if not self._client & OPTIONAL_RESULTSET_METADATA:
            if self._server & OPTIONAL_RESULTSET_METADATA:
                _expect_definitions(flag)
            flag = b""
        elif not self._server & OPTIONAL_RESULTSET_METADATA:
            flag = b"\x01"
        return packet(self._number(message[3]), message[HEADER:_PREPARED_SIZE] + flag)

    def _columns(self, packets: bytes) -> bytes:
        if not self._is_prepared and not self._extends:
            return self._pass(packets)
        pieces: list[bytes] = []
        pos = 0
        while pos < len(packets):
            self._last = packets[pos + 3]
            size = packets[pos] | packets[pos + 1] << 8 | packets[pos + 2] << 16
            start = pos + HEADER
            pos = start + size
            pieces.append(self._definition(packets[start:pos]))
        return b"".join(pieces)

    def _definition(self, payload: bytes) -> bytes:
        if self._extends:
            pos = 0
            for _ in range(_NAMES):
                _, pos = read_lenenc_string(payload, pos)
            if self._client & MARIADB_EXTENDED_METADATA:
                payload = b"".join((payload[:pos], b"\0", payload[pos:]))
            else:
                _, stop = read_lenenc_string(payload, pos)
                payload = payload[:pos] + payload[stop:]
        if len(payload) >= LARGEST:
            raise RemoteProtocolError("a column definition is too large")
        return packet(self._number(self._last), payload)


def _read_end(message: bytes) -> Ok:
    """As `read_ok`, sooner done with the end of most rows: nothing but status and warnings."""
    if len(message) != _PLAIN_END or message[HEADER + 1] or message[HEADER + 2]:
        return read_ok(message)
    status = message[HEADER + 3] | message[HEADER + 4] << 8
    return Ok(0, 0, status, message[HEADER + 5] | message[HEADER + 6] << 8)


def _expect_definitions(flag: bytes) -> None:
    if flag == b"\0":
        raise RemoteProtocolError("the server left out definitions that the client has to have")
