"""What a session asks of the floors around it: seams, kept beside their user."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxy.errors import ClientVisibleError, Fault
from proxy.freshness.handed import Handed
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.sampling import Sampler
from proxy.freshness.tally import Tally
from proxy.routing.plan import Plan, Planner
from proxy.routing.reading import Reader
from proxy.routing.router import Router
from proxy.routing.rules import Match
from proxy.session.copies import Copy
from proxy.session.errand import Errand
from proxy.session.grammar import Grammar
from proxy.session.late import Held
from proxy.session.profile import Profile
from proxy.session.results import Results
from proxy.session.sample import Sample
from proxy.session.state import Change, SessionState
from proxy.session.transaction import Transaction
from proxy.topology.group import Server
from proxy.types import Ending, PinReason, Position, Reason, Table
from proxy.wire.exchange import Exchange, Heard
from proxy.wire.requests import Execution, Request


class Shell(Protocol):
    """The client's end."""

    def write(self, data: bytes) -> None:
        """Send to the client."""

    def close(self, reason: str, cause: Ending | Fault) -> None:
        """Send what is waiting, then hang up; `reason` for the log, `cause` to be counted."""

    def pause_reading(self) -> None:
        """Take no more from the client until told."""

    def resume_reading(self) -> None:
        """Take more again."""

    def begin_anew(self, request: Request, link: Link | None) -> None:
        """The session is over and everything of it undone: go on as `request` wants.

        Args:
            request: What has ended it.
            link: The connection that the client has kept, if the request takes that; it is not
                anybody's else any more.
        """


class Link(Protocol):
    """A server connection, lent to one session."""

    server: Server
    exchange: Exchange
    state: SessionState
    shape: str  # a digest of the defaults that its login began with
    sequences_of: object  # the session whose currval() and lastval() it knows
    stained_by: object  # whose custom settings may be made on it, under names that nobody knows
    retired: bool  # whether nobody shall have it any more behind this session

    def lend(self, user: LinkUser | None, /) -> None:
        """From now on, hand what comes to this user; None: to nobody."""

    def believes(self, need: Position, epoch: int, /) -> bool:
        """Tell whether a statement sent now will see what needs this position."""

    def verified(self, position: Position, epoch: int, /) -> None:
        """The server said on this very connection that it has replayed a position."""

    def write(self, data: bytes) -> None:
        """Send to the server."""

    def pause_reading(self) -> None:
        """Take no more from the server until told."""

    def resume_reading(self) -> None:
        """Take more again."""

    def abort(self, reason: str) -> None:
        """Hang up at once."""


class LinkUser(Protocol):
    """Who has a link."""

    def server_data(self, link: Link, data: bytes, /) -> None:
        """Take what the server sent."""

    def server_lost(self, link: Link, reason: str, /) -> None:
        """The connection is gone."""

    def server_paused(self, link: Link, paused: bool, /) -> None:
        """The server takes no more for now, or takes more again."""


class Line(Protocol):
    """Where a session stands while it waits."""

    def leave(self, waiter: Waiter, /) -> None:
        """Step out."""


class Waiter(Protocol):
    """Who waits for a link."""

    def acquired(self, link: Link, /) -> None:
        """It is yours."""

    def not_acquired(self, error: ClientVisibleError, /) -> None:
        """There is none to be had."""

    def primary_found(self) -> None:
        """There is a primary to ask again."""


class Holder(Protocol):
    """Who has a link that is not used for now."""

    def asked_for(self, link: Link, /) -> None:
        """Others wait for it: give it back, unless it is in use or needed after all."""


class Asker(Waiter, Protocol):
    """Who waits to be told where the primary is."""

    def position_told(self, text: str, /) -> None:
        """It was there when it was asked, which was after you had asked."""


class Throttled(Waiter, Protocol):
    """Who waits for a rule to let its statement through."""

    def admitted(self) -> None:
        """It is its turn."""


class Pool(Line, Protocol):
    """Where links of one user to one database on one server are lent."""

    def try_acquire(self, flavour: SessionState, preferred: Link | None = None, /) -> Link | None:
        """Lend one at once, or None; the preferred one if it is idle."""

    def wait(self, waiter: Waiter, /) -> None:
        """Stand in line."""


class Dialect(ABC):
    """How an engine says what every engine can say."""

    @property
    @abstractmethod
    def can_wait(self) -> bool:
        """Whether a replica can be told, now, to answer when it has replayed a position."""

    @abstractmethod
    def error(self, error: ClientVisibleError) -> bytes:
        """An error that ends a statement or, where it closes the client, the connection."""

    @abstractmethod
    def ready(self, status: int) -> bytes:
        """The server's word that it waits for the next request."""

    @abstractmethod
    def apply(self, changes: Iterable[Change]) -> bytes:
        """SQL that brings a session from one state to another."""

    @property
    @abstractmethod
    def anew(self) -> bytes:
        """A statement of ours that makes a session as at login."""

    @abstractmethod
    def together(self, commands: Sequence[bytes]) -> bytes:
        """Statements of ours, to be sent as one; empty where there are none."""

    @abstractmethod
    def reached(self, position: Position, patience: float = 0.0) -> bytes:
        """SQL with one row if the replica has replayed this position, and none otherwise.

        Args:
            position: Of the primary's log.
            patience: Seconds that the replica may take for that, where it `can_wait`.
        """

    @abstractmethod
    def committed_at(self, plans: Sequence[Plan], exchange: Exchange) -> Position | None:
        """Where in the primary's log everything is that a request has just committed.

        Args:
            plans: Of its statements.
            exchange: With the answer.

        Returns:
            None: the server did not say it, or not for certain.
        """

    @abstractmethod
    def committed_as(self, plans: Sequence[Plan], exchange: Exchange) -> str:
        """By which id the primary's log tells of what a request has just committed.

        Args:
            plans: Of its statements.
            exchange: With the answer.

        Returns:
            Empty: the server did not say it, or not for certain. It may be several; then nothing in
            the log has it.
        """

    @abstractmethod
    def shown(self, position: Position) -> str:
        """A position, for people."""

    @abstractmethod
    def behind(self, lag: int) -> str:
        """By how much one position is behind another, for people."""

    @abstractmethod
    def opening(
        self,
        begin: bytes,
        savepoints: Sequence[str],
        *,
        has_read: bool,
        one_snapshot: bool,
        is_failed: bool,
    ) -> bytes:
        """SQL that begins a transaction and brings it where one is that was held back.

        Args:
            begin: What the client said; empty: it began by itself.
            savepoints: Those that it has set since.
            has_read: Whether something was read beside it.
            one_snapshot: Whether that and what comes must be of one snapshot: it is taken now.
            is_failed: Whether a statement in it has failed.
        """

    @property
    @abstractmethod
    def written(self) -> bytes:
        """SQL that asks what the open transaction has written; see `routing.discovery`."""

    @abstractmethod
    def closed(self, end: bytes, reply: bytes, heard: Heard | None) -> bytes:
        """The end of an answer that was kept back until the commit behind it was answered."""

    @abstractmethod
    def with_status(self, reply: bytes, status: int, *, begins_itself: bool = False) -> bytes:
        """A whole reply, with another transaction status in the server's last word.

        Args:
            reply: From a connection on which each statement was a transaction.
            status: The client's.
            begins_itself: Whether its transactions begin by themselves.
        """

    @abstractmethod
    def said(self, request: Request, tag: bytes, status: int) -> bytes:
        """A whole reply that something was done."""

    @abstractmethod
    def table(
        self,
        request: Request,
        columns: Sequence[str],
        rows: Sequence[Sequence[str]],
        status: int,
    ) -> bytes:
        """A whole reply with rows of our own."""

    @abstractmethod
    def text(self, sql: bytes) -> Request:
        """A request that runs a text of ours."""

    @abstractmethod
    def failing_part(self, request: Request, error: ClientVisibleError) -> Request:
        """What fails in the place of a part of an open batch, with an error's words."""

    @abstractmethod
    def copy_of(
        self, request: Request, execution: Execution, text: bytes, state: SessionState
    ) -> bytes:
        """What runs a statement somewhere else, by itself; empty: nothing can.

        Args:
            request: What it came with.
            execution: As it was run, with its parameters.
            text: The statement's own, of the execution's.
            state: Of its session.
        """


@dataclass(slots=True, frozen=True)
class Terms:
    """How long a client keeps a server connection: its pool mode.

    Attributes:
        pins: What it is pinned by from the beginning.
        one_statement: Whether it gives the connection back after each statement, always.
    """

    pins: frozenset[PinReason] = frozenset()
    one_statement: bool = False


class Audit(Protocol):
    """Who repeats fast reads on the primary.

    Attributes:
        sampler: Says which.
    """

    sampler: Sampler

    def take(self, sample: Sample, /) -> None:
        """Repeat one, when that is in nobody's way."""

    def skip(self) -> None:
        """One that was drawn can't be repeated: count it."""


class Services(Protocol):
    """What one server group offers to its sessions.

    Attributes:
        audit: Compares some fast reads with the primary's word.
        max_queued: Bytes of requests that may wait behind the one being served.
        late_begin: Whether a transaction is begun at a server only when it must be.
        is_strict: Whether a read waits until all is known that others had committed before it.
    """

    planner: Planner
    reader: Reader
    ledger: Ledger
    results: Results | None
    router: Router
    audit: Audit
    dialect: Dialect
    grammar: Grammar
    max_queued: int
    late_begin: bool
    is_strict: bool
    idle_transaction_timeout: float
    client_idle_timeout: float

    def clock(self) -> float:
        """Seconds, by the clock that everything here counts by."""

    def pool(self, server: Server, profile: Profile) -> Pool:
        """Find the pool of a session's user and database."""

    def wait_for_primary(self, waiter: Waiter) -> Line:
        """Stand in line for a primary."""

    def hand(self, text: str) -> Handed:
        """Take a position that a client has set.

        Raises:
            ValueError, NoPrimary: See `proxy.freshness.handed.Places`.
        """

    def tell_position(self, asker: Asker) -> Line:
        """Stand in line to be told where the primary is, in words for every member."""

    def tally(self, profile: Profile) -> Tally | None:
        """What can be compared afterwards with what is about to be run, as of now."""

    def announce(self, errand: Errand, transaction: Transaction, profile: Profile) -> Mark:
        """Mark what a commit that is about to be sent may change."""

    def hold(self, mark: Mark, link: Link) -> None:
        """Keep back what is sent on a link from now on, until all members know of a commit."""

    def settle(
        self,
        mark: Mark,
        *,
        committed: bool,
        rows: Mapping[Table, int],
        position: Position | None = None,
        gtid: str = "",
    ) -> None:
        """Say what became of it.

        Args:
            mark: The commit's.
            committed: Whether it may have been.
            rows: How many it is known to have written.
            position: Where it is in the primary's log, if that is known.
            gtid: Its id there, if the server has told that.
        """

    def keep(self, mark: Mark) -> None:
        """Keep its tables with the primary for good: no replica will ever have what it wrote."""

    def lose(self, mark: Mark, link: Link) -> None:
        """Its connection broke: find out, and keep its tables with the primary meanwhile."""

    def sent(self, link: Link) -> None:
        """A request was sent to a server."""

    def abandoned(self, server: Server) -> None:
        """A request ended without an answer that counts."""

    def finished(self, errand: Errand, exchange: Exchange) -> None:
        """A request is done: count it."""

    def hit(self, errand: Errand) -> None:
        """A request was answered from the cache: count it."""

    def held_back(self, outcome: Held) -> None:
        """Something has become of a transaction that was held back: count it."""

    def throttle(
        self, rule: Match, waiter: Throttled, is_running: Callable[[], bool]
    ) -> Line | None:
        """Ask to be let through by a rule; None: go on; else stand in this line.

        Args:
            rule: One that lets only so many through.
            waiter: Who is told when it is its turn.
            is_running: Tells whether its statement is still under way.
        """

    def confirm(self, waiter: Throttled, profile: Profile) -> Line | None:
        """Have it found out what others have committed by now; None: it can't be.

        Args:
            waiter: Is admitted when it is known, or told to ask the primary.
            profile: Of its session.
        """

    def mirror(self, copies: Sequence[Copy], database: str, owner: object) -> None:
        """Send statements to other server groups too, and wait for nothing.

        Args:
            copies: Of what has succeeded, in their order.
            database: Where it did.
            owner: What comes from the same one stays in its order.
        """

    def misread(self, word: str) -> None:
        """A hint was not understood: count it, and say so now and then."""

    def limit(self, errand: Errand, seconds: float, stop: Callable[[], None]) -> None:
        """Stop an errand that takes too long; it is forgotten once it is counted as finished."""

    def cancel(self, link: Link) -> None:
        """Stop what a link runs; it is lent to nobody else before that has been heard."""

    def release(self, link: Link) -> None:
        """Take a link back."""

    def offer(self, link: Link, holder: Holder) -> None:
        """Have a link asked for that is kept, once others wait for it."""

    def gone(self, session: object) -> None:
        """A session is over, and has nothing any more."""

    def explain(
        self, profile: Profile, asked: Execution, blocked: Reason | None
    ) -> tuple[list[str], list[list[str]]]:
        """Answer a statement that is meant for the proxy: columns and rows.

        Args:
            profile: Of the session that asks.
            asked: What it says, with its parameters; nobody runs it afterwards.
            blocked: Why its reads can't leave the primary; None: they can.

        Raises:
            ClientVisibleError: There is no such thing.
        """
