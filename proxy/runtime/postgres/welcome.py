"""What a new client is told of its session: asked of a server once, then known.

The values a server reports (ParameterStatus) depend on the user, the database and the startup
parameters, and only the server knows how it will spell them. So the first client of a kind borrows
a server connection, has its settings applied there, and the answer serves all that follow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast, final

from proxy.engines.postgres.quoting import written
from proxy.routing.terms import NO_WISHES, Wishes
from proxy.runtime.borrowing import Borrower, Lender, StateRefused
from proxy.session.grammar import Defaults
from proxy.session.own import PREFIX, Hand, with_value
from proxy.session.state import SessionState
from proxy.wire.postgres import backend
from proxy.wire.postgres.errors import LoginRefused
from proxy.wire.postgres.exchange import Exchange
from proxy.wire.postgres.startup import Startup

KNOWN: Final = 10_000
"""Kinds of clients that are remembered; then it begins anew."""


@dataclass(slots=True, frozen=True)
class Greeting:
    """ParameterStatus messages, ready to be sent, and what a session of this kind begins with."""

    parameters: bytes
    defaults: Defaults


def startup_state(wish: Startup) -> SessionState:
    """The state of a session that has only sent its startup parameters."""
    settings = {}
    for name, value in wish.settings.items():
        key = name.decode("utf-8", "surrogateescape")
        if not key.startswith(PREFIX):
            settings[key] = written(key, value.decode("utf-8", "surrogateescape"))
    return SessionState.of(settings, {})


def startup_wishes(wish: Startup, hand: Hand) -> Wishes:
    """What a client said of the proxy's own settings when it came.

    Args:
        wish: What it said.
        hand: Takes a position.

    Raises:
        UnknownSetting: There is no such setting.
        InvalidSetting: It can't have this value.
        NoPrimary: It can't have it yet.
    """
    wishes = NO_WISHES
    for name, value in wish.settings.items():
        key = name.decode("utf-8", "surrogateescape")
        if key.startswith(PREFIX):
            said = value.decode("utf-8", "surrogateescape")
            wishes = with_value(wishes, key, said, hand)
    return wishes


@final
class Welcomes:
    """See the module."""

    __slots__ = ("_known", "_lender")

    def __init__(self, lender: Lender) -> None:
        self._lender = lender
        self._known: dict[tuple[str, str, SessionState], Greeting] = {}

    def forget(self) -> None:
        """There is a new primary: it may have other defaults."""
        self._known.clear()

    async def greeting(self, user: str, database: str, state: SessionState) -> Greeting:
        """Find what a client of this kind is told.

        Raises:
            ClientVisibleError: The server would not let it in, or would not set its parameters.
        """
        key = (user, database, state)
        known = self._known.get(key)
        if known is None:
            known = await self._ask(user, database, state)
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[key] = known
        return known

    async def _ask(self, user: str, database: str, state: SessionState) -> Greeting:
        borrower = Borrower()
        try:
            connection = await borrower.borrow(self._lender, user, database, state)
        except StateRefused as refusal:
            raise LoginRefused(_fatal(refusal.message)) from None
        exchange = cast(Exchange, connection.exchange)
        parameters = b"".join(
            backend.parameter_status(name, value) for name, value in exchange.parameters.items()
        )
        encoding = exchange.parameters.get(b"client_encoding", b"").decode()
        facts = connection.facts
        borrower.give_back(connection)
        begun = {**facts.defaults, "client_encoding": encoding}
        return Greeting(parameters, Defaults(begun, facts.shape))


def _fatal(error: bytes) -> bytes:
    """The server's own words, as the end of a login that they are here."""
    fields = backend.read_error(error)
    rest = {
        kind: value
        for kind, value in fields.items()
        if kind not in (backend.SEVERITY, backend.SEVERITY_UNTRANSLATED)
    }
    sqlstate, text = rest.pop(backend.SQLSTATE, b"XX000"), rest.pop(backend.MESSAGE, b"")
    return backend.error_response(b"FATAL", sqlstate, text, rest)
