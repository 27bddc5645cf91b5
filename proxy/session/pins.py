"""Why a client must keep its server connection, and what the server says of that.

A pin is set by what a statement is known to leave behind. It is lifted only by the server's own
word: after a statement that may have ended it, or may have left something behind unseen, one
question is asked on the same connection, before anybody else can have it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from proxy.session.profile import quote
from proxy.session.shaping import OF_TRANSACTION
from proxy.sql.statement import Effect, Kind, Statement
from proxy.types import PinReason

BY_EFFECT: Final = {
    Effect.ADVISORY_LOCK: PinReason.ADVISORY_LOCK,
    Effect.TEMPORARY: PinReason.TEMPORARY_TABLE,
    Effect.HOLD_CURSOR: PinReason.HOLD_CURSOR,
    Effect.UNTRACKED: PinReason.UNKNOWN,
}

HARMLESS: Final = frozenset(
    (
        PinReason.SESSION_POOL,
        PinReason.LISTEN,
        PinReason.ADVISORY_LOCK,
        PinReason.HOLD_CURSOR,
    )
)
"""Pins that change nothing about what a read sees: reads still leave the primary."""

MAY_UNPIN: Final = frozenset(
    (Kind.UNLISTEN, Kind.DISCARD, Kind.CLOSE, Kind.SCHEMA, Kind.COMMIT, Kind.ROLLBACK)
)
"""Kinds that may have ended a pin, when there is one."""

UNDONE_BY_NOTHING: Final = frozenset((Effect.ADVISORY_LOCK, Effect.UNTRACKED))
"""Effects that stay when the statement fails, or its transaction is rolled back."""

QUESTION: Final = b"""
SELECT (SELECT count(*) FROM pg_catalog.pg_listening_channels()) > 0,
       EXISTS (SELECT FROM pg_catalog.pg_class
               WHERE relnamespace = pg_catalog.pg_my_temp_schema()),
       EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable),
       EXISTS (SELECT FROM pg_catalog.pg_locks
               WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()),
       (SELECT pg_catalog.string_agg(name, ' ') FROM pg_catalog.pg_prepared_statements
        WHERE pg_catalog.left(name, 9) = 'tidegate_')
"""
"""What lives in this session, in the order of `ANSWERS`; then what is prepared there for all
clients, as a function may have deallocated it."""

ANSWERS: Final = (
    PinReason.LISTEN,
    PinReason.TEMPORARY_TABLE,
    PinReason.HOLD_CURSOR,
    PinReason.ADVISORY_LOCK,
)

_SET: Final = b"""
SELECT name, setting FROM pg_catalog.pg_settings
WHERE source OPERATOR(pg_catalog.=) 'session'
  AND name OPERATOR(pg_catalog.<>) ALL ('{%b}')
UNION ALL SELECT 'role', pg_catalog.current_setting('role')
UNION ALL SELECT 'session_authorization', pg_catalog.current_setting('session_authorization')
""" % ",".join(OF_TRANSACTION).encode()


def settings_question(names: Iterable[str]) -> bytes:
    """Ask what is set in this session.

    Args:
        names: Custom settings that may be; a server shows them to those only who know their names.
    """
    literals = (quote(name).encode("utf-8", "surrogateescape") for name in sorted(names))
    return _SET + b"".join(
        b"UNION ALL SELECT %b, pg_catalog.current_setting(%b, true)\n" % (name, name)
        for name in literals
    )


def may_have_unpinned(statement: Statement) -> bool:
    """Tell if a statement may have ended a pin. A lock is taken and released by the same means."""
    return statement.kind in MAY_UNPIN or Effect.ADVISORY_LOCK in statement.effects


def read_answer(row: Sequence[bytes | None]) -> set[PinReason]:
    """Say which pins the server's answer to `QUESTION` stands for."""
    return {reason for reason, value in zip(ANSWERS, row[:-1], strict=True) if value == b"t"}


def read_prepared(row: Sequence[bytes | None]) -> frozenset[bytes]:
    """Say which statements there are on the server, from the same answer."""
    return frozenset((row[-1] or b"").split())
