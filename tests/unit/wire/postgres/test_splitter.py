"""The requests' side: whole messages, very large ones in pieces."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.postgres.framer import MAX_LARGE, MAX_SMALL, Splitter

LIMIT = 20_000


def message(tag: bytes, body: bytes = b"") -> bytes:
    return tag + struct.pack("!i", len(body) + 4) + body


def as_split(sent: bytes) -> tuple[int, bytes]:
    return sent[0], sent


REQUEST = [
    message(b"P", b"s1\0select 1\0\0\0"),
    message(b"B", b"\0s1\0\0\0\0\0\0\0"),
    message(b"E", b"\0\0\0\0\0"),
    message(b"S"),
]


def replay(pieces: list[bytes], limit: int = LIMIT) -> tuple[list[tuple[int, bytes]], int]:
    """Feed all pieces; a large message's own pieces are joined again, and counted."""
    splitter = Splitter(limit)
    result: list[tuple[int, bytes]] = []
    large, taken = [], 0
    for piece in pieces:
        result += splitter.feed(piece)
        while splitter.large_tag:
            tag = splitter.large_tag
            large.append(splitter.take_large())
            taken += 1
            if splitter.large_tag:
                break
            assert len(b"".join(large)) == splitter.large_size
            result.append((tag, b"".join(large)))
            large.clear()
            result += splitter.feed(b"")
    return result, taken


def test_one_whole_message_comes_out_as_the_object_that_came() -> None:
    sent = message(b"Q", b"select 1\0")
    ((tag, got),) = Splitter(LIMIT).feed(sent)
    assert tag == ord("Q")
    assert got is sent


def test_several_messages_in_one_chunk_come_out_in_order() -> None:
    assert Splitter(LIMIT).feed(b"".join(REQUEST)) == [as_split(one) for one in REQUEST]


@pytest.mark.parametrize("at", range(len(b"".join(REQUEST)) + 1))
def test_a_cut_anywhere_changes_nothing(at: int) -> None:
    stream = b"".join(REQUEST)
    assert replay([stream[:at], stream[at:]]) == replay([stream])


def test_byte_by_byte_changes_nothing() -> None:
    stream = b"".join(REQUEST)
    assert replay([bytes([byte]) for byte in stream]) == replay([stream])


def test_neighbouring_copy_data_comes_as_one_piece() -> None:
    rows = [message(b"d", b"row\n")] * 3
    done = message(b"c")
    got = Splitter(LIMIT).feed(b"".join(rows) + done + rows[0][:-1])
    assert got == [(ord("d"), b"".join(rows)), as_split(done)]


def test_a_run_of_copy_data_ends_in_front_of_a_large_one() -> None:
    row, large = message(b"d", b"row\n"), message(b"d", b"x" * LIMIT)
    splitter = Splitter(LIMIT)
    assert splitter.feed(row + row + large) == [(ord("d"), row + row)]
    assert splitter.large_tag == ord("d")
    assert splitter.take_large() == large


def test_a_message_of_exactly_the_limit_is_gathered() -> None:
    sent = message(b"Q", b"x" * (LIMIT - 5))
    splitter = Splitter(LIMIT)
    assert splitter.feed(sent[:-1]) == []
    assert splitter.large_tag == 0
    assert splitter.feed(sent[-1:]) == [as_split(sent)]


def test_a_large_message_shows_once_its_first_bytes_are_there() -> None:
    sent = message(b"B", b"portal\0statement\0" + b"x" * LIMIT)
    splitter = Splitter(LIMIT)
    assert splitter.feed(REQUEST[0] + sent[: LIMIT - 1]) == [as_split(REQUEST[0])]
    assert splitter.large_tag == 0
    assert splitter.feed(sent[LIMIT - 1 : LIMIT]) == []
    assert (splitter.large_tag, splitter.large_size) == (ord("B"), len(sent))
    assert splitter.take_large() == sent[:LIMIT]
    assert splitter.large_tag == ord("B")
    assert splitter.large_left == len(sent) - LIMIT


def test_splitting_goes_on_behind_a_large_message() -> None:
    sent = message(b"Q", b"x" * LIMIT)
    splitter = Splitter(LIMIT)
    splitter.feed(sent + REQUEST[0] + REQUEST[1][:7])
    assert splitter.take_large() == sent
    assert splitter.large_tag == 0
    assert splitter.feed(b"") == [as_split(REQUEST[0])]
    assert splitter.feed(REQUEST[1][7:]) == [as_split(REQUEST[1])]


def test_feeding_while_a_large_message_waits_loses_nothing() -> None:
    sent = message(b"Q", b"x" * (3 * LIMIT))
    splitter = Splitter(LIMIT)
    splitter.feed(sent[:LIMIT])
    assert splitter.feed(sent[LIMIT:]) == []
    assert splitter.feed(REQUEST[3]) == []
    assert splitter.take_large() == sent
    assert splitter.feed(b"") == [as_split(REQUEST[3])]


def test_the_stream_is_at_a_boundary_when_nothing_of_a_message_is_missing() -> None:
    splitter = Splitter(LIMIT)
    assert splitter.at_boundary
    splitter.feed(REQUEST[0][:7])
    assert not splitter.at_boundary
    splitter.feed(REQUEST[0][7:])
    assert splitter.at_boundary
    splitter.feed(message(b"Q", b"x" * LIMIT)[:LIMIT])
    splitter.take_large()
    assert not splitter.at_boundary


def test_taking_when_nothing_has_come_gives_nothing() -> None:
    splitter = Splitter(LIMIT)
    splitter.feed(message(b"Q", b"x" * LIMIT)[:LIMIT])
    assert len(splitter.take_large()) == LIMIT
    assert splitter.take_large() == b""
    assert splitter.large_tag == ord("Q")


def test_a_large_message_goes_on_after_all_that_came_was_taken() -> None:
    sent = message(b"Q", b"x" * LIMIT)
    splitter = Splitter(LIMIT)
    splitter.feed(sent[:LIMIT])
    splitter.take_large()
    assert splitter.feed(sent[LIMIT:] + REQUEST[3]) == []
    assert splitter.take_large() == sent[LIMIT:]
    assert splitter.feed(b"") == [as_split(REQUEST[3])]


@pytest.mark.parametrize("length", [3, 0, -1, -(2**31)])
def test_a_length_below_its_own_size_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"message length {length} is below 4"):
        Splitter(LIMIT).feed(b"Q" + struct.pack("!i", length))


@pytest.mark.parametrize("tag", [b"S", b"H", b"E", b"D", b"C", b"X", b"c", b"f"])
def test_a_message_without_text_or_values_has_a_low_limit(tag: bytes) -> None:
    assert Splitter(LIMIT).feed(message(tag, b"x" * (MAX_SMALL - 5)))
    with pytest.raises(ValueError, match="is above 10000"):
        Splitter(LIMIT).feed(message(tag, b"x" * (MAX_SMALL - 4))[:5])


def test_a_message_that_postgres_would_not_take_is_refused() -> None:
    with pytest.raises(ValueError, match="is above 1073741822"):
        Splitter(LIMIT).feed(b"Q" + struct.pack("!i", MAX_LARGE))


def test_a_limit_that_small_messages_may_exceed_is_refused() -> None:
    with pytest.raises(ValueError, match="limit 100 is below"):
        Splitter(100)


sizes = st.one_of(st.integers(0, 40), st.integers(LIMIT - 10, LIMIT + 10), st.just(3 * LIMIT))


@given(
    st.lists(st.tuples(st.sampled_from([b"Q", b"B"]), sizes), max_size=5),
    st.lists(st.integers(0, 6 * LIMIT), max_size=10),
)
def test_any_cuts_give_the_same_messages(shapes: list[tuple[bytes, int]], cuts: list[int]) -> None:
    sent = [message(tag, b"x" * size) for tag, size in shapes]
    stream = b"".join(sent)
    edges = [0, *sorted(min(at, len(stream)) for at in cuts), len(stream)]
    got, _ = replay([stream[start:stop] for start, stop in pairwise(edges)])
    assert got == [as_split(one) for one in sent]


@given(st.lists(st.binary()))
def test_garbage_raises_nothing_but_value_error(pieces: list[bytes]) -> None:
    try:
        got, _ = replay(pieces)
    except ValueError:
        return
    assert b"".join(pieces).startswith(b"".join(one for _, one in got))
