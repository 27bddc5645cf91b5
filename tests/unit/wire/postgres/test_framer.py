"""The answers' lane: what passes, what is held back, what is pointed at."""

from __future__ import annotations

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.postgres.framer import Framer, watch

WATCHED = watch(b"TCZ")


def message(tag: bytes, body: bytes = b"") -> bytes:
    return tag + struct.pack("!i", len(body) + 4) + body


REPLY = (
    message(b"T", b"columns")
    + message(b"D", b"a row")
    + message(b"C", b"SELECT 1\0")
    + b"Z\0\0\0\5I"
)


def pointed_at(framer: Framer, returned: bytes) -> list[bytes]:
    for tag, start, _ in framer.found:
        assert returned[start] == tag
    return [returned[start:stop] for _, start, stop in framer.found]


def replay(pieces: list[bytes], watched: bytes = WATCHED) -> tuple[bytes, list[bytes]]:
    framer = Framer(watched)
    passed, watched_messages = [], []
    for piece in pieces:
        returned = framer.feed(piece)
        passed.append(returned)
        watched_messages += pointed_at(framer, returned)
    return b"".join(passed), watched_messages


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(at, len(data)) for at in cuts), len(data)]
    return [data[start:stop] for start, stop in pairwise(edges)]


def test_whole_messages_pass_as_the_object_that_came() -> None:
    framer = Framer(WATCHED)
    assert framer.feed(REPLY) is REPLY
    assert pointed_at(framer, REPLY) == [
        message(b"T", b"columns"),
        message(b"C", b"SELECT 1\0"),
        message(b"Z", b"I"),
    ]
    assert framer.at_boundary


@pytest.mark.parametrize("at", range(len(REPLY) + 1))
def test_a_cut_anywhere_changes_nothing(at: int) -> None:
    whole = replay([REPLY])
    assert replay([REPLY[:at], REPLY[at:]]) == whole


def test_byte_by_byte_changes_nothing() -> None:
    assert replay([bytes([byte]) for byte in REPLY]) == replay([REPLY])


def test_the_body_of_an_unwatched_message_passes_before_it_is_whole() -> None:
    framer = Framer(WATCHED)
    row = message(b"D", b"x" * 1000)
    assert framer.feed(row[:6]) == row[:6]
    assert not framer.at_boundary
    assert framer.feed(row[6:999]) == row[6:999]
    assert framer.feed(row[999:] + REPLY) == row[999:] + REPLY
    assert framer.at_boundary


def test_a_watched_message_is_held_until_it_is_whole() -> None:
    framer = Framer(WATCHED)
    row, done = message(b"D", b"row"), message(b"C", b"SELECT 1\0")
    assert framer.feed(row + done[:-1]) == row
    assert framer.found == []
    assert not framer.at_boundary
    returned = framer.feed(done[-1:] + b"Z")
    assert returned == done
    assert pointed_at(framer, returned) == [done]


def test_nothing_found_is_left_over_from_the_feed_before() -> None:
    framer = Framer(WATCHED)
    framer.feed(REPLY)
    framer.feed(b"C\0\0\0\x0dSEL")
    assert framer.found == []
    framer.feed(b"E")
    assert framer.found == []


def test_what_is_watched_may_change_between_feeds() -> None:
    framer = Framer(watch(b"Z"))
    framer.feed(REPLY)
    assert [tag for tag, _, _ in framer.found] == [ord("Z")]
    framer.watched = watch(b"D")
    framer.feed(REPLY)
    assert [tag for tag, _, _ in framer.found] == [ord("D")]


@pytest.mark.parametrize("length", [3, 0, -1, -(2**31)])
def test_a_length_below_its_own_size_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"message length {length} is below 4"):
        Framer(WATCHED).feed(b"D" + struct.pack("!i", length))


def test_a_watched_message_above_the_limit_is_refused_by_its_header() -> None:
    framer = Framer(WATCHED, max_watched=100)
    assert framer.feed(message(b"C", b"x" * 95))
    with pytest.raises(ValueError, match="message length 100 is above 99"):
        framer.feed(message(b"C", b"x" * 96)[:5])


def test_an_unwatched_message_of_any_size_passes() -> None:
    framer = Framer(WATCHED, max_watched=100)
    head = b"D" + struct.pack("!i", 2**31 - 1)
    assert framer.feed(head) == head
    for _ in range(10):
        assert framer.feed(b"x" * 100) == b"x" * 100


messages = st.lists(st.builds(message, st.sampled_from([b"D", b"d", b"C", b"Z"]), st.binary()))


@given(messages, st.lists(st.integers(0, 200)))
def test_any_cuts_pass_every_byte_and_find_every_watched_message(
    sent: list[bytes], cuts: list[int]
) -> None:
    passed, found = replay(cut(b"".join(sent), cuts))
    assert passed == b"".join(sent)
    assert found == [one for one in sent if one[:1] in b"TCZ"]


@given(st.lists(st.binary()))
def test_garbage_raises_nothing_but_value_error(pieces: list[bytes]) -> None:
    framer = Framer(watch(bytes(range(0, 256, 3))), max_watched=50)
    passed = b""
    try:
        for piece in pieces:
            passed += framer.feed(piece)
    except ValueError:
        pass
    assert b"".join(pieces).startswith(passed)
