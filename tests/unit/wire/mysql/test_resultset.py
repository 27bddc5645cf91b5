"""Results of our own: as a server would have built them."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import commands, replies
from proxy.wire.mysql.capabilities import (
    DEPRECATE_EOF,
    MARIADB_CACHE_METADATA,
    MARIADB_EXTENDED_METADATA,
    OPTIONAL_RESULTSET_METADATA,
)
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.ok import Ok, read_ok
from proxy.wire.mysql.replies import ReplyReader
from proxy.wire.mysql.requests import Request
from proxy.wire.mysql.resultset import (
    PARAMETER,
    Column,
    binary_result,
    column_definition,
    prepare_ok,
    read_column,
    read_text_row,
    text_result,
)
from tests.unit.wire.mysql.recordings import conversations, packets_in

agreements = st.sets(
    st.sampled_from(
        (
            DEPRECATE_EOF,
            OPTIONAL_RESULTSET_METADATA,
            MARIADB_CACHE_METADATA,
            MARIADB_EXTENDED_METADATA,
        )
    )
).map(sum)

RECORDED = [one for one in conversations() if one.name.endswith((" rows", " optional metadata"))]


@pytest.mark.parametrize("conversation", RECORDED, ids=[one.name for one in RECORDED])
def test_a_recorded_result_is_built_again(conversation: object) -> None:
    assert isinstance(conversation, tuple)
    _, agreed, exchanges = conversation
    for said, heard in exchanges:
        reader = ReplyReader(agreed)
        reader.expect(said[4])
        reader.feed(heard)
        columns = []
        for kind, start, stop in reader.found:
            if kind == replies.COLUMNS:
                columns += [read_column(one, agreed) for one in packets_in(heard[start:stop])]
        if said[4] != commands.QUERY or not columns:
            continue
        packets = list(packets_in(heard))
        before = 1 + len(columns) + (0 if agreed & DEPRECATE_EOF else 1)
        rows = [read_text_row(one, len(columns)) for one in packets[before:-1]]
        assert text_result(1, columns, rows, agreed, end=read_ok(packets[-1])) == heard


def read(command: int, reply: bytes, agreed: int) -> ReplyReader:
    reader = ReplyReader(agreed)
    reader.expect(command)
    assert reader.feed(reply) == reply
    assert reader.done
    assert not reader.has_rest
    numbers = [one[3] for one in packets_in(reply)]
    assert numbers == [(1 + place) & 0xFF for place in range(len(numbers))]
    return reader


words = st.binary(max_size=20)
tables = st.integers(1, 9).flatmap(
    lambda width: st.tuples(
        st.lists(words.map(Column), min_size=width, max_size=width),
        st.lists(st.lists(words | st.none(), min_size=width, max_size=width), max_size=6),
    )
)


@given(tables, agreements)
def test_results_are_whole_in_every_form(
    table: tuple[list[Column], list[list[bytes | None]]], agreed: int
) -> None:
    columns, rows = table
    end = Ok(warnings=3)
    for command, build in ((commands.QUERY, text_result), (commands.STMT_EXECUTE, binary_result)):
        reader = read(command, build(1, columns, rows, agreed, end=end), agreed)
        assert reader.columns == len(columns)
        assert reader.outcomes == [(0, 0, 3)]
        assert (replies.ROWS in [kind for kind, _, _ in reader.found]) == bool(rows)


def test_sequence_ids_go_round() -> None:
    read(commands.QUERY, text_result(1, [Column(b"a")], [[b"x" * 300]] * 600, 0), 0)


def test_a_binary_row_is_as_the_manual_has_it() -> None:
    reply = binary_result(1, [Column(b"a"), Column(b"b")], [[None, b"x"]], DEPRECATE_EOF)
    assert packet(4, b"\0\x04\x01x") in reply


@given(st.integers(0, 2**32 - 1), st.integers(0, 20), st.integers(0, 20), agreements)
def test_a_prepared_statement_is_told_in_every_form(
    statement: int, width: int, parameters: int, agreed: int
) -> None:
    reply = prepare_ok(1, statement, [PARAMETER] * width, parameters, agreed)
    reader = read(commands.STMT_PREPARE, reply, agreed)
    assert reader.statement == statement
    assert (reader.columns, reader.parameters) == (width, parameters)


columns = st.builds(
    Column,
    words,
    st.integers(0, 255),
    st.integers(0, 0xFFFF),
    st.integers(0, 2**32 - 1),
    st.integers(0, 0xFFFF),
    st.integers(0, 255),
    words,
    words,
    words,
    words,
)


@given(columns, agreements)
def test_a_definition_is_read_back(column: Column, agreed: int) -> None:
    assert read_column(packet(2, column_definition(column, agreed)), agreed) == column


@given(st.binary(max_size=60), st.integers(0, 5))
def test_garbage_raises_nothing_else(body: bytes, number: int) -> None:
    for read_it in (lambda: read_column(body, 0), lambda: read_text_row(body, number)):
        try:
            read_it()
        except RemoteProtocolError:
            continue


@given(tables, agreements)
def test_rows_are_the_same_in_every_form(
    table: tuple[list[Column], list[list[bytes | None]]], agreed: int
) -> None:
    """As the audit compares them: without numbers of packets, status and warnings."""
    columns, rows = table
    for command, build in ((commands.QUERY, text_result), (commands.STMT_EXECUTE, binary_result)):
        request = Request(command, packet(0, bytes((command,))))
        request.capabilities = agreed
        found = request.rows_in(build(1, columns, rows, agreed, end=Ok(warnings=3)))
        assert len(found) == len(rows)
        assert found == request.rows_in(build(7, columns, rows, agreed))
        if rows and command == commands.QUERY:
            assert read_text_row(packet(0, found[0]), len(columns)) == rows[0]


@given(words, st.integers(1, 60))
def test_what_is_no_whole_reply_raises_nothing_else(garbage: bytes, cut: int) -> None:
    request = Request(commands.QUERY, packet(0, bytes((commands.QUERY,))))
    whole = text_result(1, [Column(b"a")], [[b"x"], [None]], 0)
    with suppress(RemoteProtocolError):
        request.rows_in(garbage)
    for reply in (whole[: -min(cut, len(whole))], whole + whole):
        with pytest.raises(RemoteProtocolError):
            request.rows_in(reply)
