"""Replies in one form made into another: what was recorded in both is compared."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import commands, ok, replies
from proxy.wire.mysql.capabilities import (
    DEPRECATE_EOF,
    MARIADB_EXTENDED_METADATA,
    MARIADB_PROGRESS,
    OPTIONAL_RESULTSET_METADATA,
    SESSION_TRACK,
    STATUS_AUTOCOMMIT,
    STATUS_CURSOR_EXISTS,
    STATUS_IN_TRANS,
)
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.ok import Ok
from proxy.wire.mysql.replies import ReplyReader
from proxy.wire.mysql.resultset import PARAMETER, Column, prepare_ok, text_result
from proxy.wire.mysql.translate import Translator, differs
from tests.unit.wire.mysql.recordings import Conversation, conversations, cut, packets_in

NEW = DEPRECATE_EOF | SESSION_TRACK
RECORDED = {one.name: one for one in conversations()}
BOTH = [
    (one, RECORDED[name.replace(" new ", " old ")])
    for name, one in RECORDED.items()
    if name.replace(" new ", " old ") in RECORDED and " new " in name
]
VARYING = (replies.OK, replies.END, replies.COLUMNS_END, replies.PREPARED, replies.TEXT)


def translated(
    command: int | None, parts: list[bytes], reader: ReplyReader, translator: Translator
) -> bytes:
    if command is not None:
        reader.expect(command)
        translator.begin()
    return b"".join([translator.feed(reader.feed(part), reader.found) for part in parts])


def outline(command: int, reply: bytes, agreed: int) -> list[tuple[int, object]]:
    """Every packet's sequence id, and the packet where it is the same at all times."""
    reader = ReplyReader(agreed)
    reader.expect(command)
    assert reader.feed(reply) == reply
    assert not reader.has_rest
    kinds = {start: kind for kind, start, stop in reader.found if stop > start}
    result: list[tuple[int, object]] = []
    pos = 0
    for one in packets_in(reply):
        kind = kinds.get(pos, 0)
        result.append((one[3], kind if kind in VARYING else one[4:]))
        pos += len(one)
    return result


def is_comparable(said: bytes, heard: bytes) -> bool:
    if said[3] or not heard:
        return False
    varies = said[4] in (commands.PROCESS_INFO, commands.CHANGE_USER)
    return not varies and b"The statement (" not in heard


@pytest.mark.parametrize("backwards", [False, True], ids=["to old", "to new"])
@pytest.mark.parametrize("pair", BOTH, ids=[one.name for one, _ in BOTH])
def test_the_other_form_is_what_the_server_would_have_sent(
    pair: tuple[Conversation, Conversation], backwards: bool
) -> None:
    source, target = reversed(pair) if backwards else pair
    reader = ReplyReader(source.capabilities)
    translator = Translator(source.capabilities, target.capabilities)
    assert differs(source.capabilities, target.capabilities)
    for (said, heard), (_, expected) in zip(source.exchanges, target.exchanges, strict=True):
        command = None if said[3] else said[4]
        got = translated(command, [heard], reader, translator)
        if is_comparable(said, heard):
            agreed = target.capabilities
            assert outline(said[4], got, agreed) == outline(said[4], expected, agreed)
        elif said[3]:
            assert len(got) > 0


@pytest.mark.parametrize("pair", BOTH, ids=[one.name for one, _ in BOTH])
def test_a_cut_changes_nothing(pair: tuple[Conversation, Conversation]) -> None:
    source, target = pair
    for said, heard in source.exchanges:
        if not is_comparable(said, heard) or len(heard) > 1500:
            continue
        results = set()
        for parts in [[heard], *(cut(heard, at) for at in range(len(heard)))]:
            reader = ReplyReader(source.capabilities)
            translator = Translator(source.capabilities, target.capabilities)
            results.add(translated(said[4], parts, reader, translator))
        assert len(results) == 1


agreements = st.sets(
    st.sampled_from(
        (
            DEPRECATE_EOF,
            SESSION_TRACK,
            OPTIONAL_RESULTSET_METADATA,
            MARIADB_EXTENDED_METADATA,
            MARIADB_PROGRESS,
        )
    )
).map(sum)


@given(
    agreements,
    agreements,
    st.integers(1, 4),
    st.integers(0, 300),
    st.lists(st.integers(0, 4000), max_size=4),
)
def test_our_own_results_are_the_same_in_every_form(
    server: int, client: int, width: int, height: int, cuts: list[int]
) -> None:
    columns = [Column(b"name")] * width
    rows = [[b"value"] * width] * height
    reply = text_result(1, columns, rows, server)
    edges = sorted({min(at, len(reply)) for at in cuts})
    got = translated(
        commands.QUERY, cut(reply, *edges), ReplyReader(server), Translator(server, client)
    )
    assert got == text_result(1, columns, rows, client)


@given(agreements, agreements, st.integers(0, 3), st.integers(0, 3))
def test_prepared_statements_are_the_same_in_every_form(
    server: int, client: int, width: int, parameters: int
) -> None:
    reply = prepare_ok(1, 5, [PARAMETER] * width, parameters, server)
    got = translated(
        commands.STMT_PREPARE, [reply], ReplyReader(server), Translator(server, client)
    )
    assert got == prepare_ok(1, 5, [PARAMETER] * width, parameters, client)


def test_rows_pass_as_they_came_where_numbers_agree() -> None:
    reply = text_result(1, [Column(b"a")], [[b"x" * 100]] * 3, NEW)
    reader = ReplyReader(NEW)
    translator = Translator(NEW, DEPRECATE_EOF)
    translated(commands.QUERY, [reply[:100]], reader, translator)
    got = reader.feed(reply[100:300])
    assert translator.feed(got, reader.found) is got


def test_changes_of_the_session_are_left_out() -> None:
    said = Ok(1, 2, STATUS_AUTOCOMMIT, 0, b"info", [ok.text_change(ok.SCHEMA, b"shop")])
    got = translated(
        commands.QUERY, [ok.ok_packet(1, said, NEW)], ReplyReader(NEW), Translator(NEW, 0)
    )
    assert got == ok.ok_packet(1, Ok(1, 2, STATUS_AUTOCOMMIT, 0, b"info"), 0)


def test_status_flags_are_given_and_taken() -> None:
    translator = Translator(NEW, 0)
    translator.given, translator.taken = STATUS_IN_TRANS, STATUS_AUTOCOMMIT
    reply = text_result(1, [Column(b"a")], [[b"x"]], NEW)
    got = translated(commands.QUERY, [reply], ReplyReader(NEW), translator)
    assert got == text_result(1, [Column(b"a")], [[b"x"]], 0, end=Ok(status=STATUS_IN_TRANS))


def test_a_cursor_has_one_eof() -> None:
    said = Ok(status=STATUS_AUTOCOMMIT | STATUS_CURSOR_EXISTS)
    reply = text_result(1, [Column(b"a")], [], NEW, end=said)
    got = translated(commands.STMT_EXECUTE, [reply], ReplyReader(NEW), Translator(NEW, 0))
    assert [one[3] for one in packets_in(got)] == [1, 2, 3]
    assert ok.is_eof(list(packets_in(got))[-1])


def test_progress_is_for_who_asked() -> None:
    server = NEW | MARIADB_PROGRESS
    report = packet(1, b"\xff\xff\xff\1\1\1\0\0\0\4copy")
    reply = report + ok.ok_packet(2, Ok(), server)
    got = translated(commands.QUERY, [reply], ReplyReader(server), Translator(server, NEW))
    assert got == ok.ok_packet(1, Ok(), NEW)


def test_definitions_that_were_left_out_cannot_be_made_up() -> None:
    server = NEW | OPTIONAL_RESULTSET_METADATA
    with pytest.raises(RemoteProtocolError, match="definitions"):
        translated(
            commands.QUERY, [packet(1, b"\2\0")], ReplyReader(server), Translator(server, NEW)
        )


def test_extended_definitions_become_plain_ones() -> None:
    source, target = RECORDED["mariadb extended rows"], RECORDED["mariadb new rows"]
    ((_, heard),) = source.exchanges
    for one, other, reply, expected in (
        (source, target, heard, target.exchanges[0].heard),
        (target, source, target.exchanges[0].heard, heard),
    ):
        reader = ReplyReader(one.capabilities)
        translator = Translator(one.capabilities, other.capabilities)
        assert translated(commands.QUERY, [reply], reader, translator) == expected


payloads = st.binary(min_size=1, max_size=12) | st.sampled_from(
    (
        b"\1",
        b"\1\1",
        b"\0\0\0\x0a\0\0\0",
        b"\0\0\0\x02\x40\0\0\0\3\2\1\0",
        b"\xfe\0\0\x0a\0",
        b"\xff\x10\4#08004no",
        b"\0\1\0\0\0\1\0\1\0\0\0\0",
        b"\x03def",
    )
)


@given(st.sampled_from(sorted(commands.NAMES)), st.lists(payloads), agreements, agreements)
def test_garbage_raises_nothing_else(
    command: int, said: list[bytes], server: int, client: int
) -> None:
    stream = b"".join(packet(1, one) for one in said)
    with suppress(RemoteProtocolError):
        translated(command, [stream], ReplyReader(server), Translator(server, client))


def test_what_agrees_needs_no_translation() -> None:
    assert not differs(NEW, NEW | 1)
    assert differs(NEW, SESSION_TRACK)
