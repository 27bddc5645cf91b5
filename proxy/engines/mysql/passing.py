"""Settings that a statement has for itself, and that are no setting of its session.

MariaDB's SET STATEMENT: the server tells of the values while it has them, with the statement's
result; and, as they have changed again, of those of before with some later answer, be it another
client's.

Source: "SET STATEMENT" in MariaDB's documentation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.routing.plan import Plan
from proxy.sql.statement import Effect, Kind
from proxy.wire.mysql.tracking import Tracked

_UNSEEN: Final = frozenset((Kind.CALL, Kind.EXECUTE, Kind.OPAQUE))
"""What may set something that its text does not say, and bring several results."""

_WORD: Final = b"statement"


def keep_apart(
    tracked: Tracked, plans: Sequence[Plan], restored: set[str], texts: Sequence[bytes]
) -> bool:
    """Leave out of what a server has told what is not, or not only, its session's.

    Args:
        tracked: What it has told with one reply; shortened.
        plans: Of what was run.
        restored: Of the connection: what it may still tell, though it is as before.
        texts: What they were read from.

    Returns:
        Whether something has been left out of which nobody knows what it is now.
    """
    own = [plan.statement.for_itself for plan in plans]
    is_unsure = False
    if tracked.variables:
        hides_one = _may_hide_one(plans, texts)
        if hides_one or restored or any(own):
            is_unsure = _shorten(tracked, plans, own, restored, hides_one)
    restored.update(*own)
    return is_unsure


def _shorten(
    tracked: Tracked,
    plans: Sequence[Plan],
    own: Sequence[frozenset[str]],
    restored: set[str],
    hides_one: bool,
) -> bool:
    is_unsure = False
    are_apart = len(plans) == 1 or not any(it.statement.kind in _UNSEEN for it in plans)
    kept: list[tuple[bytes, bytes]] = []
    for (raw_name, value), result in zip(tracked.variables, tracked.results, strict=True):
        name = raw_name.decode("utf-8", "replace").lower()
        place = min(result, len(plans) - 1)
        if hides_one or (not are_apart and any(name in names for names in own)):
            is_unsure = True
        elif name in own[place]:
            continue
        elif _may_set(plans[place]):
            kept.append((raw_name, value))
        elif name in restored or any(name in names for names in own[:place]):
            restored.discard(name)
        else:
            kept.append((raw_name, value))
    if len(kept) < len(tracked.variables):
        tracked.state_changed = False  # which is said of these, too
    tracked.variables = kept
    tracked.results = [0] * len(kept)
    return is_unsure


def _may_set(plan: Plan) -> bool:
    """Whether a statement may set something for its session."""
    statement = plan.statement
    return plan.taints or Effect.SETTING in statement.effects or statement.kind in _UNSEEN


def _may_hide_one(plans: Sequence[Plan], texts: Sequence[bytes]) -> bool:
    """Whether SET STATEMENT may stand in what was not understood."""
    if not any(plan.statement.kind is Kind.OPAQUE for plan in plans):
        return False
    return any(_WORD in text.lower() for text in texts)
