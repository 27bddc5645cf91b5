"""Whole replies to one read: taken apart for keeping, put together again for whoever asks.

What is kept is the description of the columns and the rows with their command tag. Everything
around them is said the same way by every server, so a reply to a simple query can be made of what
the extended protocol fetched, and the other way round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.codec import HEADER, read_int32
from proxy.wire.postgres.items import Item
from proxy.wire.prepared import Prepared
from proxy.wire.requests import Kept


def only_reads(items: Sequence[Item], statement: Prepared | None, *, simple: bool) -> bool:
    """Tell if a request runs one statement and does nothing else that a server must know or judge.

    A batch may bring the statement, describe the portal and close it again; whatever else is in
    it (another Parse, a second Bind) can fail, or be remembered, and memory can do neither.
    """
    if simple:
        return len(items) == 1
    is_bound = False
    for item in items:
        if item.tag in (tags.PARSE, tags.BIND):
            if is_bound or item.prepared is not statement:
                return False
            is_bound = item.tag == tags.BIND
        elif item.tag != tags.SYNC and not (is_bound and item.is_of_portal):
            return False
    return is_bound


def take_apart(reply: bytes, items: Sequence[Item], *, simple: bool) -> Kept | None:
    """Keep the result in a whole reply; None when there is something else in it.

    Args:
        reply: From the first message to ReadyForQuery.
        items: Of the request that it answers, which only reads.
        simple: Whether that is a simple query.
    """
    columns = b""
    pos = 0
    if simple:
        size = _size(reply, tags.ROW_DESCRIPTION, 0)
        return _kept(reply[:size], reply, size, backend.READY_IDLE) if size else None
    rest = iter(items)
    for item in rest:
        if item.tag == tags.EXECUTE:
            break
        if item.tag == tags.DESCRIBE:
            size = _size(reply, tags.ROW_DESCRIPTION, pos)
            columns = reply[pos : pos + size]
        else:
            expected = _CONSTANT[item.tag]
            size = len(expected) if reply.startswith(expected, pos) else 0
        if not size:
            return None
        pos += size
    behind = [item.tag for item in rest]
    if tags.DESCRIBE in behind:
        return None
    return _kept(columns, reply, pos, b"".join([_CONSTANT[tag] for tag in behind]))


def put_together(kept: Kept, items: Sequence[Item], *, simple: bool) -> bytes | None:
    """Make the reply to a request that only reads of a kept result; None: something is missing."""
    if simple:
        return b"".join((*kept, backend.READY_IDLE)) if kept.columns else None
    pieces: list[bytes] = []
    for item in items:
        if item.tag == tags.EXECUTE:
            pieces.append(kept.rows)
        elif item.tag == tags.DESCRIBE:
            if not kept.columns:
                return None
            pieces.append(kept.columns)
        else:
            pieces.append(_CONSTANT[item.tag])
    return b"".join(pieces)


def rows_in(reply: bytes) -> list[bytes]:
    """Take the bodies of the rows out of a whole reply.

    Raises:
        RemoteProtocolError: It is not whole.
    """
    rows: list[bytes] = []
    pos = 0
    while pos < len(reply):
        size = 1 + read_int32(reply, pos + 1) if pos + HEADER <= len(reply) else 0
        if size < HEADER or pos + size > len(reply):
            raise RemoteProtocolError("a reply is cut off")
        if reply[pos] == tags.DATA_ROW:
            rows.append(reply[pos + HEADER : pos + size])
        pos += size
    return rows


def _kept(columns: bytes, reply: bytes, start: int, behind: bytes) -> Kept | None:
    """Keep the rows between what came in front of them and what is behind them."""
    stop = len(reply) - len(behind)
    if stop <= start or not reply.endswith(behind) or reply[start] not in _ROWS:
        return None
    return Kept(columns, reply[start:stop])


def _size(reply: bytes, tag: int, pos: int) -> int:
    """The size of the message at `pos`; 0 if it is another than expected."""
    return 1 + read_int32(reply, pos + 1) if reply[pos : pos + 1] == bytes((tag,)) else 0


_ROWS: Final = (tags.DATA_ROW, tags.COMMAND_COMPLETE)

_CONSTANT: Final = {
    tags.PARSE: backend.PARSE_COMPLETE,
    tags.BIND: backend.BIND_COMPLETE,
    tags.CLOSE: backend.CLOSE_COMPLETE,
    tags.SYNC: backend.READY_IDLE,
}
