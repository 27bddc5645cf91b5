"""How an answer ends: OK, EOF and ERR packets, read and built, and what they say beside that.

Readers take one packet, header included, as `ReplyReader.found` points at it.

Under DEPRECATE_EOF rows end with an OK packet whose first byte is an EOF's. Under SESSION_TRACK an
OK packet carries what the statement changed of the session. Its text is length-encoded with
SESSION_TRACK and without: there the manual differs from what MariaDB 10.11 and MySQL 9.7 send.

Sources: "OK_Packet", "EOF_Packet" and "ERR_Packet" in the MySQL source documentation.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, NamedTuple

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql.capabilities import (
    DEPRECATE_EOF,
    SESSION_TRACK,
    STATUS_AUTOCOMMIT,
    STATUS_SESSION_STATE_CHANGED,
)
from proxy.wire.mysql.codec import (
    HEADER,
    lenenc_int,
    lenenc_string,
    packet,
    read_lenenc_int,
    read_lenenc_string,
)

OK: Final = 0x00
EOF: Final = 0xFE
ERROR: Final = 0xFF

EOF_SIZE: Final = HEADER + 5
"""Of a whole EOF packet; an OK packet has two bytes more at least."""

# What a change of the session's state is about.
SYSTEM_VARIABLE: Final = 0
SCHEMA: Final = 1
STATE_CHANGE: Final = 2
GTIDS: Final = 3
TRANSACTION_CHARACTERISTICS: Final = 4
TRANSACTION_STATE: Final = 5

Change = tuple[int, bytes]
"""What a change is about, and its data as it came."""


@dataclass(slots=True)
class Ok:
    """What an OK packet says. `info` is a line for people."""

    affected_rows: int = 0
    last_insert_id: int = 0
    status: int = STATUS_AUTOCOMMIT
    warnings: int = 0
    info: bytes = b""
    changes: list[Change] = field(default_factory=list)


class Error(NamedTuple):
    """What an ERR packet says. The SQLSTATE is empty before the capabilities are agreed."""

    code: int
    sqlstate: bytes
    message: bytes


def ok_packet(sequence: int, said: Ok, capabilities: int, first: int = OK) -> bytes:
    """Build an OK packet.

    Args:
        sequence: Its sequence id.
        said: What it says. Changes are left out for a client that does not know them.
        capabilities: What was agreed with whoever gets it.
        first: `EOF` at the end of rows, under DEPRECATE_EOF.
    """
    changes = said.changes if capabilities & SESSION_TRACK else []
    status = said.status & ~STATUS_SESSION_STATE_CHANGED
    pieces = [
        bytes((first,)),
        lenenc_int(said.affected_rows),
        lenenc_int(said.last_insert_id),
        (status | (STATUS_SESSION_STATE_CHANGED if changes else 0)).to_bytes(2, "little"),
        said.warnings.to_bytes(2, "little"),
    ]
    if said.info or changes:
        pieces.append(lenenc_string(said.info))
    if changes:
        entries = [bytes((about,)) + lenenc_string(data) for about, data in changes]
        pieces.append(lenenc_string(b"".join(entries)))
    return packet(sequence, b"".join(pieces))


def eof_packet(sequence: int, status: int = STATUS_AUTOCOMMIT, warnings: int = 0) -> bytes:
    """Build an EOF packet."""
    body = warnings.to_bytes(2, "little") + status.to_bytes(2, "little")
    return packet(sequence, b"\xfe" + body)


def end_packet(sequence: int, said: Ok, capabilities: int) -> bytes:
    """Build what ends rows, whichever of the two it is."""
    if capabilities & DEPRECATE_EOF:
        return ok_packet(sequence, said, capabilities, EOF)
    status = said.status & ~STATUS_SESSION_STATE_CHANGED
    return eof_packet(sequence, status, said.warnings)


def error_packet(sequence: int, error: Error) -> bytes:
    """Build an ERR packet."""
    state = b"#" + error.sqlstate if error.sqlstate else b""
    return packet(sequence, b"\xff" + error.code.to_bytes(2, "little") + state + error.message)


def read_ok(data: bytes) -> Ok:
    """Everything that an OK packet says, or what ends rows, whichever of the two it is.

    Raises:
        RemoteProtocolError: It is cut off. What may follow its end is left alone.
    """
    if is_eof(data):
        status, warnings = read_eof(data)
        return Ok(status=status, warnings=warnings)
    affected_rows, pos = read_lenenc_int(data, HEADER + 1)
    last_insert_id, pos = read_lenenc_int(data, pos)
    said = Ok(affected_rows, last_insert_id, _uint16(data, pos), _uint16(data, pos + 2))
    pos += 4
    if pos < len(data):
        said.info, pos = read_lenenc_string(data, pos)
    if said.status & STATUS_SESSION_STATE_CHANGED and pos < len(data):
        state, _ = read_lenenc_string(data, pos)
        said.changes = _read_changes(state)
    return said


def is_eof(data: bytes) -> bool:
    """Tell if a packet is an EOF, not an OK that stands in for one."""
    return len(data) == EOF_SIZE and data[HEADER] == EOF


def read_eof(data: bytes) -> tuple[int, int]:
    """The status and the number of warnings in an EOF packet."""
    return _uint16(data, HEADER + 3), _uint16(data, HEADER + 1)


def read_error(data: bytes) -> Error:
    """What an ERR packet says."""
    code = _uint16(data, HEADER + 1)
    if data[HEADER + 3 : HEADER + 4] == b"#":
        return Error(code, data[HEADER + 4 : HEADER + 9], data[HEADER + 9 :])
    return Error(code, b"", data[HEADER + 3 :])


def is_progress(data: bytes) -> bool:
    """Tell if what looks like an ERR packet reports progress (MariaDB)."""
    return data[HEADER + 1 : HEADER + 3] == b"\xff\xff"


def status_place(data: bytes) -> int:
    """Where the status flags are in an OK packet, an EOF packet, or one that is both."""
    if is_eof(data):
        return HEADER + 3
    _, pos = read_lenenc_int(data, HEADER + 1)
    _, pos = read_lenenc_int(data, pos)
    if pos + 4 > len(data):
        raise RemoteProtocolError("an OK packet is cut off")
    return pos


def with_status(data: bytes, given: int, taken: int = 0) -> bytes:
    """Make the same packet with other status flags; its length stays.

    Args:
        data: An OK packet, an EOF packet, or one that is both.
        given: Flags that it is to have.
        taken: Flags that it is not to have.
    """
    place = status_place(data)
    status = (_uint16(data, place) & ~taken) | given
    return b"".join((data[:place], status.to_bytes(2, "little"), data[place + 2 :]))


def variable_change(name: bytes, value: bytes) -> Change:
    """Say that a system variable has a new value."""
    return SYSTEM_VARIABLE, lenenc_string(name) + lenenc_string(value)


def text_change(about: int, text: bytes) -> Change:
    """Say what changed, for everything but variables and GTIDs."""
    return about, lenenc_string(text)


def gtids_change(gtids: bytes) -> Change:
    """Say which GTIDs a statement was given. In front stands how they are written: as text."""
    return GTIDS, b"\0" + lenenc_string(gtids)


def read_variables(data: bytes) -> list[tuple[bytes, bytes]]:
    """The system variables of a `SYSTEM_VARIABLE` change, with their values."""
    variables = []
    pos = 0
    while pos < len(data):
        name, pos = read_lenenc_string(data, pos)
        value, pos = read_lenenc_string(data, pos)
        variables.append((name, value))
    return variables


def read_text(change: Change) -> bytes:
    """The text of any other change."""
    about, data = change
    return read_lenenc_string(data, 1 if about == GTIDS else 0)[0]


def _read_changes(state: bytes) -> list[Change]:
    changes = []
    pos = 0
    while pos < len(state):
        about = state[pos]
        data, pos = read_lenenc_string(state, pos + 1)
        changes.append((about, data))
    return changes


def _uint16(data: bytes, pos: int) -> int:
    if pos + 2 > len(data):
        raise RemoteProtocolError("a packet ends in the middle of an integer")
    return data[pos] | data[pos + 1] << 8
