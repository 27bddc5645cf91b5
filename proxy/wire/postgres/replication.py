"""A stream of changes that a server decodes from its log: our side of the conversation.

Of a message only the beginning is kept: who was changed is said there, and behind it come rows of
any size that nobody here wants to see.

Source: "Streaming Replication Protocol" in the PostgreSQL manual; what the messages hold is in
`changes`.
"""

from __future__ import annotations

from collections.abc import Generator
from struct import Struct
from typing import Final

from proxy.errors import RemoteProtocolError, ServerLost
from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.codec import HEADER

HEAD: Final = 4096
"""Bytes that are kept of a message. Two names of 63 bytes, quoted, take 260; a TRUNCATE of many
tables names all of them, and one that does not fit is of we do not know which."""

_X_LOG_DATA: Final = ord("w")
_KEEPALIVE: Final = ord("k")

_DATA_AT: Final = HEADER + 1 + 8 + 8 + 8
_INT64: Final = Struct("!q")
_KEEPALIVE_BODY: Final = Struct("!qqB")
_STATUS: Final = Struct("!BqqqqB")


class Told:
    """One message of the stream.

    Attributes:
        reached: With a sign of life, and with the end of a commit: all that the server has to say
            of its log up to here has been sent.
        text: Of the plugin, or its beginning; None for a sign of life.
        is_asking: Whether an answer is wanted at once.
    """

    __slots__ = ("is_asking", "reached", "text")

    def __init__(self, reached: int, text: bytes | None, is_asking: bool) -> None:
        self.reached = reached
        self.text = text
        self.is_asking = is_asking


class Stream:
    """Cuts what the server says once the stream has begun."""

    __slots__ = ("_held", "_skip")

    def __init__(self) -> None:
        self._held = b""
        self._skip = 0  # bytes to come that nobody wants

    def feed(self, data: bytes) -> list[Told]:
        """Take bytes and return what has been told.

        Raises:
            RemoteProtocolError: It is no such stream.
            ServerLost: The server has ended it.
        """
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._held:
            data = self._held + data
        told: list[Told] = []
        pos = 0
        end = len(data)
        while end - pos >= HEADER:
            size = 1 + int.from_bytes(data[pos + 1 : pos + HEADER], "big")
            if size < HEADER:
                raise RemoteProtocolError("invalid message length in a stream of changes")
            kept = min(size, HEAD)
            if end - pos < kept:
                break
            found = _read(data[pos : pos + kept])
            if found is not None:
                told.append(found)
            pos += size
        if pos > end:
            self._skip = pos - end
            pos = end
        self._held = data[pos:]
        return told


def _read(message: bytes) -> Told | None:
    tag = message[0]
    if tag == tags.ERROR_RESPONSE:
        raise ServerLost(_words(message))
    if tag == tags.COPY_DONE:
        raise ServerLost("the server has ended the stream of changes")
    if tag != tags.COPY_DATA:
        return None  # the beginning of the stream, a notice, a setting
    kind = message[HEADER] if len(message) > HEADER else 0
    if kind == _X_LOG_DATA and len(message) >= _DATA_AT:
        reached = _INT64.unpack_from(message, HEADER + 1)[0]
        return Told(reached, message[_DATA_AT:], False)
    if kind == _KEEPALIVE and len(message) == HEADER + 1 + _KEEPALIVE_BODY.size:
        reached, _, asking = _KEEPALIVE_BODY.unpack_from(message, HEADER + 1)
        return Told(reached, None, asking != 0)
    raise RemoteProtocolError("not understood in a stream of changes")


def status(reached: int, *, asks: bool = False) -> bytes:
    """Tell the server how far all is well, so that it need not keep its log for us.

    Args:
        reached: Of its log; all of it has been taken in.
        asks: Whether it shall say at once how far it is.
    """
    return frontend.copy_data(_STATUS.pack(ord("r"), reached, reached, reached, 0, asks))


def make_slot(slot: bytes) -> Generator[bytes, tuple[int, bytes], None]:
    """The dialogue that makes a slot which ends with its connection.

    The server waits for the end of every transaction that writes. What is committed from its answer
    on is told of in the stream.

    Raises:
        ServerLost: The server does not do it; it has its words.
    """
    tag, message = yield frontend.query(
        b'CREATE_REPLICATION_SLOT "' + slot + b'" TEMPORARY LOGICAL test_decoding NOEXPORT_SNAPSHOT'
    )
    while tag != tags.READY_FOR_QUERY:
        if tag == tags.ERROR_RESPONSE:
            raise ServerLost(_words(message))
        tag, message = yield b""


def start(slot: bytes) -> bytes:
    """Ask for the stream."""
    options = b"(\"skip-empty-xacts\" '1')"
    return frontend.query(b'START_REPLICATION SLOT "' + slot + b'" LOGICAL 0/0 ' + options)


def _words(message: bytes) -> str:
    return backend.read_error(message).get(backend.MESSAGE, b"").decode("utf-8", "replace")
