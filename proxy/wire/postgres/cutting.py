"""A client's bytes, cut into requests as they come.

What their messages say is not looked at here (`client_engine`): what a name means depends on what
is in front of it, and that may not be done yet.

Sources: "Message Formats" and "Pipelining" in the PostgreSQL manual.
"""

from __future__ import annotations

from typing import Final, final

from proxy.errors import MessageTooLarge, RemoteProtocolError
from proxy.wire import client
from proxy.wire.postgres import tags
from proxy.wire.postgres.framer import Splitter
from proxy.wire.postgres.requests import Request
from proxy.wire.requests import (
    END_COPY,
    END_COPY_END,
    END_OPEN,
    END_READY,
    END_TERMINATE,
    End,
)

GATHERED: Final = 1024 * 1024
"""The largest message that is looked at whole. A larger one is passed through in pieces: its
statement is then judged by what is known without it."""

LARGEST_PARSE: Final = 64 * 1024 * 1024
"""The largest Parse. It is gathered whatever its size, since it may have to be said again on
another server connection."""

BATCH: Final = 256 * 1024
"""Bytes of the extended protocol that are gathered before a Sync; past that the batch goes on
to the primary in parts, so that a client loading rows in one long pipeline costs no memory."""


@final
class Cutter(client.Cutter):
    """See the base."""

    __slots__ = ("_batch", "_pieces", "_size", "_splitter")

    def __init__(self) -> None:
        self._splitter = Splitter(GATHERED)
        self._batch: list[tuple[int, bytes]] = []
        self._size = 0
        self._pieces: list[bytes] = []  # of a large Parse

    @property
    def is_between(self) -> bool:
        """See the base."""
        return self._splitter.at_boundary and not self._batch

    @property
    def is_streaming(self) -> bool:
        """See the base."""
        return bool(self._splitter.large_tag) and not self._pieces

    def take(self) -> bytes:
        """See the base."""
        return self._splitter.take_large()

    def feed(self, data: bytes) -> list[Request]:
        """Take what the client sent and return the requests that are complete.

        Raises:
            RemoteProtocolError: The client said something the protocol does not know.
        """
        fresh = not self._batch
        splitter = self._splitter
        if splitter.large_tag:
            splitter.feed(data)  # held until `take` hands it out
            if not self._pieces or not self._gather():
                return []
            data = b""
        try:
            messages = splitter.feed(data)
        except ValueError as error:
            raise MessageTooLarge(f"invalid message: {error}") from None
        found: list[Request] = []
        for tag, message in messages:
            if tag not in _ENDS:
                raise RemoteProtocolError(f"invalid frontend message type {tag}")
            self._add(tag, message)
            end = _ENDS[tag]
            if end is not None:
                found.append(self._finish(end))
        if splitter.large_tag == tags.PARSE:
            if splitter.large_size > LARGEST_PARSE:
                raise MessageTooLarge(f"message of {splitter.large_size} bytes is too large")
            if self._gather():
                found += self.feed(b"")
        elif splitter.large_tag:
            request = self._large(splitter.large_tag)
            found.append(request)
            if not request.streams:
                found += self.feed(b"")
        elif fresh and len(found) == 1 and not self._batch:
            found[0].note_chunk(data)
        elif self._size > BATCH:
            found.append(self._finish(END_OPEN))
        return found

    def _add(self, tag: int, message: bytes) -> None:
        self._batch.append((tag, message))
        self._size += len(message)

    def _finish(self, end: End) -> Request:
        batch = self._batch
        if len(batch) > 1 and (end is END_COPY or end is END_COPY_END):
            end = END_OPEN  # the server would run the batch so far, then this
        request = Request(end, [])
        request.messages = batch
        request.size = self._size
        request.simple = batch[-1][0] == tags.QUERY
        self._batch, self._size = [], 0
        return request

    def _gather(self) -> bool:
        """Take what has come of a large Parse; True: that was all of it."""
        self._pieces.append(self._splitter.take_large())
        if self._splitter.large_tag:
            return False
        message = b"".join(self._pieces)
        self._pieces = []
        self._add(tags.PARSE, message)
        return True

    def _large(self, tag: int) -> Request:
        """The request that ends with a large message, of which the beginning has come."""
        if tag not in _LARGE:
            size = self._splitter.large_size
            raise MessageTooLarge(f"message of {size} bytes is too large")
        self._add(tag, self._splitter.take_large())
        request = self._finish(_ENDS[tag] or END_OPEN)
        request.simple = tag in _QUERIES
        request.is_cut = True
        # What has come may be all of it, and more behind.
        request.streams = bool(self._splitter.large_tag)
        return request


_QUERIES: Final = frozenset((tags.QUERY, tags.FUNCTION_CALL))
_LARGE: Final = _QUERIES | {tags.BIND, tags.COPY_DATA}

_ENDS: Final[dict[int, End | None]] = {
    tags.QUERY: END_READY,
    tags.PARSE: None,
    tags.BIND: None,
    tags.DESCRIBE: None,
    tags.EXECUTE: None,
    tags.CLOSE: None,
    tags.SYNC: END_READY,
    tags.FLUSH: END_OPEN,
    tags.FUNCTION_CALL: END_READY,
    tags.COPY_DATA: END_COPY,
    tags.COPY_DONE: END_COPY_END,
    tags.COPY_FAIL: END_COPY_END,
    tags.TERMINATE: END_TERMINATE,
}
"""Every message a client may send, and the end of the request that it ends, if it does."""
