"""Statements that a rule has for another server group too: noted, and handed over once they last.

What is handed over has been answered without an error, by a server or from the cache, and its
transaction has committed. Nothing waits for what becomes of it there (`runtime/mirrors.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.routing.plan import Plan
from proxy.routing.reading import Reading
from proxy.session.conversation import Conversation
from proxy.session.copies import Copies, Copy
from proxy.session.errand import Errand
from proxy.sql.statement import Effect, Kind, Statement
from proxy.types import Mirrored
from proxy.wire.exchange import Exchange
from proxy.wire.requests import Request
from proxy.wire.status import IDLE

_KINDS: Final = frozenset(
    (Kind.READ, Kind.LOCKING, Kind.WRITE, Kind.SCHEMA, Kind.CALL, Kind.OPAQUE)
)
_BEARABLE: Final = frozenset((Effect.SEQUENCE,))
"""What a statement may leave in a session: any other would be in everybody's way there."""

_SAVEPOINTS: Final = frozenset((Kind.SAVEPOINT, Kind.RELEASE, Kind.ROLLBACK_TO))
_ROLLBACK: Final = b"ROLLBACK"


def note(
    session: Conversation, request: Request, plans: Sequence[Plan], readings: Sequence[Reading]
) -> list[Copy | None]:
    """Copy what a request runs, before it is run: one for each of its statements, or None."""
    if session.copies is None:
        session.copies = Copies()
    statements = [
        (execution, statement, text)
        for execution, reading in zip(request.executions, readings, strict=True)
        for statement, text in zip(reading.statements, reading.texts, strict=True)
    ]
    found: list[Copy | None] = []
    for plan, (execution, statement, text) in zip(plans, statements, strict=True):
        rule = session.profile.rule_of(plan)
        is_meant = rule is not None and rule.mirror is not None and _may_be_copied(statement)
        if rule is None or not is_meant:
            found.append(None)
        elif request.is_cut or not text:
            rule.mirrored.count(Mirrored.DROPPED)
            found.append(None)
        else:
            state = session.profile.state
            data = session.services.dialect.copy_of(request, execution, text, state)
            if not data:
                rule.mirrored.count(Mirrored.DROPPED)
                found.append(None)
                continue
            portal = execution if execution.prepared is not None and execution.max_rows else None
            found.append(Copy(rule, data, portal))
    return found


def _may_be_copied(statement: Statement) -> bool:
    """Tell if a statement means the same by itself, on a connection that others use."""
    is_copy = statement.text.startswith(b"copy ")
    return statement.kind in _KINDS and statement.effects <= _BEARABLE and not is_copy


def follow(session: Conversation, errand: Errand, exchange: Exchange) -> None:
    """A request was answered: hand over what lasts, and forget what does not.

    Nothing is handed over of a text or a batch with an error in it.
    """
    copies = session.copies
    if copies is None:
        return
    if exchange.error is None:
        noted, answers = errand.copies, exchange.tags
        is_told_apart = len(answers) == len(errand.plans)
        for place, plan in enumerate(errand.plans):
            kind = plan.statement.kind
            if kind is Kind.COMMIT:
                if _ROLLBACK in (answers[place : place + 1] if is_told_apart else answers):
                    copies.forget()
                _hand_over(session, copies)
            elif kind is Kind.ROLLBACK or kind is Kind.PREPARE_TRANSACTION:
                copies.forget()
            elif kind in _SAVEPOINTS:
                copies.follow_savepoint(kind, session.grammar.read_savepoint(plan.statement.text))
            elif place < len(noted) and (copy := noted[place]) is not None:
                copies.keep(copy)
    elif exchange.status == IDLE:
        copies.forget()
    if exchange.status == IDLE:
        _hand_over(session, copies)


def was_hit(session: Conversation, errand: Errand) -> None:
    """A read was answered from the cache: the other group is asked all the same."""
    copies = session.copies
    if copies is not None:
        for copy in errand.copies:
            if copy is not None:
                copies.keep(copy)
        _hand_over(session, copies)


def forget(session: Conversation) -> None:
    """A transaction was lost."""
    if session.copies is not None:
        session.copies.forget()


def _hand_over(session: Conversation, copies: Copies) -> None:
    lasting = copies.take()
    if lasting:
        session.services.mirror(lasting, session.profile.database, copies)
