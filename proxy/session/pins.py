"""Why a client must keep its server connection.

A pin is set by what a statement is known to leave behind. It is lifted only by the server's own
word: after a statement that may have ended it, or may have left something behind unseen, one
question is asked on the same connection, before anybody else can have it.
"""

from __future__ import annotations

from typing import Final

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

YIELDING: Final = frozenset((PinReason.DIAGNOSTICS,))
"""Pins for what may never be asked for: nobody else shall wait for long because of them."""

MAY_UNPIN: Final = frozenset(
    (Kind.UNLISTEN, Kind.DISCARD, Kind.CLOSE, Kind.SCHEMA, Kind.COMMIT, Kind.ROLLBACK)
)
"""Kinds that may have ended a pin, when there is one."""

UNDONE_BY_NOTHING: Final = frozenset((Effect.ADVISORY_LOCK, Effect.UNTRACKED))
"""Effects that stay when the statement fails, or its transaction is rolled back."""


def may_have_unpinned(statement: Statement) -> bool:
    """Tell if a statement may have ended a pin. A lock is taken and released by the same means."""
    return statement.kind in MAY_UNPIN or Effect.ADVISORY_LOCK in statement.effects
