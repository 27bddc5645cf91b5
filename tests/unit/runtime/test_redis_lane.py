"""What Redis says, in whatever pieces it comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.runtime.bus.redis_lane import (
    LONGEST_BULK,
    LONGEST_LINE,
    NotRedis,
    Refused,
    ReplyReader,
    command,
)

SAID = (
    b"+PONG\r\n:3\r\n*3\r\n$7\r\nmessage\r\n$4\r\nname\r\n$6\r\na\r\nb\r\n\r\n"
    b"*3\r\n$9\r\nsubscribe\r\n$4\r\nname\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n$-1\r\n*0\r\n"
)
MEANT = [
    b"PONG",
    3,
    [b"message", b"name", b"a\r\nb\r\n"],
    [b"subscribe", b"name", 1],
    [b"pong", b""],
    None,
    [],
]


def test_a_conversation_is_read_wherever_it_is_cut() -> None:
    assert ReplyReader().feed(SAID) == MEANT
    reader = ReplyReader()
    assert [it for octet in SAID for it in reader.feed(bytes([octet]))] == MEANT
    for cut in range(len(SAID)):
        reader = ReplyReader()
        assert reader.feed(SAID[:cut]) + reader.feed(SAID[cut:]) == MEANT


def test_a_refusal_is_told_in_redis_words() -> None:
    (refused,) = ReplyReader().feed(b"-NOPERM no permissions to run 'publish'\r\n")
    assert isinstance(refused, Refused)
    assert str(refused) == "NOPERM no permissions to run 'publish'"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"\r\n",
        b"$x\r\n",
        b":\r\n",
        b"*1000\r\n",
        b"*-1\r\n",
        b"*1\r\n*1\r\n:1\r\n",
        b"$%d\r\n" % (LONGEST_BULK + 1),
        b"+" + bytes(LONGEST_LINE),
    ],
)
def test_what_is_no_redis_is_said_to_be_none(said: bytes) -> None:
    with pytest.raises(NotRedis):
        ReplyReader().feed(said)


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_what_comes_next_to_garbage_is_garbage_or_replies(pieces: list[bytes]) -> None:
    reader = ReplyReader()
    try:
        for piece in pieces:
            reader.feed(piece)
    except NotRedis:
        pass


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=16))
def test_a_command_is_read_as_it_was_written(words: list[bytes]) -> None:
    assert ReplyReader().feed(command(words)) == [words]
