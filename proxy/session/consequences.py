"""What follows from a request that is done, for what the client has in its session.

Facts come in: what was run, what the server said of it. Nothing is sent from here; whether the
server must be asked, and what, is returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.routing.plan import Plan
from proxy.session.belongings import Belongings
from proxy.session.errand import Errand
from proxy.session.grammar import COMMANDS, SAVEPOINTS, Grammar
from proxy.session.own import Own
from proxy.session.pins import UNDONE_BY_NOTHING
from proxy.session.ports import Link
from proxy.session.traces import Traces
from proxy.session.transaction import has_control, has_ended
from proxy.sql.statement import Effect, Kind, Statement
from proxy.types import SCHEMA_OID
from proxy.wire.exchange import Exchange

_ROLLBACK_TO: Final = Kind.ROLLBACK_TO


def has_committed(plans: Sequence[Plan], exchange: Exchange) -> bool:
    """Tell whether what a mark stands for may have been committed."""
    if len(plans) == 1 and plans[0].statement.kind is Kind.COMMIT:
        # That of a failed transaction is answered without an error, as ROLLBACK; and what fails
        # behind a COMMIT in its batch undoes nothing of it.
        tags = exchange.tags
        return b"COMMIT" in tags or (exchange.error is None and b"ROLLBACK" not in tags)
    # A procedure may have committed before it failed, and so may a text with several statements,
    # or what changes definitions step by step; counting one commit too many costs a few cached
    # results.
    return exchange.error is None or has_control(plans) or any(map(_defines, plans))


def _defines(plan: Plan) -> bool:
    return any(table.oid == SCHEMA_OID for table in plan.writes)


def draw(belongings: Belongings, traces: Traces, errand: Errand, link: Link) -> None:
    """Take in what a request has left behind."""
    exchange = link.exchange
    transaction = belongings.transaction
    is_rollback_to = False
    traces.heard(belongings, errand, link)
    for plan, text in zip(errand.plans, errand.texts, strict=True):
        if plan.taints:
            _taint(belongings, traces, errand, plan, text, error=exchange.error is not None)
        if plan.statement.kind is _ROLLBACK_TO:
            is_rollback_to = True
    if exchange.error is not None:
        # Some of what it did is not undone by its failure.
        for plan in errand.plans:
            if plan.statement.effects & UNDONE_BY_NOTHING:
                transaction.tainted = True
        traces.failed(belongings, errand, link)
        return
    if is_rollback_to and transaction.has_set and belongings.grammar.rolls_settings_back:
        transaction.unsure = transaction.is_dark = True
    for plan, text in zip(errand.plans, errand.texts, strict=True):
        if plan.statement.kind in SAVEPOINTS:
            follow_savepoint(belongings.profile.own, plan.statement, belongings.grammar)
        traces.apply(belongings, link, plan.statement, text)
        is_temporary = Effect.TEMPORARY in plan.statement.effects
        if is_temporary and plan.writes:
            belongings.temporary_runs = True  # a default of it calls what writes, for one
        if plan.statement.kind in COMMANDS:
            transaction.has_set = True
        if _defines(plan) or is_temporary:
            belongings.engine.part()
    if is_rollback_to and belongings.engine.is_apart:
        belongings.engine.part()
    transaction.follow()


def _taint(
    belongings: Belongings, traces: Traces, errand: Errand, plan: Plan, text: bytes, *, error: bool
) -> None:
    """Something may be left behind."""
    belongings.transaction.tainted = True
    request = errand.request
    values: list[bytes | None] = []
    if not error and not request.is_cut:  # or what was bound is not all there, or not understood
        for execution in request.executions:
            if execution.prepared is not None:
                values += execution.values()
    traces.tainted(belongings, plan, text, values)


def follow_savepoint(own: Own, statement: Statement, grammar: Grammar) -> None:
    """Settings of the proxy's own go back with a savepoint."""
    name = grammar.read_savepoint(statement.text)
    if name is None:
        return
    if statement.kind is Kind.SAVEPOINT:
        own.mark(name)
    elif statement.kind is Kind.RELEASE:
        own.release(name)
    else:
        own.go_back(name)


def chain(belongings: Belongings, errand: Errand, link: Link) -> None:
    """Begin anew if the transaction has ended, and another begun in the same breath."""
    exchange = link.exchange
    transaction = belongings.transaction
    if exchange.error is not None or not has_ended(errand.plans):
        return
    belongings.profile.own.end(committed=b"ROLLBACK" not in exchange.tags)
    if len(errand.plans) > 1:
        transaction.doubt()
        return
    if exchange.tags == [b"ROLLBACK"]:
        _go_back(belongings, link)
    transaction.chain(belongings.profile.state)


def end(belongings: Belongings, errand: Errand, link: Link) -> None:
    """Nothing is open any more: what was rolled back takes along what was set in it."""
    exchange = link.exchange
    belongings.rejoin()
    is_committed = exchange.error is None and b"ROLLBACK" not in exchange.tags
    belongings.profile.own.end(committed=is_committed)
    if len(errand.plans) > 1:
        if _may_have_lost_settings(belongings, errand.plans, exchange):
            belongings.transaction.unsure = True
    elif exchange.error is not None or exchange.tags == [b"ROLLBACK"]:
        _go_back(belongings, link)  # a COMMIT that fails is one too


def _go_back(belongings: Belongings, link: Link) -> None:
    """A transaction that is rolled back takes along what was set in it."""
    if not belongings.grammar.rolls_settings_back:
        return
    before = dict(belongings.transaction.state.settings)
    belongings.profile.become(belongings.profile.state.with_settings(before))
    link.state = link.state.with_settings(before)  # what was prepared stays prepared


def _may_have_lost_settings(
    belongings: Belongings, plans: Sequence[Plan], exchange: Exchange
) -> bool:
    """Tell if something was rolled back among several statements, of which some set something.

    What belonged to what is not worked out: the server knows what is left of it.
    """
    if not belongings.grammar.rolls_settings_back:
        return False
    failed = exchange.error is not None and has_control(plans)
    if not failed and b"ROLLBACK" not in exchange.tags:
        return False
    return belongings.profile.state is not belongings.transaction.state or any(
        plan.statement.kind in COMMANDS for plan in plans
    )
