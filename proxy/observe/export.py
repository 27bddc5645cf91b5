"""The counters in the format of Prometheus, made when somebody asks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from proxy.observe.families import Family, families
from proxy.observe.metrics import (
    BusCounts,
    FleetCounts,
    Gauges,
    GroupMetrics,
    PoolState,
    ServerState,
)
from proxy.types import Role

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

Samples: TypeAlias = Iterable[tuple[tuple[str, ...], float]]
"""Label values, then the number."""


class Exporter(Collector):
    """Everything there is to tell, for any number of server groups.

    Attributes:
        buses: What went over each bus of the fleet, if the process is in one.

    Args:
        version: Told as `tidegate_build_info`.
    """

    def __init__(self, version: str) -> None:
        self.buses: list[BusCounts] = []
        self._version = version
        self._groups: list[tuple[GroupMetrics, Gauges]] = []
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def add(self, metrics: GroupMetrics, gauges: Gauges) -> None:
        """Begin to tell of a group."""
        self._groups.append((metrics, gauges))

    def render(self) -> bytes:
        """Return the text to answer a scrape with; its type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def families(self) -> list[Family]:
        """Return the same as data, for who adds it up with what others tell."""
        return families(self._registry.collect())

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        groups = [metrics for metrics, _ in self._groups]
        states = list(self._states())  # first: some counters are read where they live
        yield _gauge("build_info", "Constant 1.", ("version",), [((self._version,), 1)])
        yield from _statements(groups)
        yield from _connections(groups)
        yield from _cache(groups)
        yield from _second_level(groups)
        yield from _server_counters(groups)
        if self.buses:
            yield from _bus(self.buses)
        yield from states

    def _states(self) -> Iterator[Metric]:
        asked = [(metrics.name, gauges) for metrics, gauges in self._groups]
        states = [(name, gauges.group()) for name, gauges in asked]
        for metric, text, attribute in (
            ("clients", "Client connections now.", "clients"),
            ("cache_bytes", "Memory that results take.", "cache_bytes"),
            ("cache_entries", "Results in memory.", "cache_entries"),
            ("ledger_tables", "Tables that the ledger knows.", "ledger_tables"),
            ("ledger_pending", "Commits that may be in flight.", "ledger_pending"),
            (
                "quarantined_tables",
                "Tables that only the primary serves, since the audit of any member fired.",
                "quarantined_tables",
            ),
            (
                "quarantined_here_tables",
                "Those of them that the audit of this member has found.",
                "quarantined_here",
            ),
        ):
            yield _gauge(
                metric, text, ("group",), [((name,), getattr(it, attribute)) for name, it in states]
            )
        yield _gauge(
            "changes_followed",
            "1 while the primary's log tells of foreign writes, 0 while counters do.",
            ("group", "database"),
            [
                ((name, database), int(is_following))
                for name, it in states
                for database, is_following in it.is_following.items()
            ],
        )
        yield _gauge(
            "cache_l2_asked",
            "1 while the second level of the cache is asked, 0 while it is skipped.",
            ("group",),
            [((name,), it.l2_asked) for name, it in states if it.l2_asked is not None],
        )
        fleets = [(name, it.fleet) for name, it in states if it.fleet is not None]
        if fleets:
            yield from _fleets(fleets)
        yield from _servers([(name, it) for name, gauges in asked for it in gauges.servers()])
        yield from _pools([(name, it) for name, gauges in asked for it in gauges.pools()])


def _counter(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = CounterMetricFamily(f"tidegate_{name}", text, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _number(groups: list[GroupMetrics], name: str, text: str, attribute: str) -> Metric:
    """One number of each group."""
    samples = [((group.name,), getattr(group, attribute)) for group in groups]
    return _counter(name, text, ("group",), samples)


def _counts(groups: list[GroupMetrics], name: str, text: str, label: str, attribute: str) -> Metric:
    """What each group counts by words."""
    samples = [
        ((group.name, word), count)
        for group in groups
        for word, count in getattr(group, attribute).counts.items()
    ]
    return _counter(name, text, ("group", label), samples)


def _gauge(name: str, text: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = GaugeMetricFamily(f"tidegate_{name}", text, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _statements(groups: list[GroupMetrics]) -> Iterator[Metric]:
    yield _counter(
        "reads",
        "Reads, by who served them and why.",
        ("group", "reason", "server"),
        (
            ((group.name, reason, server.name), count)
            for group in groups
            for server in group.servers.values()
            for reason, count in server.reads.seen()
        ),
    )
    yield _number(groups, "writes", "Statements that write.", "writes")
    for name, text, label in (
        (
            "commits",
            "Commits that write: how it was known what, and so what they take from the cache.",
            "tables",
        ),
        (
            "transactions",
            "Transactions whose BEGIN was held back: opened at the primary, spared it, or refused.",
            "outcome",
        ),
        ("foreign_writes", "Rows written past the proxy, by table.", "table"),
    ):
        yield _counts(groups, name, text, label, name)
    yield _counter(
        "rule_matches",
        "Statements that a rule decided on.",
        ("group", "rule"),
        (
            ((group.name, rule), count.number)
            for group in groups
            for rule, count in group.rules.items()
        ),
    )
    yield _counter(
        "mirrored",
        "Statements that a rule had for another server group: sent, failed there, or dropped.",
        ("group", "rule", "outcome"),
        (
            ((group.name, rule, outcome), count)
            for group in groups
            for rule, outcomes in group.mirrored.items()
            for outcome, count in outcomes.seen()
        ),
    )
    yield _counter(
        "audit",
        "Fast reads drawn to be repeated on the primary, and what came of it.",
        ("group", "result"),
        (
            ((group.name, result.value), count)
            for group in groups
            for result, count in group.audited.counts.items()
        ),
    )
    yield _number(
        groups,
        "hints_misread",
        "Hints that were not understood; their statements went to the primary.",
        "hints_misread",
    )
    yield _latency(groups)


def _latency(groups: list[GroupMetrics]) -> Metric:
    latency = HistogramMetricFamily(
        "tidegate_statement_seconds",
        "From a statement's sending to a server to the last byte of its result.",
        labels=("group", "server"),
    )
    for group in groups:
        for server in group.servers.values():
            histogram = server.latency
            latency.add_metric((group.name, server.name), histogram.cumulated(), histogram.total)
    return latency


def _connections(groups: list[GroupMetrics]) -> Iterator[Metric]:
    yield _number(groups, "client_connections", "Client connections accepted.", "clients")
    for name, text, attribute in (
        ("client_connections_ended", "Client connections that ended, and why.", "ended"),
        ("login_failures", "Logins refused, and why.", "login_failures"),
    ):
        yield _counts(groups, name, text, "reason", attribute)
    yield _counter(
        "client_bytes",
        "Bytes from and to clients.",
        ("group", "direction"),
        (
            sample
            for group in groups
            for sample in (
                ((group.name, "in"), group.bytes_in),
                ((group.name, "out"), group.bytes_out),
            )
        ),
    )


def _cache(groups: list[GroupMetrics]) -> Iterator[Metric]:
    for name, text in (
        ("cache_hits", "Reads answered from memory."),
        ("cache_misses", "Reads that could have been, and weren't there."),
        ("cache_fills", "Results kept."),
        ("cache_evictions", "Results dropped to make room."),
    ):
        yield _number(groups, name, text, name)
    yield _counter(
        "uncached",
        "Reads served and not kept, and why.",
        ("group", "reason"),
        (
            ((group.name, reason), count)
            for group in groups
            for reason, count in group.uncached.seen()
        ),
    )


def _second_level(groups: list[GroupMetrics]) -> Iterator[Metric]:
    """What became of what memory did not have, in the second level of the cache."""
    counted = [(group.name, group.second) for group in groups if group.second is not None]
    for name, text, attribute in (
        ("cache_l2_reads", "Misses in memory, by what the second level had.", "reads"),
        ("cache_l2_writes", "Results, by whether the second level got them.", "writes"),
        ("cache_l2_turns", "Slow misses there too, by whether we or others asked.", "turns"),
    ):
        samples = [
            ((group, outcome), number)
            for group, counts in counted
            for outcome, number in getattr(counts, attribute).seen()
        ]
        yield _counter(name, text, ("group", "outcome"), samples)
    seconds = HistogramMetricFamily(
        "tidegate_cache_l2_seconds",
        "What it took to ask the second level of the cache, until it answered or was given up.",
        labels=("group",),
    )
    for group, counts in counted:
        seconds.add_metric((group,), counts.seconds.cumulated(), counts.seconds.total)
    yield seconds


def _server_counters(groups: list[GroupMetrics]) -> Iterator[Metric]:
    servers = [(group.name, server) for group in groups for server in group.servers.values()]
    yield _counter(
        "bans",
        "How often a server was banned.",
        ("group", "server"),
        (((group, server.name), server.bans) for group, server in servers),
    )
    yield _counter(
        "server_bytes",
        "Bytes from and to servers.",
        ("group", "server", "direction"),
        (
            sample
            for group, server in servers
            for sample in (
                ((group, server.name, "in"), server.bytes_in),
                ((group, server.name, "out"), server.bytes_out),
            )
        ),
    )


def _fleets(fleets: list[tuple[str, FleetCounts]]) -> Iterator[Metric]:
    yield _gauge(
        "fleet_members",
        "Members of the fleet, this one included; 0 while it is none.",
        ("group",),
        [((name,), it.members) for name, it in fleets],
    )
    yield _gauge(
        "fleet_fast",
        "1 while caches and replicas may answer: all other members and the primary let them.",
        ("group",),
        [((name,), int(it.is_fast)) for name, it in fleets],
    )
    yield _gauge(
        "fleet_unheard",
        "Members of the fleet that have not been heard on its bus for 3 s, or do not hear this"
        " one: all is read at the primary meanwhile.",
        ("group",),
        [((name,), it.unheard) for name, it in fleets],
    )
    yield _counter(
        "fleet_waits",
        "Commits that were kept back until all members knew of them.",
        ("group",),
        [((name,), it.waits) for name, it in fleets],
    )
    yield _counter(
        "fleet_wait_seconds",
        "For how long, in all.",
        ("group",),
        [((name,), it.wait_seconds) for name, it in fleets],
    )
    yield _counter(
        "fleet_rides",
        "Commits that no member had to be told of: their tables are written all the time.",
        ("group",),
        [((name,), it.rides) for name, it in fleets],
    )


def _bus(buses: list[BusCounts]) -> Iterator[Metric]:
    """Of the process, and so without a group."""
    is_up = all(bus.is_up for bus in buses)
    yield _gauge("bus_up", "1 while the fleet's bus is there.", (), [((), int(is_up))])
    for name, text, label, samples in (
        (
            "bus_messages",
            "Messages of the fleet from others, and to them.",
            "direction",
            {
                "in": sum(it.messages_in for it in buses),
                "out": sum(it.messages_out for it in buses),
            },
        ),
        (
            "bus_bytes",
            "Bytes of those.",
            "direction",
            {"in": sum(it.bytes_in for it in buses), "out": sum(it.bytes_out for it in buses)},
        ),
        (
            "bus_lost",
            "Messages that were not sent because the bus was away, or not understood.",
            "reason",
            {"away": sum(it.unsent for it in buses), "refused": sum(it.refused for it in buses)},
        ),
    ):
        yield _counter(name, text, (label,), [((it,), count) for it, count in samples.items()])
    again = sum(max(0, bus.ups - 1) for bus in buses)
    yield _counter("bus_reconnects", "How often the bus came back.", (), [((), again)])


def _servers(servers: list[tuple[str, ServerState]]) -> Iterator[Metric]:
    yield _gauge(
        "server_role",
        "1 for what the server is.",
        ("group", "server", "role"),
        (
            ((group, server.name, role.value), int(server.role is role))
            for group, server in servers
            for role in Role
        ),
    )
    for name, text, attribute in (
        ("server_banned", "1 while it gets no statements because it failed.", "is_banned"),
        ("server_position_bytes", "Its position in the log.", "position"),
        ("replica_lag_bytes", "How much of the primary's log it doesn't show yet.", "lag_bytes"),
        ("replica_lag_seconds", "How old what it shows is, as estimated.", "lag_seconds"),
    ):
        yield _gauge(
            name,
            text,
            ("group", "server"),
            (
                ((group, server.name), number)
                for group, server in servers
                if (number := getattr(server, attribute)) is not None
            ),
        )


def _pools(pools: list[tuple[str, PoolState]]) -> Iterator[Metric]:
    labels = ("group", "server", "user", "database")
    for name, text, attribute in (
        ("pool_cl_active", "Clients that have a server connection.", "cl_active"),
        ("pool_cl_waiting", "Clients that wait for one.", "cl_waiting"),
        ("pool_sv_active", "Server connections that a client has.", "sv_active"),
        ("pool_sv_idle", "Server connections that are free.", "sv_idle"),
        ("pool_maxwait_seconds", "How long the first in line has waited.", "maxwait"),
    ):
        yield _gauge(
            name, text, labels, ((_pool(group, it), getattr(it, attribute)) for group, it in pools)
        )
    yield _gauge(
        "pool_sv_pinned",
        "Server connections that stay with their client, and why.",
        (*labels, "reason"),
        (
            ((*_pool(group, it), reason.value), count)
            for group, it in pools
            for reason, count in it.sv_pinned.items()
        ),
    )


def _pool(group: str, pool: PoolState) -> tuple[str, str, str, str]:
    return group, pool.server, pool.user, pool.database
