"""The audit: some fast reads are repeated on the primary, and a wrong one has consequences.

It is in nobody's way. The client has its answer already; one read is repeated at a time, on a
connection that is idle while there are others, or room for them; and it is stopped when somebody
waits there. Which reads are drawn is up to `freshness.sampling`; what the answers say, to
`session.sample`; what follows from that, to `freshness.suspicion`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Protocol, cast, final

from proxy.freshness.ledger import Ledger
from proxy.freshness.sampling import Sampler
from proxy.freshness.shares import US
from proxy.freshness.suspicion import Suspicions
from proxy.observe.logs import Logger
from proxy.observe.metrics import GroupMetrics
from proxy.routing.plan import Planner
from proxy.runtime.catalogs import Catalogs
from proxy.runtime.pools import Pool
from proxy.runtime.repeating import Repetition
from proxy.runtime.server import ServerConnection
from proxy.session.grammar import Grammar
from proxy.session.ports import Dialect, Link
from proxy.session.profile import Profile
from proxy.session.sample import ROOM, Sample
from proxy.settings.model import ServerGroup
from proxy.settings.values import OutOfBand
from proxy.sql.digest import digest
from proxy.topology.group import Group, Server
from proxy.types import Audited, Table, Token

log = Logger("audit")

TIME_LIMIT: Final = 5.0
"""Seconds for one repetition; then it is cancelled."""

GRACE: Final = 2.0
"""Seconds until a server that does not even hear of that is hung up on."""

COUNTED_LATE: Final = 11.0
"""Seconds after which servers have counted what was written past the proxy: PostgreSQL's take up to
ten."""

REMEMBERED: Final = 1000
"""Fingerprints that are told of once each; then it begins anew."""


class Examined(Protocol):
    """The server group: what is asked of it."""

    settings: ServerGroup
    group: Group
    ledger: Ledger
    planner: Planner
    catalogs: Catalogs
    metrics: GroupMetrics
    dialect: Dialect
    grammar: Grammar

    def clock(self) -> float:
        """Seconds."""

    def pool(self, server: Server, profile: Profile, /) -> Pool:
        """Find the pool of a session's user and database."""

    def hurry(self) -> None:
        """Have the other members told at once, if there are any."""

    def release(self, link: Link, /) -> None:
        """Take a connection back."""

    def cancel(self, link: Link, /) -> None:
        """Stop what runs on it."""


@final
class Audits:
    """See the module. One for each server group.

    Attributes:
        sampler: Says which reads are drawn.
    """

    def __init__(self, group: Examined, new_token: Callable[[], Token]) -> None:
        settings = group.settings
        self.sampler = Sampler(settings.audit, settings.audit_per_second)
        self._group = group
        self._new_token = new_token
        self._suspicions = Suspicions(group.ledger, _patience(settings))
        self._repetition: Repetition | None = None
        self._pool: Pool | None = None
        self._began = 0.0
        self._limit: asyncio.TimerHandle | None = None
        self._is_waiting = False  # for the turn of the loop in which one is begun
        self._told: set[str] = set()

    # Audit, for the sessions

    def take(self, sample: Sample) -> None:
        """See `session.ports.Audit`: begun when whatever goes on now is over."""
        group = self._group
        primary = group.group.primary
        is_busy = self._is_waiting or self._repetition is not None
        if primary is None or is_busy or not self.sampler.admits(group.clock()):
            self.skip()
            return
        self._is_waiting = True
        pool = group.pool(primary, sample.profile)
        asyncio.get_running_loop().call_soon(self._begin, sample, pool)

    def skip(self) -> None:
        """One that was drawn can't be repeated."""
        self._group.metrics.audited.count(Audited.SKIPPED)

    # One repetition

    def _begin(self, sample: Sample, pool: Pool) -> None:
        self._is_waiting = False
        book = pool.book
        has_room = len(book.idle) > 1 or book.total < book.limits.size
        link = pool.try_acquire(sample.state) if has_room else None
        if link is None:
            self.skip()
            return
        if link.shape != sample.shape or link.stained_by is not None:
            self._group.release(link)  # it may answer in other words
            self.skip()
            return
        self._pool = pool
        self._began = self._group.clock()
        self._limit = asyncio.get_running_loop().call_later(TIME_LIMIT, self._stop)
        self._repetition = Repetition(sample, link, 2 * ROOM, self._ended)
        self._repetition.begin(self._group.dialect, self._group.grammar)

    def _stop(self) -> None:
        """Cancel it: it takes too long, or somebody waits for a connection."""
        repetition = self._repetition
        if repetition is not None:
            self._hurry(repetition, GRACE)
            self._group.cancel(repetition.link)

    def _hurry(self, repetition: Repetition, seconds: float) -> None:
        if self._limit is not None:
            self._limit.cancel()
        self._pool = None
        reason = "a repeated read took too long"
        self._limit = asyncio.get_running_loop().call_later(seconds, repetition.link.abort, reason)

    def _ended(self, reply: bytes | None) -> None:
        repetition, self._repetition = self._repetition, None
        self._pool = None
        if self._limit is not None:
            self._limit.cancel()
        if repetition is None:
            return
        group = self._group
        link = cast(ServerConnection, repetition.link)
        now = group.clock()
        self.sampler.ended(now - self._began, now)
        self._judge(repetition.sample, reply, link.server, now)
        if not link.is_lost:
            link.exchange.asynchronous = b""
            group.release(link)

    def _judge(self, sample: Sample, reply: bytes | None, server: Server, now: float) -> None:
        if reply is None:
            self.skip()
            return
        group = self._group
        is_unchanged = (
            server is group.group.primary
            and sample.generation == group.planner.generation
            and group.ledger.fast_ok(sample.read_set, sample.version, now)
        )
        outcome = sample.compare(reply) if is_unchanged else Audited.CHANGED
        if outcome is Audited.DIFFERENT:
            self._suspicions.suspect(sample, sample.read_set, self._new_token(), now)
            group.hurry()
            self._settle(now)
        else:
            group.metrics.audited.count(outcome)

    # What follows

    def upkeep(self, now: float) -> None:
        """Look after what is overdue, about twice a second."""
        self._settle(now)
        if self._pool is not None and self._pool.book.waiting:
            self._stop()

    def _settle(self, now: float) -> None:
        facts, innocent = self._suspicions.settle(now)
        if innocent:
            self._group.hurry()
        for _ in innocent:
            self._group.metrics.audited.count(Audited.FOREIGN)
        for fact in facts:
            self._group.metrics.audited.count(Audited.DIFFERENT)
            self._tell(cast(Sample, fact.what))

    def _tell(self, sample: Sample) -> None:
        """Say it once of each fingerprint, and never with a value."""
        fingerprint = digest(sample.statement.text)
        if fingerprint in self._told:
            return
        if len(self._told) >= REMEMBERED:
            self._told.clear()
        self._told.add(fingerprint)
        log.error(
            "a fast read was not what the primary says: its tables are the primary's from now on",
            group=self._group.settings.name,
            database=sample.profile.database,
            fingerprint=fingerprint,
            served_by=sample.served_by,
            tables=", ".join(self._names(sample.read_set.tables)) or None,
        )

    @property
    def quarantined(self) -> list[str]:
        """The tables that nobody but the primary serves, and which member has found that out."""
        ledger = self._group.ledger
        here = ledger.doubted_by(US)
        told = self._names(here)
        for member in ledger.doubters:
            if member != US:
                others = self._names(ledger.doubted_by(member) - here)
                told += [f"{name}, found by member {member}" for name in others]
        return told

    def _names(self, tables: Iterable[Table]) -> list[str]:
        return sorted(map(self._group.catalogs.name_of, tables))

    def follow(self, settings: ServerGroup) -> None:
        """An operator has had the settings read again: everything is believed anew."""
        self.sampler.follow(settings.audit, settings.audit_per_second)
        names = self._names(self._suspicions.drop())
        self._group.hurry()
        self._told.clear()
        if names:
            log.info("tables are believed again", group=settings.name, tables=", ".join(names))

    def close(self) -> None:
        """Stop."""
        if self._limit is not None:
            self._limit.cancel()


def _patience(settings: ServerGroup) -> float:
    """How long a write past the proxy may take to be noticed."""
    if settings.out_of_band is OutOfBand.NONE:
        return 0.0
    return COUNTED_LATE + settings.out_of_band_interval
