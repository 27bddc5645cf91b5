"""The metrics of several workers as those of one."""

from __future__ import annotations

import pickle

from prometheus_client.parser import text_string_to_metric_families

from proxy.cache.second import Statistics
from proxy.observe.counters import Count, Counters
from proxy.observe.export import Exporter
from proxy.observe.families import Family, families, render
from proxy.observe.metrics import (
    BusCounts,
    FleetCounts,
    GroupMetrics,
    GroupState,
    PoolState,
    ServerState,
)
from proxy.types import Audited, Mirrored, PinReason, Reason, Role
from proxy.workers.host import Host
from proxy.workers.roster import Roster
from proxy.workers.sums import HOW, How, Totals, add


class State:
    """A group in a state that is given."""

    def __init__(self, clients: int, lag: float) -> None:
        self._clients = clients
        self._lag = lag

    def group(self) -> GroupState:
        return GroupState(
            clients=self._clients,
            ledger_tables=5,
            is_following={"app": True},
            fleet=FleetCounts(),
            l2_asked=1,
        )

    def servers(self) -> list[ServerState]:
        return [ServerState("b:1", Role.REPLICA, position=7, lag_bytes=16, lag_seconds=self._lag)]

    def pools(self) -> list[PoolState]:
        return [PoolState("b:1", "joe", "app", 1, 2, 3, 4, {PinReason.LISTEN: 1}, self._lag)]


def told(writes: int, clients: int = 1, lag: float = 0.5) -> list[Family]:
    """What a worker tells that has something of everything."""
    metrics = GroupMetrics("app")
    metrics.writes = writes
    metrics.server("b:1").latency.record(0.0002)
    metrics.server("b:1").reads.count(Reason.REPLICA)
    metrics.foreign_writes.count("app.public.t", 4)
    metrics.rules = {"no": Count(1)}
    metrics.mirrored = {"no": Counters(Mirrored)}
    metrics.audited.count(Audited.SAME)
    metrics.second = Statistics()
    exporter = Exporter("1.2.3")
    exporter.buses = [BusCounts()]
    exporter.add(metrics, State(clients, lag))
    # As it comes from another process.
    found: list[Family] = pickle.loads(pickle.dumps(exporter.families()))
    return found


def numbers(found: list[Family]) -> dict[tuple[str, ...], float]:
    """Every sample, read back with Prometheus's own parser."""
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(render(found).decode())
        for sample in family.samples
    }


async def test_it_is_decided_of_every_metric_how_it_adds_up() -> None:
    roster = Roster(1)
    host = Host(roster, {}, lambda: False)
    own = {
        family.name for family in text_string_to_metric_families((await host.metrics()).decode())
    }
    names = {family.name for family in told(1)} | own
    assert names == HOW.keys()


def test_counters_never_are_the_least() -> None:
    kinds = {family.name: family.kind for family in told(1)}
    for name, how in HOW.items():
        if kinds.get(name) in ("counter", "histogram"):
            assert how is not How.LEAST, name


def test_what_one_tells_comes_out_as_it_would_by_itself() -> None:
    metrics = GroupMetrics("app")
    metrics.writes = 3
    metrics.server("b:1").latency.record(0.0002)
    exporter = Exporter("1.2.3")
    exporter.buses = [BusCounts()]
    exporter.add(metrics, State(1, 0.5))
    ours = [line for line in render(exporter.families()).splitlines() if b"process_" not in line]
    alone = [line for line in exporter.render().splitlines() if b"process_" not in line]
    assert ours == alone


def test_counts_are_added_and_the_worst_state_is_told() -> None:
    found = numbers(add((told(100, clients=2, lag=0.5), told(200, clients=3, lag=1.5))))
    assert found["tidegate_writes_total", "group=app"] == 300
    assert found["tidegate_clients", "group=app"] == 5
    name = "tidegate_statement_seconds"
    assert found[f"{name}_count", "group=app", "server=b:1"] == 2
    assert found[f"{name}_bucket", "group=app", "le=0.00025", "server=b:1"] == 2
    assert found[f"{name}_bucket", "group=app", "le=0.0001", "server=b:1"] == 0
    assert found["tidegate_replica_lag_seconds", "group=app", "server=b:1"] == 1.5
    assert found["tidegate_ledger_tables", "group=app"] == 5
    assert found["tidegate_build_info", "version=1.2.3"] == 1
    foreign = found["tidegate_foreign_writes_total", "group=app", "table=app.public.t"]
    assert foreign == 4, "both have seen the same rows"
    pool = ("database=app", "group=app", "server=b:1", "user=joe")
    assert found["tidegate_pool_sv_idle", *pool] == 8
    assert found["tidegate_pool_maxwait_seconds", *pool] == 1.5


def test_who_does_not_answer_is_left_out_but_what_it_counted_is_not() -> None:
    totals = Totals()
    totals.hear(1, told(100, clients=2))
    totals.hear(2, told(200, clients=3))
    found = numbers(totals.all([1], []))
    assert found["tidegate_writes_total", "group=app"] == 300
    assert found["tidegate_clients", "group=app"] == 2


def test_counts_do_not_fall_when_a_worker_ends() -> None:
    totals = Totals()
    totals.hear(1, told(100, clients=2))
    totals.hear(2, told(200, clients=3))
    totals.ended(2)
    found = numbers(totals.all([1], []))
    assert found["tidegate_writes_total", "group=app"] == 300
    assert found["tidegate_clients", "group=app"] == 2
    totals.hear(2, told(5))
    totals.ended(2)
    totals.ended(2)
    assert numbers(totals.all([1], []))["tidegate_writes_total", "group=app"] == 305
    totals.hear(2, told(7))
    assert numbers(totals.all([1, 2], []))["tidegate_writes_total", "group=app"] == 312


def test_what_is_added_up_is_not_changed_by_that() -> None:
    one = told(1)
    before = numbers(one)
    add((one, told(2)))
    assert numbers(one) == before


def test_families_of_nothing_are_there() -> None:
    assert families([]) == []
    assert render([]) == b""
