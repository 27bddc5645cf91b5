"""What a client has in its session, whichever connection serves it.

Its settings and prepared statements, its open transaction, what pins it to a connection, the
answers that are ready for it. What a statement does to all this is in `effects` and
`consequences`; which connections it has is not known here.
"""

from __future__ import annotations

from typing import final

from proxy.cache.entry import Answer, Context
from proxy.session.grammar import Grammar
from proxy.session.pins import HARMLESS
from proxy.session.ports import Link, Terms
from proxy.session.profile import Profile
from proxy.session.transaction import Transaction
from proxy.types import PinReason, Reason
from proxy.wire.client import ClientEngine
from proxy.wire.requests import Request


@final
class Recent:
    """What is known of the statement before, for what asks about it.

    Attributes:
        link: The connection that it ran on; None: it was answered here.
        turn: How far that connection was then.
        count: How many rows it has changed; None: nobody knows.
        is_rows: Whether it brought rows.
        rows: Itself, if it did and may be repeated.
    """

    __slots__ = ("count", "is_rows", "link", "rows", "turn")

    def __init__(self) -> None:
        self.link: Link | None = None
        self.turn = 0
        self.count: int | None = 0
        self.is_rows = False
        self.rows: Request | None = None


@final
class Belongings:
    """See the module.

    Attributes:
        engine: Knows what the client has prepared by the protocol.
        grammar: Says what its session commands mean.
        profile: What it has set and prepared in SQL, and what follows from that.
        terms: Its pool mode.
        pins: Why it keeps its server connection; empty: it does not.
        transaction: The open one, or the last.
        named: Ready answers to statements that it has prepared, by their names.
        temporary_runs: Whether a read of something temporary may run what nobody has looked at.
        sequences: The connection that knows what its currval() and lastval() are.
        customs: Names that it may have made custom settings under, unseen.
        last_id: What its last insert was given.
        recent: What it has done last.
        is_misled: Whether it may have been told a server's default for what it said when it came.
    """

    __slots__ = (
        "_named_in",
        "customs",
        "engine",
        "grammar",
        "is_misled",
        "last_id",
        "named",
        "pins",
        "profile",
        "recent",
        "sequences",
        "temporary_runs",
        "terms",
        "transaction",
    )

    def __init__(
        self, engine: ClientEngine, profile: Profile, terms: Terms, grammar: Grammar
    ) -> None:
        self.engine = engine
        self.grammar = grammar
        self.profile = profile
        self.terms = terms
        self.pins: set[PinReason] = set(terms.pins)
        self.transaction = Transaction(grammar)
        self.named: dict[bytes, dict[bytes, Answer]] = {}
        self._named_in = profile.context
        self.temporary_runs = False
        self.sequences: Link | None = None
        self.is_misled = False
        self.last_id = 0
        self.recent = Recent()
        self.customs: set[str] = set()

    @property
    def why_at_primary(self) -> Reason | None:
        """Why no read may leave the primary; None: one may."""
        blocked = self.profile.blocked
        if blocked is None and self.pins and not self.pins <= HARMLESS:
            return Reason.PINNED
        return blocked

    def forget_statements(self, link: Link) -> None:
        """Every named statement is gone, for the client and on the connection."""
        self.engine.forget_statements()
        link.exchange.forget_statements()

    def name_answers(self, context: Context, name: bytes, answers: dict[bytes, Answer]) -> None:
        """Let a prepared statement's next Bind be answered without being read."""
        self._named_in = context
        self.named[name] = answers

    def forget_named_elsewhere(self) -> None:
        """Drop ready answers that are not for what the session is like now."""
        if self.profile.context is not self._named_in:
            self.named.clear()

    def may_run_unseen(self) -> bool:
        """Whether a name may stand for a temporary view, which may write anything."""
        return self.temporary_runs or self.transaction.tainted

    def rejoin(self) -> None:
        """No transaction is open: only a temporary table still hides what everybody sees."""
        if PinReason.TEMPORARY_TABLE not in self.pins:
            self.engine.rejoin()

    def take_pins(self, found: set[PinReason]) -> None:
        """Take the server's word for what the client must keep its connection for."""
        kept = self.pins & {PinReason.UNKNOWN}
        had_temporary = PinReason.TEMPORARY_TABLE in self.pins
        self.pins = kept | set(self.terms.pins) | found
        if PinReason.TEMPORARY_TABLE not in self.pins:
            self.temporary_runs = False
        elif not had_temporary:
            self.temporary_runs = True  # a function has made it, of whatever kind
