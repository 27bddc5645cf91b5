"""How PostgreSQL says what every engine can say: errors, settings, positions, small tables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from proxy.wire.exchange import Heard
from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.codec import HEADER, read_int32
from proxy.wire.postgres.items import Item
from proxy.wire.postgres.requests import Request
from proxy.wire.status import IDLE, IN_FAILED, IN_TRANSACTION

_OUTCOMES: Final = (tags.COMMAND_COMPLETE, tags.ERROR_RESPONSE)
_LAST: Final = (tags.PARAMETER_STATUS, tags.READY_FOR_QUERY)

_READY: Final = {
    IDLE: backend.READY_IDLE,
    IN_TRANSACTION: backend.READY_TRANSACTION,
    IN_FAILED: backend.READY_FAILED,
}


def ready(status: int) -> bytes:
    """The word that the next request may come."""
    return _READY[status]


def quote_name(name: str) -> str:
    """Write a name so that it can't be anything else."""
    return '"' + name.replace('"', '""') + '"'


def set_setting(name: str, value: str) -> str:
    """SQL that sets what a client has set, by the text it used."""
    if name == "session_authorization":
        return f"SET SESSION AUTHORIZATION {value}"
    if name == "role":
        return f"SET ROLE {value}"
    return f"SET {_setting_name(name)} TO {value}"


def reset_setting(name: str) -> str:
    """SQL that makes a setting what it was at login."""
    if name == "session_authorization":
        return "RESET SESSION AUTHORIZATION"
    return f"RESET {_setting_name(name)}"


def _setting_name(name: str) -> str:
    return ".".join(quote_name(part) for part in name.split("."))


def reached(position: int) -> bytes:
    """SQL with one row if this replica has replayed a position, and none otherwise."""
    lsn = f"{position >> 32:X}/{position & 0xFFFF_FFFF:X}"
    return (
        "SELECT 1 WHERE pg_catalog.pg_last_wal_replay_lsn()"
        f" OPERATOR(pg_catalog.>=) '{lsn}'::pg_catalog.pg_lsn"
    ).encode()


def opening(begin: bytes, savepoints: Sequence[str], *, has_read: bool, is_failed: bool) -> bytes:
    """SQL that begins a transaction and brings it where a client's is that was held back.

    Args:
        begin: What the client said.
        savepoints: Those it has set since.
        has_read: Whether it has read something: some options can't be set behind a query.
        is_failed: Whether something in it has failed. Then the SQL does too.
    """
    commands = [begin.decode()]
    if has_read:
        commands.append("SELECT")
    commands += [f"SAVEPOINT {quote_name(name)}" for name in savepoints]
    if is_failed:
        commands.append('ROLLBACK TO SAVEPOINT "tidegate: the transaction had failed before"')
    return ";".join(commands).encode()


LOCKED: Final = b"""
SET CONSTRAINTS ALL IMMEDIATE;
SELECT CASE WHEN pg_catalog.current_setting('track_counts') OPERATOR(pg_catalog.=) 'on'
            THEN pg_catalog.sum(pg_catalog.pg_stat_get_xact_tuples_inserted(o)
                 OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_updated(o)
                 OPERATOR(pg_catalog.+) pg_catalog.pg_stat_get_xact_tuples_deleted(o)) END,
       pg_catalog.pg_current_xact_id_if_assigned() IS NOT NULL
FROM pg_catalog.unnest('{%b}'::pg_catalog.oid[]) o;
SELECT l.relation, c.relkind, c.relpersistence
FROM pg_catalog.pg_locks l
     LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) l.relation
WHERE l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid()
  AND l.locktype OPERATOR(pg_catalog.=) 'relation'
  AND l.mode OPERATOR(pg_catalog.<>) ALL ('{AccessShareLock,RowShareLock}')
""" % b",".join(
    b"%d" % oid
    for oid in (
        *(1247, 1249, 1255, 1259, 1260, 1261, 1262, 1417, 1418, 2328, 2600, 2601, 2602, 2603),
        *(2604, 2605, 2606, 2607, 2611, 2612, 2615, 2616, 2617, 2618, 2620, 2753, 2964, 3079),
        *(3118, 3256, 3350, 3456, 3466, 3501, 3541, 3576, 3600, 3602, 3603, 3764, 6100),
    )
)
"""What the open transaction has written: how many rows of the system catalogs that say what things
mean, NULL where nobody counts; whether it has a number; then its locks for writing, with the kind
and persistence of each relation, NULL where that is gone.

Constraint triggers that wait for the commit run now: what they lock is seen as well. A count may
hold rows of an earlier transaction of the same connection, so it is never too small."""


def with_status(reply: bytes, status: int) -> bytes:
    """A whole reply, with another transaction status in its ReadyForQuery."""
    return reply[: -len(backend.READY_IDLE)] + ready(status)


def closed(end: bytes, reply: bytes, heard: Heard | None) -> bytes:
    """End an answer that was kept back until the commit behind it was answered.

    Args:
        end: What was kept back, from its CommandComplete or ReadyForQuery on; b"": nothing, the
            commit is the client's own.
        reply: The whole answer to the commit.
        heard: What the server said before the commit was sent.
    """
    refused, notices, reports = heard or Heard(None, b"", b"")
    messages = list(_messages(reply))
    has_failed = refused is not None or any(tag == tags.ERROR_RESPONSE for tag, _ in messages)
    pieces = [
        message
        for tag, message in _messages(end)
        if tag != tags.READY_FOR_QUERY and not (has_failed and tag == tags.COMMAND_COMPLETE)
    ]
    if end:
        pieces.insert(0, notices)
        notices = b""
    for tag, message in messages:
        if tag in _OUTCOMES:
            pieces.append(notices)
        elif tag in _LAST:
            pieces.append(reports)
            reports = b""
        if tag != tags.COMMAND_COMPLETE or not (end or has_failed):
            pieces.append(message)
        elif refused is not None:
            pieces.append(refused)
    return b"".join(pieces)


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    pos = 0
    while pos < len(data):
        stop = pos + 1 + read_int32(data, pos + 1)
        yield data[pos], data[pos:stop]
        pos = stop


def said(request: Request, tag: bytes, status: int) -> bytes:
    """A whole reply that something was done, in the protocol that the request came in."""
    return _reply(request, backend.NO_DATA, backend.command_complete(tag), status)


def table(
    request: Request, columns: Sequence[str], rows: Sequence[Sequence[str]], status: int
) -> bytes:
    """A whole reply with rows of our own, in the protocol that the request came in."""
    description = backend.row_description([backend.Column(name.encode()) for name in columns])
    body = b"".join(backend.data_row([field.encode() for field in row]) for row in rows)
    body += backend.command_complete(b"SELECT %d" % len(rows))
    return _reply(request, description, body, status)


def _reply(request: Request, description: bytes, body: bytes, status: int) -> bytes:
    """Answer every message of a request, as a server would."""
    if request.simple:
        shown = b"" if description is backend.NO_DATA else description  # nobody has asked
        return shown + body + ready(status)
    pieces = []
    for item in request.items:
        if item.tag == tags.EXECUTE:
            pieces.append(body)
        elif item.tag == tags.SYNC:
            pieces.append(ready(status))
        elif item.tag == tags.DESCRIBE:
            if item.message[HEADER] == tags.STATEMENT:
                pieces.append(backend.parameter_description(_parameters(item)))
            pieces.append(description)
        else:
            pieces.append(_SAID.get(item.tag, b""))
    return b"".join(pieces)


def _parameters(item: Item) -> Sequence[int]:
    """The types of a statement's parameters: those the client named, and text for the others."""
    if item.prepared is None:
        return ()
    named = item.prepared.oids
    numbers = [int(found) for found in _PARAMETER.findall(_STRING.sub(b"", item.prepared.sql))]
    unnamed = max(numbers, default=0) - len(named)
    return (*(oid or _TEXT for oid in named), *(_TEXT,) * unnamed)


_PARAMETER: Final = re.compile(rb"\$(\d{1,4})")
_STRING: Final = re.compile(rb"'[^']*'|\"[^\"]*\"")
_TEXT: Final = 25

_SAID: Final = {
    tags.PARSE: backend.PARSE_COMPLETE,
    tags.BIND: backend.BIND_COMPLETE,
    tags.CLOSE: backend.CLOSE_COMPLETE,
}
