"""What is done while a transaction is held back: answered here, served beside it, or let through.

BEGIN, COMMIT and the savepoints between them are answered here. What may be served beside the
transaction is decided here too; anything else opens it at the primary (`sending`). There the server
judges whatever is unusual, also in a transaction that has failed: nothing of that is imitated.
"""

from __future__ import annotations

from typing import Final

from proxy.session.consequences import follow_savepoint
from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.late import Held, Late
from proxy.session.meaning import why_not_fast
from proxy.session.results import is_of_the_moment
from proxy.sql.statement import Kind
from proxy.wire.requests import END_READY


def hold(session: Conversation, errand: Errand) -> Errand | None:
    """See to an errand while no transaction is open at a server.

    Returns:
        What is left to be done: `beside` the transaction, or to open it; None: nothing.
    """
    late = session.late
    if late is None:
        if _may_begin(session, errand):
            return _begin(session, errand)
        if not session.profile.begins_itself:
            return errand
        if not _is_savepoint(errand):
            if session.services.late_begin:
                _begin_by_read(session, errand)
            return errand
        late = session.late = _begin_by_itself(session)
        late.reads_beside = (
            session.services.late_begin and session.profile.isolation in session.profile.late_levels
        )
    if _answer_held(session, late, errand):
        return None
    _judge(session, late, errand)
    return errand


def _may_begin(session: Conversation, errand: Errand) -> bool:
    """Tell if a request begins with a BEGIN, in a session whose reads may leave the primary."""
    return (
        bool(errand.plans)
        and errand.plans[0].statement.kind is _BEGIN
        and errand.request.end is END_READY
        and session.services.late_begin
        and session.belongings.why_at_primary is None
    )


def _is_savepoint(errand: Errand) -> bool:
    """Whether a request sets a savepoint first.

    A server that begins transactions by itself keeps it for the one to come, and does not say so:
    by its word the connection might be lent to others.
    """
    return bool(errand.plans) and errand.plans[0].statement.kind is Kind.SAVEPOINT


def _begin_by_itself(session: Conversation) -> Late:
    """Make a transaction that begins without being told to."""
    grammar = session.grammar
    return Late(
        grammar.begins_itself,
        one_snapshot=session.profile.isolation == _ONE_SNAPSHOT,
        fails_whole=grammar.fails_whole,
        begins_itself=True,
    )


def _begin(session: Conversation, errand: Errand) -> Errand | None:
    """Answer a BEGIN, and keep it, if it is alone or what comes with it is a read.

    Otherwise all of it is for a server, to which a batch is one trip.
    """
    begin = session.grammar.read_begin(errand.plans[0].statement.text)
    profile = session.profile
    level = begin.isolation or profile.isolation if begin is not None else ""
    if begin is None or level not in profile.late_levels:
        return errand
    late = Late(begin, one_snapshot=level == _ONE_SNAPSHOT, fails_whole=session.grammar.fails_whole)
    first, rest = errand.request, None
    if len(errand.plans) == 2:
        parts = first.split()
        if parts is None:
            return errand
        first, behind = parts
        rest = Errand(behind, errand.plans[1:])
        rest.texts = errand.texts[1:]
        rest.clock = errand.clock
        _judge(session, late, rest)
        if not rest.beside:
            return errand
    elif not _is_control(errand):
        return errand
    session.late = late
    session.shell.write(session.services.dialect.said(first, begin.tag, session.status))
    return rest


def _begin_by_read(session: Conversation, errand: Errand) -> None:
    """Keep a transaction that begins by itself, if what it begins with may be served beside it.

    What reads no table does not begin one.
    """
    profile = session.profile
    if len(errand.plans) != 1 or not errand.plans[0].statement.reads:
        return
    is_one = profile.isolation == _ONE_SNAPSHOT
    if profile.isolation not in profile.late_levels or (is_one and errand.terms is not None):
        return
    late = _begin_by_itself(session)
    _judge(session, late, errand)
    if errand.beside:
        session.late = late


def _answer_held(session: Conversation, late: Late, errand: Errand) -> bool:
    """Answer what ends or divides a transaction that is held back; False: it is no such thing."""
    if not _is_control(errand):
        return False
    statement = errand.plans[0].statement
    kind, text = statement.kind, statement.text
    if kind in (Kind.COMMIT, Kind.ROLLBACK):
        is_chained = session.grammar.read_end(text)
        if is_chained is None:
            return False
        session.late = late.chain() if is_chained else None
        session.engine.forget_portals()
        session.services.held_back(Held.SPARED)
        tag = b"ROLLBACK" if late.is_failed or kind is Kind.ROLLBACK else b"COMMIT"
        session.profile.own.end(committed=tag == b"COMMIT")
    else:
        name = session.grammar.read_savepoint(text)
        if name is None:
            return False
        if kind is Kind.ROLLBACK_TO and late.go_back(name):
            tag = b"ROLLBACK"
        elif kind is Kind.RELEASE and not late.is_failed and late.release(name):
            tag = b"RELEASE"
        elif kind is Kind.SAVEPOINT and not late.is_failed:
            late.savepoints.append(name)
            tag = b"SAVEPOINT"
        else:
            return False
        follow_savepoint(session.profile.own, statement, session.grammar)
    session.shell.write(session.services.dialect.said(errand.request, tag, session.status))
    return True


def _judge(session: Conversation, late: Late, errand: Errand) -> None:
    errand.beside = _may_be_beside(session, late, errand)
    if errand.beside and errand.plans:
        late.has_read = True
        is_run = bool(errand.request.executions)
        late.has_begun = late.has_begun or (is_run and bool(errand.plans[0].statement.reads))


def _may_be_beside(session: Conversation, late: Late, errand: Errand) -> bool:
    """Tell if a request may be served as if no transaction had begun.

    What tells the time must tell that of the transaction. A portal with a name outlives its
    request, and so may one that is not fetched to its end; but the unnamed one is gone with the
    next Bind, and nobody reads on from it later.
    """
    request = errand.request
    if late.is_failed or request.end is not END_READY or not late.reads_beside:
        return False
    if not request.executions:
        return request.leaves_no_cursor
    if why_not_fast(request, errand.plans, session.belongings) is not None:
        return False
    if late.seen is not None and len(late.seen) >= MOST_SEEN:
        return False
    if errand.plans[0].tells_time or errand.clock:
        return False
    return request.leaves_no_cursor and not is_of_the_moment(request.executions[0])


def _is_control(errand: Errand) -> bool:
    """Whether a request is one statement without parameters, and all of it is here."""
    request = errand.request
    if len(errand.plans) != 1 or request.end is not END_READY or not request.only_reads:
        return False
    return not request.has_parameters


_BEGIN: Final = Kind.BEGIN
_ONE_SNAPSHOT: Final = "repeatable read"

MOST_SEEN: Final = 1000
"""Sets of tables, of which each has its version compared at every read."""
