"""The facts of one client's conversation: what every step of it reads and changes.

No step is here. They are functions over a `Conversation`, a file for each part of a request's way,
and each file knows only those below it:

    session     what happens: calls from the client, from pools, from server connections
    settling    when the server is ready again: consequences, and where the connection goes
    hearing     what a server says meanwhile
    taking      requests are taken up, one at a time
    way         the way to a server connection
    sending     a request is put on it
    judging, answering   what rules, hints and settings say; what the proxy itself is asked
    failing, leaving   what can't be served; what a client that is gone leaves behind
    auditing    which fast reads are repeated on the primary
    mirroring   what another server group gets too
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from proxy.cache.entry import Answer
from proxy.cache.flight import Landing
from proxy.cache.second import Lookup
from proxy.errors import ClientVisibleError
from proxy.freshness.floor import Floor
from proxy.session.belongings import Belongings
from proxy.session.copies import Copies
from proxy.session.errand import Errand
from proxy.session.intake import Intake
from proxy.session.late import Late
from proxy.session.phase import FREE, Phase
from proxy.session.ports import Line, Link, Services, Shell, Terms
from proxy.session.profile import Profile
from proxy.session.rewriting import rewrite
from proxy.session.traces import Traces
from proxy.wire.client import ClientEngine
from proxy.wire.status import IDLE


class Conversation(ABC):
    """See the module. The abstract methods are what a session is called by while it waits.

    Attributes:
        phase: What is being done. `proxy.session.phase` says what may follow what.
        errand: The request being served, until its answer is whole.
        link: The connection in use, or kept for an open transaction.
        late: A transaction that the client has begun, and no server knows of.
        copies: What another server group is to get, once a rule has asked for any.
        floor: What the client has seen and written, once it has asked not to go back behind that.
        home: The connection kept for a pinned client, while it is not in use.
        grammar, ledger, planner, reader, results, router: Of the services, at hand for every
            request.
        traces: Sees to what statements leave behind.
        line: Where a connection or a primary is waited for.
        notices: What came on the connection kept, until no answer is in the way.
        is_gone: Whether the client is.
        cancels: How many cancel requests were sent that may have hit nothing yet.
        is_slow: Whether the client has been told of more than it has taken.
        answers: Whole requests that can be answered as they are received; None while none can.
        named: The same for statements that this client has prepared, by their names.
        idle_since: When the last thing was done for the client.
    """

    __slots__ = (
        "answers",
        "belongings",
        "cancels",
        "copies",
        "engine",
        "errand",
        "floor",
        "grammar",
        "home",
        "idle_since",
        "intake",
        "is_gone",
        "is_slow",
        "late",
        "ledger",
        "line",
        "link",
        "named",
        "notices",
        "phase",
        "planner",
        "profile",
        "reader",
        "results",
        "router",
        "services",
        "shell",
        "traces",
        "transaction",
    )

    def __init__(
        self,
        services: Services,
        shell: Shell,
        engine: ClientEngine,
        profile: Profile,
        terms: Terms,
        traces: Traces,
    ) -> None:
        self.services = services
        self.traces = traces
        self.ledger = services.ledger
        self.planner = services.planner
        self.reader = services.reader
        self.results = services.results
        self.router = services.router
        self.shell = shell
        self.engine = engine
        self.profile = profile
        self.grammar = services.grammar
        self.belongings = Belongings(engine, profile, terms, services.grammar)
        self.transaction = self.belongings.transaction
        self.intake = Intake(engine.cutter)
        self.phase: Phase = FREE
        self.errand: Errand | None = None
        self.link: Link | None = None
        self.home: Link | None = None
        self.late: Late | None = None
        self.copies: Copies | None = None
        self.floor: Floor | None = None
        self.line: Line | None = None
        self.notices = b""
        self.is_gone = False
        self.cancels = 0
        self.is_slow = False
        self.answers: dict[bytes, Answer] | None = profile.answers
        self.named = self.belongings.named
        self.idle_since = services.clock()
        self.choose_words()

    def choose_words(self) -> None:
        """Say what is prepared as it must be said: by a rule, or on a shared connection."""
        belongings, traces = self.belongings, self.traces
        if self.profile.may_be_rewritten:
            self.engine.say_instead = lambda sql: traces.say_prepared(
                rewrite(self.reader, self.planner, self.profile, sql), belongings
            )
        elif self.profile.startup.settings:
            self.engine.say_instead = lambda sql: traces.say_prepared(sql, belongings)
        else:
            self.engine.say_instead = None

    @property
    def status(self) -> int:
        """How the client's transaction stands, in the protocol's words."""
        if self.link is not None:
            return self.link.exchange.status
        return IDLE if self.late is None else self.late.status

    def beside(self, answer: bytes) -> bytes:
        """A cached answer, as a client hears it whose transaction is held back perhaps."""
        late = self.late
        if late is None:
            return answer
        late.has_read = True
        return self.services.dialect.with_status(
            answer, self.status, begins_itself=self.profile.begins_itself
        )

    def sees(self, errand: Errand, now: float) -> bool:
        """Take a read into its transaction's snapshot, if it has one; False: it is of another."""
        seen = None if self.late is None else self.late.seen
        if seen is None or errand.fast is None or errand.fast.read_set is None:
            return True
        if not self.ledger.all_hold(seen, now):
            return False
        seen[errand.fast.read_set] = errand.version
        return True

    def give_back(self, link: Link) -> None:
        """Let others have a connection."""
        link.lend(None)
        self.services.release(link)

    def land(self, errand: Errand, landing: Landing) -> None:
        """Say to those who wait for the result of an errand that they need not."""
        if self.results is not None:
            self.results.land(errand, landing)

    @abstractmethod
    def admitted(self) -> None:
        """See `Throttled`."""

    @abstractmethod
    def expire(self, errand: Errand, /) -> None:
        """An errand takes longer than it may."""

    @abstractmethod
    def acquired(self, link: Link, /) -> None:
        """See `Waiter`."""

    @abstractmethod
    def asked_for(self, link: Link, /) -> None:
        """See `Holder`."""

    @abstractmethod
    def not_acquired(self, error: ClientVisibleError, /) -> None:
        """See `Waiter`."""

    @abstractmethod
    def primary_found(self) -> None:
        """See `Waiter`."""

    @abstractmethod
    def position_told(self, text: str, /) -> None:
        """See `Asker`."""

    @abstractmethod
    def flight_landed(self, landing: Landing, /) -> None:
        """See `Follower`."""

    @abstractmethod
    def fetched(self, lookup: Lookup, /) -> None:
        """See `Waiter` of the cache."""

    @abstractmethod
    def server_data(self, link: Link, data: bytes, /) -> None:
        """See `LinkUser`."""

    @abstractmethod
    def server_lost(self, link: Link, reason: str, /) -> None:
        """See `LinkUser`."""

    @abstractmethod
    def server_paused(self, link: Link, paused: bool, /) -> None:
        """See `LinkUser`."""
