"""A client's bytes become requests, however they are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import commands
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.cutting import GATHERED, Cutter
from proxy.wire.requests import End
from tests.unit.wire.mysql.recordings import conversations
from tests.unit.wire.mysql.sides import LARGEST, command, execute, however_cut, prepare, query

ALL = conversations()


def test_one_command_in_one_chunk_is_known_by_that_chunk() -> None:
    data = query(b"SELECT 1")
    (request,) = Cutter(LARGEST).feed(data)
    assert request.chunk is data
    assert request.simple
    assert request.end is End.READY


def test_what_came_with_others_or_in_pieces_is_no_chunk() -> None:
    cutter = Cutter(LARGEST)
    assert [one.chunk for one in cutter.feed(query(b"a") + query(b"b"))] == [None, None]
    data = query(b"SELECT 1")
    assert cutter.feed(data[:7]) == []
    assert not cutter.is_between
    (request,) = cutter.feed(data[7:])
    assert request.chunk is None
    assert request.packets == data
    assert cutter.is_between


def test_pipelined_commands_are_told_apart_however_they_are_cut() -> None:
    said = [query(b"SELECT 1"), prepare(b"SELECT ?"), execute(1), command(commands.QUIT)]

    def play(chunks: list[bytes]) -> object:
        cutter = Cutter(LARGEST)
        found = [one for chunk in chunks for one in cutter.feed(chunk)]
        return [(one.command, one.packets, one.end) for one in found]

    assert play([b"".join(said)]) == [
        (one[4], one, End.TERMINATE if one is said[3] else End.READY) for one in said
    ]
    however_cut(b"".join(said), play)


@pytest.mark.parametrize("conversation", ALL, ids=[one.name for one in ALL])
def test_what_was_recorded_is_cut_as_it_was_said(conversation: object) -> None:
    for said, _ in conversation.exchanges:  # type: ignore[attr-defined]
        if said[3] or said[4] not in commands.NAMES:
            continue
        cutter = Cutter(LARGEST)
        found = [one for at in range(len(said)) for one in cutter.feed(said[at : at + 1])]
        assert [(one.command, one.packets) for one in found] == [(said[4], said)]


def test_a_command_that_nobody_knows_is_a_request_too() -> None:
    (request,) = Cutter(LARGEST).feed(command(0x77))
    assert request.command == 0x77


def test_a_file_is_passed_in_pieces_up_to_its_empty_packet() -> None:
    file = packet(2, b"one\n") + packet(3, b"two\n") + packet(4, b"")

    def play(chunks: list[bytes]) -> object:
        cutter = Cutter(LARGEST)
        cutter.feed(query(b"LOAD DATA LOCAL INFILE 'f' INTO TABLE t"))
        cutter.expect_file(2)
        found = [one for chunk in chunks for one in cutter.feed(chunk)]
        assert [one.end for one in found[:-1]] == [End.COPY] * (len(found) - 1)
        assert cutter.is_between
        return b"".join(one.packets for one in found), found[-1].end

    assert play([file]) == (file, End.COPY_END)
    however_cut(file, play)


def test_an_empty_file_is_its_end() -> None:
    cutter = Cutter(LARGEST)
    cutter.expect_file(2)
    (request,) = cutter.feed(packet(2, b""))
    assert request.end is End.COPY_END


def test_behind_a_file_come_commands_again() -> None:
    cutter = Cutter(LARGEST)
    cutter.expect_file(2)
    ends = [one.end for one in cutter.feed(packet(2, b"x") + packet(3, b"") + query(b"SELECT 1"))]
    assert ends == [End.COPY_END, End.READY]


def test_what_is_too_large_to_be_looked_at_is_streamed() -> None:
    data = query(b"SELECT '" + b"x" * (GATHERED + 3_000_000) + b"'") + query(b"SELECT 2")
    cutter = Cutter(LARGEST)
    found, taken = [], []
    for at in range(0, len(data), 1_000_003):
        found += cutter.feed(data[at : at + 1_000_003])
        while cutter.is_streaming:
            piece = cutter.take()
            if not piece:
                break
            taken.append(piece)
            if not cutter.is_streaming:
                found += cutter.feed(b"")
    large, small = found
    assert large.is_cut
    assert large.streams
    assert large.packets + b"".join(taken) + small.packets == data


@given(st.lists(st.binary(max_size=30), max_size=8))
def test_garbage_raises_nothing_else(chunks: list[bytes]) -> None:
    cutter = Cutter(LARGEST)
    try:
        for chunk in chunks:
            cutter.feed(chunk)
    except RemoteProtocolError:
        return
