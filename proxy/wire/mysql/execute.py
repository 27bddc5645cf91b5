"""What the commands of the binary protocol carry, and COM_QUERY under QUERY_ATTRIBUTES.

Everything here takes payloads: the message without its headers, which `codec.payload` gives. Values
are never decoded; where one begins and ends is all that a key or a rewrite needs.

How types go: they are sent with the first execution and left out afterwards, so whoever runs a
statement on another connection must send them again (`with_types`).

Sources: "COM_STMT_EXECUTE", "COM_QUERY" and "Binary Protocol Value" in the MySQL source
documentation; "COM_STMT_BULK_EXECUTE" in MariaDB's. Under QUERY_ATTRIBUTES, MySQL 9.7 expects the
number of parameters wherever a statement has any, whether or not the flag for it is set.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final, NamedTuple

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import commands
from proxy.wire.mysql.capabilities import QUERY_ATTRIBUTES
from proxy.wire.mysql.codec import (
    HEADER,
    read_lenenc_int,
    read_lenenc_string,
)

LAST_STATEMENT: Final = 0xFFFF_FFFF
"""MariaDB: the statement prepared last, whose id the client has not waited for."""

# Flags of an execution.
CURSOR_READ_ONLY: Final = 0x01
PARAMETER_COUNT_AVAILABLE: Final = 0x08

# Flags of a bulk execution.
BULK_TYPES: Final = 128

TYPE_NULL: Final = 0x06

_FIXED_SIZES: Final = {
    0x01: 1,  # TINY
    0x02: 2,  # SHORT
    0x03: 4,  # LONG
    0x04: 4,  # FLOAT
    0x05: 8,  # DOUBLE
    TYPE_NULL: 0,
    0x08: 8,  # LONGLONG
    0x09: 4,  # INT24
    0x0D: 2,  # YEAR
}
_SHORT_LENGTHS: Final = frozenset((0x07, 0x0A, 0x0B, 0x0C))
"""TIMESTAMP, DATE, TIME, DATETIME: one byte says how many follow."""

_LENGTHS: Final = frozenset((0x00, 0x0F, 0x10, *range(0xF2, 0x100)))
"""DECIMAL, VARCHAR, BIT, and from VECTOR to GEOMETRY: strings, length-encoded."""

_EXECUTE_HEAD: Final = 10  # command, statement, flags, iterations
_BULK_HEAD: Final = 7  # command, statement, flags

Extent = tuple[int, int]
"""Where a value begins and where it ends."""


class Execution(NamedTuple):
    """What a COM_STMT_EXECUTE says, and where in its payload."""

    statement: int
    flags: int
    parameters: int  # query attributes counted, which come last
    nulls: int  # where the bitmap begins
    types: bytes  # as they were sent, with names under QUERY_ATTRIBUTES; empty when left out
    values: int  # where the values begin

    @property
    def wants_cursor(self) -> bool:
        """Whether the rows are to be fetched, not sent."""
        return self.flags & CURSOR_READ_ONLY != 0


class Query(NamedTuple):
    """What a COM_QUERY says: its text, and attributes by name, values as they came."""

    text: bytes
    attributes: dict[bytes, bytes | None]


class BulkExecution(NamedTuple):
    """What a COM_STMT_BULK_EXECUTE says, and where in its payload."""

    statement: int
    flags: int
    types: bytes  # empty when left out
    values: int  # where the rows begin


def read_statement(payload: bytes) -> int:
    """The statement that a command is about: EXECUTE, FETCH, CLOSE, RESET and the others."""
    _expect(payload, 5)
    return int.from_bytes(payload[1:5], "little")


def with_statement(packets: bytes, statement: int) -> bytes:
    """Make the same command for a statement of another id.

    Args:
        packets: As they came, header included; the beginning is enough.
        statement: The other id.
    """
    start = HEADER + 1
    return b"".join((packets[:start], statement.to_bytes(4, "little"), packets[start + 4 :]))


def read_execute(payload: bytes, parameters: int, capabilities: int) -> Execution:
    """What a COM_STMT_EXECUTE says.

    Args:
        payload: The whole message.
        parameters: How many the statement has.
        capabilities: What was agreed with the client.

    Raises:
        RemoteProtocolError: It is cut off.
    """
    _expect(payload, _EXECUTE_HEAD)
    statement, flags = read_statement(payload), payload[5]
    pos = _EXECUTE_HEAD
    has_names = capabilities & QUERY_ATTRIBUTES != 0
    if has_names and (parameters or flags & PARAMETER_COUNT_AVAILABLE):
        number, pos = read_lenenc_int(payload, pos)
        if number < parameters or number > 0xFFFF:
            raise RemoteProtocolError(f"{number} values for {parameters} parameters")
        parameters = number
    nulls = pos
    if not parameters:
        return Execution(statement, flags, 0, nulls, b"", nulls)
    pos += (parameters + 7) // 8
    _expect(payload, pos + 1)
    is_typed = payload[pos] == 1
    pos += 1
    stop = _skip_types(payload, pos, parameters, has_names) if is_typed else pos
    return Execution(statement, flags, parameters, nulls, payload[pos:stop], stop)


def with_types(payload: bytes, execution: Execution, types: bytes) -> bytes:
    """Make the same COM_STMT_EXECUTE, with the types that were left out.

    Args:
        payload: The whole message.
        execution: What it says.
        types: As an earlier execution sent them.
    """
    if execution.types or not execution.parameters:
        return payload
    place = execution.values - 1
    return b"".join((payload[:place], b"\x01", types, payload[execution.values :]))


def read_types(types: bytes, has_names: bool) -> list[tuple[int, bytes]]:
    """Type and name of each parameter; an unsigned one has 0x8000 added to its type."""
    result = []
    pos = 0
    while pos < len(types):
        _expect(types, pos + 2)
        kind = types[pos] | types[pos + 1] << 8
        pos += 2
        name = b""
        if has_names:
            name, pos = read_lenenc_string(types, pos)
        result.append((kind, name))
    return result


def kinds_of(types: bytes, has_names: bool) -> bytes:
    """What kind of value each parameter is, a byte for each: 0 where it is NULL.

    Values of one kind are converted into each other without a loss, by a server that holds on to
    the types that a statement was run with at first, as MySQL has since 8.0.22.
    """
    return bytes(
        [_KINDS.get(kind & 0xFF, 1) | kind >> 8 & 0x80 for kind, _ in read_types(types, has_names)]
    )


_KINDS: Final = {
    TYPE_NULL: 0,
    **dict.fromkeys((0x01, 0x02, 0x03, 0x08, 0x09, 0x0D), 2),  # integers
    **dict.fromkeys((0x04, 0x05), 3),  # floating point
    **dict.fromkeys((0x07, 0x0C), 4),  # date and time
    0x0A: 5,  # date
    0x0B: 6,  # time
    **dict.fromkeys((0xF9, 0xFA, 0xFB, 0xFC), 7),  # bytes
}
"""By the type; all others are texts."""


def find_values(
    payload: bytes,
    execution: Execution,
    types: bytes,
    *,
    has_names: bool,
    long_data: Set[int] = frozenset(),
) -> list[Extent | None]:
    """Find where each value is; None is NULL, or was sent ahead.

    Args:
        payload: The whole message.
        execution: What it says.
        types: Its own or an earlier execution's.
        has_names: Whether there are names among the types (QUERY_ATTRIBUTES).
        long_data: The places of parameters that COM_STMT_SEND_LONG_DATA was sent for.

    Raises:
        RemoteProtocolError: A value is cut off, or a type is unknown or missing.
    """
    known = read_types(types, has_names)
    if len(known) < execution.parameters:
        raise RemoteProtocolError("an execution without the types of its parameters")
    extents: list[Extent | None] = []
    pos = execution.values
    for place in range(execution.parameters):
        is_null = payload[execution.nulls + place // 8] >> place % 8 & 1
        if is_null or place in long_data:
            extents.append(None)
            continue
        stop = _skip_value(payload, pos, known[place][0])
        extents.append((pos, stop))
        pos = stop
    return extents


def without_attributes(
    payload: bytes,
    execution: Execution,
    parameters: int,
    types: bytes,
    long_data: Set[int] = frozenset(),
) -> bytes:
    """Make the same COM_STMT_EXECUTE for a server without QUERY_ATTRIBUTES; types are sent.

    Args:
        payload: The whole message, of a client with QUERY_ATTRIBUTES.
        execution: What it says.
        parameters: How many the statement has.
        types: Its own or an earlier execution's.
        long_data: As in `find_values`.
    """
    flags = execution.flags & ~PARAMETER_COUNT_AVAILABLE
    head = payload[:5] + bytes((flags,)) + payload[6:_EXECUTE_HEAD]
    if not parameters:
        return head
    extents = find_values(payload, execution, types, has_names=True, long_data=long_data)
    nulls = bytearray(payload[execution.nulls : execution.nulls + (parameters + 7) // 8])
    if parameters % 8:
        nulls[-1] &= (1 << parameters % 8) - 1
    kinds = [kind.to_bytes(2, "little") for kind, _ in read_types(types, True)[:parameters]]
    values = [payload[one[0] : one[1]] for one in extents[:parameters] if one is not None]
    return b"".join((head, nulls, b"\x01", *kinds, *values))


def read_query(payload: bytes, capabilities: int) -> Query:
    """The text of a COM_QUERY, and its attributes if the client may send any.

    Raises:
        RemoteProtocolError: It is cut off, or an attribute's type is unknown.
    """
    if not capabilities & QUERY_ATTRIBUTES:
        return Query(payload[1:], {})
    number, pos = read_lenenc_int(payload, 1)
    sets, pos = read_lenenc_int(payload, pos)
    if sets != 1 or number > 0xFFFF:
        raise RemoteProtocolError("malformed query attributes")
    if not number:
        return Query(payload[pos:], {})
    nulls = pos
    pos += (number + 7) // 8
    _expect(payload, pos + 1)
    if payload[pos] != 1:
        raise RemoteProtocolError("query attributes without types")
    start = pos + 1
    pos = _skip_types(payload, start, number, True)
    attributes: dict[bytes, bytes | None] = {}
    for place, (kind, name) in enumerate(read_types(payload[start:pos], True)):
        if payload[nulls + place // 8] >> place % 8 & 1:
            attributes[name] = None
            continue
        stop = _skip_value(payload, pos, kind)
        attributes[name] = payload[pos:stop]
        pos = stop
    return Query(payload[pos:], attributes)


def query(text: bytes, capabilities: int) -> bytes:
    """Build the payload of a COM_QUERY without attributes, for a server of these capabilities."""
    form = b"\0\1" if capabilities & QUERY_ATTRIBUTES else b""
    return bytes((commands.QUERY,)) + form + text


def read_bulk(payload: bytes, parameters: int) -> BulkExecution:
    """What a COM_STMT_BULK_EXECUTE says.

    Raises:
        RemoteProtocolError: It is cut off.
    """
    _expect(payload, _BULK_HEAD)
    flags = payload[5] | payload[6] << 8
    stop = _BULK_HEAD
    if flags & BULK_TYPES:
        stop += 2 * parameters
        _expect(payload, stop)
    return BulkExecution(read_statement(payload), flags, payload[_BULK_HEAD:stop], stop)


def with_bulk_types(payload: bytes, execution: BulkExecution, types: bytes) -> bytes:
    """Make the same COM_STMT_BULK_EXECUTE, with the types that were left out."""
    if execution.types:
        return payload
    flags = execution.flags | BULK_TYPES
    return b"".join((payload[:5], flags.to_bytes(2, "little"), types, payload[execution.values :]))


def _skip_types(payload: bytes, pos: int, number: int, has_names: bool) -> int:
    for _ in range(number):
        pos += 2
        if has_names:
            _, pos = read_lenenc_string(payload, pos)
    _expect(payload, pos)
    return pos


def _skip_value(payload: bytes, pos: int, kind: int) -> int:
    kind &= 0xFF
    if kind in _LENGTHS:
        size, start = read_lenenc_int(payload, pos)
        stop = start + size
    elif kind in _SHORT_LENGTHS:
        _expect(payload, pos + 1)
        stop = pos + 1 + payload[pos]
    else:
        fixed = _FIXED_SIZES.get(kind)
        if fixed is None:
            raise RemoteProtocolError(f"a parameter of the unknown type 0x{kind:02X}")
        stop = pos + fixed
    _expect(payload, stop)
    return stop


def _expect(payload: bytes, size: int) -> None:
    if len(payload) < size:
        raise RemoteProtocolError("Malformed communication packet")
