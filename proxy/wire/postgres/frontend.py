"""A client's messages: built when Tidegate is the client, read when it is the server.

Readers take a whole message, header included, as `Splitter` gives it; those that only need the
names at its beginning say so, and are content with the first piece of a large one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import tags
from proxy.wire.postgres.codec import (
    HEADER,
    INT16,
    INT32,
    UINT32,
    count,
    expect_end,
    find_nul,
    formats,
    insufficient,
    message,
    read_formats,
    read_int32,
    read_oids,
    read_only_string,
    read_string,
    read_values,
    string,
    values,
)

COPY_DONE: Final = message(tags.COPY_DONE)
FLUSH: Final = message(tags.FLUSH)
SYNC: Final = message(tags.SYNC)
TERMINATE: Final = message(tags.TERMINATE)


@dataclass(slots=True)
class Bind:
    """What a Bind says. The formats are as sent: none means text, one means it holds for all."""

    portal: bytes
    statement: bytes
    parameter_formats: tuple[int, ...]
    parameters: list[bytes | None]
    result_formats: tuple[int, ...]


def query(sql: bytes) -> bytes:
    """Build a simple Query."""
    return message(tags.QUERY, string(sql))


def parse(name: bytes, sql: bytes, oids: Sequence[int] = ()) -> bytes:
    """Build a Parse; `oids` are the parameter types the client insists on, 0 for no opinion."""
    types = b"".join(map(UINT32.pack, oids))
    return message(tags.PARSE, string(name), string(sql), count(len(oids)), types)


def bind(
    portal: bytes,
    statement: bytes,
    parameters: Sequence[bytes | None] = (),
    *,
    parameter_formats: Sequence[int] = (),
    result_formats: Sequence[int] = (),
) -> bytes:
    """Build a Bind."""
    return message(
        tags.BIND,
        string(portal),
        string(statement),
        formats(parameter_formats),
        values(parameters),
        formats(result_formats),
    )


def describe(kind: int, name: bytes) -> bytes:
    """Build a Describe of a `tags.STATEMENT` or a `tags.PORTAL`."""
    return message(tags.DESCRIBE, bytes((kind,)), string(name))


def execute(portal: bytes, max_rows: int = 0) -> bytes:
    """Build an Execute; 0 rows are all rows."""
    return message(tags.EXECUTE, string(portal), INT32.pack(max_rows))


def close(kind: int, name: bytes) -> bytes:
    """Build a Close of a `tags.STATEMENT` or a `tags.PORTAL`."""
    return message(tags.CLOSE, bytes((kind,)), string(name))


def copy_data(data: bytes) -> bytes:
    """Build a CopyData; a server's are the same."""
    return message(tags.COPY_DATA, data)


def copy_fail(reason: bytes) -> bytes:
    """Build a CopyFail."""
    return message(tags.COPY_FAIL, string(reason))


def function_call(
    oid: int,
    arguments: Sequence[bytes | None],
    *,
    argument_formats: Sequence[int] = (),
    result_format: int = 0,
) -> bytes:
    """Build a FunctionCall."""
    return message(
        tags.FUNCTION_CALL,
        UINT32.pack(oid),
        formats(argument_formats),
        values(arguments),
        INT16.pack(result_format),
    )


def password(secret: bytes) -> bytes:
    """Build the answer to a request for a password, clear or hashed."""
    return message(tags.PASSWORD, string(secret))


def sasl_initial_response(mechanism: bytes, data: bytes) -> bytes:
    """Build the choice of a SASL mechanism, with its first message."""
    return message(tags.PASSWORD, string(mechanism), INT32.pack(len(data)), data)


def sasl_response(data: bytes) -> bytes:
    """Build a further message of a SASL exchange."""
    return message(tags.PASSWORD, data)


def read_query(data: bytes) -> bytes:
    """The SQL of a simple Query."""
    return read_only_string(data)


def read_parse(data: bytes) -> tuple[bytes, bytes, tuple[int, ...]]:
    """The name, the SQL and the parameter types of a Parse."""
    name, pos = read_string(data, HEADER)
    sql, pos = read_string(data, pos)
    oids, pos = read_oids(data, pos)
    expect_end(data, pos)
    return name, sql, oids


def read_bind(data: bytes) -> Bind:
    """Everything a Bind says."""
    portal, statement, pos = read_bind_names(data)
    parameter_formats, pos = read_formats(data, pos)
    parameters, pos = read_values(data, pos)
    result_formats, pos = read_formats(data, pos)
    expect_end(data, pos)
    if 1 < len(parameter_formats) != len(parameters):
        raise RemoteProtocolError(
            f"bind message has {len(parameter_formats)} parameter formats"
            f" but {len(parameters)} parameters"
        )
    return Bind(portal, statement, parameter_formats, parameters, result_formats)


def read_bind_names(data: bytes) -> tuple[bytes, bytes, int]:
    """Portal and statement of a Bind, and where the values begin; its beginning is enough.

    The bytes from there on are all that a result depends on besides the statement, so they serve
    as they are in a key.
    """
    portal, pos = read_string(data, HEADER)
    statement, pos = read_string(data, pos)
    return portal, statement, pos


def read_describe(data: bytes) -> tuple[int, bytes]:
    """What a Describe is about: `tags.STATEMENT` or `tags.PORTAL`, and its name."""
    return _read_kind_and_name(data, "DESCRIBE")


def read_close(data: bytes) -> tuple[int, bytes]:
    """What a Close is about: `tags.STATEMENT` or `tags.PORTAL`, and its name."""
    return _read_kind_and_name(data, "CLOSE")


def _read_kind_and_name(data: bytes, word: str) -> tuple[int, bytes]:
    if len(data) <= HEADER:
        raise insufficient()
    kind = data[HEADER]
    name, pos = read_string(data, HEADER + 1)
    expect_end(data, pos)
    if kind != tags.STATEMENT and kind != tags.PORTAL:
        raise RemoteProtocolError(f"invalid {word} message subtype {kind}")
    return kind, name


def read_execute(data: bytes) -> tuple[bytes, int]:
    """The portal of an Execute and how many rows it asks for; not above 0 means all."""
    portal, pos = read_string(data, HEADER)
    max_rows = read_int32(data, pos)
    expect_end(data, pos + 4)
    return portal, max_rows


def read_copy_fail(data: bytes) -> bytes:
    """Why a client gave up its COPY."""
    return read_only_string(data)


def read_password(data: bytes) -> bytes:
    """The password in a client's answer, clear or hashed."""
    if data.find(0, HEADER) != len(data) - 1:
        raise RemoteProtocolError("invalid password packet size")
    return data[HEADER:-1]


def read_sasl_initial_response(data: bytes) -> tuple[bytes, bytes | None]:
    """The SASL mechanism that was chosen, and its first message if there is one."""
    mechanism, pos = read_string(data, HEADER)
    length = read_int32(data, pos)
    pos += 4
    if length == -1:
        expect_end(data, pos)
        return mechanism, None
    if length != len(data) - pos:
        raise insufficient()
    return mechanism, data[pos:]


def rename_bind(data: bytes, statement: bytes) -> bytes:
    """Make the same Bind of a statement of another name; its beginning is enough."""
    start = find_nul(data, HEADER) + 1
    return _replace(data, start, find_nul(data, start), statement)


def rename_describe(data: bytes, name: bytes) -> bytes:
    """Make the same Describe of something of another name."""
    return _replace(data, HEADER + 1, find_nul(data, HEADER + 1), name)


def _replace(data: bytes, start: int, stop: int, name: bytes) -> bytes:
    # From the old length, not from len(data): what came may be the beginning only.
    length = read_int32(data, 1) + len(name) - (stop - start)
    return b"".join(
        (data[:1], INT32.pack(length), data[HEADER:start], string(name), data[stop + 1 :])
    )
