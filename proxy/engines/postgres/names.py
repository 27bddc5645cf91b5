"""Which statements make settings be others than when the next one was planned."""

from __future__ import annotations

from typing import Final

from proxy.engines.postgres.shaping import constants_depend_on
from proxy.routing.plan import Plan
from proxy.sql.session_commands import Reset, Set, read_command
from proxy.sql.setting_calls import read_setting_calls
from proxy.sql.statement import Effect, Kind

NAMING: Final = frozenset(
    ("search_path", "role", "session_authorization", "session_replication_role")
)
"""Settings that decide which table a name means, or what else a change of it sets off."""

_SETTINGS: Final = frozenset((Kind.SET, Kind.SET_LOCAL, Kind.RESET))
_BACK: Final = frozenset((Kind.ROLLBACK, Kind.ROLLBACK_TO))
_NONE: Final[frozenset[str]] = frozenset()


def are_names_lost(moved: frozenset[str] | None) -> bool:
    """Tell whether names may mean something else after settings have moved."""
    return moved is None or not moved.isdisjoint(NAMING)


def are_constants_lost(moved: frozenset[str] | None) -> bool:
    """Tell whether literals may be read otherwise after settings have moved."""
    return moved is None or any(constants_depend_on(name) for name in moved)


def moves(plan: Plan, text: bytes, *, is_touched: bool) -> frozenset[str] | None:
    """List the settings that may be others once this has run; None: it may be any.

    Args:
        plan: The statement's.
        text: As it was sent.
        is_touched: Whether the transaction has set something, which a rollback takes back.
    """
    kind = plan.statement.kind
    if Effect.SETTING in plan.statement.effects:
        calls = read_setting_calls(text)
        return None if calls is None else frozenset(call.name for call in calls)
    if plan.taints:
        return None
    if kind in _SETTINGS:
        command = read_command(text)
        if not isinstance(command, Set | Reset) or command.name is None:
            return None
        return frozenset((command.name,))
    return None if kind is Kind.DISCARD or (is_touched and kind in _BACK) else _NONE
