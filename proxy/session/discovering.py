"""Writes that only the server can tell the tables of: it is asked before the commit is sent.

A COMMIT waits until the server has said what the transaction has locked. A statement outside of a
transaction is run in one of ours for that: BEGIN goes in front of it, the end of its answer is kept
back, and a COMMIT of ours, which is asked about like any other, says it (docs/freshness.md, "What a
write does").
"""

from __future__ import annotations

from typing import Final

from proxy.routing.discovery import found_tables
from proxy.routing.plan import DISCOVERED
from proxy.session.conversation import Conversation
from proxy.session.errand import Ahead, Errand
from proxy.session.phase import SETTING
from proxy.session.ports import Link
from proxy.sql.statement import Kind
from proxy.wire.requests import END_READY
from proxy.wire.status import IN_TRANSACTION

BEGIN: Final = b"BEGIN"
_COMMIT: Final = b"COMMIT"


def must_wrap(errand: Errand, *, may_run_unseen: bool) -> bool:
    """Tell if an errand outside of a transaction is to be run in one of ours.

    A text of several statements is answered as a whole, and may hold anything; a batch whose end
    has not come yet may still grow to hold it. What may commit would fail in ours.

    Args:
        errand: What is to be run.
        may_run_unseen: Whether a name in it may stand for what nobody has looked at.
    """
    request, plans = errand.request, errand.plans
    if request.end is not END_READY or (request.simple and len(plans) != 1) or request.hidden:
        return False
    found = False
    for plan in plans:
        if plan.statement.kind not in DISCOVERED or plan.commits:
            return False
        if plan.discovers or (may_run_unseen and plan.evaluates):
            found = True
    return found


def discovers(session: Conversation, errand: Errand, link: Link) -> bool:
    """Ask the server what is about to be committed, if only it can tell; False: there is no need.

    The errand is sent when it has answered.
    """
    plans, transaction = errand.plans, session.transaction
    question = session.services.dialect.written
    if not question:
        return False
    if len(plans) != 1 or plans[0].statement.kind is not Kind.COMMIT or not transaction.discovers:
        return False
    if session.grammar.read_end(plans[0].statement.text) is not False:
        return False  # one that chains ends otherwise when it fails than when it rolls back
    anything = session.planner.any_table(session.profile.database)
    is_certain = errand.request.end is END_READY and transaction.known.isdisjoint(anything)
    if not is_certain or link.exchange.status != IN_TRANSACTION:
        return False
    errand.ahead = Ahead.DISCOVERING
    session.phase = SETTING
    link.write(link.exchange.ask(question))
    return True


def learn(session: Conversation, errand: Errand, link: Link) -> None:
    """Take the server's answer: what is written, or why it can't be committed."""
    exchange, planner = link.exchange, session.planner
    errand.heard = exchange.heard
    if exchange.error is None:  # or COMMIT will end it, and be answered by ROLLBACK
        found = found_tables(exchange.rows, planner, session.profile.database)
        session.transaction.narrow(found, planner.generation)


def commit_of_ours(session: Conversation, end: bytes) -> Errand:
    """Make the COMMIT behind a wrapped errand, which is to say the `end` of its answer."""
    request = session.services.dialect.text(_COMMIT)
    reading = session.reader.read(_COMMIT)
    plan = session.planner.plan(session.profile.scope, reading.statements[0])
    errand = Errand(request, (plan,))
    errand.texts = reading.texts
    errand.closes = end
    return errand


def is_rewritten(errand: Errand) -> bool:
    """Tell if the answer to an errand is told otherwise than the server says it."""
    return errand.closes is not None or errand.heard is not None


def close(session: Conversation, errand: Errand, link: Link, passed: bytes) -> None:
    """Tell the client what became of a commit, once all of the answer is there."""
    errand.reply += passed
    if link.exchange.done:
        dialect = session.services.dialect
        session.shell.write(dialect.closed(errand.closes or b"", errand.reply, errand.heard))
