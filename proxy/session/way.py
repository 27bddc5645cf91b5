"""The way of an errand to a server connection: who serves it, and what is waited for.

A read that may leave the primary is looked for in memory first, then in the hands of a session that
is fetching the same, then in the second level of the cache, then at a replica; whatever lets it
down, the primary has it. Everything else goes to the primary. How a connection is lent is the
pools' affair; who calls when it comes is `session`.
"""

from __future__ import annotations

from proxy.cache.flight import NOT_STORED
from proxy.cache.sealed import Sealed
from proxy.freshness.tables import ReadSet
from proxy.routing.terms import Terms
from proxy.session.auditing import draw, hand_over
from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.mirroring import was_hit
from proxy.session.phase import WAITING
from proxy.session.ports import Link
from proxy.session.sending import is_outdated, send
from proxy.topology.group import Server
from proxy.types import Reason


def read_fast(session: Conversation, errand: Errand) -> None:
    """Get a proven read its answer, from whoever may serve it (freshness.md, read path, 2 to 4)."""
    read_set = _read_set(session, errand)
    if read_set is None:
        return
    now = session.services.clock()
    results = session.results
    if results is not None and errand.attempts == 0:
        answer = results.find(session.profile, errand, now, session.floor)
        if answer is not None:
            _hit(session, errand, answer, now)
            return
        if results.join(errand, session) or results.fetch(errand, session, now):
            session.phase = WAITING
            return
    _choose(session, errand, read_set, now)


def read_fetched(session: Conversation, errand: Errand, found: Sealed | None) -> None:
    """Answer with what the second level had, as it holds now; else ask a server."""
    read_set = _read_set(session, errand)
    if read_set is None:
        return
    now = session.services.clock()
    results = session.results
    if found is not None and results is not None:
        answer = results.promote(errand, found, now)
        if answer is not None:
            _hit(session, errand, answer, now)
            return
    _choose(session, errand, read_set, now)


def _read_set(session: Conversation, errand: Errand) -> ReadSet | None:
    """A read's tables, their version noted; None: the primary alone may serve it, and is asked."""
    plan = errand.fast
    assert plan is not None
    read_set = plan.read_set
    assert read_set is not None
    if is_outdated(session, errand):
        to_primary(session, errand)
        return None
    errand.version = session.ledger.version(read_set)
    if read_set.is_quarantined:  # as of just now: the version was asked for
        errand.reason = errand.uncached = Reason.AUDIT
        to_primary(session, errand)
        return None
    return read_set


def _choose(session: Conversation, errand: Errand, read_set: ReadSet, now: float) -> None:
    """Choose who serves it."""
    terms = errand.terms
    if terms is not None:
        _choose_by(session, errand, read_set, terms, now)
        return
    server, errand.reason = session.router.choose(read_set, now)
    if server is None:
        to_primary(session, errand)
        return
    need = session.ledger.need(read_set)
    errand.need = need
    errand.patience = 0.0 if need is None else session.router.patience(server, need)
    _acquire(session, errand, server)


def _choose_by(
    session: Conversation, errand: Errand, read_set: ReadSet, terms: Terms, now: float
) -> None:
    """Choose by what was said of the read."""
    choice = session.router.choose_by(read_set, now, terms, session.floor)
    errand.reason = choice.reason
    if choice.server is None:
        to_primary(session, errand)
        return
    need = errand.need = choice.need
    if need is not None:
        errand.patience = session.router.patience(choice.server, need)
    errand.is_current = choice.is_current
    errand.current_at = choice.current_at
    errand.life = choice.server.incarnation
    _acquire(session, errand, choice.server)


def to_primary(session: Conversation, errand: Errand) -> None:
    """Send an errand to the primary, on the connection kept for the client if there is one."""
    services = session.services
    late = session.late
    if late is not None and late.seen is not None and errand.beside and errand.fast is not None:
        # Read beside the transaction it would be of another snapshot, perhaps.
        errand.beside = False
        errand.fast = None
        session.land(errand, NOT_STORED)
    errand.server = errand.need = None
    errand.sample = None
    errand.patience = 0.0
    errand.rejected = False
    errand.is_current = True
    if errand.fast is not None and errand.fast.read_set is not None:
        errand.version = session.ledger.version(errand.fast.read_set)
    primary = session.router.primary
    if primary is None:
        session.phase = WAITING
        session.line = services.wait_for_primary(session)
        return
    home = session.home
    if home is not None:
        session.link, session.home = home, None
        send(session, errand, home)
        return
    _acquire(session, errand, primary)


def arrive(session: Conversation, errand: Errand, link: Link) -> None:
    """A connection is there: use it, if it will do."""
    session.link = link
    link.lend(session)
    if errand.terms is not None and errand.need is not None and _has_changed(session, errand, link):
        _leave_replica(session, errand, link, Reason.REPLICA_FAILED)
    elif link.shape == session.profile.shape or _bears_other_defaults(session, errand, link):
        send(session, errand, link)


def step_out(session: Conversation) -> None:
    """Wait no longer, wherever it is."""
    if session.line is not None:
        session.line.leave(session)
        session.line = None
    errand = session.errand
    results = session.results
    if errand is not None and results is not None:
        results.leave(errand, session)


def _acquire(session: Conversation, errand: Errand, server: Server) -> None:
    errand.server = server
    if errand.need is not None:
        errand.sample = draw(session, errand, server.name)
    pool = session.services.pool(server, session.profile)
    state = session.profile.alone if errand.beside else session.profile.state
    link = pool.try_acquire(state, session.belongings.sequences)
    if link is not None:
        arrive(session, errand, link)
        return
    session.phase = WAITING
    session.line = pool
    pool.wait(session)


def _bears_other_defaults(session: Conversation, errand: Errand, link: Link) -> bool:
    """Judge a connection whose login began with other defaults than the client's; see `shape`.

    A replica may be configured differently, and defaults may have changed since. Then a
    replica would answer in other words, so the primary is asked, and nothing is kept.
    """
    session.land(errand, NOT_STORED)
    if errand.need is None:
        return True
    _leave_replica(session, errand, link, Reason.SETTINGS)
    return False


def _has_changed(session: Conversation, errand: Errand, link: Link) -> bool:
    """Tell if what was known when a replica was chosen is not so any more.

    It may have restarted, and gone back behind what it has shown; or definitions may be others, of
    which the answer itself would tell nothing where it is not validated.
    """
    return link.server.incarnation != errand.life or is_outdated(session, errand)


def _leave_replica(session: Conversation, errand: Errand, link: Link, reason: Reason) -> None:
    errand.reason = reason
    session.link = None
    session.give_back(link)
    to_primary(session, errand)


def _hit(session: Conversation, errand: Errand, answer: bytes, now: float) -> None:
    """Answer from the cache, if the client may see that now; else have the primary do so."""
    if not session.sees(errand, now):
        to_primary(session, errand)
        return
    session.errand = None
    session.services.hit(errand)
    if errand.copies:
        was_hit(session, errand)
    if session.floor is not None:
        session.floor.hit(errand.filled_at)
    session.traces.note(session.belongings, errand, None)
    session.shell.write(session.beside(answer))
    session.engine.forget_portals()
    named = errand.request.named_key()
    context = session.profile.context
    results = session.results
    if named is not None and context is not None and results is not None:
        # The next one like it is answered without being read.
        name, prepared, _ = named
        session.belongings.name_answers(context, name, results.answers_of(context, prepared))
    sample = draw(session, errand, "cache")
    if sample is not None:
        sample.add(answer)
        hand_over(session, sample, None)
