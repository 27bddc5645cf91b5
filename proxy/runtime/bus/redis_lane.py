"""One connection of the bus to Redis, once it is logged in: what goes out, and what comes.

redis-py finds the server and logs in. From then on its streams are in the way: between bytes that
have arrived and whoever is meant are several turns of the event loop, and a task's switch for each
message. Here it is one call, in the very turn.

Not an `asyncio.Protocol` by class, which a compiled class can't be.

RESP2: https://redis.io/docs/latest/develop/reference/protocol-spec/.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, cast, final

Word = bytes | int | None
Reply = Word | list[Word]
"""What is ever said here besides errors: a list has no list in it."""

LONGEST_BULK: Final = 2**20
"""Bytes: far above what is ever in one part."""

LONGEST_LINE: Final = 64 * 2**10
MOST_WORDS: Final = 16

_END: Final = b"\r\n"
_SIMPLE: Final = 0x2B  # +
_ERROR: Final = 0x2D  # -
_INTEGER: Final = 0x3A  # :
_BULK: Final = 0x24  # $


class LinkLost(Exception):
    """It is of no use any more. Says why."""


class NotRedis(LinkLost):
    """What comes is no RESP2, or more than Redis has to say here."""


class Refused(LinkLost):
    """An answer that says that something can't be, in Redis' words."""


def command(words: Iterable[bytes]) -> bytes:
    """Write a command."""
    parts = [b""]
    for word in words:
        parts.append(b"$%d\r\n%b\r\n" % (len(word), word))
    parts[0] = b"*%d\r\n" % (len(parts) - 1)
    return b"".join(parts)


@final
class ReplyReader:
    """Puts replies together from what comes in pieces. What is not whole yet is read anew with the
    next piece: a part of a message is no longer than a few of them.
    """

    __slots__ = ("_data", "_held", "_is_short", "_place")

    def __init__(self) -> None:
        self._held = b""
        self._data = b""
        self._place = 0
        self._is_short = False

    def feed(self, data: bytes) -> list[Reply | Refused]:
        """Take a piece, and return what is whole now.

        Raises:
            NotRedis: This is something else.
        """
        if self._held:
            data = self._held + data
            self._held = b""
        self._data = data
        self._place = 0
        self._is_short = False
        found: list[Reply | Refused] = []
        whole = 0
        end = len(data)
        while whole < end:
            reply = self._reply()
            if self._is_short:
                self._held = data[whole:]
                break
            found.append(reply)
            whole = self._place
        self._data = b""
        return found

    def _reply(self) -> Reply | Refused:
        """Read one; it counts for nothing where `_is_short` is set then."""
        line = self._line()
        if line[:1] != b"*":
            return self._word(line)
        count = _number(line)
        if not 0 <= count <= MOST_WORDS:
            raise NotRedis(f"{count} words")
        words: list[Word] = []
        for _ in range(count):
            word = self._word(self._line())
            if isinstance(word, Refused):
                return word
            words.append(word)
        return words

    def _line(self) -> bytes:
        data, start = self._data, self._place
        stop = data.find(_END, start)
        if stop < 0:
            if len(data) - start > LONGEST_LINE:
                raise NotRedis("a line without an end")
            self._is_short = True
            return b""
        self._place = stop + 2
        return data[start:stop]

    def _word(self, line: bytes) -> Word | Refused:
        if self._is_short:
            return None
        if not line:
            raise NotRedis("an empty line")
        kind = line[0]
        if kind == _BULK:
            return self._bulk(_number(line))
        if kind == _INTEGER:
            return _number(line)
        if kind == _SIMPLE:
            return line[1:]
        if kind == _ERROR:
            return Refused(line[1:].decode("utf-8", "replace"))
        raise NotRedis("what no server of this kind says")

    def _bulk(self, size: int) -> bytes | None:
        if size < 0:
            return None
        if size > LONGEST_BULK:
            raise NotRedis(f"{size} bytes at once")
        data, start = self._data, self._place
        stop = start + size
        if stop + 2 > len(data):
            self._is_short = True
            return None
        self._place = stop + 2
        return data[start:stop]


def _number(line: bytes) -> int:
    try:
        return int(line[1:])
    except ValueError:
        raise NotRedis("no number where one is due") from None


@final
class Lane:
    """See the module. To be given to a transport as its protocol.

    Args:
        came: Is given each reply, in the turn of the loop in which it came.
        ended: Is told, once, that nothing will come any more, and why: a server that is none, or
            whatever `came` raised. None: it hung up.
    """

    def __init__(
        self,
        came: Callable[[Reply], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._came = came
        self._ended = ended
        self._reader = ReplyReader()
        self._transport: asyncio.Transport | None = None

    @property
    def waiting(self) -> int:
        """Bytes that wait to be sent."""
        transport = self._transport
        return 0 if transport is None else transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Send it: all of one turn of the loop at once, where the loop can (uvloop does)."""
        transport = self._transport
        if transport is not None:
            transport.write(data)

    def abort(self) -> None:
        """Hang up, whatever waits to be sent, and hear no more."""
        transport = self._transport
        self._transport = None
        if transport is not None:
            transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be written to."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class

    def data_received(self, data: bytes) -> None:
        """Hand on what is whole."""
        try:
            for reply in self._reader.feed(data):
                if self._transport is None:
                    return
                if isinstance(reply, Refused):
                    raise reply
                self._came(reply)
        except Exception as error:
            self._end(error)

    def eof_received(self) -> bool:
        """Redis hangs up: so do we."""
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """It is gone."""
        self._end(error)

    def pause_writing(self) -> None:
        """What waits is looked at with each message, see `waiting`."""

    def resume_writing(self) -> None:
        """See `pause_writing`."""

    def _end(self, error: Exception | None) -> None:
        if self._transport is not None:
            self.abort()
            self._ended(error)
