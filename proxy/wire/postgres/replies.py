"""Whole replies to one read: taken apart for keeping, put together again for whoever asks.

What is kept is the description of the columns and the rows with their command tag. Everything
around them is said the same way by every server, so a reply to a simple query can be made of what
the extended protocol fetched, and the other way round.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.codec import HEADER, read_int32
from proxy.wire.postgres.requests import Request

_READY: Final = len(backend.READY_IDLE)


class Kept(NamedTuple):
    """A result without what is around it. `columns` is empty where nobody asked for them."""

    columns: bytes
    rows: bytes


def take_apart(reply: bytes) -> Kept | None:
    """Keep the result in a whole reply; None when there is more in it than one result.

    Args:
        reply: From the first message to ReadyForQuery, for one statement.
    """
    if not reply.endswith(backend.READY_IDLE):
        return None
    pos = 0
    columns = b""
    end = len(reply) - _READY
    while pos < end:
        tag = reply[pos]
        size = 1 + read_int32(reply, pos + 1)
        if tag == tags.ROW_DESCRIPTION and not columns:
            columns = reply[pos : pos + size]
        elif tag in (tags.DATA_ROW, tags.COMMAND_COMPLETE):
            return Kept(columns, reply[pos:end])
        elif tag not in (tags.PARSE_COMPLETE, tags.BIND_COMPLETE):
            return None
        pos += size
    return None


def put_together(kept: Kept, request: Request) -> bytes | None:
    """Make the reply to a request out of a kept result; None when something is missing."""
    if request.simple:
        if not kept.columns or len(request.items) != 1:
            return None
        return b"".join((kept.columns, kept.rows, backend.READY_IDLE))
    pieces: list[bytes] = []
    for item in request.items:
        if item.tag == tags.EXECUTE:
            pieces.append(kept.rows)
        elif item.tag == tags.DESCRIBE:
            if item.message[HEADER] != tags.PORTAL or not kept.columns:
                return None
            pieces.append(kept.columns)
        elif item.tag in _CONSTANT:
            pieces.append(_CONSTANT[item.tag])
        else:
            return None
    return b"".join(pieces)


_CONSTANT: Final = {
    tags.PARSE: backend.PARSE_COMPLETE,
    tags.BIND: backend.BIND_COMPLETE,
    tags.CLOSE: backend.CLOSE_COMPLETE,
    tags.SYNC: backend.READY_IDLE,
    tags.FLUSH: b"",
}
