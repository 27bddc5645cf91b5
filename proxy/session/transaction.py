"""What a session must remember of its open transaction until it ends."""

from __future__ import annotations

from typing import final

from proxy.routing.plan import NOTHING, Plan
from proxy.session.state import UNTOUCHED, SessionState
from proxy.sql.statement import Kind
from proxy.types import Table

_ENDS = frozenset((Kind.COMMIT, Kind.ROLLBACK, Kind.PREPARE_TRANSACTION))


@final
class Transaction:
    """What it has written so far, and what the session was like when it began."""

    __slots__ = ("generation", "rows", "state", "tainted", "unsure", "writes")

    def __init__(self) -> None:
        self.writes: frozenset[Table] = NOTHING
        self.rows: dict[Table, int] = {}  # written, as the command tags said
        self.generation = -1  # of the oldest plan it ran; -1 while it has run none
        self.state: SessionState = UNTOUCHED  # to go back to on ROLLBACK
        self.unsure = False  # whether its end must be looked at, to know what is set
        self.tainted = False  # whether something ran in it that may have left anything behind

    def begin(self, state: SessionState) -> None:
        """Start anew."""
        self.writes = NOTHING
        if self.rows:
            self.rows = {}
        self.generation = -1
        self.state = state
        self.unsure = self.tainted = False

    def add(self, plans: tuple[Plan, ...]) -> None:
        """Take in what is about to be run."""
        for plan in plans:
            if plan.writes:
                self.writes |= plan.writes
                if self.generation < 0 or plan.generation < self.generation:
                    self.generation = plan.generation

    def count(self, plans: tuple[Plan, ...], tags: list[bytes]) -> None:
        """Take in how many rows were written, where one table is all that was written to."""
        for plan, tag in zip(plans, tags, strict=False):
            if plan.counts is not None and (rows := tag.rpartition(b" ")[2]).isdigit():
                self.rows[plan.counts] = self.rows.get(plan.counts, 0) + int(rows)


def may_commit(plans: tuple[Plan, ...], *, in_transaction: bool) -> bool:
    """Tell whether running these may commit something, given where the session stands.

    Outside of a transaction every statement commits what it did. Inside, only COMMIT does, and
    what may hold one: an unread text, a procedure is refused there by the server itself.
    """
    if not in_transaction:
        return any(plan.writes for plan in plans)
    return any(plan.statement.kind is Kind.COMMIT or plan.may_commit for plan in plans)


def has_control(plans: tuple[Plan, ...]) -> bool:
    """Tell whether one of these begins or ends a transaction, or may do so unseen."""
    return any(
        plan.may_commit or plan.statement.kind is Kind.BEGIN or plan.statement.kind in _ENDS
        for plan in plans
    )
