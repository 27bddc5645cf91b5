"""What a server says while it answers, and while nothing is asked of it.

A replica's answer is judged at its first word. What is passed on is gathered for the cache, and
what comes between two answers is kept until no answer is in the way.
"""

from __future__ import annotations

from proxy.cache.flight import NOT_STORED
from proxy.errors import RemoteProtocolError
from proxy.session.conversation import Conversation
from proxy.session.discovering import close, is_rewritten
from proxy.session.errand import Errand
from proxy.session.phase import FREE
from proxy.session.ports import Link
from proxy.session.sending import give_up
from proxy.session.taking import pump, tell_notices
from proxy.types import Reason
from proxy.wire.exchange import Exchange


def is_good(session: Conversation, errand: Errand, exchange: Exchange, passed: bytes) -> bool:
    """Judge an answer when its first bytes, `passed`, are there; False: it is thrown away.

    A replica may be ahead of its primary, so what it says counts only if no commit on the
    tables was sent meanwhile (facts: "replica ahead", and freshness.md, read path, 4).
    """
    plan = errand.fast
    if plan is None or errand.need is None or plan.read_set is None:
        errand.started = True
        return True
    if exchange.error is not None:
        if exchange.was_canceled:
            errand.started = True
            return True
        errand.reason = Reason.REPLICA_FAILED
    elif not errand.must_validate or (
        exchange.plain
        and exchange.has_snapshot(errand.request, passed)
        and session.ledger.answer_ok(plan.read_set, errand.version, errand.answered_at)
        and session.sees(errand, errand.answered_at)
    ):
        errand.started = True
        return True
    else:
        # Something came in front of the answer, so its snapshot may not have been taken yet;
        # or the tables have changed.
        errand.reason = Reason.INVALIDATED
    exchange.discard()
    errand.rejected = True
    return False


def pass_on(session: Conversation, link: Link, passed: bytes) -> None:
    """Let the client have what has come of its answer."""
    errand = session.errand
    if errand is None:
        session.shell.write(passed)
        return
    if is_rewritten(errand):
        close(session, errand, link, passed)
        return
    if not errand.started:
        errand.answered_at = session.services.clock()
    if errand.started or is_good(session, errand, link.exchange, passed):
        session.shell.write(_as_in_block(session, link, passed) if errand.beside else passed)
        sample = errand.sample
        if sample is not None:
            sample.add(passed)
        fill = errand.fill
        if fill is not None and not fill.add(passed):
            # It is too large to be kept: nobody waits for it.
            errand.uncached = Reason.TOO_LARGE
            session.land(errand, NOT_STORED)


def _as_in_block(session: Conversation, link: Link, passed: bytes) -> bytes:
    """Say at the end of an answer that the client is in a transaction, which no server knows of."""
    late = session.late
    if late is None or not link.exchange.done:
        return passed
    if link.exchange.error is not None:
        late.fail()
    return session.services.dialect.with_status(
        passed, late.status, begins_itself=session.profile.begins_itself
    )


def go_on(session: Conversation, link: Link) -> None:
    """The server waits for the client; for one that is gone, we say what ends its request."""
    if session.is_gone:
        give_up(session, link)
    else:
        pump(session)


def overhear(session: Conversation, link: Link, data: bytes) -> None:
    """Take what comes on a connection while nothing is asked on it: perhaps a farewell."""
    exchange = link.exchange
    try:
        exchange.idle_feed(data)
    except RemoteProtocolError as error:
        link.abort(error.message)
        return
    note(session, exchange)
    if session.phase is FREE:
        tell_notices(session)


def note(session: Conversation, exchange: Exchange) -> None:
    """Keep what came beside an answer."""
    session.notices += exchange.asynchronous
    exchange.asynchronous = b""
