"""One request on its way: what was decided for it, and what has become of it so far."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from enum import Enum, unique
from typing import Final, Protocol, final

from proxy.cache.second import Lookup
from proxy.errors import ClientVisibleError
from proxy.freshness.mark import Mark
from proxy.routing.plan import Plan
from proxy.routing.terms import Terms
from proxy.session.copies import Copy
from proxy.session.fill import Fill
from proxy.session.grammar import Settings
from proxy.session.sample import Sample
from proxy.sql.statement import Effect, Kind
from proxy.topology.group import Server
from proxy.types import Consistency, Position, Reason
from proxy.wire.exchange import Heard
from proxy.wire.requests import END_READY, Request

_ASKS_BEFORE: Final = Effect.ASKS_BEFORE
_NOT_KNOWN: Final = Reason.OPAQUE
_VALIDATED: Final = (Consistency.STRONG, Consistency.SESSION)


class Timer(Protocol):
    """What goes off by itself."""

    def cancel(self) -> None:
        """It need not."""


@unique
class Ahead(Enum):
    """What is being done at the server, on the errand's connection, ahead of the errand."""

    PREPARING = "preparing"  # statements, under the settings of the time when they were prepared
    OPENING = "opening"  # the transaction that was held back
    UNDOING = "undoing"  # the transaction that was opened, as it can't be of the same snapshot
    DISCOVERING = "discovering"  # the server is asked what the transaction has written
    RECALLING = "recalling"  # what brings the connection where the statement before has left it


@final
class Errand:
    """A request between the moment it is taken up and the moment it is done.

    Attributes:
        plans: One per statement that it runs; empty where nothing is run.
        is_plain: Whether it is one statement that reads, and nothing else, and all of it is here.
        fast: The plan of a read that need not see the primary, or None.
        version: Of the fast read's tables, when it was decided where to send it.
        need: What the chosen replica must have replayed; None at the primary.
        patience: Seconds that may be waited there until it has.
        checked: The epoch in which the replica was asked for its position in front of the read.
        mark: Announced for the commit that this request may bring about.
        fill: What is gathered of the answer, for the cache.
        sample: What is gathered of the answer, for the audit.
        leads: Whether others wait for this result.
        flight: What it waits for, when another session is fetching it.
        lookup: What it waits for, when the second level is asked.
        is_fetched: Whether that had the result that it is answered with.
        alone: Whether it must go itself, since the other's result could not be kept.
        clock: Whether its text means another moment each time it is read.
        uncached: Why its result is not kept.
        foreign: Constants that statements were prepared with for it, other than its client's now.
        ahead: What is being done at the server before it is sent; None: nothing, or settings.
        beside: Whether it is served beside the transaction that its client has begun.
        is_wrapped: Whether it runs in a transaction of ours, which its client knows nothing of.
        closes: The end of the answer to what ran in one, for this COMMIT to say; None: it is not
            ours.
        heard: What the server said before it was sent, and the client must hear with the answer.
        reply: What has come of the answer, where that is rewritten.
        is_aside: Whether that was done behind a savepoint, and is still to be taken back.
        asks: Whether it asks about the statement before, and its connection is still to be made to
            know.
        terms: How its read is to be served, where somebody has said anything of it; else None.
        is_current: Whether its replica is one that has all that its tables need.
        current_at: Since when something may be missing from its answer.
        filled_at: When the cached result was kept that it is answered with.
        life: The incarnation of the replica that was chosen.
        refusal: Why a rule does not let it run.
        timer: Stops it when it takes too long.
        copies: What another server group is to get of it; None in the places of other statements.
        attempts: How often it has been sent; a read is repeated once.
        sent_at: When it was sent, the last time.
        answered_at: When the first bytes of its answer came; 0.0 before.
        started: Whether an answer has begun to come.
        rejected: Whether that answer was thrown away.
    """

    __slots__ = (
        "ahead",
        "alone",
        "answered_at",
        "asks",
        "attempts",
        "beside",
        "checked",
        "clock",
        "closes",
        "copies",
        "current_at",
        "fast",
        "fill",
        "filled_at",
        "flight",
        "foreign",
        "heard",
        "is_aside",
        "is_current",
        "is_fetched",
        "is_plain",
        "is_wrapped",
        "leads",
        "life",
        "lookup",
        "mark",
        "need",
        "patience",
        "plans",
        "reason",
        "refusal",
        "rejected",
        "reply",
        "request",
        "sample",
        "sent_at",
        "server",
        "started",
        "terms",
        "texts",
        "timer",
        "uncached",
        "version",
    )

    def __init__(self, request: Request, plans: tuple[Plan, ...]) -> None:
        self.request = request
        self.take_plans(plans)
        self.asks = not self.is_plain and any(
            _ASKS_BEFORE in plan.statement.effects for plan in plans[:1]
        )
        self.texts: tuple[bytes, ...] = ()
        self.fast: Plan | None = None
        self.version = 0
        self.need: Position | None = None
        self.patience = 0.0
        self.mark: Mark | None = None
        self.fill: Fill | None = None
        self.sample: Sample | None = None
        self.leads = False
        self.flight: Hashable = None
        self.lookup: Lookup | None = None
        self.is_fetched = False
        self.alone = False
        self.clock = False
        self.uncached: Reason | None = None
        self.checked: int | None = None
        self.foreign: list[Settings] = []
        self.ahead: Ahead | None = None
        self.is_aside = False
        self.beside = False
        self.is_wrapped = False
        self.closes: bytes | None = None
        self.heard: Heard | None = None
        self.reply = b""
        self.terms: Terms | None = None
        self.is_current = True
        self.current_at = 0.0
        self.filled_at = 0.0
        self.life = 0
        self.refusal: ClientVisibleError | None = None
        self.timer: Timer | None = None
        self.copies: Sequence[Copy | None] = ()
        self.attempts = 0
        self.reason = _NOT_KNOWN
        self.server: Server | None = None
        self.sent_at = 0.0
        self.answered_at = 0.0
        self.started = False
        self.rejected = False

    def take_plans(self, plans: tuple[Plan, ...]) -> None:
        """Note what its statements do."""
        self.plans = plans
        self.is_plain = len(plans) == 1 and plans[0].is_plain and self.request.end is END_READY

    @property
    def must_validate(self) -> bool:
        """Whether a replica's answer counts only if no commit has begun meanwhile."""
        terms = self.terms
        return terms is None or terms.contract.consistency in _VALIDATED

    @property
    def is_read(self) -> bool:
        """Whether it asks for rows, as opposed to BEGIN, SET and the like."""
        return any(plan.statement.kind is Kind.READ for plan in self.plans)

    @property
    def is_write(self) -> bool:
        """Whether it changes anything."""
        return any(plan.writes for plan in self.plans)

    @property
    def may_repeat(self) -> bool:
        """Whether it is a proven read of which nothing was sent on: it can be repeated, once."""
        return self.fast is not None and not self.started and self.attempts < 2
