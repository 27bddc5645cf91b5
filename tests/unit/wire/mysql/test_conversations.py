"""Conversations recorded with MariaDB and MySQL, replayed: whole, byte by byte, cut everywhere."""

from __future__ import annotations

import pytest

from proxy.wire.mysql.replies import (
    AUTHENTICATION,
    COLUMNS,
    FILE,
    ROWS,
    ReplyReader,
)
from proxy.wire.mysql.splitter import NOTHING, Splitter
from tests.unit.wire.mysql.recordings import Conversation, conversations, cut, packets_in

ALL = conversations()
each = pytest.mark.parametrize("conversation", ALL, ids=[one.name for one in ALL])

Followed = tuple[bytes, list[tuple[int, bytes]], list[object]]


def follow(reader: ReplyReader, command: int | None, parts: list[bytes]) -> Followed:
    """Read one reply; rows come out as a mark, definitions one by one, the rest whole."""
    if command is not None:
        reader.expect(command)
    passed, found = [], []
    for part in parts:
        got = reader.feed(part)
        passed.append(got)
        for kind, start, stop in reader.found:
            if kind == ROWS:
                found.append((kind, b""))
            elif kind == COLUMNS:
                found += [(kind, one) for one in packets_in(got[start:stop])]
            else:
                found.append((kind, got[start:stop]))
    state: list[object] = [
        reader.done,
        reader.status,
        reader.error,
        reader.outcomes,
        reader.tracked.gtid,
        reader.tracked.variables,
        reader.tracked.schema,
        reader.tracked.state_changed,
        reader.more_results,
        reader.cursor_exists,
        reader.statement,
        reader.columns,
        reader.parameters,
    ]
    return b"".join(passed), found, state


def replies(conversation: Conversation) -> list[tuple[int, bytes]]:
    """Each command, and all that was answered to it, whatever the client said between."""
    result: list[tuple[int, bytes]] = []
    for said, heard in conversation.exchanges:
        command = command_of(said)
        if command is None:
            command, before = result.pop()
            heard = before + heard
        result.append((command, heard))
    return result


def command_of(said: bytes) -> int | None:
    """The command in a packet; None: it goes on with the one before."""
    return said[4] if said[3] == 0 else None


@each
def test_a_reply_ends_where_the_server_stopped_talking(conversation: Conversation) -> None:
    reader = ReplyReader(conversation.capabilities)
    for said, heard in conversation.exchanges:
        passed, found, _ = follow(reader, command_of(said), [heard])
        assert passed == heard
        assert not reader.has_rest
        asks = any(kind in (FILE, AUTHENTICATION) for kind, _ in found)
        assert reader.done != asks
        assert found or not heard


def sampled(size: int) -> list[int]:
    """Every offset of what is short, some of what is long."""
    return list(range(size + 1)) if size < 1500 else list(range(0, size + 1, 31))


@each
def test_however_a_reply_is_cut_it_says_the_same(conversation: Conversation) -> None:
    status = 0
    for command, heard in replies(conversation):
        ways = [[heard], cut(heard, *range(1, len(heard)))]
        ways += [cut(heard, at) for at in sampled(len(heard))]
        results = []
        for parts in ways:
            reader = ReplyReader(conversation.capabilities)
            reader.status = status
            results.append(follow(reader, command, parts))
        assert results[0][0] == heard
        assert all(result == results[0] for result in results)
        status = reader.status


@each
def test_replies_in_one_chunk_are_told_apart(conversation: Conversation) -> None:
    answers = replies(conversation)
    stream = b"".join(heard for _, heard in answers)
    for size in (len(stream), 7, 1):
        reader = ReplyReader(conversation.capabilities)
        chunks = cut(stream, *range(size, len(stream), size))
        for command, heard in answers:
            reader.expect(command)
            passed = reader.feed(b"")
            while not reader.done:
                passed += reader.feed(chunks.pop(0))
            assert passed == heard
        assert not chunks
        assert not reader.has_rest


@each
def test_what_a_client_said_is_split_however_it_is_cut(conversation: Conversation) -> None:
    for said, _ in conversation.exchanges:
        if said[3]:
            continue
        for at in sampled(len(said)):
            splitter = Splitter()
            got = [one for part in cut(said, at) for one in splitter.feed(part)]
            assert got == [(said[4], said)]
            assert splitter.large_code == NOTHING
