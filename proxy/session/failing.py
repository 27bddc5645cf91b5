"""What can't be served: the client is told, and what it sends next is made to fit."""

from __future__ import annotations

from proxy.cache.flight import FAILED
from proxy.errors import ClientVisibleError, Fault, ServerLost
from proxy.session.conversation import Conversation
from proxy.session.errand import Errand
from proxy.session.phase import FREE, OVER
from proxy.wire.requests import END_READY


def fail(session: Conversation, errand: Errand, error: ClientVisibleError) -> None:
    """Tell the client that its request can't be served."""
    session.errand = None
    session.land(errand, FAILED)
    session.shell.write(session.services.dialect.error(error))
    if error.closes_client:
        session.shell.close(error.message, error.fault)
    else:
        end_unserved(session, errand)


def end_unserved(session: Conversation, errand: Errand) -> None:
    """The client has been told of an error: end its request as a server would."""
    session.phase = FREE
    is_whole = errand.request.end is END_READY
    if not is_whole:
        session.intake.skip()
    session.engine.undo(errand.request, 0)
    if session.link is None:
        session.engine.forget_portals()
    session.land(errand, FAILED)
    if session.late is not None:
        session.late.fail()
    if is_whole:
        session.shell.write(session.services.dialect.ready(session.status))
    if errand.request.streams:
        session.intake.pour_into(None)


def hang_up(session: Conversation, why: str, said: bytes | None = None) -> None:
    """Tell the client that a server took its session along, in its own words if it `said` so."""
    if session.phase is not OVER:
        session.shell.write(said or session.services.dialect.error(ServerLost(why)))
        session.shell.close(why, Fault.SERVER_LOST)
