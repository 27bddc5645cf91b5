"""The server is ready again: what follows from its answer, and where the connection goes.

In this order, all of it before the client can act on what it was told: the commit's mark is
settled, the result kept, the consequences drawn; then the connection is asked what lives in it,
kept for its client, or given back.
"""

from __future__ import annotations

from typing import Final

from proxy.cache.flight import FAILED
from proxy.errors import NotSerializable
from proxy.session import consequences
from proxy.session.auditing import hand_over
from proxy.session.conversation import Conversation
from proxy.session.discovering import commit_of_ours, learn
from proxy.session.errand import Ahead, Errand
from proxy.session.failing import end_unserved, fail, hang_up
from proxy.session.hearing import note
from proxy.session.judging import raise_floor
from proxy.session.late import Held
from proxy.session.leaving import leave
from proxy.session.mirroring import follow, forget
from proxy.session.phase import ASKING, FREE, SETTING
from proxy.session.pins import YIELDING
from proxy.session.ports import Link
from proxy.session.sending import send
from proxy.session.taking import after, pump
from proxy.session.way import to_primary
from proxy.types import Reason
from proxy.wire.exchange import Exchange
from proxy.wire.requests import END_OPEN
from proxy.wire.status import IDLE

_ROLLBACK: Final = b"ROLLBACK"


def done(session: Conversation, link: Link) -> None:
    """The server has dealt with everything that was sent to it."""
    exchange = link.exchange
    if exchange.asynchronous:
        note(session, exchange)
    phase = session.phase
    if phase is ASKING:
        _asked(session, link)
        return
    if phase is SETTING:
        _are_set(session, link)
        return
    errand = session.errand
    assert errand is not None
    if exchange.position_missing or errand.rejected:
        _read_again(session, errand, link)
        return
    session.errand = None
    services = session.services
    if errand.need is not None and errand.checked is not None:
        link.verified(errand.need, errand.checked)
    services.finished(errand, exchange)
    session.traces.note(session.belongings, errand, link)
    if session.floor is not None:
        raise_floor(session.floor, errand, services.clock())
    if exchange.state_error:
        _refused_state(session, errand, link)
        return
    if exchange.error is not None:
        _take_back(session, errand, exchange)
    if errand.mark is not None or not errand.is_plain:
        _settle_mark(session, errand, exchange)
    if session.results is not None:
        session.results.done(errand, exchange, services.clock())
    if session.copies is not None:
        follow(session, errand, exchange)
    if errand.sample is not None:
        hand_over(session, errand.sample, exchange)
    if errand.is_plain and exchange.status == IDLE and _leaves_nothing(session, exchange):
        session.engine.forget_portals()
        _part(session, link, from_replica=errand.need is not None)
        return
    consequences.draw(session.belongings, session.traces, errand, link)
    if exchange.status == IDLE:
        session.engine.forget_portals()
        _end_transaction(session, errand, link)
    else:
        consequences.chain(session.belongings, errand, link)
        session.phase = FREE
        if errand.is_wrapped and not session.is_gone:
            session.errand = commit_of_ours(session, exchange.take_end())
            send(session, session.errand, link)
        else:
            after(session)


def _leaves_nothing(session: Conversation, exchange: Exchange) -> bool:
    """Tell if nothing follows from the answer to a plain read."""
    belongings = session.belongings
    is_pinned = len(belongings.pins) > len(belongings.terms.pins)
    return exchange.error is None and exchange.plain and not is_pinned


def _take_back(session: Conversation, errand: Errand, exchange: Exchange) -> None:
    """A request failed: what it was to prepare is not prepared."""
    if exchange.wants_new_texts:
        # A client that prepares its statement again, as it is told to, must get a new one.
        session.engine.forget_texts()
    if errand.request.end is END_OPEN:
        session.intake.skip()  # the end was ours; the client's own is still to come
    session.engine.undo(
        errand.request, exchange.confirmed, unnamed_is_lost=exchange.unnamed_is_lost
    )


def _settle_mark(session: Conversation, errand: Errand, exchange: Exchange) -> None:
    """Say to the ledger what became of a commit, before the client can read of it.

    What the client was sent is still in this callback's hands: the transport writes after it.
    """
    transaction = session.transaction
    transaction.count(errand.plans, exchange.tags)
    mark = errand.mark
    if mark is not None:
        errand.mark = None
        committed = consequences.has_committed(errand.plans, exchange)
        if committed and exchange.error is not None and session.profile.is_readable:
            committed = not exchange.ran_nothing
        if committed and not session.traces.is_replicated(session.belongings, exchange):
            session.services.keep(mark)
        else:
            dialect = session.services.dialect
            position = dialect.committed_at(errand.plans, exchange) if committed else None
            gtid = dialect.committed_as(errand.plans, exchange) if committed else ""
            session.services.settle(
                mark, committed=committed, rows=transaction.rows, position=position, gtid=gtid
            )
        transaction.rows = {}


def _end_transaction(session: Conversation, errand: Errand, link: Link) -> None:
    """Nothing is open on the connection: ask what lives there, or let it go."""
    if errand.need is not None:
        _part(session, link, from_replica=True)
        return
    belongings = session.belongings
    consequences.end(belongings, errand, link)
    if session.intake.sink is link:
        _drop_torn(session, link)
    elif session.is_gone:
        leave(session)
    elif (question := session.traces.question(belongings, errand.plans, link)) is not None:
        session.phase = ASKING
        link.write(link.exchange.ask(question))
    else:
        _part(session, link)


def _drop_torn(session: Conversation, link: Link) -> None:
    """Let go of a connection that has a large message in part, and nobody wants the rest.

    An error came in front of it. Nothing else can be said there before its last byte.
    """
    session.link = session.intake.sink = None
    forget(session)
    link.lend(None)
    link.abort("a message was cut off by an error in front of it")
    if session.belongings.pins:
        hang_up(session, f"server {link.server.name} was lost with the session on it")
    session.phase = FREE
    after(session)


def _asked(session: Conversation, link: Link) -> None:
    """The server has said what lives in its session."""
    if session.is_gone:
        leave(session)
        return
    exchange = link.exchange
    if exchange.error is not None and session.cancels and exchange.was_canceled:
        # The client's cancel request came too late for its statement, and hit our question.
        session.cancels -= 1
        link.write(exchange.ask(session.traces.whole_question(session.belongings, link)))
        return
    session.cancels = 0
    rows = exchange.rows if exchange.error is None else ()
    session.traces.take_word(session.belongings, link, rows)
    _part(session, link)


def _part(session: Conversation, link: Link, *, from_replica: bool = False) -> None:
    """Keep the connection for a pinned client, else give it back.

    One to a replica is never kept: a pinned client has its own beside it.
    """
    belongings = session.belongings
    if belongings.is_misled and not from_replica:
        if link.state is not session.profile.state:
            _bring_back(session, link)
            return
        belongings.is_misled = False
    _put_away(session, link, from_replica=from_replica)
    session.phase = FREE
    after(session)


def _put_away(session: Conversation, link: Link, *, from_replica: bool = False) -> None:
    session.link = None
    pins = session.belongings.pins
    if pins and not from_replica:
        session.home = link
        if pins <= YIELDING:
            session.services.offer(link, session)
    else:
        session.give_back(link)


def _bring_back(session: Conversation, link: Link) -> None:
    """Set again what a reset has made a server's default, so that the client hears of it."""
    session.phase = SETTING
    changes = link.state.changes_to(session.profile.state, session.grammar)
    link.state = session.profile.state
    link.write(link.exchange.ask(session.services.dialect.apply(changes)))


def _are_set(session: Conversation, link: Link) -> None:
    """The settings are made, or have been refused: the client must hear why."""
    errand = session.errand
    exchange = link.exchange
    if session.is_gone:
        leave(session)
        return
    ahead = None if errand is None else errand.ahead
    if errand is not None and ahead is Ahead.OPENING:
        _is_open(session, errand, link)
        return
    if errand is not None and errand.refusal is not None:
        session.shell.write(session.services.dialect.error(errand.refusal))
        session.errand = None
        end_unserved(session, errand)
        pump(session)
        return
    if errand is not None and ahead is Ahead.UNDOING:
        _is_undone(session, errand, link)
        return
    if errand is not None and ahead is Ahead.DISCOVERING:
        errand.ahead = None
        learn(session, errand, link)
        send(session, errand, link)
        pump(session)
        return
    is_preparing = ahead is Ahead.PREPARING or ahead is Ahead.RECALLING
    if errand is not None and is_preparing and _is_not_prepared(errand, link):
        _refuse_unprepared(session, errand, link)
        return
    if exchange.error is not None and not (is_preparing and not exchange.state_error):
        session.errand = None
        _refused_state(session, errand, link)
        return
    if session.belongings.is_misled and link.state is session.profile.state and not is_preparing:
        session.belongings.is_misled = False
        session.shell.write(exchange.reported)
    if errand is None:
        _part(session, link)
    else:
        errand.ahead = None  # where that went wrong, the statement's use will tell why
        if ahead is Ahead.RECALLING and exchange.error is not None:
            errand.asks = False
        send(session, errand, link)
        pump(session)


def _is_not_prepared(errand: Errand, link: Link) -> bool:
    """Tell if a server would not prepare what can't be said without that."""
    exchange = link.exchange
    if exchange.error is None or exchange.state_error:
        return False
    return bool(exchange.must_prepare(errand.request))


def _refuse_unprepared(session: Conversation, errand: Errand, link: Link) -> None:
    """Ask the primary, if it was a replica that refused; else tell the client why."""
    errand.ahead = None
    if errand.need is not None:
        errand.reason = Reason.REPLICA_FAILED
        session.link = None
        session.give_back(link)
        to_primary(session, errand)
        pump(session)
        return
    session.errand = None
    session.shell.write(link.exchange.error or b"")
    if link.exchange.status == IDLE:
        session.engine.undo(errand.request, 0)
        session.land(errand, FAILED)
        _part(session, link)
    else:
        end_unserved(session, errand)
        pump(session)


def _is_open(session: Conversation, errand: Errand, link: Link) -> None:
    """The transaction that was held back is open now, or could not be opened."""
    late = session.late
    assert late is not None
    errand.ahead = None
    seen = late.seen if not late.is_failed else None
    now = session.services.clock()
    has_failed = bool(link.exchange.error) and not late.is_failed
    if has_failed or link.exchange.status != late.opened:
        session.errand = None
        _refused_state(session, errand, link)
    elif seen and not session.ledger.all_hold(seen, now):
        # Its snapshot was taken just now, and is another than that of what was read.
        errand.ahead = Ahead.UNDOING
        link.write(link.exchange.ask(_ROLLBACK))
    else:
        session.late = None
        session.services.held_back(Held.OPENED)
        send(session, errand, link)
        pump(session)


def _is_undone(session: Conversation, errand: Errand, link: Link) -> None:
    """What was read was written since: the client must try its transaction again."""
    _put_away(session, link)
    session.services.held_back(Held.REFUSED)
    if not session.grammar.fails_whole:
        session.late = None  # it is over, and nothing of it is left to be ended
        session.profile.own.end(committed=False)
    fail(session, errand, NotSerializable("could not serialize access due to concurrent update"))
    pump(session)


def _refused_state(session: Conversation, errand: Errand | None, link: Link) -> None:
    """The server would not set what the client has set before: the client must hear why."""
    error = link.exchange.error or b""
    session.link = None
    forget(session)
    link.lend(None)
    link.abort("session settings were refused")
    if session.is_gone:
        leave(session)
    elif session.belongings.pins:
        hang_up(session, "session settings were refused on a connection that had to be kept")
    elif errand is None:
        session.phase = FREE  # the client hears of it when it asks for something
        after(session)
    else:
        session.shell.write(error)
        end_unserved(session, errand)
        pump(session)


def _read_again(session: Conversation, errand: Errand, link: Link) -> None:
    """A replica's answer did not count: the primary is asked."""
    if link.exchange.position_missing:
        errand.reason = Reason.BEHIND
    session.services.abandoned(link.server)
    session.link = None
    session.give_back(link)
    if session.is_gone:
        session.errand = None
        leave(session)
    else:
        to_primary(session, errand)
        pump(session)
