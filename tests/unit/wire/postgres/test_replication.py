"""A stream of changes is cut, whatever its pieces, and of a large message only the beginning."""

from __future__ import annotations

import contextlib
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError, ServerLost
from proxy.wire.postgres import backend, frontend, replication, tags
from proxy.wire.postgres.codec import message
from proxy.wire.postgres.replication import HEAD, Stream, make_slot, start, status

SYNTAX_ERROR = backend.error_response(b"ERROR", b"55000", b"wal_level is not logical")


def data(at: int, text: bytes) -> bytes:
    return frontend.copy_data(pack("!cqqq", b"w", at, at, 0) + text)


def alive(at: int, asking: int = 0) -> bytes:
    return frontend.copy_data(pack("!cqqB", b"k", at, 0, asking))


SAID = data(7, b"BEGIN 1") + alive(9, 1) + data(8, b"x" * (3 * HEAD)) + data(10, b"COMMIT 1")


def told(stream: Stream, piece: bytes) -> list[tuple[int, bytes | None, bool]]:
    return [(it.reached, it.text, it.is_asking) for it in stream.feed(piece)]


WHOLE = told(Stream(), SAID)


def test_everything_is_told() -> None:
    assert [at for at, _, _ in WHOLE] == [7, 9, 8, 10]
    assert WHOLE[0] == (7, b"BEGIN 1", False)
    assert WHOLE[1] == (9, None, True)
    assert WHOLE[3] == (10, b"COMMIT 1", False)
    text = WHOLE[2][1]
    assert text is not None
    assert len(text) < HEAD


@pytest.mark.parametrize("cut", [*range(110), *range(110, len(SAID), 997)])
def test_cut_anywhere_it_is_the_same(cut: int) -> None:
    stream = Stream()
    assert told(stream, SAID[:cut]) + told(stream, SAID[cut:]) == WHOLE


def test_byte_by_byte_it_is_the_same() -> None:
    stream = Stream()
    assert [it for byte in SAID for it in told(stream, bytes([byte]))] == WHOLE


def test_its_end_says_why() -> None:
    with pytest.raises(ServerLost, match="wal_level"):
        Stream().feed(SYNTAX_ERROR)
    with pytest.raises(ServerLost, match="ended"):
        Stream().feed(backend.COPY_DONE)


@given(st.binary())
def test_garbage_raises_nothing_else(garbage: bytes) -> None:
    for said in (garbage, frontend.copy_data(garbage)):
        with contextlib.suppress(RemoteProtocolError, ServerLost):
            Stream().feed(said)


def test_a_slot_is_made_and_read() -> None:
    dialogue = make_slot(b"tidegate_1")
    assert b'CREATE_REPLICATION_SLOT "tidegate_1" TEMPORARY LOGICAL' in next(dialogue)
    assert dialogue.send((tags.ROW_DESCRIPTION, b"")) == b""
    with pytest.raises(StopIteration):
        dialogue.send((tags.READY_FOR_QUERY, backend.READY_IDLE))
    assert b'START_REPLICATION SLOT "tidegate_1" LOGICAL' in start(b"tidegate_1")
    assert Stream().feed(message(tags.COPY_BOTH_RESPONSE, b"\0\0\0")) == []


def test_a_server_that_does_not_says_why() -> None:
    dialogue = make_slot(b"tidegate_1")
    next(dialogue)
    with pytest.raises(ServerLost, match="wal_level is not logical"):
        dialogue.send((tags.ERROR_RESPONSE, SYNTAX_ERROR))


def test_status() -> None:
    said = status(5, asks=True)
    assert said == message(tags.COPY_DATA, pack("!cqqqqB", b"r", 5, 5, 5, 0, 1))
    assert replication.status(5)[-1] == 0
