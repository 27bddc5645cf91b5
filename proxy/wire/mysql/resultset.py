"""Whole results of our own, in the form that was agreed with whoever gets them.

Every value is text: what the proxy has to say of itself needs no other type.

Sources: "Text Resultset", "Binary Protocol Resultset" and "COM_STMT_PREPARE Response" in the MySQL
source documentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql.capabilities import (
    DEPRECATE_EOF,
    MARIADB_CACHE_METADATA,
    MARIADB_EXTENDED_METADATA,
    OPTIONAL_RESULTSET_METADATA,
    STATUS_AUTOCOMMIT,
)
from proxy.wire.mysql.codec import (
    HEADER,
    NULL,
    lenenc_int,
    lenenc_string,
    packet,
    read_lenenc_int,
    read_lenenc_string,
)
from proxy.wire.mysql.ok import Ok, end_packet, eof_packet

VAR_STRING: Final = 0xFD
UTF8MB4: Final = 45
"""The number of utf8mb4_general_ci, which MySQL and MariaDB share."""

METADATA_FOLLOWS: Final = b"\x01"

_CATALOG: Final = b"\x03def"
_FIXED: Final = 12
_NULL: Final = bytes((NULL,))

Row = Sequence[bytes | None]


class Column(NamedTuple):
    """What a definition says of one column. The defaults: computed, of type text."""

    name: bytes
    type: int = VAR_STRING
    charset: int = UTF8MB4
    length: int = 1024
    flags: int = 0
    decimals: int = 31
    schema: bytes = b""
    table: bytes = b""
    original_table: bytes = b""
    original_name: bytes = b""


PARAMETER: Final = Column(b"?")


def text_result(
    sequence: int,
    columns: Sequence[Column],
    rows: Sequence[Row],
    capabilities: int,
    *,
    end: Ok | None = None,
) -> bytes:
    """Build the answer to a COM_QUERY.

    Args:
        sequence: The sequence id of its first packet.
        columns: One at least.
        rows: A value for each column; None is NULL.
        capabilities: What was agreed with whoever gets it.
        end: What is said at the end; its status stands in the EOF behind the columns as well.
    """
    return _result(sequence, columns, [_text_row(row) for row in rows], capabilities, end or Ok())


def binary_result(
    sequence: int,
    columns: Sequence[Column],
    rows: Sequence[Row],
    capabilities: int,
    *,
    end: Ok | None = None,
) -> bytes:
    """Build the answer to a COM_STMT_EXECUTE; as `text_result`, all columns of type text."""
    return _result(sequence, columns, [_binary_row(row) for row in rows], capabilities, end or Ok())


def _result(
    sequence: int, columns: Sequence[Column], rows: Sequence[bytes], capabilities: int, end: Ok
) -> bytes:
    count = lenenc_int(len(columns))
    if capabilities & (OPTIONAL_RESULTSET_METADATA | MARIADB_CACHE_METADATA):
        count += METADATA_FOLLOWS
    pieces = [packet(sequence, count)]
    pieces += _definitions(sequence + 1, columns, capabilities, end)
    sequence += len(pieces)
    for row in rows:
        pieces.append(packet(sequence, row))
        sequence += 1 + len(row) // 0xFF_FFFF
    pieces.append(end_packet(sequence & 0xFF, end, capabilities))
    return b"".join(pieces)


def prepare_ok(
    sequence: int,
    statement: int,
    columns: Sequence[Column],
    parameters: int,
    capabilities: int,
    *,
    status: int = STATUS_AUTOCOMMIT,
) -> bytes:
    """Build the answer to a COM_STMT_PREPARE.

    Args:
        sequence: The sequence id of its first packet.
        statement: The id of the statement.
        columns: Of its result; none when it has no result.
        parameters: How many it has.
        capabilities: What was agreed with whoever gets it.
        status: Flags for the EOFs behind the definitions.
    """
    body = [
        b"\0" + statement.to_bytes(4, "little"),
        len(columns).to_bytes(2, "little"),
        parameters.to_bytes(2, "little"),
        bytes(3),
        METADATA_FOLLOWS if capabilities & OPTIONAL_RESULTSET_METADATA else b"",
    ]
    pieces = [packet(sequence, b"".join(body))]
    said = Ok(status=status)
    for definitions in ([PARAMETER] * parameters, columns):
        if definitions:
            pieces += _definitions(sequence + len(pieces), definitions, capabilities, said)
    return b"".join(pieces)


def _definitions(
    sequence: int, columns: Sequence[Column], capabilities: int, said: Ok
) -> list[bytes]:
    pieces = [
        packet((sequence + place) & 0xFF, column_definition(column, capabilities))
        for place, column in enumerate(columns)
    ]
    if not capabilities & DEPRECATE_EOF:
        pieces.append(eof_packet((sequence + len(columns)) & 0xFF, said.status, said.warnings))
    return pieces


def column_definition(column: Column, capabilities: int) -> bytes:
    """Build the payload that defines one column ("Column Definition")."""
    pieces = [
        _CATALOG,
        lenenc_string(column.schema),
        lenenc_string(column.table),
        lenenc_string(column.original_table),
        lenenc_string(column.name),
        lenenc_string(column.original_name),
        b"\0" if capabilities & MARIADB_EXTENDED_METADATA else b"",
        bytes((_FIXED,)),
        column.charset.to_bytes(2, "little"),
        column.length.to_bytes(4, "little"),
        bytes((column.type,)),
        column.flags.to_bytes(2, "little"),
        bytes((column.decimals, 0, 0)),
    ]
    return b"".join(pieces)


def read_column(data: bytes, capabilities: int) -> Column:
    """What a packet with a definition says of its column.

    Raises:
        RemoteProtocolError: It is cut off.
    """
    _, pos = read_lenenc_string(data, HEADER)
    schema, pos = read_lenenc_string(data, pos)
    table, pos = read_lenenc_string(data, pos)
    original_table, pos = read_lenenc_string(data, pos)
    name, pos = read_lenenc_string(data, pos)
    original_name, pos = read_lenenc_string(data, pos)
    if capabilities & MARIADB_EXTENDED_METADATA:
        _, pos = read_lenenc_string(data, pos)
    _, pos = read_lenenc_int(data, pos)
    if pos + _FIXED > len(data):
        raise RemoteProtocolError("a column definition is cut off")
    return Column(
        name,
        data[pos + 6],
        int.from_bytes(data[pos : pos + 2], "little"),
        int.from_bytes(data[pos + 2 : pos + 6], "little"),
        int.from_bytes(data[pos + 7 : pos + 9], "little"),
        data[pos + 9],
        schema,
        table,
        original_table,
        original_name,
    )


def read_text_row(data: bytes, number: int) -> list[bytes | None]:
    """The values of a row. For our own few questions; a client's rows are not read.

    Args:
        data: The packet, header included.
        number: How many columns there are.

    Raises:
        RemoteProtocolError: It is cut off.
    """
    row: list[bytes | None] = []
    pos = HEADER
    for _ in range(number):
        if data[pos : pos + 1] == _NULL:
            row.append(None)
            pos += 1
        else:
            value, pos = read_lenenc_string(data, pos)
            row.append(value)
    return row


def _text_row(row: Row) -> bytes:
    return b"".join([_NULL if value is None else lenenc_string(value) for value in row])


def _binary_row(row: Row) -> bytes:
    nulls = bytearray((len(row) + 7 + 2) // 8)
    for place, value in enumerate(row, 2):
        if value is None:
            nulls[place // 8] |= 1 << place % 8
    values = [lenenc_string(value) for value in row if value is not None]
    return b"".join((b"\0", nulls, *values))
