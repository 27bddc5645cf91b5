"""Requests are taken up, one at a time, and what becomes of each is decided.

A request is taken up when the one before it is done; of a batch, or a COPY, the next part when the
server is there to take it. It is answered here where that can be done, else it goes its `way`.
"""

from __future__ import annotations

from typing import Final

from proxy.errors import Fault, RemoteProtocolError, Unsupported
from proxy.session.answering import answer_ourselves
from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.failing import fail
from proxy.session.holding import hold
from proxy.session.judging import judge, must_wait, refuse_at_server
from proxy.session.leaving import leave
from proxy.session.meaning import (
    asked_of_us,
    deallocated_name,
    plan_all,
    read,
    texts_of,
    why_not_fast,
)
from proxy.session.phase import FREE, OPEN, RUNNING, WAITING
from proxy.session.pins import HARMLESS
from proxy.session.ports import Link
from proxy.session.rewriting import rewrite
from proxy.session.sending import send, send_more
from proxy.session.transaction import has_control
from proxy.session.way import read_fast, to_primary
from proxy.sql.statement import Kind
from proxy.types import Consistency, Ending, Reason
from proxy.wire.requests import END_COPY, END_COPY_END, END_SESSION, END_TERMINATE, Request
from proxy.wire.status import IN_FAILED

_DEALLOCATE: Final = Kind.DEALLOCATE
_PROXY: Final = Kind.PROXY
_TRANSACTION: Final = Reason.TRANSACTION
_UNCONFIRMED: Final = Reason.UNCONFIRMED
_STRONG: Final = Consistency.STRONG
_COPY: Final = (END_COPY, END_COPY_END)


def pump(session: Conversation) -> None:
    """Take up requests for as long as they can be taken up."""
    intake = session.intake
    queue = intake.queue
    while queue and _may_take(session, queue[0]):
        request = queue.popleft()
        intake.queued -= request.size
        if intake.is_skipping or _understand(session, request):
            _take(session, request)
    if session.phase is FREE and not queue:
        _rest(session)
    elif intake.is_full(session.services.max_queued):
        session.shell.pause_reading()


def _understand(session: Conversation, request: Request) -> bool:
    """Read a request, now that it is known what the ones before it have left of its names."""
    engine = session.engine
    is_lost = session.link is not None and session.transaction.are_constants_lost
    engine.sense = None if is_lost else session.profile.sense
    try:
        engine.read(request)
        if request.prepares_late and not is_lost and _sets_something(session, request):
            engine.read_again(request)
    except RemoteProtocolError as error:
        session.intake.clear()
        session.shell.write(session.services.dialect.error(error))
        session.shell.close(error.message, error.fault)
        return False
    return True


def _sets_something(session: Conversation, request: Request) -> bool:
    """Tell whether literals may be read otherwise behind something that a batch runs."""
    reader, profile = session.reader, session.profile
    readings = [read(reader, profile, execution) for execution in request.executions]
    plans = plan_all(reader, session.planner, profile, readings, session.engine.cursors)
    is_touched = profile.state is not session.transaction.state
    return any(
        session.grammar.moved(plan, text, is_touched=is_touched).constants
        for plan, text in zip(plans, texts_of(readings), strict=True)
    )


def after(session: Conversation) -> None:
    """A request is over."""
    if session.is_gone:
        leave(session)
    else:
        session.idle_since = session.services.clock()
        pump(session)


def _may_take(session: Conversation, request: Request) -> bool:
    phase = session.phase
    if phase is FREE:
        return not session.is_slow  # or what it is told would pile up here
    if phase is OPEN:
        return True
    if phase is not RUNNING:
        return False
    link = session.link
    return request.end in _COPY or (link is not None and link.exchange.copying_in)


def _rest(session: Conversation) -> None:
    """Nothing is to be done: what comes next may be answered as it is received."""
    session.shell.resume_reading()
    belongings = session.belongings
    if (
        session.link is None
        and _bears_ready_answers(session)
        and session.floor is None
        and not session.intake.is_skipping
        and not session.is_slow
        and session.intake.is_between
        and belongings.pins <= HARMLESS
    ):
        session.answers = session.profile.answers
    belongings.forget_named_elsewhere()
    if session.notices:
        tell_notices(session)


def _bears_ready_answers(session: Conversation) -> bool:
    """Whether a read needs no transaction that is still to be begun, and no look at an open one."""
    late = session.late
    return not session.profile.begins_itself if late is None else late.bears_ready_answers


def tell_notices(session: Conversation) -> None:
    """Pass on what came on the connection kept, now that no answer is in the way."""
    notices, session.notices = session.notices, b""
    if notices:
        session.shell.write(notices)


def _take(session: Conversation, request: Request) -> None:
    link = session.link
    if request.end in _COPY:
        _copy(session, request)
    elif request.end is END_TERMINATE:
        session.shell.close("client said goodbye", Ending.GOODBYE)
    elif request.end is END_SESSION:
        _part(session, request)
    elif link is not None and link.exchange.copying_in:
        _interrupt_copy(session, request)
    elif session.intake.is_skipping:
        _skip(session, request)
    elif session.phase is OPEN:
        send_more(session, request)
    else:
        _begin(session, request)


def _part(session: Conversation, request: Request) -> None:
    """End the session, and have another begun when nothing is left of it."""
    session.is_gone = True
    link = None
    if request.takes_link:
        link = session.home or session.link
        session.home = session.link = None
    leave(session, lambda: _begin_anew(session, request, link))


def _begin_anew(session: Conversation, request: Request, link: Link | None) -> None:
    intake = session.intake
    if intake.queue or not intake.is_between:
        error = RemoteProtocolError("a client may not go on before it is let in again")
        session.shell.write(session.services.dialect.error(error))
        session.shell.close(error.message, error.fault)
        if link is not None:
            link.abort(error.message)
    else:
        session.shell.begin_anew(request, link)


def _copy(session: Conversation, request: Request) -> None:
    """Pass COPY data on, as it may come before the server has asked for it.

    When the COPY has failed a server drops what still comes; so do we, once it is ready.
    """
    link = session.link if session.phase is not FREE else None
    if link is not None:
        link.write(link.exchange.copy(request))
    if request.streams:
        session.intake.pour_into(link)


def _interrupt_copy(session: Conversation, request: Request) -> None:
    """While a server waits for rows it passes over a Sync, and can't bear anything else."""
    text = request.unfit_for_copy()
    if text:
        session.shell.write(session.services.dialect.error(RemoteProtocolError(text)))
        session.shell.close(text, Fault.PROTOCOL_VIOLATION)


def _skip(session: Conversation, request: Request) -> None:
    """Drop a request behind an error in an open batch, as a server does up to the Sync."""
    if request.streams:
        session.intake.pour_into(None)
    if request.ends_batch:
        session.intake.is_skipping = False
        session.shell.write(session.services.dialect.ready(session.status))


def _begin(session: Conversation, request: Request) -> None:
    """Take up a request while nothing else is under way."""
    services = session.services
    if request.undo:
        session.named.clear()
    session.idle_since = services.clock()
    if _is_refused(session, request):
        return
    if not request.executions and _needs_no_server(session, request):
        return
    profile = session.profile
    reader = session.reader
    cursors = session.engine.cursors
    if request.simple and profile.rules is not None and profile.rules.may_rewrite:
        _rewrite(session, request)
    readings = [read(reader, profile, execution) for execution in request.executions]
    plans = plan_all(reader, session.planner, profile, readings, cursors)
    if session.traces.restore(request, plans, texts_of(readings), session.belongings):
        readings = [read(reader, profile, execution) for execution in request.executions]
        plans = plan_all(reader, session.planner, profile, readings, cursors)
    if _is_refused(session, request):
        return
    errand = Errand(request, plans)
    errand.texts = texts_of(readings)
    is_judged = profile.is_ruled
    for reading in readings:
        if reading.clock:
            errand.clock = True
        if reading.hint:
            is_judged = True
    kind = plans[0].statement.kind if len(plans) == 1 else None
    if kind is _DEALLOCATE and _deallocate_ours(session, errand):
        return
    if kind is _PROXY or not plans:
        asked = asked_of_us(services.reader, profile, request)
        if asked is not None:
            answer_ourselves(session, request, asked)
            return
    session.errand = errand
    if is_judged:
        judge(session, errand, readings)
    if len(plans) > 1 and any(plan.statement.kind is _PROXY for plan in plans):
        errand.refusal = Unsupported("what the proxy is asked must be asked by itself")
    link = session.link
    if link is not None:
        errand.reason = _TRANSACTION
        if errand.refusal is not None and link.exchange.status != IN_FAILED:
            refuse_at_server(session, link)
        else:
            send(session, errand, link)
        return
    if errand.refusal is not None:
        fail(session, errand, errand.refusal)
        return
    if session.belongings.terms.one_statement and has_control(plans):
        fail(session, errand, Unsupported("transactions are not possible in statement pool mode"))
        return
    left = hold(session, errand)
    session.errand = left
    if is_judged and left is not None and left is not errand:
        judge(session, left, readings[1:], again=True)
    if left is not None and not (is_judged and must_wait(session, left)):
        send_its_way(session, left)


def _rewrite(session: Conversation, request: Request) -> None:
    """Have a simple query say what a rule makes of it; what is prepared was rewritten then."""
    sql = request.executions[0].sql
    if sql is None:
        return
    new = rewrite(session.reader, session.planner, session.profile, sql)
    if new is not sql:
        request.say_instead(new, frozenset())


def send_its_way(session: Conversation, errand: Errand) -> None:
    """Begin to serve an errand that a server is needed for, or the cache."""
    reason = why_not_fast(errand.request, errand.plans, session.belongings)
    if reason is None and errand.terms is not None:
        reason = errand.terms.to_primary
        if reason is not None and session.late is not None and session.late.seen is not None:
            errand.beside = False  # there it would be of another snapshot
    begins = session.late is not None or session.profile.begins_itself
    if begins and not errand.beside:
        reason = reason or _TRANSACTION
    if reason is None:
        errand.fast = errand.plans[0]
        if not (session.services.is_strict and _must_confirm(session, errand)):
            read_fast(session, errand)
    else:
        errand.reason = reason
        to_primary(session, errand)


def _must_confirm(session: Conversation, errand: Errand) -> bool:
    """Have a strong read wait for what others had committed when it came."""
    terms = errand.terms
    if terms is not None and terms.contract.consistency is not _STRONG:
        return False
    if errand.reason is _UNCONFIRMED:
        return False  # it has been waited for
    errand.reason = _UNCONFIRMED
    line = session.services.confirm(session, session.profile)
    if line is None:
        to_primary(session, errand)
    else:
        session.phase = WAITING
        session.line = line
    return True


def _is_refused(session: Conversation, request: Request) -> bool:
    """Fail a request that can't be served, as its own words say."""
    refusal = request.refusal
    if refusal is None:
        return False
    fail(session, Errand(request, ()), refusal)
    return True


def _needs_no_server(session: Conversation, request: Request) -> bool:
    """Deal with a Flush or a Sync that has nothing in front of it."""
    if request.asks_for_ready and session.link is None:
        session.shell.write(session.services.dialect.said(request, b"", session.status))
        return True
    return request.asks_nothing


def _deallocate_ours(session: Conversation, errand: Errand) -> bool:
    """Serve a DEALLOCATE of a statement that the client prepared by the protocol.

    The server knows it by another name, under which others use it: it is only forgotten here.
    """
    status = session.status
    name = deallocated_name(session.grammar, errand.plans, errand.texts)
    if name is None or status == IN_FAILED:
        return False
    session.named.clear()
    if not session.engine.deallocate(name):
        return False
    dialect = session.services.dialect
    session.shell.write(dialect.said(errand.request, b"DEALLOCATE", status))
    return True
