"""What is counted for a server group, and what is asked of it when somebody scrapes.

Counters live here and are counted by whoever does the thing, as `metrics.writes += 1`. What has a
place of its own already (a pool's lines, the ledger's tables) isn't kept twice: it is read
from there through `Gauges` at the moment of the scrape. Pure; `export` does the format.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, final

from proxy.observe.counters import Count, Counters, Histogram, Tally
from proxy.types import Audited, Mirrored, PinReason, Reason, Role


@final
class ServerMetrics:
    """What one server did for clients; the cache counts as one, named `cache`."""

    __slots__ = ("bans", "bytes_in", "bytes_out", "latency", "name", "reads")

    def __init__(self, name: str) -> None:
        self.name = name
        self.reads = Counters(Reason)  # why they were served here
        self.latency = Histogram()  # of statements, from request to last byte
        self.bans = 0
        self.bytes_in = 0  # from the server
        self.bytes_out = 0  # to the server


class SecondLevelCounts(Protocol):
    """What is counted of the second level of the cache."""

    @property
    def reads(self) -> Counters[Any]:
        """Misses in memory, by what became of them there."""

    @property
    def writes(self) -> Counters[Any]:
        """Results, by whether they were kept there."""

    @property
    def turns(self) -> Counters[Any]:
        """Misses there too, by how it was settled which member asks a server."""

    @property
    def seconds(self) -> Histogram:
        """What it took to ask there."""


@dataclass(slots=True)
class FleetCounts:
    """What a server group does as a member of a fleet.

    Attributes:
        members: How many there are, this one included; 0: it is none yet.
        is_fast: Whether all others and the primary let it answer from caches and replicas.
        waits: Commits that were kept back until all knew of them.
        wait_seconds: For how long, in all.
        rides: Commits that needed no announcement: their tables' tokens linger.
        unheard: Members of the view that are not heard on the bus, or do not hear this one.
    """

    members: int = 0
    is_fast: bool = False
    waits: int = 0
    wait_seconds: float = 0.0
    rides: int = 0
    unheard: int = 0


@final
class BusCounts:
    """What went over the bus of a fleet, for all server groups of the process."""

    __slots__ = (
        "bytes_in",
        "bytes_out",
        "is_up",
        "messages_in",
        "messages_out",
        "refused",
        "unsent",
        "ups",
    )

    def __init__(self) -> None:
        self.is_up = False
        self.ups = 0  # how often it came up, the first time included
        self.messages_in = 0  # of others
        self.messages_out = 0  # each once, however many hear it
        self.bytes_in = 0
        self.bytes_out = 0
        self.unsent = 0  # messages, because it was away
        self.refused = 0  # messages that make no sense


@final
class GroupMetrics:
    """The counters of one server group."""

    __slots__ = (
        "audited",
        "bytes_in",
        "bytes_out",
        "cache_evictions",
        "cache_fills",
        "cache_hits",
        "cache_misses",
        "clients",
        "commits",
        "ended",
        "foreign_writes",
        "gone_in",
        "gone_out",
        "hints_misread",
        "login_failures",
        "mirrored",
        "name",
        "rules",
        "second",
        "servers",
        "transactions",
        "uncached",
        "writes",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.servers: dict[str, ServerMetrics] = {}
        self.writes = 0  # statements
        self.commits = Tally()  # that write, by how it was known what
        self.transactions = Tally()  # whose BEGIN was held back, by what has become of them
        self.rules: Mapping[str, Count] = {}  # statements that rules decided on, by rule
        self.mirrored: Mapping[str, Counters[Mirrored]] = {}  # statements, by rule
        self.audited = Counters(Audited)  # fast reads that were drawn, by what came of them
        self.hints_misread = 0
        self.uncached = Counters(Reason)  # reads that were served and not kept, and why
        self.cache_hits = 0
        self.cache_misses = 0
        self.cache_fills = 0
        self.cache_evictions = 0
        self.second: SecondLevelCounts | None = None
        self.clients = 0  # connections ever accepted
        self.ended = Tally()  # connections, by the reason of their end
        self.login_failures = Tally()  # by reason
        self.foreign_writes = Tally()  # rows written past the proxy, by table
        self.bytes_in = 0  # from clients
        self.bytes_out = 0  # to clients
        self.gone_in = 0  # what of it was of clients that have gone
        self.gone_out = 0

    def server(self, name: str) -> ServerMetrics:
        """Return a server's counters; to be looked up once and kept by whoever counts."""
        found = self.servers.get(name)
        if found is None:
            found = self.servers[name] = ServerMetrics(name)
        return found


@dataclass(slots=True)
class ServerState:
    """One server, as it is now. `None`: not known, or not the case for its role."""

    name: str
    role: Role
    is_banned: bool = False
    position: int | None = None
    lag_bytes: int | None = None
    lag_seconds: float | None = None


@dataclass(slots=True)
class PoolState:
    """One pool, as it is now, in PgBouncer's words."""

    server: str
    user: str
    database: str
    cl_active: int = 0
    cl_waiting: int = 0
    sv_active: int = 0
    sv_idle: int = 0
    sv_pinned: Mapping[PinReason, int] = field(default_factory=dict)
    maxwait: float = 0.0  # seconds that the first in line has waited


@dataclass(slots=True)
class GroupState:
    """Single numbers of a group, as they are now."""

    clients: int = 0
    cache_bytes: int = 0
    cache_entries: int = 0
    ledger_tables: int = 0
    ledger_pending: int = 0
    quarantined_tables: int = 0
    quarantined_here: int = 0
    is_following: Mapping[str, bool] = field(default_factory=dict)
    l2_asked: int | None = None
    fleet: FleetCounts | None = None


class Gauges(Protocol):
    """Whom to ask for the state of a group. Called at each scrape, so not more often than that."""

    def group(self) -> GroupState: ...

    def servers(self) -> Iterable[ServerState]: ...

    def pools(self) -> Iterable[PoolState]: ...
