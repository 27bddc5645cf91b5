"""A request is put on a server connection, behind what must come first.

In front of it: the client's settings, where the connection's session has others, and the question
whether a replica has replayed what a read must see. Before anything is sent that may commit, what
it may change is marked (docs/freshness.md, "What a write does").
"""

from __future__ import annotations

from proxy.cache.flight import NOT_STORED
from proxy.errors import ClientVisibleError, Unsupported
from proxy.routing.plan import Plan
from proxy.session.conversation import Conversation
from proxy.session.discovering import BEGIN, discovers, must_wrap
from proxy.session.errand import Ahead, Errand
from proxy.session.grammar import Settings
from proxy.session.judging import refused
from proxy.session.late import Late
from proxy.session.meaning import plan_all, read, texts_of
from proxy.session.mirroring import note
from proxy.session.phase import OPEN, RUNNING, SETTING
from proxy.session.ports import Link
from proxy.session.state import UNTOUCHED, Change, Verb
from proxy.session.transaction import is_in_vain, may_commit
from proxy.sql.statement import Kind
from proxy.wire.exchange import Prelude
from proxy.wire.prepared import Prepared
from proxy.wire.requests import END_OPEN, END_READY, Request
from proxy.wire.status import IDLE, IN_FAILED


def send(session: Conversation, errand: Errand, link: Link) -> None:
    """Send a request to whom it was decided to go; its settings first."""
    exchange = link.exchange
    request = errand.request
    services = session.services
    transaction = session.transaction
    if errand.need is None and is_outdated(session, errand):
        _plan_again(session, errand)
    is_lost = transaction.are_constants_lost and exchange.status != IDLE
    if (request.is_foreign or is_lost) and _prepares(session, errand, link, is_lost=is_lost):
        return
    pieces: list[bytes] = []
    missing = exchange.must_prepare(request)
    if (changes := _changes(session, errand, link)) is not None:
        if errand.fast is None or missing:
            # Nothing may be run under other settings than its client's, so these come first.
            session.phase = SETTING
            link.write(exchange.ask(changes))
            return
        pieces.append(exchange.prelude(Prelude.STATE, changes))
    if missing:
        errand.ahead = Ahead.PREPARING
        session.phase = SETTING
        link.write(exchange.prepare(b"", missing))
        return
    late = session.late
    if late is not None and not errand.beside:
        _open(session, errand, link, late)
        return
    if errand.asks and _recalls(session, errand, link):
        return
    if errand.need is not None and not link.believes(errand.need, session.ledger.epoch):
        question = services.dialect.reached(errand.need, errand.patience)
        pieces.append(exchange.prelude(Prelude.POSITION, question))
        errand.checked = session.ledger.epoch
    in_transaction = exchange.status != IDLE
    if not in_transaction:
        transaction.begin(session.profile.state)
        is_asked = bool(services.dialect.written)
        if is_asked and must_wrap(errand, may_run_unseen=session.belongings.temporary_runs):
            errand.is_wrapped = in_transaction = True
            pieces.append(exchange.prelude(Prelude.STATE, BEGIN))
    elif discovers(session, errand, link):
        return
    _announce(session, errand, link, in_transaction)
    exchange.doubt(transaction.are_constants_lost or request.is_foreign)
    _pass_on(session, errand, link, pieces, not in_transaction and request.only_prepares)


def _announce(session: Conversation, errand: Errand, link: Link, in_transaction: bool) -> None:
    """Take down what is about to be written, and mark it if it may be committed now."""
    runs_unseen = session.belongings.may_run_unseen()
    if errand.is_plain and not runs_unseen:
        return
    _account(session, errand.plans, errand.texts)
    transaction = session.transaction
    is_commit = may_commit(errand.plans, in_transaction=in_transaction, may_run_unseen=runs_unseen)
    if transaction.writes and is_commit and not is_in_vain(errand.plans, link.exchange.status):
        session.services.announce(errand, transaction, session.profile)


def _pass_on(
    session: Conversation, errand: Errand, link: Link, pieces: list[bytes], sync: bool
) -> None:
    """Send a request, behind some pieces of ours, and note that it is under way."""
    exchange = link.exchange
    request = errand.request
    services = session.services
    pieces.append(exchange.begin(request, sync=sync, keeps_end=errand.is_wrapped))
    errand.sent_at = services.clock()
    errand.attempts += 1
    errand.server = link.server
    services.sent(link)
    _wait_for_others(session, errand, link)
    link.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
    if session.is_slow:
        link.pause_reading()
    said = exchange.say_at_once()
    if said:
        session.shell.write(said)
    session.phase = OPEN if request.end is END_OPEN and not sync else RUNNING
    session.shell.resume_reading()
    if request.streams:
        session.intake.pour_into(link)


def _wait_for_others(session: Conversation, errand: Errand, link: Link) -> None:
    """Send nothing that may commit before all members of the fleet know of it."""
    mark = errand.mark
    if mark is not None and mark.waiting:
        session.services.hold(mark, link)


def _open(session: Conversation, errand: Errand, link: Link, late: Late) -> None:
    """Begin at the server what was held back; the errand is sent when that is done."""
    errand.ahead = Ahead.OPENING
    session.transaction.begin(session.profile.state)
    session.phase = SETTING
    begin = session.services.dialect.opening(
        late.begin.text,
        late.savepoints,
        has_read=late.has_read,
        one_snapshot=bool(late.seen),
        is_failed=late.is_failed,
    )
    link.write(link.exchange.ask(begin))


def _recalls(session: Conversation, errand: Errand, link: Link) -> bool:
    """Bring a connection where the statement before has left another, for what asks about it."""
    errand.asks = False
    found = session.traces.recall(session.belongings, errand, link)
    if found is None:
        return False
    commands, again = found
    exchange = link.exchange
    missing = [] if again is None else exchange.must_prepare(again)
    said = session.services.dialect.together(commands)
    errand.ahead = Ahead.RECALLING
    session.phase = SETTING
    if again is None:
        link.write(exchange.ask(said))
    elif missing:
        errand.asks = True
        link.write(exchange.prepare(said, missing))
    else:
        ahead = exchange.prelude(Prelude.STATE, said) if said else b""
        link.write(ahead + exchange.begin(again))
        exchange.discard()
    return True


def is_outdated(session: Conversation, errand: Errand) -> bool:
    """Tell if definitions may have changed since an errand was planned: it has waited, perhaps."""
    generation = session.planner.generation
    return any(plan.generation != generation for plan in errand.plans)


def _plan_again(session: Conversation, errand: Errand) -> None:
    """Plan what has waited, by the definitions of now: a view may read other tables, or write.

    Its result is not kept.
    """
    session.land(errand, NOT_STORED)
    errand.fast = None
    reader = session.reader
    readings = [read(reader, session.profile, item) for item in errand.request.executions]
    cursors = session.engine.cursors
    errand.take_plans(plan_all(reader, session.planner, session.profile, readings, cursors))
    if errand.beside:
        # What is no plain read any more must be in the transaction.
        errand.beside = all(
            plan.read_set is not None and not plan.tells_time for plan in errand.plans
        )


def send_more(session: Conversation, request: Request) -> None:
    """Send the next part of a batch; after an error, only its end."""
    link = session.link
    errand = session.errand
    if link is None or errand is None:
        return
    exchange = link.exchange
    if request.undo:
        session.named.clear()
        errand.request.undo += request.undo
    if exchange.error is not None:
        if request.streams:
            session.intake.pour_into(None)
        if not request.ends_batch:
            return  # a Query too is passed over
        _end_batch(session, errand, link)
        return
    reader = session.reader
    readings = [read(reader, session.profile, execution) for execution in request.executions]
    cursors = session.engine.cursors
    plans = plan_all(reader, session.planner, session.profile, readings, cursors)
    texts = texts_of(readings)
    if (error := _why_refused(session, plans)) is not None:
        request = session.services.dialect.failing_part(request, error)
        plans, texts = (), ()
    rules = session.profile.rules
    if plans and rules is not None and rules.may_mirror:
        in_front = errand.copies or [None] * len(errand.plans)
        errand.copies = [*in_front, *note(session, request, plans, readings)]
    errand.plans += plans
    errand.texts += texts
    _account(session, plans, texts)
    in_transaction = exchange.status != IDLE
    is_commit = may_commit(
        errand.plans,
        in_transaction=in_transaction,
        may_run_unseen=session.belongings.may_run_unseen(),
    )
    if session.transaction.writes and is_commit:
        _announce_more(session, errand)
    exchange.doubt(session.transaction.are_constants_lost or request.is_foreign)
    _wait_for_others(session, errand, link)
    link.write(exchange.go_on(request))
    said = exchange.say_at_once()
    if said:
        session.shell.write(said)
    if request.end is END_READY:
        errand.request.end = END_READY
        session.phase = RUNNING
    if request.streams:
        session.intake.pour_into(link)


def _why_refused(session: Conversation, plans: tuple[Plan, ...]) -> ClientVisibleError | None:
    """Say why the next part of a batch must not reach a server; None: it may."""
    if any(plan.statement.kind is Kind.PROXY for plan in plans):
        return Unsupported("what the proxy is asked must be asked by itself")
    return refused(session, plans) if session.profile.rules is not None else None


def give_up(session: Conversation, link: Link) -> None:
    """Say what ends the request of a client that is gone, where the server waits for more of it."""
    is_open = session.phase is OPEN
    said = link.exchange.give_up(is_open=is_open)
    if said is None:
        link.abort("the client went away in the middle of a file")
        return
    if said:
        link.write(said)
    if is_open:
        session.phase = RUNNING


def _prepares(session: Conversation, errand: Errand, link: Link, *, is_lost: bool) -> bool:
    """Prepare what a connection lacks under the settings of then, whose constants it has.

    For each of those once: where a connection can't hold all that it needs, what is left is
    prepared under the settings of now.
    """
    exchange = link.exchange
    now = session.profile.sense
    if now is None or exchange.status == IN_FAILED:
        return False
    constants: Settings | None = None
    lacking: list[Prepared] = []
    for prepared in exchange.lacking(errand.request):
        sense = prepared.sense
        if sense is None:
            continue
        its = sense.constants
        is_other = is_lost or its != now.constants
        if constants is None and is_other and its not in errand.foreign:
            constants = its
        if its == constants:
            lacking.append(prepared)
    if constants is None:
        return False
    commands = _way_back(errand)
    changes = [Change(Verb.SET, name, value) for name, value in constants]
    then = dict(constants)
    if exchange.status == IDLE:
        state = session.profile.state
        depend = session.grammar.constants_depend_on
        kept = {name: value for name, value in state.settings if not depend(name)}
        there = state.with_settings({**kept, **then})
        changes = link.state.changes_to(there, session.grammar)
        link.state = there
    else:
        others = {name for name, _ in now.constants if name not in then}
        if is_lost:
            others |= {name for name in session.grammar.fixed if name not in then}
        changes += [Change(Verb.RESET, name) for name in sorted(others)]
        commands.append(b"SAVEPOINT tidegate")
        errand.is_aside = True
    if changes:
        commands.append(session.services.dialect.apply(changes))
    errand.foreign.append(constants)
    errand.ahead = Ahead.PREPARING
    session.phase = SETTING
    said = session.services.dialect.together(commands)
    link.write(exchange.prepare(said, lacking))
    return True


def _way_back(errand: Errand) -> list[bytes]:
    """Say what takes settings back that were made for a moment, whatever they were before."""
    if not errand.is_aside:
        return []
    errand.is_aside = False
    return [b"ROLLBACK TO SAVEPOINT tidegate", b"RELEASE SAVEPOINT tidegate"]


def _changes(session: Conversation, errand: Errand, link: Link) -> bytes | None:
    """Say what makes a connection's session the client's; None: it is, or can't be changed."""
    state = session.profile.alone if errand.beside else session.profile.state
    commands = _way_back(errand)
    if commands:
        return session.services.dialect.together(
            commands
        )  # what else is to be changed comes after it
    is_stained = link.stained_by is not None and link.stained_by is not session.belongings
    if errand.is_plain and link.state is state and not is_stained:
        return None
    if link.exchange.status == IN_FAILED:
        return None
    if is_stained:
        commands += session.traces.wash(link)
    if link.state is not state:
        if session.grammar.must_begin_anew(link.state.settings, state.settings):
            commands.append(session.services.dialect.anew)
            link.state = UNTOUCHED
        commands.append(
            session.services.dialect.apply(link.state.changes_to(state, session.grammar))
        )
        link.state = state
    commands += session.traces.must_come_first(session, session.belongings, errand.plans, link)
    return session.services.dialect.together(commands) or None


def _account(session: Conversation, plans: tuple[Plan, ...], texts: tuple[bytes, ...]) -> None:
    """Take down what is about to be written."""
    profile = session.profile
    transaction = session.transaction
    if profile.fires_others:
        transaction.stay_lost = transaction.are_names_lost = True
    if not transaction.has_run:
        transaction.compare_with(session.services.tally(profile))
    transaction.add(
        plans,
        texts,
        profile.state,
        session.planner.any_table(profile.database),
        may_run_unseen=session.belongings.may_run_unseen(),
    )


def _announce_more(session: Conversation, errand: Errand) -> None:
    """Mark what a batch has grown to write, in one breath: it is never unmarked meanwhile."""
    mark = errand.mark
    if mark is not None:
        if session.transaction.writes <= mark.tables:
            return
        session.services.settle(mark, committed=False, rows={})
    session.services.announce(errand, session.transaction, session.profile)


def _end_batch(session: Conversation, errand: Errand, link: Link) -> None:
    """The batch has failed: only its end is sent."""
    link.write(link.exchange.end_batch())
    errand.request.end = END_READY
    session.phase = RUNNING
