"""The compressed protocol: packets in packets of another kind, one after the login.

A compressed packet has a header of seven bytes: how long its body is, a sequence id of its own, and
how long the content is; 0 says that the body is the content as it is. What is in it is a piece of
the stream of packets, cut without regard to them.

Sequence ids are followed, not judged: each side counts on from what it last saw, and the packets
inside have ids that `Splitter` checks.

Source: "Compression" in the MySQL source documentation.
"""

from __future__ import annotations

import sys
import zlib
from typing import Final, Protocol, final

from proxy.errors import MessageTooLarge, RemoteProtocolError, Unsupported
from proxy.wire.mysql import capabilities
from proxy.wire.mysql import codec as packets
from proxy.wire.mysql.codec import LARGEST

if sys.version_info >= (3, 14):
    from compression import zstd

    HAS_ZSTD = True
else:
    try:
        from backports import zstd

        HAS_ZSTD = True
    except ImportError:
        HAS_ZSTD = False

HEADER: Final = 7

MIN_COMPRESS_LENGTH: Final = 50
"""What is shorter is sent as it is, as MySQL does: it would not shrink."""

DEFAULT_LEVEL: Final = 1
"""Not the 6 of servers: a megabyte of rows takes 20 ms so, not 90, and everybody waits for it."""
DEFAULT_ZSTD_LEVEL: Final = 3

BATCH: Final = 1024 * 1024
"""Bytes of content that are handed out at once: a little data may stand for very much."""

_WINDOW_LOG: Final = 24
"""A window of 16 MB: no content is larger, so no sender needs a larger one."""


class Algorithm(Protocol):
    """What both sides agreed to compress with."""

    def compress(self, data: bytes) -> bytes:
        """Compress."""

    def decompress(self, data: bytes, size: int) -> bytes:
        """Decompress what must become `size` bytes; at most one more is made.

        Raises:
            RemoteProtocolError: It is something else.
        """


@final
class Zlib:
    """COMPRESS."""

    def __init__(self, level: int = DEFAULT_LEVEL) -> None:
        self._level = level

    def compress(self, data: bytes) -> bytes:
        """Compress."""
        return zlib.compress(data, self._level)

    def decompress(self, data: bytes, size: int) -> bytes:
        """Decompress what must become `size` bytes."""
        inflater = zlib.decompressobj()
        try:
            content = inflater.decompress(data, size + 1)
        except zlib.error:
            raise _malformed() from None
        if len(content) != size or not inflater.eof:
            raise _malformed()
        return content


@final
class Zstd:
    """ZSTD_COMPRESSION.

    Args:
        level: 1 to 22, as the client says in its handshake response.

    Raises:
        Unsupported: The package that does it is not installed (`HAS_ZSTD`).
    """

    def __init__(self, level: int = DEFAULT_ZSTD_LEVEL) -> None:
        if not HAS_ZSTD:
            raise Unsupported(
                "zstd compression needs the package backports.zstd",
                hint="pip install 'tidegate[zstd]'",
            )
        self._level = min(max(level, 1), 22)

    def compress(self, data: bytes) -> bytes:
        """Compress."""
        return zstd.compress(data, self._level)

    def decompress(self, data: bytes, size: int) -> bytes:
        """Decompress what must become `size` bytes."""
        limits: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _WINDOW_LOG}
        inflater = zstd.ZstdDecompressor(options=limits)
        try:
            content = inflater.decompress(data, size + 1)
        except zstd.ZstdError:
            raise _malformed() from None
        if len(content) != size or not inflater.eof:
            raise _malformed()
        return content


@final
class Compression:
    """Both directions of one connection, since they share their sequence ids.

        data = compression.feed(received)
        while data: ...
            data = compression.feed(b"")
        send(compression.compress(answer))

    Args:
        algorithm: What was agreed.
        limit: The most bytes that the content of one packet may have.
    """

    __slots__ = ("_algorithm", "_held", "_held_size", "_limit", "_sequence", "_wanted")

    def __init__(self, algorithm: Algorithm, limit: int = LARGEST) -> None:
        self._algorithm = algorithm
        self._limit = limit
        self._held: list[bytes] = []
        self._held_size = 0
        self._wanted = 0  # no use in looking again before that many bytes are held
        self._sequence = 0  # of the next packet sent

    @property
    def at_boundary(self) -> bool:
        """Whether nothing of a packet has come without the rest of it."""
        return not self._held

    @property
    def holds_more(self) -> bool:
        """Whether `feed(b"")` may return something: not all that is held has been looked at."""
        return bool(self._held) and not self._wanted

    def begin(self) -> None:
        """Begin a command: that is for the side that asks."""
        self._sequence = 0

    def feed(self, data: bytes) -> bytes:
        """Take what came and return its content, `BATCH` bytes or so of it at most.

        When something comes back, there may be more: `feed(b"")` has it.

        Raises:
            MessageTooLarge: A packet announces more than the limit.
            RemoteProtocolError: What came is not what it says it is.
        """
        if self._held:
            self._held.append(data)
            self._held_size += len(data)
            if self._held_size < self._wanted:
                return b""
            data = b"".join(self._held)
        pieces = []
        size = 0
        pos = 0
        wanted = HEADER
        while len(data) - pos >= HEADER and size < BATCH:
            length = int.from_bytes(data[pos : pos + 3], "little")
            full = int.from_bytes(data[pos + 4 : pos + 7], "little")
            if max(length, full) > self._limit:
                raise MessageTooLarge("Got a packet bigger than 'max_allowed_packet' bytes")
            stop = pos + HEADER + length
            if stop > len(data):
                wanted = stop - pos
                break
            body = data[pos + HEADER : stop]
            self._sequence = (data[pos + 3] + 1) & 0xFF
            pieces.append(self._algorithm.decompress(body, full) if full else body)
            size += full or length
            pos = stop
        self._held = [data[pos:]] if pos < len(data) else []
        self._held_size = len(data) - pos
        self._wanted = wanted if size < BATCH else 0
        return b"".join(pieces)

    def compress(self, data: bytes) -> bytes:
        """Wrap packets for the other side."""
        pieces = []
        for start in range(0, len(data), LARGEST):
            piece = data[start : start + LARGEST]
            full = len(piece)
            body = piece if full < MIN_COMPRESS_LENGTH else self._algorithm.compress(piece)
            if len(body) >= full:
                body, full = piece, 0
            pieces.append(len(body).to_bytes(3, "little") + bytes((self._sequence,)))
            pieces.append(full.to_bytes(3, "little") + body)
            self._sequence = (self._sequence + 1) & 0xFF
        return b"".join(pieces)


@final
class Gatherer:
    """Gathers what is to be sent into runs of whole packets, each to be compressed by itself.

    Any cut is the protocol's, but servers gather, and there is a client library (Connector/Python)
    that takes a packet out of two compressed ones and not out of more.
    """

    __slots__ = ("_held", "_held_size", "_wanted")

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._held_size = 0
        self._wanted = 0  # no use in looking again before that many bytes are held

    def gather(self, data: bytes) -> list[bytes]:
        """Take what is to be sent, cut anywhere; returns the runs that are whole by now."""
        if self._held:
            self._held.append(data)
            self._held_size += len(data)
            if self._held_size < self._wanted:
                return []
            data = b"".join(self._held)
        runs: list[bytes] = []
        start = pos = 0
        end = len(data)
        wanted = packets.HEADER
        while end - pos >= packets.HEADER:
            size = packets.HEADER + (data[pos] | data[pos + 1] << 8 | data[pos + 2] << 16)
            if pos + size > end:
                wanted = size
                break
            if pos + size - start > LARGEST and pos > start:
                runs.append(data[start:pos])
                start = pos
            pos += size
        if pos > start:
            runs.append(data[start:pos])
        self._held = [data[pos:]] if pos < end else []
        self._held_size = end - pos
        self._wanted = wanted
        return runs


def agreed_algorithm(agreed: int, zstd_level: int) -> Algorithm | None:
    """What both sides can do: zlib goes first, as it does at MySQL; None: nothing is compressed.

    Args:
        agreed: The capabilities of the connection.
        zstd_level: What the client's first packet says of it.
    """
    if agreed & capabilities.COMPRESS:
        return Zlib()
    if agreed & capabilities.ZSTD_COMPRESSION:
        return Zstd(zstd_level)
    return None


def _malformed() -> RemoteProtocolError:
    return RemoteProtocolError("a compressed packet does not hold what it announces")
