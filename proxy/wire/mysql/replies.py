"""The relay lane: a server's reply to one command, followed through chunks cut anywhere.

Bytes pass through; only the packets that say something about the statement are pointed at, and
read. A row is a header that is counted past, so rows of any size and number cost no memory.

How a packet is told apart depends on where it stands ("Command Phase" in the MySQL source
documentation, "COM_QUERY Response" in particular):

- Where a result begins, 0x00 is OK, 0xFF an error, 0xFB asks for a file (at MariaDB a prepared
  statement may, too), everything else is a number of columns.
- Where a row may be, 0xFF is an error and 0xFE the end. A text row begins with the length of its
  first value: 0x00 is an empty one, 0xFB NULL, 0xFF is no length, and 0xFE is the length of a
  value of 16 MB or more, so that the packet is a full one. A binary row begins with 0x00.
- Behind a full packet comes the rest of the same message, whatever it looks like.

This module is compiled with mypyc and runs unchanged without.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i32_le
from mypy_extensions import i64

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import capabilities, commands
from proxy.wire.mysql.codec import HEADER, LARGEST, read_lenenc_int
from proxy.wire.mysql.ok import EOF_SIZE, is_progress, read_ok
from proxy.wire.mysql.tracking import NOTHING, Tracked

# What `found` points at.
OK: Final = 1
ERROR: Final = 2
END: Final = 3
"""The end of rows: an EOF, or an OK in its place."""
COUNT: Final = 4
"""The number of columns."""
COLUMNS: Final = 5
"""Column definitions, one or more; of a prepared statement, its parameters' too."""
COLUMNS_END: Final = 6
"""Where column definitions end, with the EOF that ends them. Under DEPRECATE_EOF it is empty."""
ROWS: Final = 7
"""The first row. It may not be whole yet, so only its start counts."""
FILE: Final = 8
"""A file of the client's is wanted (LOAD DATA LOCAL)."""
PREPARED: Final = 9
PROGRESS: Final = 10
"""MariaDB reports how far it is."""
TEXT: Final = 11
"""The bare line that answers COM_STATISTICS."""
AUTHENTICATION: Final = 12
"""The client is asked, or told, something of its authentication (COM_CHANGE_USER)."""

# Where in a reply the next packet stands.
_NOWHERE: Final = 0
_RESULT: Final = 1
_COLUMNS: Final = 2
_COLUMNS_EOF: Final = 3
_ROWS: Final = 4
_PREPARED: Final = 5
_FIELDS: Final = 6
_TEXT: Final = 7
_SIMPLE: Final = 8
_USER: Final = 9

# What a log is made of is passed as rows are.
_BEGINNINGS: Final = {
    commands.QUERY: _RESULT,
    commands.PROCESS_INFO: _RESULT,
    commands.STMT_EXECUTE: _RESULT,
    commands.STMT_BULK_EXECUTE: _RESULT,
    commands.STMT_PREPARE: _PREPARED,
    commands.STMT_FETCH: _ROWS,
    commands.FIELD_LIST: _FIELDS,
    commands.STATISTICS: _TEXT,
    commands.CHANGE_USER: _USER,
    commands.BINLOG_DUMP: _ROWS,
    commands.BINLOG_DUMP_GTID: _ROWS,
    commands.QUIT: _NOWHERE,
    commands.STMT_SEND_LONG_DATA: _NOWHERE,
    commands.STMT_CLOSE: _NOWHERE,
}
"""Every other command is answered by a single OK, EOF or ERR."""

_FIRST_OK: Final = 0x00
_FIRST_FILE: Final = 0xFB
_FIRST_EOF: Final = 0xFE
_FIRST_ERROR: Final = 0xFF
_SAYS_OK: Final = (_FIRST_OK, _FIRST_EOF)

_FLAGS_METADATA: Final = (
    capabilities.OPTIONAL_RESULTSET_METADATA | capabilities.MARIADB_CACHE_METADATA
)

_DEPRECATE_EOF: Final = capabilities.DEPRECATE_EOF
_MORE_RESULTS: Final = capabilities.STATUS_MORE_RESULTS
_STATE_CHANGED: Final = capabilities.STATUS_SESSION_STATE_CHANGED
_CURSOR_EXISTS: Final = capabilities.STATUS_CURSOR_EXISTS
_CURSOR: Final = _CURSOR_EXISTS | capabilities.STATUS_LAST_ROW_SENT

Outcome = tuple[int, int, int]
"""Rows affected, the last id inserted, the number of warnings."""


@final
class ReplyReader:
    """Follow replies, one after the other, and tell what they said.

        reader.expect(command)
        passed = reader.feed(data)       # what may go on to the client
        for kind, start, stop in reader.found: ...
        if reader.done and reader.has_rest:
            reader.expect(next_command)
            passed = reader.feed(b"")    # of replies that came in one chunk

    Most often what comes back is `data` itself, not a copy. What is pointed at is held back until
    it is whole; what belongs to no reply asked for is kept, and is for the owner to judge.
    """

    __slots__ = (
        "_columns_after",
        "_continues",
        "_held",
        "_held_size",
        "_left",
        "_remain",
        "_row_seen",
        "_skips",
        "_step",
        "_takes_out",
        "_wanted",
        "capabilities",
        "columns",
        "command",
        "cursor_exists",
        "done",
        "error",
        "found",
        "more_results",
        "outcomes",
        "parameters",
        "statement",
        "status",
        "tracked",
    )

    def __init__(self, agreed: int) -> None:
        """Begin behind a login.

        Args:
            agreed: The capabilities of the connection to the server.
        """
        self.capabilities = agreed
        self.found: list[tuple[int, int, int]] = []
        # Flags of the last packet that had any; no error has, so it outlives them.
        self.status = capabilities.STATUS_AUTOCOMMIT
        self._held: list[bytes] = []
        self._held_size: i64 = 0
        self._remain: i64 = 0  # bytes of the current packet that are still to come
        self._continues = False  # the next packet is of the same message
        self._left: i64 = 0  # column definitions that are still to come
        self._columns_after: i64 = 0  # definitions of columns, behind those of parameters
        self._skips = False  # the server was asked to leave definitions out
        self._row_seen = False
        self._takes_out = False  # an OK is to follow the row of OUT parameters
        self.statement = 0  # of a PREPARED: its id, and how many columns and parameters it has
        self.columns = 0
        self.parameters = 0
        self.expect(commands.QUIT)

    @property
    def has_rest(self) -> bool:
        """Whether bytes are held: of the next reply, if this one is done."""
        return bool(self._held)

    def expect(self, command: int) -> None:
        """Begin a reply; to a command that is not answered, it is done at once.

        Args:
            command: The first byte of the command.
        """
        self.command = command
        step: int = _BEGINNINGS.get(command, _SIMPLE)
        self._step = step
        self._wanted: i64 = 0  # no use in looking again before that many bytes are held
        self.done = step == _NOWHERE
        self._row_seen = False
        self.error = b""  # the ERR packet
        self.outcomes: list[Outcome] = []  # one for each result
        self.tracked = NOTHING  # what changed of the session's state
        self.more_results = False
        self.cursor_exists = False

    def feed(self, data: bytes) -> bytes:
        """Take what came and return what of this reply may go on; `found` points into that.

        Raises:
            RemoteProtocolError: The server said something the protocol does not know.
        """
        self.found = []
        if self._held:
            self._held.append(data)
            self._held_size += len(data)
            if self.done or self._held_size < self._wanted:
                return b""
            data = b"".join(self._held)
            self._held = []
        pos: i64 = self._remain
        end: i64 = len(data)
        wanted: i64 = HEADER
        while not self.done and end - pos >= HEADER:
            if self._continues:
                header: int = read_i32_le(data, pos)
                self._continues = header & LARGEST == LARGEST
                pos += HEADER + (header & LARGEST)
                continue
            if self._step == _ROWS:
                pos = self._pass_rows(data, pos, end)
            elif self._step == _COLUMNS:
                passed: i64 = self._pass_columns(data, pos, end)
                if passed > pos:
                    self.done = self._step == _NOWHERE
                    pos = passed
                    continue
            if end - pos < HEADER:
                break
            header = read_i32_le(data, pos)
            size: i64 = header & LARGEST
            if end - pos == HEADER and size:
                wanted = HEADER + 1
                break
            first: int = data[pos + HEADER] if size else 0
            if size == LARGEST and self._step == _ROWS and first <= _FIRST_EOF:
                if not self._row_seen:
                    self._see_row(pos, pos + HEADER + size)
                self._continues = True
                pos += HEADER + size
                continue
            if size == 0 or size == LARGEST:
                raise RemoteProtocolError(f"the server sent a packet of {size} bytes out of place")
            wanted = HEADER + size
            if end - pos < wanted:
                break
            self._take(data, pos, pos + wanted, first)
            self.done = self._step == _NOWHERE
            pos += wanted
            wanted = HEADER
        if pos >= end:
            self._remain = pos - end
            return data
        self._remain = 0
        self._held = [data[pos:]]
        self._held_size = end - pos
        self._wanted = wanted
        return data[:pos]

    def _pass_rows(self, data: bytes, pos: i64, end: i64) -> i64:
        start: i64 = pos
        while end - pos > HEADER:
            header: int = read_i32_le(data, pos)
            size: i64 = header & LARGEST
            if data[pos + HEADER] >= _FIRST_EOF or size == LARGEST or size == 0:
                break
            pos += HEADER + size
        if pos > start and not self._row_seen:
            self._see_row(start, pos)
        return pos

    def _see_row(self, start: i64, stop: i64) -> None:
        self._row_seen = True
        self.found.append((ROWS, start, stop))

    def _pass_columns(self, data: bytes, pos: i64, end: i64) -> i64:
        start: i64 = pos
        left: i64 = self._left
        while left and end - pos > HEADER:
            header: int = read_i32_le(data, pos)
            size: i64 = header & LARGEST
            if end - pos < HEADER + size or size == LARGEST or size == 0:
                break
            if data[pos + HEADER] == _FIRST_ERROR:
                break
            pos += HEADER + size
            left -= 1
        if pos > start:
            self._left = left
            self.found.append((COLUMNS, start, pos))
            if not left:
                self._end_columns(pos)
        return pos

    def _take(self, data: bytes, start: i64, stop: i64, first: int) -> None:
        """Read a packet that says something, whole from `start` to `stop`."""
        step = self._step
        kind = OK
        if first == _FIRST_ERROR:
            kind = self._take_error(data[start:stop])
        elif step == _ROWS:
            kind = self._take_end(data, start, stop)
        elif step == _RESULT:
            if first == _FIRST_OK:
                self._take_ok(data, start, stop)
            elif first == _FIRST_FILE:
                kind = FILE
            else:
                kind = COUNT
        elif step == _COLUMNS_EOF:
            kind = self._take_columns_eof(data, start, stop)
        elif step == _FIELDS:
            if first == _FIRST_EOF:
                kind = self._take_end(data, start, stop)
            else:
                kind = COLUMNS
        elif step == _PREPARED and first == _FIRST_OK:
            kind = PREPARED
        elif step == _TEXT:
            kind = TEXT
            self._step = _NOWHERE
        elif step == _USER and first != _FIRST_OK:
            kind = AUTHENTICATION
        elif step >= _SIMPLE and first in _SAYS_OK:
            self._take_ok(data, start, stop)
        else:
            raise RemoteProtocolError(f"the server answered with a packet of type 0x{first:02X}")
        self.found.append((kind, start, stop))
        if kind == COUNT:
            self._take_count(data, start, stop)
        elif kind == PREPARED:
            self._take_prepared(data, start, stop)
        elif kind == COLUMNS_END:
            self._go_on(stop)

    def _take_error(self, packet: bytes) -> int:
        if self.capabilities & capabilities.MARIADB_PROGRESS and is_progress(packet):
            return PROGRESS
        self.error = packet
        self.more_results = False
        self._step = _NOWHERE
        return ERROR

    def _take_end(self, data: bytes, start: i64, stop: i64) -> int:
        self._take_ok(data, start, stop)
        self.cursor_exists = self.status & _CURSOR == _CURSOR_EXISTS
        if self._takes_out and self._step == _NOWHERE:
            # Without DEPRECATE_EOF, MySQL does not say behind OUT parameters that there is more.
            self.more_results = True
            self._step = _RESULT
        self._takes_out = False
        return END

    def _take_ok(self, data: bytes, start: i64, stop: i64) -> None:
        affected_rows = 0
        last_insert_id = 0
        pos: int = start + HEADER + 1
        if data[start + HEADER] == _FIRST_EOF and stop - start == EOF_SIZE:
            warnings = data[pos] | data[pos + 1] << 8
            status = data[pos + 2] | data[pos + 3] << 8
        else:
            if stop - pos >= 6 and not data[pos] and not data[pos + 1]:
                pos += 2
            else:
                affected_rows, pos = read_lenenc_int(data, pos)
                last_insert_id, pos = read_lenenc_int(data, pos)
            if pos + 4 > stop:
                raise RemoteProtocolError("an OK packet is cut off")
            status = data[pos] | data[pos + 1] << 8
            warnings = data[pos + 2] | data[pos + 3] << 8
            if status & _STATE_CHANGED:
                tracked = Tracked() if self.tracked is NOTHING else self.tracked
                if tracked.take(read_ok(data[start:stop]).changes, len(self.outcomes)):
                    self.tracked = tracked
        self.status = status
        self.outcomes.append((affected_rows, last_insert_id, warnings))
        self.more_results = status & _MORE_RESULTS != 0
        self._step = _RESULT if self.more_results else _NOWHERE

    def _take_count(self, data: bytes, start: i64, stop: i64) -> None:
        self.columns, pos = read_lenenc_int(data, start + HEADER)
        if not self.columns or pos > stop:
            raise RemoteProtocolError("the server sent a result without columns")
        flagged = self.capabilities & _FLAGS_METADATA != 0
        self._skips = flagged and pos < stop and not data[pos]
        self._columns_after = 0
        self._takes_out = False
        self._row_seen = False
        self._begin_columns(self.columns, stop)

    def _take_prepared(self, data: bytes, start: i64, stop: i64) -> None:
        pos = start + HEADER + 1
        if stop - pos < 9:
            raise RemoteProtocolError("the answer to a COM_STMT_PREPARE is cut off")
        self.statement = int.from_bytes(data[pos : pos + 4], "little")
        self.columns = data[pos + 4] | data[pos + 5] << 8
        self.parameters = data[pos + 6] | data[pos + 7] << 8
        self._skips = (
            self.capabilities & capabilities.OPTIONAL_RESULTSET_METADATA != 0
            and stop - pos > 11
            and not data[pos + 11]
        )
        self._columns_after = self.columns
        if self.parameters:
            self._begin_columns(self.parameters, stop)
        else:
            self._begin_columns_after(stop)

    def _begin_columns_after(self, pos: i64) -> None:
        number = self._columns_after
        self._columns_after = 0
        if number:
            self._begin_columns(number, pos)
        else:
            self._step = _NOWHERE

    def _begin_columns(self, number: i64, pos: i64) -> None:
        self._left = 0 if self._skips else number
        if self._left:
            self._step = _COLUMNS
        else:
            self._end_columns(pos)

    def _end_columns(self, pos: i64) -> None:
        """Go on behind the last definition, which ends at `pos`."""
        if not self.capabilities & _DEPRECATE_EOF:
            self._step = _COLUMNS_EOF
            return
        self.found.append((COLUMNS_END, pos, pos))
        self._go_on(pos)

    def _go_on(self, pos: i64) -> None:
        if self.command == commands.STMT_PREPARE:
            self._begin_columns_after(pos)
        else:
            self._step = _ROWS

    def _take_columns_eof(self, data: bytes, start: i64, stop: i64) -> int:
        if stop - start != EOF_SIZE:
            raise RemoteProtocolError("column definitions do not end with an EOF packet")
        status = data[start + HEADER + 3] | data[start + HEADER + 4] << 8
        if self.command == commands.STMT_EXECUTE:
            if status & _CURSOR_EXISTS:
                return self._take_end(data, start, stop)  # the rows are fetched
            self._takes_out = status & capabilities.STATUS_PS_OUT_PARAMS != 0
        return COLUMNS_END
