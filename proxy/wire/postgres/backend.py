"""A server's messages: read when Tidegate is the client, built when it is the server.

Readers take one whole message, header included, as `Framer.found` points at it. A server's
error is data: it is read to be understood, and relayed as it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import Final, NamedTuple

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import tags
from proxy.wire.postgres.codec import (
    HEADER,
    INT32,
    UINT32,
    count,
    expect_end,
    formats,
    insufficient,
    message,
    read_count,
    read_formats,
    read_int32,
    read_oids,
    read_only_string,
    read_string,
    read_values,
    string,
    values,
)

BIND_COMPLETE: Final = message(tags.BIND_COMPLETE)
CLOSE_COMPLETE: Final = message(tags.CLOSE_COMPLETE)
COPY_DONE: Final = message(tags.COPY_DONE)
EMPTY_QUERY_RESPONSE: Final = message(tags.EMPTY_QUERY_RESPONSE)
NO_DATA: Final = message(tags.NO_DATA)
PARSE_COMPLETE: Final = message(tags.PARSE_COMPLETE)
PORTAL_SUSPENDED: Final = message(tags.PORTAL_SUSPENDED)
READY_IDLE: Final = message(tags.READY_FOR_QUERY, b"I")
READY_TRANSACTION: Final = message(tags.READY_FOR_QUERY, b"T")
READY_FAILED: Final = message(tags.READY_FOR_QUERY, b"E")

# "Error and Notice Message Fields" in the manual.
SEVERITY: Final = b"S"
SEVERITY_UNTRANSLATED: Final = b"V"
SQLSTATE: Final = b"C"
MESSAGE: Final = b"M"
DETAIL: Final = b"D"
HINT: Final = b"H"
ROUTINE: Final = b"R"
INTERNAL_QUERY: Final = b"q"
WHERE: Final = b"W"

_COLUMN: Final = Struct("!IhIhih")


class Column(NamedTuple):
    """What a RowDescription says of one column. The defaults: computed, of type text."""

    name: bytes
    table_oid: int = 0
    attribute: int = 0
    type_oid: int = 25
    type_size: int = -1
    type_modifier: int = -1
    format: int = 0


def error_response(
    severity: bytes, sqlstate: bytes, text: bytes, fields: Mapping[bytes, bytes] | None = None
) -> bytes:
    """Build an ErrorResponse.

    Args:
        severity: ERROR, or FATAL when the connection ends with it.
        sqlstate: The five characters.
        text: One line for people.
        fields: More, by field type (`DETAIL`, `HINT`, ...); empty ones are left out.
    """
    return message(tags.ERROR_RESPONSE, _fields(severity, sqlstate, text, fields or {}))


def notice_response(
    severity: bytes, sqlstate: bytes, text: bytes, fields: Mapping[bytes, bytes] | None = None
) -> bytes:
    """Build a NoticeResponse; as `error_response`, with a severity of WARNING or milder."""
    return message(tags.NOTICE_RESPONSE, _fields(severity, sqlstate, text, fields or {}))


def _fields(severity: bytes, sqlstate: bytes, text: bytes, more: Mapping[bytes, bytes]) -> bytes:
    known = {
        SEVERITY: severity,
        SEVERITY_UNTRANSLATED: severity,
        SQLSTATE: sqlstate,
        MESSAGE: text,
        **more,
    }
    return b"".join(kind + string(value) for kind, value in known.items() if value) + b"\0"


def command_complete(tag: bytes) -> bytes:
    """Build a CommandComplete, such as `SELECT 1`."""
    return message(tags.COMMAND_COMPLETE, string(tag))


def row_description(columns: Sequence[Column]) -> bytes:
    """Build a RowDescription."""
    pieces = (string(column.name) + _COLUMN.pack(*column[1:]) for column in columns)
    return message(tags.ROW_DESCRIPTION, count(len(columns)), *pieces)


def data_row(row: Sequence[bytes | None]) -> bytes:
    """Build a DataRow; None is NULL."""
    return message(tags.DATA_ROW, values(row))


def parameter_description(oids: Sequence[int]) -> bytes:
    """Build a ParameterDescription."""
    pieces = map(UINT32.pack, oids)
    return message(tags.PARAMETER_DESCRIPTION, count(len(oids)), *pieces)


def parameter_status(name: bytes, value: bytes) -> bytes:
    """Build a ParameterStatus."""
    return message(tags.PARAMETER_STATUS, string(name), string(value))


def backend_key_data(pid: int, secret: bytes) -> bytes:
    """Build a BackendKeyData: what a client must show to cancel."""
    return message(tags.BACKEND_KEY_DATA, INT32.pack(pid), secret)


def negotiate_protocol_version(version: int, options: Sequence[bytes]) -> bytes:
    """Build a NegotiateProtocolVersion.

    Args:
        version: What is spoken from here on, major and minor. The manual says "minor", but
            servers send both halves and libpq reads both.
        options: The `_pq_.` options that were asked for and are not known.
    """
    names = b"".join(map(string, options))
    return message(
        tags.NEGOTIATE_PROTOCOL_VERSION, INT32.pack(version), INT32.pack(len(options)), names
    )


def notification_response(pid: int, channel: bytes, payload: bytes) -> bytes:
    """Build a NotificationResponse."""
    body = INT32.pack(pid), string(channel), string(payload)
    return message(tags.NOTIFICATION_RESPONSE, *body)


def copy_response(tag: int, overall: int, column_formats: Sequence[int]) -> bytes:
    """Build a CopyInResponse, CopyOutResponse or CopyBothResponse, by its tag."""
    return message(tag, bytes((overall,)), formats(column_formats))


def function_call_response(value: bytes | None) -> bytes:
    """Build a FunctionCallResponse; None is NULL."""
    if value is None:
        return message(tags.FUNCTION_CALL_RESPONSE, INT32.pack(-1))
    return message(tags.FUNCTION_CALL_RESPONSE, INT32.pack(len(value)), value)


def read_error(data: bytes) -> dict[bytes, bytes]:
    """The fields of an ErrorResponse or a NoticeResponse, by their one-byte types."""
    fields: dict[bytes, bytes] = {}
    pos = HEADER
    while kind := data[pos : pos + 1]:
        if kind == b"\0":
            expect_end(data, pos + 1)
            return fields
        fields[kind], pos = read_string(data, pos + 1)
    raise insufficient()


def read_parameter_status(data: bytes) -> tuple[bytes, bytes]:
    """The name and the value in a ParameterStatus."""
    name, pos = read_string(data, HEADER)
    value, pos = read_string(data, pos)
    expect_end(data, pos)
    return name, value


def read_backend_key_data(data: bytes) -> tuple[int, bytes]:
    """The process and the secret that cancel this connection's statement."""
    pid, secret = read_int32(data, HEADER), data[HEADER + 4 :]
    if not 4 <= len(secret) <= 256:
        raise RemoteProtocolError(f"a cancel key has 4 to 256 bytes, not {len(secret)}")
    return pid, secret


def read_command_tag(data: bytes) -> bytes:
    """What a CommandComplete says was done, such as `INSERT 0 1`."""
    return read_only_string(data)


def read_ready_status(data: bytes) -> int:
    """What a ReadyForQuery says: `IDLE`, `IN_TRANSACTION` or `IN_FAILED`."""
    expect_end(data, HEADER + 1)
    status = data[HEADER]
    if status not in b"ITE":
        raise RemoteProtocolError(f"unknown transaction status {status}")
    return status


def read_row_description(data: bytes) -> list[Column]:
    """The columns of the rows to come."""
    columns = []
    pos = HEADER + 2
    for _ in range(read_count(data, HEADER)):
        name, pos = read_string(data, pos)
        if pos + _COLUMN.size > len(data):
            raise insufficient()
        columns.append(Column(name, *_COLUMN.unpack_from(data, pos)))
        pos += _COLUMN.size
    expect_end(data, pos)
    return columns


def read_data_row(data: bytes) -> list[bytes | None]:
    """The values of one row. For our own few questions; a client's rows are not read."""
    row, pos = read_values(data, HEADER)
    expect_end(data, pos)
    return row


def read_parameter_description(data: bytes) -> tuple[int, ...]:
    """The types of a statement's parameters."""
    oids, pos = read_oids(data, HEADER)
    expect_end(data, pos)
    return oids


def read_notification(data: bytes) -> tuple[int, bytes, bytes]:
    """Who notified, on which channel, and the payload."""
    pid = read_int32(data, HEADER)
    channel, pos = read_string(data, HEADER + 4)
    payload, pos = read_string(data, pos)
    expect_end(data, pos)
    return pid, channel, payload


def read_copy_response(data: bytes) -> tuple[int, tuple[int, ...]]:
    """The overall format and the columns' formats of a COPY that begins."""
    column_formats, pos = read_formats(data, HEADER + 1)
    expect_end(data, pos)
    return data[HEADER], column_formats


def read_negotiate_protocol_version(data: bytes) -> tuple[int, list[bytes]]:
    """The version a server speaks instead, and the options it does not know."""
    version, number = read_int32(data, HEADER), read_int32(data, HEADER + 4)
    options = data[HEADER + 8 :].split(b"\0")
    if number < 0 or options.pop() or len(options) != number:
        raise RemoteProtocolError("invalid message format")
    return version, options
