"""Whole replies to one read: taken apart for keeping, put together again for whoever asks.

What is kept is the description of the columns and the rows with their command tag. Everything
around them is said the same way by every server, so a reply to a simple query can be made of what
the extended protocol fetched, and the other way round.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.codec import HEADER, read_int32
from proxy.wire.postgres.requests import Execution, Item, Request


class Kept(NamedTuple):
    """A result without what is around it. `columns` is empty where nobody asked for them."""

    columns: bytes
    rows: bytes


def only_reads(request: Request) -> bool:
    """Tell if a request runs one statement and does nothing else that a server must know or judge.

    A batch may bring the statement, describe the portal and close it again; whatever else is in
    it (another Parse, a second Bind) can fail, or be remembered, and memory can do neither.
    """
    if request.simple:
        return len(request.items) == 1
    statement = request.executions[0].prepared
    is_bound = False
    for item in request.items:
        if item.tag in (tags.PARSE, tags.BIND):
            if is_bound or item.prepared is not statement:
                return False
            is_bound = item.tag == tags.BIND
        elif item.tag != tags.SYNC and not (is_bound and _is_of_portal(item)):
            return False
    return is_bound


def binds_unnamed(request: Request) -> bool:
    """Tell if every portal that a request makes is the unnamed one."""
    return not any(item.tag == tags.BIND and item.message[HEADER] for item in request.items)


def has_no_parameters(execution: Execution) -> bool:
    """Tell if a statement is run without parameters."""
    return execution.tail.startswith(_NO_PARAMETERS)


def place_of_second(request: Request) -> int:
    """Find where a batch's second statement begins; 0: its first is not one without parameters."""
    if request.simple or not request.executions:
        return 0
    statement = request.executions[0].prepared
    if statement is None or not has_no_parameters(request.executions[0]):
        return 0
    for place, item in enumerate(request.items):
        if item.tag == tags.EXECUTE:
            return place + 1
        is_its = item.tag in (tags.PARSE, tags.BIND) and item.prepared is statement
        if not is_its and not _is_of_portal(item):
            return 0
    return 0


def take_apart(reply: bytes, request: Request) -> Kept | None:
    """Keep the result in a whole reply; None when there is something else in it.

    Args:
        reply: From the first message to ReadyForQuery.
        request: What it answers; it only reads.
    """
    columns = b""
    pos = 0
    if request.simple:
        size = _size(reply, tags.ROW_DESCRIPTION, 0)
        return _kept(reply[:size], reply, size, backend.READY_IDLE) if size else None
    items = iter(request.items)
    for item in items:
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
    behind = [item.tag for item in items]
    if tags.DESCRIBE in behind:
        return None
    return _kept(columns, reply, pos, b"".join([_CONSTANT[tag] for tag in behind]))


def put_together(kept: Kept, request: Request) -> bytes | None:
    """Make the reply to a request out of a kept result; None when something is missing."""
    if not only_reads(request):
        return None
    if request.simple:
        return b"".join((*kept, backend.READY_IDLE)) if kept.columns else None
    pieces: list[bytes] = []
    for item in request.items:
        if item.tag == tags.EXECUTE:
            pieces.append(kept.rows)
        elif item.tag == tags.DESCRIBE:
            if not kept.columns:
                return None
            pieces.append(kept.columns)
        else:
            pieces.append(_CONSTANT[item.tag])
    return b"".join(pieces)


_NO_PARAMETERS: Final = bytes(4)
"""No formats and no values, at the beginning of what a Bind says behind its names."""


def _kept(columns: bytes, reply: bytes, start: int, behind: bytes) -> Kept | None:
    """Keep the rows between what came in front of them and what is behind them."""
    stop = len(reply) - len(behind)
    if stop <= start or not reply.endswith(behind) or reply[start] not in _ROWS:
        return None
    return Kept(columns, reply[start:stop])


def _size(reply: bytes, tag: int, pos: int) -> int:
    """The size of the message at `pos`; 0 if it is another than expected."""
    return 1 + read_int32(reply, pos + 1) if reply[pos : pos + 1] == bytes((tag,)) else 0


def _is_of_portal(item: Item) -> bool:
    if item.tag == tags.EXECUTE:
        return True
    return item.tag in (tags.DESCRIBE, tags.CLOSE) and item.message[HEADER] == tags.PORTAL


_ROWS: Final = (tags.DATA_ROW, tags.COMMAND_COMPLETE)

_CONSTANT: Final = {
    tags.PARSE: backend.PARSE_COMPLETE,
    tags.BIND: backend.BIND_COMPLETE,
    tags.CLOSE: backend.CLOSE_COMPLETE,
    tags.SYNC: backend.READY_IDLE,
}
