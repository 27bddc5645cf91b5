"""What a session must remember of its open transaction until it ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

from proxy.freshness.tables import EVERY_DATABASE, schema_of
from proxy.freshness.tally import Tally
from proxy.routing.plan import DISCOVERED, NOTHING, Plan
from proxy.session.grammar import Grammar
from proxy.session.state import UNTOUCHED, SessionState
from proxy.sql.statement import Kind
from proxy.types import Table
from proxy.wire.status import IN_FAILED

_ENDS = frozenset((Kind.COMMIT, Kind.ROLLBACK, Kind.PREPARE_TRANSACTION))
_FOLLOWED: Final = frozenset((Kind.SET, Kind.USE, Kind.RESET, Kind.DISCARD, Kind.ROLLBACK))
_COUNTED: Final = (b"INSERT ", b"UPDATE ", b"DELETE ", b"MERGE ", b"COPY ")
"""Command tags that count rows written. A SELECT with a change in it counts what it returns."""

_SCHEMA: Final = schema_of(EVERY_DATABASE)


@final
class Transaction:
    """What it has written so far, and what the session was like when it began."""

    __slots__ = (
        "_grammar",
        "are_constants_lost",
        "are_names_lost",
        "constants_stay_lost",
        "discovers",
        "generation",
        "has_run",
        "has_set",
        "is_dark",
        "is_discovered",
        "known",
        "rows",
        "state",
        "stay_lost",
        "suspects",
        "tainted",
        "tally",
        "unsure",
        "writes",
    )

    def __init__(self, grammar: Grammar) -> None:
        self._grammar = grammar
        self.writes: frozenset[Table] = NOTHING
        self.known: frozenset[Table] = NOTHING  # of these, what is certain
        self.discovers = False  # whether the server can say which of the others there are
        self.is_discovered = False  # whether it has said so
        self.rows: dict[Table, int] = {}  # written, as the command tags said
        self.suspects: list[Plan] = []  # all that may change definitions; empty: nobody can say
        self.generation = -1  # of the oldest plan it ran; -1 while it has run none
        self.has_run = False  # whether it has run anything but plain reads
        self.tally: Tally | None = None  # taken before that; None: there is none to compare with
        self.state: SessionState = UNTOUCHED  # to go back to on ROLLBACK
        self.are_names_lost = False  # whether they mean something else than plans take them for
        self.stay_lost = False  # and do so until the end
        self.are_constants_lost = False  # the same of literals in what is prepared
        self.constants_stay_lost = False
        self.unsure = False  # whether its end must be looked at, to know what is set
        self.tainted = False  # whether something ran in it that may have left anything behind
        self.is_dark = False  # whether it may have made settings under names that nobody knows
        self.has_set = False  # whether it has made settings at all, or taken some back

    def begin(self, state: SessionState) -> None:
        """Start anew."""
        self.chain(state)
        self.unsure = self.tainted = self.is_dark = False

    def chain(self, state: SessionState) -> None:
        """Start anew on the same connection: what is unsure of it stays so."""
        self.writes = self.known = NOTHING
        self.discovers = self.is_discovered = False
        if self.rows:
            self.rows = {}
        if self.suspects:
            self.suspects = []
        self.generation = -1
        self.has_run = False
        self.tally = None
        self.state = state
        self.has_set = False
        self.are_names_lost = self.stay_lost = False
        self.are_constants_lost = self.constants_stay_lost = False

    def add(
        self,
        plans: Sequence[Plan],
        texts: Sequence[bytes],
        state: SessionState,
        anything: frozenset[Table],
        *,
        may_run_unseen: bool,
    ) -> None:
        """Take in what is about to be run.

        Args:
            plans: Of its statements.
            texts: The same statements, as they were sent.
            state: What the session is like now, as the plans take it.
            anything: What is written where nobody can tell the tables.
            may_run_unseen: Whether a name may stand for what nobody has looked at.
        """
        for plan, text in zip(plans, texts, strict=True):
            is_other = self.are_names_lost and bool(plan.writes)
            if is_other or (may_run_unseen and plan.evaluates):
                self.writes |= anything
                if plan.statement.kind in DISCOVERED:
                    self.discovers = True
                else:
                    self.known |= anything
            if plan.writes:
                self.writes |= plan.writes
                if _SCHEMA in plan.writes:
                    self.suspects.append(plan)
                self.known |= plan.known if plan.discovers else plan.writes
                self.discovers = self.discovers or plan.discovers
                if self.generation < 0 or plan.generation < self.generation:
                    self.generation = plan.generation
            is_touched = self.has_set or state is not self.state
            moved = self._grammar.moved(plan, text, is_touched=is_touched)
            is_followed = plan.statement.kind in _FOLLOWED
            if moved.names:
                self.are_names_lost = True
                self.stay_lost = self.stay_lost or not is_followed
            if moved.constants:
                self.are_constants_lost = True
                self.constants_stay_lost = self.constants_stay_lost or not is_followed

    def compare_with(self, tally: Tally | None) -> None:
        """Note what was written by everybody before anything of it was sent."""
        self.has_run = True
        self.tally = tally

    def narrow(self, found: frozenset[Table], generation: int) -> None:
        """Take the server's word for what has been written.

        Args:
            found: The tables.
            generation: Of the catalogs that say which they are.
        """
        self.writes = self.known | found
        self.suspects = []
        self.discovers = False
        self.is_discovered = True
        self.generation = generation

    def doubt(self) -> None:
        """Something was set, and it is not known what: the server is asked when it is over."""
        self.unsure = self.is_dark = True
        self.are_names_lost = self.stay_lost = True
        self.are_constants_lost = self.constants_stay_lost = True

    def follow(self) -> None:
        """What was run has been drawn consequences from: plans made now know what was set."""
        self.are_names_lost = self.stay_lost
        self.are_constants_lost = self.constants_stay_lost

    def count(self, plans: Sequence[Plan], tags: Sequence[bytes]) -> None:
        """Take in how many rows were written, where one table is all that was written to.

        Not every statement has a tag. Where one has none, nothing is counted: rows that are
        credited to the wrong table would hide as many that somebody else writes.
        """
        if len(plans) != len(tags):
            return
        for plan, tag in zip(plans, tags, strict=True):
            if plan.counts is not None and tag.startswith(_COUNTED):
                rows = int(tag.rpartition(b" ")[2])
                self.rows[plan.counts] = self.rows.get(plan.counts, 0) + rows


def may_commit(plans: Sequence[Plan], *, in_transaction: bool, may_run_unseen: bool) -> bool:
    """Tell whether running these may commit something, given where the session stands.

    Outside of a transaction every statement commits what it did. Inside, COMMIT does, and what may
    hold one (an unread text; a procedure is refused there by the server itself); and whatever
    follows the end of the transaction, even a ROLLBACK, is outside again.
    """
    is_writing = any(plan.writes or (may_run_unseen and plan.evaluates) for plan in plans)
    if not in_transaction:
        return is_writing
    kinds = {plan.statement.kind for plan in plans}
    if Kind.COMMIT in kinds or any(plan.may_commit for plan in plans):
        return True
    return is_writing and not kinds.isdisjoint(_ENDS)


def is_in_vain(plans: Sequence[Plan], standing: int) -> bool:
    """Tell if nothing but a COMMIT is run, in a transaction that has failed."""
    return standing == IN_FAILED and len(plans) == 1 and plans[0].statement.kind is Kind.COMMIT


def has_ended(plans: Sequence[Plan]) -> bool:
    """Tell whether one of these ends a transaction."""
    return any(plan.statement.kind in _ENDS for plan in plans)


def has_control(plans: Sequence[Plan]) -> bool:
    """Tell whether one of these begins or ends a transaction, or may do so unseen."""
    return any(
        plan.commits or plan.statement.kind is Kind.BEGIN or plan.statement.kind in _ENDS
        for plan in plans
    )
