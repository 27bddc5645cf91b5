"""currval() and lastval() live in a server's session: whose are those of a connection?

A client that has drawn from a sequence gets the same connection again if it is idle, and may then
ask. On a connection that somebody else has used since, what is there is forgotten first, so that
the server says, in its own words, that nothing is known: an error, and never another's number.
"""

from __future__ import annotations

from typing import Final

from proxy.sql.statement import Action, Effect, Statement

_ASKS: Final = frozenset(("currval", "lastval"))


def touches_sequences(statement: Statement) -> bool:
    """Tell if a statement leaves something for currval() and lastval(), or asks for it."""
    return Effect.SEQUENCE in statement.effects or Action.INSERT in statement.actions


def asks_sequences(statement: Statement) -> bool:
    """Tell if a statement asks for what was drawn before."""
    return any(call.name in _ASKS for call in statement.functions)
