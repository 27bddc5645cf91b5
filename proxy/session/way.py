"""The way of an errand to a server connection: who serves it, and what is waited for.

A read that may leave the primary is looked for in the cache first, then in the hands of a session
that is fetching the same, then at a replica; whatever lets it down, the primary has it. Everything
else goes to the primary. How a connection is lent is the pools' affair; who calls when it comes is
`session`.
"""

from __future__ import annotations

from proxy.cache.flight import NOT_STORED
from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.phase import WAITING
from proxy.session.ports import Link
from proxy.session.results import plain_bind_of
from proxy.session.sending import is_outdated, send
from proxy.topology.group import Server
from proxy.types import Reason


def read_fast(session: Conversation, errand: Errand) -> None:
    """Get a proven read its answer, from whoever may serve it (freshness.md, read path, 2 to 4)."""
    services = session.services
    plan = errand.fast
    assert plan is not None
    assert plan.read_set is not None
    if is_outdated(session, errand):
        to_primary(session, errand)
        return
    now = services.clock()
    errand.version = session.ledger.version(plan.read_set)
    results = session.results
    if results is not None and errand.attempts == 0:
        answer = results.find(session.profile, errand, now)
        if answer is not None:
            if session.sees(errand, now):
                _hit(session, errand, answer)
            else:
                to_primary(session, errand)
            return
        if results.join(errand, session):
            session.phase = WAITING
            return
    server, errand.reason = session.router.choose(plan.read_set, now)
    if server is None:
        to_primary(session, errand)
        return
    errand.need = session.ledger.need(plan.read_set)
    _acquire(session, errand, server)


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
    errand.rejected = False
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
    if link.shape == session.profile.shape or _bears_other_defaults(session, errand, link):
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
    pool = session.services.pool(server, session.profile)
    link = pool.try_acquire(session.profile.state, session.belongings.sequences)
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
    errand.reason = Reason.SETTINGS
    session.link = None
    session.give_back(link)
    to_primary(session, errand)
    return False


def _hit(session: Conversation, errand: Errand, answer: bytes) -> None:
    """Answer from the cache."""
    session.errand = None
    session.services.hit(errand)
    session.shell.write(session.beside(answer))
    session.engine.forget_portals()
    prepared = plain_bind_of(errand.request)
    context = session.profile.context
    results = session.results
    if prepared is not None and context is not None and results is not None:
        # The next one like it is answered without being read.
        name = errand.request.items[0].name
        session.belongings.name_answers(context, name, results.answers_of(context, prepared))
