"""A compressed conversation, over another layer and over none."""

from __future__ import annotations

from proxy.runtime.mysql.compressed import Compressed
from proxy.runtime.wrapping import Wrapping
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.compression import BATCH, Compression, Zlib


class Marked(Wrapping):
    """A layer that puts a mark in front."""

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        assert data[:1] == b">"
        return data[1:], b"heard"

    def send(self, data: bytes) -> bytes:
        return b"<" + data

    def goodbye(self) -> bytes:
        return b"bye"

    def pending(self) -> bytes:
        return b"alert"


def test_what_comes_is_taken_out_of_both_layers() -> None:
    peer, ours = Compression(Zlib()), Compressed(Compression(Zlib()))
    ours.below = Marked()
    assert ours.receive(b">" + peer.compress(b"x" * 1000)) == (b"x" * 1000, b"heard")
    said = packet(0, b"y" * 1000)
    assert ours.send(said[:10]) == b"<"
    sent = ours.send(said[10:])
    assert sent[:1] == b"<"
    assert peer.feed(sent[1:]) == said
    assert (ours.goodbye(), ours.pending()) == (b"bye", b"alert")


def test_much_of_little_is_handed_out_piece_by_piece() -> None:
    peer, ours = Compression(Zlib()), Compressed(Compression(Zlib()))
    data = b"".join([peer.compress(bytes(BATCH)) for _ in range(3)])
    pieces = [ours.receive(data)[0]]
    while ours.holds_more:
        pieces.append(ours.receive(b"")[0])
    assert [len(piece) for piece in pieces] == [BATCH] * 3
    assert (ours.goodbye(), ours.pending()) == (b"", b"")
