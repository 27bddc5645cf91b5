"""The relay lane: message boundaries in a stream of bytes, and nothing else.

`Framer` is for the server's answers: bytes pass through, only what is watched is pointed at.
`Splitter` is for the client's requests: each is wanted whole, unless it is very large.

What a message means is not known here; that is `messages`. A length that no message can have
raises `ValueError`, and the engine that owns the stream gives it its protocol's words.

Every message is a tag byte, then a length of four bytes that counts itself and the body
("Message Formats" in the manual). This module is compiled with mypyc and runs unchanged without.
Only `bytes` come in: a compiled scan of a `bytearray` or a `memoryview` takes 15 times as long.
"""

from __future__ import annotations

from typing import Final

from librt.strings import read_i32_be
from mypy_extensions import i64

HEADER: Final = 5

DEFAULT_MAX_WATCHED: Final = 16 * 1024 * 1024
"""Far above any real error or row description; bounds what a server can make us hold."""

MAX_SMALL: Final = 10_001
"""PostgreSQL's limit for messages without text or values (PQ_SMALL_MESSAGE_LIMIT), and the tag."""

MAX_LARGE: Final = 0x3FFF_FFFF
"""PostgreSQL's limit for every other message (PQ_LARGE_MESSAGE_LIMIT), and the tag."""

_COPY_DATA: Final = 0x64
_MAY_BE_LARGE: Final = bytes(tag in b"QPBFdp" for tag in range(256))


def watch(tags: bytes) -> bytes:
    """Make the table that tells a `Framer` which messages to point at.

    Args:
        tags: The tags to be watched, in any order.
    """
    return bytes(tag in tags for tag in range(256))


class Framer:
    """Find message boundaries in a stream, without keeping the stream.

    The body of a message that is not watched is counted past, never gathered: a row of any size
    costs no memory here. A watched message is held back until it is whole, since whoever
    watches it means to read it.

    `watched` may be exchanged between two feeds. `found` lists the watched messages in what the
    last `feed` returned: tag, start, stop.
    """

    __slots__ = ("_held", "_held_size", "_remain", "_wanted", "found", "max_watched", "watched")

    def __init__(self, watched: bytes, max_watched: int = DEFAULT_MAX_WATCHED) -> None:
        """Begin at the start of a message.

        Args:
            watched: 256 flags, one per tag; see `watch`.
            max_watched: The most bytes a watched message may have, its header counted.
        """
        self.watched = watched
        self.max_watched: i64 = max_watched
        self.found: list[tuple[int, int, int]] = []
        self._remain: i64 = 0  # bytes of the current message that are still to come
        self._held: list[bytes] = []  # a header, or a watched message, cut by the end of a chunk
        self._held_size: i64 = 0
        self._wanted: i64 = 0  # no use in looking again before that many bytes are held

    @property
    def at_boundary(self) -> bool:
        """Whether the stream stands between two messages, so that nothing of one is missing."""
        return self._remain == 0 and not self._held

    def feed(self, data: bytes) -> bytes:
        """Take what came and return what may go on; `found` tells what to look at.

        Most often what comes back is `data` itself, not a copy.

        Raises:
            ValueError: No message has such a length, or a watched one is above `max_watched`.
        """
        if self._held:
            self._held.append(data)
            self._held_size += len(data)
            if self._held_size < self._wanted:
                self.found = []
                return b""
            data = b"".join(self._held)
            self._held = []
        found: list[tuple[int, int, int]] = []
        watched = self.watched
        pos: i64 = self._remain
        end: i64 = len(data)
        wanted: i64 = HEADER
        while end - pos >= HEADER:
            # By way of an int: calling i64() here makes the plain form three times slower.
            length: int = read_i32_be(data, pos + 1)
            size: i64 = length + 1
            if size < HEADER:
                raise ValueError(f"message length {length} is below 4")
            if watched[data[pos]]:
                if size > self.max_watched:
                    raise ValueError(f"message length {length} is above {self.max_watched - 1}")
                if pos + size > end:
                    wanted = size
                    break
                found.append((data[pos], pos, pos + size))
            pos += size
        self.found = found
        if pos >= end:
            self._remain = pos - end
            return data
        self._remain = 0
        self._held = [data[pos:]]
        self._held_size = end - pos
        self._wanted = wanted
        return data[:pos]


class Splitter:
    """Cut a stream into whole messages, and let the very large ones through in pieces.

    A message above `limit` is not gathered. `feed` stops in front of it once its first `limit`
    bytes are there, enough to read the names it begins with, and sets `large_tag`; the owner
    then takes it piece by piece, and afterwards goes on with `feed(b"")`:

        messages = splitter.feed(data)
        ...
        while splitter.large_tag:
            pass_on(splitter.take_large())
            if splitter.large_tag:
                break  # the rest of it has not come yet
            messages = splitter.feed(b"")
            ...

    Neighbouring CopyData messages come as one piece: they are passed on, not read.
    """

    __slots__ = ("_held", "_held_size", "_wanted", "large_left", "large_size", "large_tag", "limit")

    def __init__(self, limit: int) -> None:
        """Begin at the start of a message.

        Args:
            limit: The most bytes a message may have, its header counted, to be gathered whole.
        """
        if limit < MAX_SMALL:
            raise ValueError(f"limit {limit} is below {MAX_SMALL}, so small messages may not fit")
        self.limit: i64 = limit
        self.large_tag = 0  # of the large message to be taken; 0 when there is none
        self.large_size: i64 = 0  # bytes of it altogether, its header counted
        self.large_left: i64 = 0  # bytes of it not taken yet, whether they have come or not
        self._held: list[bytes] = []
        self._held_size: i64 = 0
        self._wanted: i64 = 0

    @property
    def at_boundary(self) -> bool:
        """Whether the stream stands between two messages, so that nothing of one is missing."""
        return not self._held and not self.large_tag

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what came and return the messages that are whole by now: tag, bytes with header.

        Nothing is lost by feeding while a large message waits to be taken, but it is held: the
        owner pauses reading meanwhile.

        Raises:
            ValueError: No message, or none with this tag, has such a length.
        """
        end: i64 = len(data)
        if self._held or self.large_tag:
            self._held.append(data)
            self._held_size += end
            if self.large_tag or self._held_size < self._wanted:
                return []
            data = b"".join(self._held)
            self._held = []
        elif end >= HEADER:
            # One request in one segment is what most clients send: no slice for it.
            length: int = read_i32_be(data, 1)
            if length + 1 == end and end <= MAX_SMALL:
                return [(data[0], data)]
        return self._split(data)

    def _split(self, data: bytes) -> list[tuple[int, bytes]]:
        messages: list[tuple[int, bytes]] = []
        pos: i64 = 0
        end: i64 = len(data)
        wanted: i64 = HEADER
        while end - pos >= HEADER:
            size: i64 = _message_size(data, pos)
            if size > self.limit:
                wanted = self.limit
                if end - pos >= wanted:
                    self._begin_large(data[pos], size)
                break
            stop: i64 = pos + size
            if stop > end:
                wanted = size
                break
            tag: int = data[pos]
            if tag == _COPY_DATA:
                stop = self._skip_copy_data(data, stop)
            messages.append((tag, data[pos:stop]))
            pos = stop
        if pos < end:
            self._held = [data[pos:]]
            self._held_size = end - pos
            self._wanted = wanted
        return messages

    def _skip_copy_data(self, data: bytes, pos: i64) -> i64:
        end: i64 = len(data)
        while end - pos >= HEADER and data[pos] == _COPY_DATA:
            size: i64 = _message_size(data, pos)
            if size > self.limit or pos + size > end:
                break
            pos += size
        return pos

    def _begin_large(self, tag: int, size: i64) -> None:
        self.large_tag = tag
        self.large_size = size
        self.large_left = size

    def take_large(self) -> bytes:
        """Hand out what has come of the large message; `large_tag` falls to 0 with its last byte.

        The first piece begins with the header and has `limit` bytes or more. Empty when nothing
        more has come.
        """
        data = b"".join(self._held)
        piece = data[: self.large_left]
        rest = data[self.large_left :]
        self.large_left -= len(piece)
        self._held = [rest] if rest else []
        self._held_size = len(rest)
        self._wanted = HEADER
        if self.large_left == 0:
            self.large_tag = 0
        return piece


def _message_size(data: bytes, pos: i64) -> i64:
    """The bytes of the message at `pos`, its tag counted, judged as PostgreSQL would."""
    length: int = read_i32_be(data, pos + 1)
    size: i64 = length + 1
    if size < HEADER:
        raise ValueError(f"message length {length} is below 4")
    if size > MAX_SMALL and not _MAY_BE_LARGE[data[pos]]:
        raise ValueError(f"message length {length} is above {MAX_SMALL - 1}")
    if size > MAX_LARGE:
        raise ValueError(f"message length {length} is above {MAX_LARGE - 1}")
    return size
