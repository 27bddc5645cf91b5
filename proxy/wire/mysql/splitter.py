"""A client's bytes, cut into commands as they come.

What a command says is not looked at here. Sequence ids are checked as a server would: a command
begins at 0, the packets of one above 16 MB count on, and a file that a client sends in the middle
of a reply counts on from what it answers.

Sources: "MySQL Packets" and "Protocol::LOCAL_INFILE_Data" in the MySQL source documentation.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i32_le
from mypy_extensions import i64

from proxy.errors import MessageTooLarge
from proxy.wire.mysql.codec import HEADER, LARGEST, renumber
from proxy.wire.mysql.commands import QUERY
from proxy.wire.mysql.errors import OutOfOrder

DEFAULT_LIMIT: Final = 1024 * 1024
"""The most bytes of a command that is looked at whole; a larger one passes in pieces."""

DEFAULT_GATHERED: Final = 64 * 1024 * 1024
"""The same of what is no text: it is put into a server's words, which takes all of it. MySQL's
default of max_allowed_packet."""

DEFAULT_LARGEST: Final = 1024 * 1024 * 1024
"""The highest max_allowed_packet there is. What a server allows, it judges itself."""

NOTHING: Final = -1
"""No command is large."""


@final
class Splitter:
    """Cut a stream into whole commands, and let the very large ones through in pieces.

    A text above `limit`, and any other command above `gathered`, is not gathered. `feed` stops in
    front of it once that much is there, enough to see how it begins, and sets `large_code`; the
    owner then takes it piece by piece, and afterwards goes on with `feed(b"")`:

        commands = splitter.feed(data)
        ...
        while splitter.large_code != NOTHING:
            pass_on(splitter.take_large())
            if splitter.large_code != NOTHING:
                break  # the rest of it has not come yet
            commands = splitter.feed(b"")
            ...

    A file that a server asked for goes the same way, by `expect_file`, `in_file` and `take_file`.
    """

    __slots__ = (
        "_ahead",
        "_held",
        "_held_size",
        "_last_was_full",
        "_open",
        "_remain",
        "_sequence",
        "_size",
        "_wanted",
        "gathered",
        "in_file",
        "large_code",
        "largest",
        "limit",
    )

    def __init__(
        self,
        limit: int = DEFAULT_LIMIT,
        largest: int = DEFAULT_LARGEST,
        gathered: int = DEFAULT_GATHERED,
    ) -> None:
        """Begin where a command begins.

        Args:
            limit: The most bytes of payload that a text may have to be gathered whole.
            largest: The most bytes of payload that a command may have at all.
            gathered: The most that any other command may have to be gathered whole.
        """
        self.limit: i64 = limit
        self.gathered: i64 = gathered if gathered > limit else limit
        self.largest: i64 = largest
        self.large_code = NOTHING
        self.in_file = False
        self._held: list[bytes] = []
        self._held_size: i64 = 0
        self._wanted: i64 = 0  # no use in looking again before that many bytes are held
        # Of a large command or a file, which are counted past:
        self._open = False  # more packets of it are to come
        self._remain: i64 = 0  # bytes of its current packet not handed out yet
        self._sequence: i64 = 0  # of its next packet
        self._size: i64 = 0  # bytes of payload announced so far
        self._last_was_full = False  # so that an empty packet ends a message, not the file
        self._ahead: i64 = 0  # what is added to its sequence ids when it is passed on

    @property
    def at_boundary(self) -> bool:
        """Whether nothing of a command has come without the rest of it."""
        return not self._held and self.large_code == NOTHING and not self.in_file

    def expect_file(self, sequence: int, sent_as: int = -1) -> None:
        """Take what comes for a file's content, up to an empty packet.

        Args:
            sequence: One above that of the packet that asked for it, as the client saw it.
            sent_as: The same as the server sees it, where it has sent another number.
        """
        self.in_file = True
        self._ahead = (sent_as - sequence) & 0xFF if sent_as >= 0 else 0
        self._begin_counting(sequence & 0xFF)

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """Take what came and return the commands that are whole by now.

        Each is its first byte and its packets, as they came, headers included.
        Nothing is lost by feeding while a large command or a file waits to be taken, but it is
        held: the owner pauses reading meanwhile.

        Raises:
            MessageTooLarge: A command is announced that is above `largest`.
            RemoteProtocolError: A sequence id is not the one due.
        """
        end: i64 = len(data)
        if self._held or self.large_code != NOTHING or self.in_file:
            if end:
                self._held.append(data)
                self._held_size += end
            if self.large_code != NOTHING or self.in_file or self._held_size < self._wanted:
                return []
            data = b"".join(self._held)
            self._held = []
        elif end > HEADER:
            # One command in one segment is what most clients send: no slice for it.
            header: int = read_i32_le(data, 0)
            if header + HEADER == end and header < LARGEST and header <= self.limit:
                return [(data[HEADER], data)]
        return self._split(data)

    def _split(self, data: bytes) -> list[tuple[int, bytes]]:
        commands: list[tuple[int, bytes]] = []
        start: i64 = 0
        end: i64 = len(data)
        wanted: i64 = HEADER
        while end - start >= HEADER:
            pos: i64 = start
            sequence: i64 = 0
            size: i64 = 0
            limit: i64 = self.limit
            if end - start > HEADER and data[start + HEADER] != QUERY:
                limit = self.gathered
            whole = False
            while end - pos >= HEADER:
                header: int = read_i32_le(data, pos)
                length: i64 = header & LARGEST
                self._check(data[pos + 3], sequence)
                size += length
                if size > self.largest:
                    raise _too_large()
                pos += HEADER + length
                if size > limit or pos > end:
                    break
                sequence = (sequence + 1) & 0xFF
                if length < LARGEST:
                    whole = True
                    break
            if size > limit:
                wanted = limit + HEADER
                if end - start >= wanted:
                    self._begin_large(data[start + HEADER])
                break
            if not whole:
                wanted = pos - start if pos > end else pos - start + HEADER
                break
            commands.append((data[start + HEADER] if size else 0, data[start:pos]))
            start = pos
        if start < end:
            self._held = [data[start:]]
            self._held_size = end - start
            self._wanted = wanted
        return commands

    def _check(self, got: int, due: i64) -> None:
        if got != due:
            raise OutOfOrder

    def _begin_large(self, code: int) -> None:
        self.large_code = code
        self._ahead = 0
        self._begin_counting(0)

    def _begin_counting(self, sequence: i64) -> None:
        self._open = True
        self._remain = 0
        self._sequence = sequence
        self._size = 0
        self._last_was_full = False

    def take_large(self) -> bytes:
        """Hand out what has come of the large command; `large_code` falls with its last byte.

        Empty when nothing more has come. A packet's header is handed out whole.

        Raises:
            MessageTooLarge: It is above `largest` after all.
            RemoteProtocolError: A sequence id is not the one due.
        """
        piece = self._take(False)
        if not self._open and not self._remain:
            self.large_code = NOTHING
        return piece

    def take_file(self) -> bytes:
        """Hand out what has come of the file; `in_file` falls with its empty last packet.

        Raises:
            RemoteProtocolError: A sequence id is not the one due.
        """
        piece = self._take(True)
        if not self._open and not self._remain:
            self.in_file = False
        return piece

    def _take(self, is_file: bool) -> bytes:
        data = b"".join(self._held)
        end: i64 = len(data)
        first: i64 = self._remain  # where the first header is, if it is in what has come
        pos: i64 = first
        while self._open and end - pos >= HEADER:
            header: int = read_i32_le(data, pos)
            length: i64 = header & LARGEST
            self._check(data[pos + 3], self._sequence)
            self._sequence = (self._sequence + 1) & 0xFF
            if is_file:
                # A full packet is joined with the next, whatever that one's size.
                self._open = length > 0 or self._last_was_full
                self._last_was_full = length == LARGEST
            else:
                self._size += length
                if self._size > self.largest:
                    raise _too_large()
                self._open = length == LARGEST
            pos += HEADER + length
        stop: i64 = pos if pos < end else end
        self._remain = pos - stop
        self._held = [data[stop:]] if stop < end else []
        self._held_size = end - stop
        self._wanted = HEADER
        piece = data[:stop]
        if self._ahead and first < stop:
            return renumber(piece, first, self._ahead)
        return piece


def _too_large() -> MessageTooLarge:
    return MessageTooLarge("Got a packet bigger than 'max_allowed_packet' bytes")
