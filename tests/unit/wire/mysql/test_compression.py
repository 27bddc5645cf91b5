"""The compressed protocol: what goes in comes out, and what is malformed is refused."""

from __future__ import annotations

import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import MessageTooLarge, RemoteProtocolError, Unsupported
from proxy.wire.mysql import compression
from proxy.wire.mysql.capabilities import COMPRESS, DEPRECATE_EOF, ZSTD_COMPRESSION
from proxy.wire.mysql.codec import LARGEST, packet
from proxy.wire.mysql.compression import (
    BATCH,
    Algorithm,
    Compression,
    Gatherer,
    Zlib,
    Zstd,
    agreed_algorithm,
)
from tests.unit.wire.mysql.recordings import cut

ALGORITHMS: list[Algorithm] = [Zlib(), *([Zstd()] if compression.HAS_ZSTD else [])]
each = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=lambda one: type(one).__name__)


def drained(receiver: Compression, data: bytes) -> bytes:
    content = []
    piece = receiver.feed(data)
    while piece:
        content.append(piece)
        piece = receiver.feed(b"")
    return b"".join(content)


def framed(sequence: int, full: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes((sequence,)) + full.to_bytes(3, "little") + body


@each
@given(
    said=st.lists(st.binary(max_size=200) | st.integers(1, 4000).map(bytes), max_size=6),
    cuts=st.lists(st.integers(0, 3000), max_size=5),
)
def test_what_went_in_comes_out(algorithm: Algorithm, said: list[bytes], cuts: list[int]) -> None:
    sender, receiver = Compression(algorithm), Compression(algorithm)
    stream = b"".join([sender.compress(one) for one in said])
    edges = sorted({min(at, len(stream)) for at in cuts})
    got = b"".join([drained(receiver, part) for part in cut(stream, *edges)])
    assert got == b"".join(said)
    assert receiver.at_boundary


@each
def test_what_is_short_or_does_not_shrink_goes_as_it_is(algorithm: Algorithm) -> None:
    assert Compression(algorithm).compress(bytes(49)) == framed(0, 0, bytes(49))
    dense = zlib.compress(bytes(range(256)) * 2, 9)
    assert Compression(algorithm).compress(dense)[4:7] in (
        b"\0\0\0",
        len(dense).to_bytes(3, "little"),
    )
    assert len(Compression(algorithm).compress(bytes(50))) < 50


@each
def test_an_answer_counts_on_from_what_it_answers(algorithm: Algorithm) -> None:
    client, server = Compression(algorithm), Compression(algorithm)
    assert drained(server, client.compress(b"ask")) == b"ask"
    first, second = server.compress(b"one"), server.compress(b"two")
    assert (first[3], second[3]) == (1, 2)
    drained(client, first + second)
    assert client.compress(b"file")[3] == 3
    client.begin()
    assert client.compress(b"ask")[3] == 0


@each
def test_more_than_16_mb_goes_in_several_packets(algorithm: Algorithm) -> None:
    content = bytes(LARGEST + 5)
    sender, receiver = Compression(algorithm), Compression(algorithm)
    stream = sender.compress(content)
    assert drained(receiver, stream) == content


@each
def test_little_that_stands_for_much_is_handed_out_bit_by_bit(algorithm: Algorithm) -> None:
    sender, receiver = Compression(algorithm), Compression(algorithm)
    stream = b"".join([sender.compress(bytes(BATCH)) for _ in range(5)])
    assert len(receiver.feed(stream)) == BATCH
    assert not receiver.at_boundary


@each
def test_a_content_of_another_size_is_refused(algorithm: Algorithm) -> None:
    body = algorithm.compress(bytes(1000))
    for full in (999, 1001, 1):
        with pytest.raises(RemoteProtocolError, match="announces"):
            Compression(algorithm).feed(framed(0, full, body))
    with pytest.raises(RemoteProtocolError, match="announces"):
        Compression(algorithm).feed(framed(0, 1000, body[:-3]))


@each
def test_a_content_above_the_limit_is_refused_at_its_header(algorithm: Algorithm) -> None:
    with pytest.raises(MessageTooLarge):
        Compression(algorithm, 1000).feed(framed(0, 1001, b"x"))


@each
@given(data=st.binary(max_size=60), full=st.integers(0, 300), prefix=st.binary(max_size=4))
def test_garbage_raises_nothing_else(
    algorithm: Algorithm, data: bytes, full: int, prefix: bytes
) -> None:
    begun = algorithm.compress(bytes(100))[: len(prefix) * 3]
    for body in (data, begun + data):
        with suppress(RemoteProtocolError):
            drained(Compression(algorithm), framed(0, full, body) + data)


def test_without_the_package_zstd_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compression, "HAS_ZSTD", False)
    with pytest.raises(Unsupported, match=r"backports\.zstd"):
        Zstd()


def test_zlib_goes_first_where_both_were_agreed() -> None:
    assert isinstance(agreed_algorithm(COMPRESS | ZSTD_COMPRESSION, 3), Zlib)
    assert agreed_algorithm(DEPRECATE_EOF, 3) is None
    if compression.HAS_ZSTD:
        assert isinstance(agreed_algorithm(ZSTD_COMPRESSION, 99), Zstd)


# ---- what is gathered ----------------------------------------------------------------------


@given(
    payloads=st.lists(st.binary(max_size=40), max_size=8),
    cuts=st.lists(st.integers(0, 200), max_size=6),
)
def test_only_whole_packets_are_sent(payloads: list[bytes], cuts: list[int]) -> None:
    packets = [packet(number, payload) for number, payload in enumerate(payloads)]
    stream = b"".join(packets)
    ends = [len(b"".join(packets[:number])) for number in range(len(packets) + 1)]
    gatherer = Gatherer()
    edges = sorted({min(at, len(stream)) for at in cuts})
    sent = 0
    for part in cut(stream, *edges):
        for run in gatherer.gather(part):
            assert run
            assert stream[sent : sent + len(run)] == run
            sent += len(run)
            assert sent in ends
    assert sent == len(stream)


def test_a_packet_that_is_full_begins_a_run() -> None:
    small, full = packet(0, b"small"), packet(1, bytes(LARGEST))
    whole, rest = full[: LARGEST + 4], full[LARGEST + 4 :]
    assert Gatherer().gather(small + whole + rest + small) == [small, whole, rest + small]
