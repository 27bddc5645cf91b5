"""Executions: read, given their types again, and turned from one server's form to another's."""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import commands, execute
from proxy.wire.mysql.capabilities import QUERY_ATTRIBUTES
from proxy.wire.mysql.codec import lenenc_int, lenenc_string, packet, payload
from tests.unit.wire.mysql.recordings import conversations

FIXED = {1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 6: 0, 8: 8, 9: 4, 13: 2}
STRINGS = (0, 15, 16, 242, 245, 246, 249, 252, 253, 254, 255)
TIMES = (7, 10, 11, 12)


def values_of(kind: int) -> st.SearchStrategy[tuple[int, bytes | None]]:
    if kind in FIXED:
        size = FIXED[kind]
        raw = st.binary(min_size=size, max_size=size)
    elif kind in TIMES:
        raw = st.binary(max_size=12).map(lambda one: bytes((len(one),)) + one)
    else:
        raw = (st.binary(max_size=4) | st.just(bytes(300))).map(lenenc_string)
    return st.tuples(st.sampled_from((kind, kind | 0x8000)), raw | st.none())


values = st.sampled_from((*FIXED, *TIMES, *STRINGS)).flatmap(values_of)
parameters = st.lists(values, max_size=10)
names = st.binary(max_size=5)


def types_of(given_values: list[tuple[int, bytes | None]], name: bytes | None) -> bytes:
    after = b"" if name is None else lenenc_string(name)
    return b"".join([kind.to_bytes(2, "little") + after for kind, _ in given_values])


def execution(
    given_values: list[tuple[int, bytes | None]],
    types: bytes,
    *,
    flags: int = 0,
    count: bool = False,
) -> bytes:
    head = b"\x17" + struct.pack("<IBI", 7, flags, 1)
    if count and (given_values or flags & 8):
        head += lenenc_int(len(given_values))
    if not given_values:
        return head
    nulls = bytearray((len(given_values) + 7) // 8)
    for place, (_, value) in enumerate(given_values):
        if value is None:
            nulls[place // 8] |= 1 << place % 8
    body = b"".join([value for _, value in given_values if value is not None])
    return head + bytes(nulls) + (b"\1" + types if types else b"\0") + body


@given(parameters, st.none() | names)
def test_values_are_found(sent: list[tuple[int, bytes | None]], name: bytes | None) -> None:
    types = types_of(sent, name)
    agreed = 0 if name is None else QUERY_ATTRIBUTES
    message = execution(sent, types, count=name is not None)
    read = execute.read_execute(message, len(sent), agreed)
    assert (read.statement, read.parameters, read.types) == (7, len(sent), types)
    extents = execute.find_values(message, read, types, has_names=name is not None)
    found = [None if one is None else message[one[0] : one[1]] for one in extents]
    assert found == [value for _, value in sent]


@given(parameters, st.none() | names)
def test_types_that_were_left_out_are_sent_again(
    sent: list[tuple[int, bytes | None]], name: bytes | None
) -> None:
    types = types_of(sent, name)
    agreed = 0 if name is None else QUERY_ATTRIBUTES
    message = execution(sent, b"", count=name is not None)
    read = execute.read_execute(message, len(sent), agreed)
    whole = execution(sent, types, count=name is not None)
    assert execute.with_types(message, read, types) == whole
    again = execute.read_execute(whole, len(sent), agreed)
    assert execute.with_types(whole, again, b"other") is whole


@given(parameters, parameters, names)
def test_attributes_are_taken_out(
    sent: list[tuple[int, bytes | None]], attributes: list[tuple[int, bytes | None]], name: bytes
) -> None:
    types = types_of(sent + attributes, name)
    message = execution(sent + attributes, types, flags=8 | 1, count=True)
    read = execute.read_execute(message, len(sent), QUERY_ATTRIBUTES)
    stripped = execute.without_attributes(message, read, len(sent), types)
    assert stripped == execution(sent, types_of(sent, None), flags=1)
    assert execute.read_execute(stripped, len(sent), 0).wants_cursor


def test_long_data_has_no_value() -> None:
    sent: list[tuple[int, bytes | None]] = [(252, b""), (3, b"\5\0\0\0")]
    types = types_of(sent, None)
    message = execution(sent, types)
    read = execute.read_execute(message, 2, 0)
    extents = execute.find_values(message, read, types, has_names=False, long_data={0})
    assert extents == [None, (len(message) - 4, len(message))]


@given(st.lists(st.tuples(names, values), max_size=10), st.binary(max_size=30))
def test_a_query_and_its_attributes_are_read(
    attributes: list[tuple[bytes, tuple[int, bytes | None]]], text: bytes
) -> None:
    sent = dict(attributes)
    message = b"\x03" + lenenc_int(len(sent)) + b"\1"
    if sent:
        nulls = bytearray((len(sent) + 7) // 8)
        for place, (_, value) in enumerate(sent.values()):
            if value is None:
                nulls[place // 8] |= 1 << place % 8
        message += bytes(nulls) + b"\1"
        for name, (kind, _) in sent.items():
            message += kind.to_bytes(2, "little") + lenenc_string(name)
        message += b"".join([value for _, value in sent.values() if value is not None])
    read = execute.read_query(message + text, QUERY_ATTRIBUTES)
    assert read.text == text
    assert read.attributes == {name: value for name, (_, value) in sent.items()}


@pytest.mark.parametrize("agreed", [0, QUERY_ATTRIBUTES])
def test_a_query_is_built_in_the_form_agreed(agreed: int) -> None:
    assert execute.read_query(execute.query(b"select 1", agreed), agreed) == (b"select 1", {})


def test_what_mysql_has_accepted_is_read() -> None:
    said = next(one for one in conversations() if one.name.endswith("attributes")).exchanges
    first = execute.read_query(payload(said[0].said), QUERY_ATTRIBUTES)
    assert first == (b"select 1", {b"name": b"\5value"})
    message = payload(said[3].said)
    read = execute.read_execute(message, 1, QUERY_ATTRIBUTES)
    assert read.parameters == 2
    extents = execute.find_values(message, read, read.types, has_names=True)
    assert [message[one[0] : one[1]] for one in extents if one] == [b"\7\0\0\0", b"\5value"]


def test_a_bulk_execution_is_read_and_given_its_types() -> None:
    rows = b"\0\3one\0\3two\1"
    typed = b"\xfa\1\0\0\0\x80\0\xfd\0" + rows
    read = execute.read_bulk(typed, 1)
    assert (read.statement, read.types, typed[read.values :]) == (1, b"\xfd\0", rows)
    bare = b"\xfa\1\0\0\0\x40\0" + rows
    again = execute.with_bulk_types(bare, execute.read_bulk(bare, 1), b"\xfd\0")
    assert again == b"\xfa\1\0\0\0\xc0\0\xfd\0" + rows
    assert execute.with_bulk_types(typed, read, b"") is typed


def test_a_statement_is_renumbered_in_its_place() -> None:
    message = packet(0, b"\x1c\1\0\0\0\x0a\0\0\0")
    assert execute.with_statement(message, 0x01020304) == packet(0, b"\x1c\4\3\2\1\x0a\0\0\0")
    last = bytes((commands.STMT_EXECUTE,)) + b"\xff" * 4
    assert execute.read_statement(last) == execute.LAST_STATEMENT


@given(st.binary(max_size=40), st.integers(0, 5), st.sampled_from((0, QUERY_ATTRIBUTES)))
def test_garbage_raises_nothing_else(message: bytes, number: int, agreed: int) -> None:
    calls: list[Any] = [
        lambda: execute.read_query(message, agreed),
        lambda: execute.read_bulk(message, number),
        lambda: execute.find_values(
            message,
            read := execute.read_execute(message, number, agreed),
            read.types,
            has_names=agreed != 0,
        ),
    ]
    for call in calls:
        with suppress(RemoteProtocolError):
            call()
