"""What a client leaves behind: its connections are cleaned up, then others may have them.

A `Farewell` takes over from a session that is over. It goes from connection to connection, and
each tells by its state what is still to be done: an open transaction is rolled back, what lives in
the server's session is discarded, and what can't be cleaned up is dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, unique
from typing import Final, final

from proxy.errors import RemoteProtocolError
from proxy.session.conversation import Conversation
from proxy.session.phase import OVER
from proxy.session.ports import Link, Services
from proxy.session.state import UNTOUCHED, SessionState
from proxy.wire.exchange import Exchange
from proxy.wire.status import IDLE


@unique
class Duty(Enum):
    """What is to be done next with a connection that was left behind."""

    DROP = "drop"
    ROLL_BACK = "roll back"
    DISCARD = "discard"
    GIVE_BACK = "give back"


DROP: Final = Duty.DROP
ROLL_BACK: Final = Duty.ROLL_BACK
DISCARD: Final = Duty.DISCARD
GIVE_BACK: Final = Duty.GIVE_BACK


def duty(exchange: Exchange, *, is_torn: bool, was_asked: bool, is_clean: bool) -> Duty:
    """Say what is to be done next with a connection.

    Args:
        exchange: The connection's.
        is_torn: Whether the server still waits for the rest of a message.
        was_asked: Whether its last request was one of ours, to clean up.
        is_clean: Whether nothing of the client lives in its session.
    """
    if is_torn or (was_asked and exchange.error is not None):
        return DROP
    if exchange.status != IDLE:
        return ROLL_BACK
    return GIVE_BACK if is_clean else DISCARD


def leave(session: Conversation, then: Callable[[], None] | None = None) -> None:
    """The client is gone and nothing runs for it: let its connections be cleaned up.

    Args:
        session: The client's.
        then: What is to be done when they are.
    """
    session.phase = OVER
    links = [link for link in (session.link, session.home) if link is not None]
    session.link = session.home = session.errand = None
    belongings = session.belongings
    transaction = belongings.transaction
    Farewell(
        session.services,
        session,
        links,
        torn=session.intake.sink,
        before=transaction.state,
        is_clean=not (belongings.pins or transaction.tainted or transaction.unsure),
        then=then,
    ).go_on()


@final
class Farewell:
    """See the module. It is the connections' user.

    Args:
        services: Take back what is clean.
        leaver: Whose connections they are.
        links: These.
        torn: The one that has a message in part.
        before: What the session was like before the open transaction.
        is_clean: Whether nothing of the client lives in the servers' sessions.
        then: What is to be done when nothing is left.
    """

    __slots__ = (
        "_asked",
        "_before",
        "_is_clean",
        "_leaver",
        "_links",
        "_services",
        "_then",
        "_torn",
    )

    def __init__(
        self,
        services: Services,
        leaver: object,
        links: list[Link],
        *,
        torn: Link | None,
        before: SessionState,
        is_clean: bool,
        then: Callable[[], None] | None = None,
    ) -> None:
        self._then = then
        self._services = services
        self._leaver = leaver
        self._links = links
        self._torn = torn
        self._before = before
        self._is_clean = is_clean
        self._asked: Duty | None = None  # of the first of the links
        for link in links:
            link.lend(self)

    def go_on(self) -> None:
        """Do what can be done until something must be waited for."""
        while self._links:
            link = self._links[0]
            exchange = link.exchange
            what = duty(
                exchange,
                is_torn=link is self._torn,
                was_asked=self._asked is not None,
                is_clean=self._is_clean or self._asked is DISCARD,
            )
            if what is ROLL_BACK:
                if self._services.grammar.rolls_settings_back:
                    link.state = link.state.with_settings(dict(self._before.settings))
                self._asked = what
                link.write(exchange.ask(b"ROLLBACK"))
                return
            if what is DISCARD:
                link.state = UNTOUCHED
                link.stained_by = None
                self._asked = what
                link.write(exchange.reset())
                return
            self._asked = None
            del self._links[0]
            link.lend(None)
            if what is DROP:
                link.abort("could not be cleaned up")
            else:
                self._services.release(link)
        self._services.gone(self._leaver)
        if self._then is not None:
            self._then()

    def server_data(self, link: Link, data: bytes) -> None:
        """See `LinkUser`."""
        exchange = link.exchange
        is_asked = not exchange.done
        try:
            if is_asked:
                exchange.feed(data)
            else:
                exchange.idle_feed(data)
        except RemoteProtocolError as error:
            link.abort(error.message)
            return
        exchange.asynchronous = b""  # nobody is there to be told
        if is_asked and exchange.done:
            self.go_on()

    def server_lost(self, link: Link, reason: str) -> None:
        """See `LinkUser`."""
        if link not in self._links:
            return
        is_first = link is self._links[0]
        self._links.remove(link)
        if is_first:
            self._asked = None
            self.go_on()

    def server_paused(self, link: Link, paused: bool) -> None:
        """See `LinkUser`: next to nothing is sent."""
