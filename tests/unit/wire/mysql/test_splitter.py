"""The commands' side: whole commands, very large ones in pieces, files and answers between."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import MessageTooLarge, RemoteProtocolError
from proxy.wire.mysql import commands
from proxy.wire.mysql.codec import LARGEST, packet, payload, renumber
from proxy.wire.mysql.splitter import NOTHING, Splitter

LIMIT = 60

QUERY = packet(0, b"\x03select 1")
CLOSE = packet(0, b"\x19\1\0\0\0")
LARGE = packet(0, b"\x03" + b"x" * 100)


def replay(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[tuple[int, bytes]], int]:
    """Feed all pieces; a large command's own pieces are joined again, and counted."""
    splitter = Splitter(limit)
    result: list[tuple[int, bytes]] = []
    large: list[bytes] = []
    taken = 0
    for piece in pieces:
        result += splitter.feed(piece)
        while splitter.large_code != NOTHING:
            code = splitter.large_code
            large.append(splitter.take_large())
            taken += 1
            if splitter.large_code != NOTHING:
                break
            result.append((code, b"".join(large)))
            large.clear()
            result += splitter.feed(b"")
    assert splitter.at_boundary
    return result, taken


def cut(data: bytes, *cuts: int) -> list[bytes]:
    return [data[start:stop] for start, stop in pairwise([0, *cuts, len(data)])]


def test_one_whole_command_comes_out_as_the_object_that_came() -> None:
    ((code, got),) = Splitter().feed(QUERY)
    assert code == commands.QUERY
    assert got is QUERY


@pytest.mark.parametrize("at", range(len(CLOSE + LARGE + QUERY) + 1))
def test_a_cut_anywhere_changes_nothing(at: int) -> None:
    expected = [(commands.STMT_CLOSE, CLOSE), (commands.QUERY, LARGE), (commands.QUERY, QUERY)]
    assert replay(cut(CLOSE + LARGE + QUERY, at))[0] == expected


def test_byte_by_byte_changes_nothing() -> None:
    stream = CLOSE + LARGE + QUERY
    result, taken = replay([bytes((byte,)) for byte in stream])
    assert b"".join(packets for _, packets in result) == stream
    assert taken == 1 + 100 - LIMIT + 1


@given(st.lists(st.binary(max_size=100)), st.lists(st.integers(0, 2000)))
def test_what_was_framed_is_cut_again(payloads: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(packet(0, one) for one in payloads)
    result, _ = replay(cut(stream, *sorted(min(at, len(stream)) for at in cuts)))
    assert [payload(packets) for _, packets in result] == payloads
    assert [code for code, _ in result] == [one[0] if one else 0 for one in payloads]


@given(st.lists(st.binary(max_size=40), max_size=10))
def test_garbage_raises_nothing_else(chunks: list[bytes]) -> None:
    splitter = Splitter(LIMIT, 2 * LIMIT)
    try:
        for chunk in chunks:
            splitter.feed(chunk)
            while splitter.large_code != NOTHING and splitter.take_large():
                pass
    except RemoteProtocolError:
        pass


def test_a_command_begins_at_zero() -> None:
    with pytest.raises(RemoteProtocolError, match="out of order"):
        Splitter().feed(packet(1, b"\x0e"))


def test_a_command_above_16_mb_is_joined_and_counts_on() -> None:
    body = b"\x03" + bytes(LARGEST + 10)
    packets = packet(0, body)
    ((code, got),) = Splitter(2 * LARGEST).feed(packets)
    assert (code, got) == (commands.QUERY, packets)
    assert payload(got) == body
    half = len(packets) - 20
    splitter = Splitter(2 * LARGEST)
    assert splitter.feed(packets[:half]) == []
    assert splitter.feed(packets[half:] + QUERY) == [(code, packets), (code, QUERY)]


def test_a_command_of_exactly_16_mb_ends_with_an_empty_packet() -> None:
    packets = packet(0, b"\x03" + bytes(LARGEST - 1))
    assert packets.endswith(b"\0\0\0\1")
    splitter = Splitter(2 * LARGEST)
    assert splitter.feed(packets[:-4]) == []
    assert splitter.feed(packets[-4:]) == [(commands.QUERY, packets)]


def test_a_large_command_passes_with_all_its_packets() -> None:
    packets = packet(0, b"\x03" + bytes(LARGEST + 10))
    result, taken = replay(cut(packets + QUERY, 1000, 5_000_000, 16_777_218, 16_777_225), 1000)
    assert result == [(commands.QUERY, packets), (commands.QUERY, QUERY)]
    assert taken == 4


def test_what_is_no_text_is_gathered_up_to_a_limit_of_its_own() -> None:
    packets = packet(0, b"\x17" + bytes(LARGEST + 10))
    splitter = Splitter(1000, gathered=2 * LARGEST)
    found = [
        one for piece in cut(packets + QUERY, 4, 2000, LARGEST) for one in splitter.feed(piece)
    ]
    assert found == [(commands.STMT_EXECUTE, packets), (commands.QUERY, QUERY)]
    splitter = Splitter(1000, gathered=LARGEST)
    assert splitter.feed(packets) == []
    assert splitter.large_code == commands.STMT_EXECUTE


def test_a_packet_of_a_large_command_out_of_order_is_refused() -> None:
    packets = packet(0, b"\x03" + bytes(LARGEST)) + packet(0, b"")
    broken = renumber(packets, LARGEST + 4, 5)
    splitter = Splitter(1000)
    splitter.feed(broken)
    with pytest.raises(RemoteProtocolError, match="out of order"):
        splitter.take_large()
    with pytest.raises(RemoteProtocolError, match="out of order"):
        Splitter(2 * LARGEST).feed(broken)


def test_a_command_above_the_largest_is_refused_at_its_header() -> None:
    with pytest.raises(MessageTooLarge, match="max_allowed_packet"):
        Splitter(10, 20).feed(packet(0, bytes(21))[:4])
    splitter = Splitter(10, LARGEST + 5)
    splitter.feed(packet(0, b"\x03" + bytes(LARGEST + 5)))
    with pytest.raises(MessageTooLarge):
        splitter.take_large()


FILE = packet(2, b"1,one\n") + packet(3, b"2,two\n") + packet(4, b"")


@pytest.mark.parametrize("at", range(len(FILE + QUERY) + 1))
def test_a_file_passes_up_to_its_empty_packet(at: int) -> None:
    splitter = Splitter()
    splitter.expect_file(2)
    file, after = b"", []
    for piece in cut(FILE + QUERY, at):
        after += splitter.feed(piece)
        if splitter.in_file:
            file += splitter.take_file()
            if not splitter.in_file:
                after += splitter.feed(b"")
    assert (file, after) == (FILE, [(commands.QUERY, QUERY)])


@pytest.mark.parametrize("at", range(len(FILE) + 1))
def test_a_file_is_passed_on_under_the_numbers_the_server_knows(at: int) -> None:
    splitter = Splitter()
    splitter.expect_file(2, 0)
    file = b""
    for piece in cut(FILE, at):
        splitter.feed(piece)
        file += splitter.take_file()
    assert file == packet(0, b"1,one\n") + packet(1, b"2,two\n") + packet(2, b"")


def test_an_empty_packet_behind_a_full_one_does_not_end_the_file() -> None:
    content = packet(2, bytes(LARGEST))
    splitter = Splitter()
    splitter.expect_file(2)
    splitter.feed(content)
    assert splitter.take_file() == content
    assert splitter.in_file
    splitter.feed(packet(4, b""))
    splitter.take_file()
    assert splitter.at_boundary
