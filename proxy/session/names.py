"""Which statements make names mean something else than when the next one was planned."""

from __future__ import annotations

from typing import Final

from proxy.routing.plan import Plan
from proxy.sql.session_commands import Reset, Set, read_command
from proxy.sql.statement import Effect, Kind

NAMING: Final = frozenset(
    ("search_path", "role", "session_authorization", "session_replication_role")
)
"""Settings that decide which table a name means, or what else a change of it sets off."""

_SETTINGS: Final = frozenset((Kind.SET, Kind.SET_LOCAL, Kind.RESET))
_BACK: Final = frozenset((Kind.ROLLBACK, Kind.ROLLBACK_TO))


def moves_names(plan: Plan, text: bytes, *, is_touched: bool) -> bool:
    """Tell whether names may mean something else once this has run.

    Args:
        plan: The statement's.
        text: As it was sent.
        is_touched: Whether the transaction has set something, which a rollback takes back.
    """
    kind = plan.statement.kind
    if plan.taints or Effect.SETTING in plan.statement.effects:
        return True
    if kind in _SETTINGS:
        command = read_command(text)
        if not isinstance(command, Set | Reset) or command.name is None:
            return True
        return command.name in NAMING
    return kind is Kind.DISCARD or (is_touched and kind in _BACK)
