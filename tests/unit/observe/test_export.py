"""What a scrape says, read back with Prometheus's own parser."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.cache.second import Outcome, Statistics, Turn, Write
from proxy.observe.export import Exporter
from proxy.observe.metrics import BusCounts, GroupMetrics, GroupState, PoolState, ServerState
from proxy.types import Audited, PinReason, Reason, Role


class Fixed:
    """A group whose state never changes."""

    def group(self) -> GroupState:
        return GroupState(clients=3, cache_bytes=4096, cache_entries=2, ledger_tables=5)

    def servers(self) -> list[ServerState]:
        return [
            ServerState("a:1", Role.PRIMARY, position=2**40),
            ServerState("b:1", Role.REPLICA, is_banned=True, lag_bytes=16, lag_seconds=0.5),
        ]

    def pools(self) -> list[PoolState]:
        pinned = {PinReason.LISTEN: 2}
        return [PoolState("a:1", "joe", "app", 1, 2, 3, 4, pinned, maxwait=1.5)]


def scrape(metrics: GroupMetrics, bus: BusCounts | None = None) -> dict[tuple[str, ...], float]:
    """Return every sample: (name, label=value, ...) to its number."""
    exporter = Exporter("1.2.3")
    exporter.buses = [] if bus is None else [bus]
    exporter.add(metrics, Fixed())
    return {
        (sample.name, *(f"{name}={value}" for name, value in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(exporter.render().decode())
        for sample in family.samples
    }


@pytest.fixture
def metrics() -> GroupMetrics:
    return GroupMetrics("app")


def test_reads_are_told_by_reason_and_server(metrics: GroupMetrics) -> None:
    metrics.server("cache").reads.count(Reason.HIT)
    metrics.server("b:1").reads.count(Reason.REPLICA)
    metrics.server("b:1").reads.count(Reason.REPLICA)
    told = scrape(metrics)
    reads = {key[2:]: value for key, value in told.items() if key[0] == "tidegate_reads_total"}
    assert reads == {("reason=hit", "server=cache"): 1, ("reason=replica", "server=b:1"): 2}


def test_what_the_audit_has_found_is_told(metrics: GroupMetrics) -> None:
    for outcome in (Audited.SAME, Audited.SAME, Audited.DIFFERENT):
        metrics.audited.count(outcome)
    told = scrape(metrics)
    counts = {key[2]: value for key, value in told.items() if key[0] == "tidegate_audit_total"}
    assert counts["result=same"] == 2
    assert counts["result=different"] == 1
    assert counts["result=skipped"] == 0, "there from the beginning, so that a rate can be taken"
    assert told["tidegate_quarantined_tables", "group=app"] == 0


def test_a_second_level_is_told_of_where_there_is_one(metrics: GroupMetrics) -> None:
    assert not [key for key in scrape(metrics) if key[0].startswith("tidegate_cache_l2_reads")]
    metrics.second = Statistics()
    metrics.second.reads.count(Outcome.HIT)
    metrics.second.writes.count(Write.STORED)
    metrics.second.turns.count(Turn.LED)
    metrics.second.seconds.record(0.001)
    told = scrape(metrics)
    assert told["tidegate_cache_l2_reads_total", "group=app", "outcome=hit"] == 1
    assert told["tidegate_cache_l2_writes_total", "group=app", "outcome=stored"] == 1
    assert told["tidegate_cache_l2_turns_total", "group=app", "outcome=led"] == 1
    assert told["tidegate_cache_l2_seconds_count", "group=app"] == 1


def test_counters_of_a_group_are_told(metrics: GroupMetrics) -> None:
    metrics.writes = 1
    metrics.transactions.count("opened", 12)
    metrics.commits.count("discovered", 14)
    metrics.cache_hits, metrics.cache_misses = 2, 3
    metrics.cache_fills, metrics.cache_evictions = 4, 5
    metrics.clients = 6
    metrics.bytes_in, metrics.bytes_out = 7, 8
    metrics.uncached.count(Reason.VOLATILE)
    metrics.ended.count("client closed")
    metrics.login_failures.count("authentication_failed")
    metrics.foreign_writes.count("app.public.t", 9)
    metrics.server("a:1").bans = 10
    metrics.server("a:1").bytes_in = 11
    told = scrape(metrics)
    expected = {
        ("tidegate_writes_total", "group=app"): 1,
        ("tidegate_transactions_total", "group=app", "outcome=opened"): 12,
        ("tidegate_commits_total", "group=app", "tables=discovered"): 14,
        ("tidegate_cache_hits_total", "group=app"): 2,
        ("tidegate_cache_misses_total", "group=app"): 3,
        ("tidegate_cache_fills_total", "group=app"): 4,
        ("tidegate_cache_evictions_total", "group=app"): 5,
        ("tidegate_client_connections_total", "group=app"): 6,
        ("tidegate_client_bytes_total", "direction=in", "group=app"): 7,
        ("tidegate_client_bytes_total", "direction=out", "group=app"): 8,
        ("tidegate_uncached_total", "group=app", "reason=volatile"): 1,
        ("tidegate_client_connections_ended_total", "group=app", "reason=client closed"): 1,
        ("tidegate_login_failures_total", "group=app", "reason=authentication_failed"): 1,
        ("tidegate_foreign_writes_total", "group=app", "table=app.public.t"): 9,
        ("tidegate_bans_total", "group=app", "server=a:1"): 10,
        ("tidegate_server_bytes_total", "direction=in", "group=app", "server=a:1"): 11,
        ("tidegate_build_info", "version=1.2.3"): 1,
    }
    assert {key: told[key] for key in expected} == expected


def test_states_are_asked_for_at_the_scrape(metrics: GroupMetrics) -> None:
    told = scrape(metrics)
    pool = ("database=app", "group=app", "server=a:1", "user=joe")
    expected = {
        ("tidegate_clients", "group=app"): 3,
        ("tidegate_cache_bytes", "group=app"): 4096,
        ("tidegate_cache_entries", "group=app"): 2,
        ("tidegate_ledger_tables", "group=app"): 5,
        ("tidegate_ledger_pending", "group=app"): 0,
        ("tidegate_server_role", "group=app", "role=primary", "server=a:1"): 1,
        ("tidegate_server_role", "group=app", "role=replica", "server=a:1"): 0,
        ("tidegate_server_position_bytes", "group=app", "server=a:1"): 2**40,
        ("tidegate_server_banned", "group=app", "server=b:1"): 1,
        ("tidegate_replica_lag_bytes", "group=app", "server=b:1"): 16,
        ("tidegate_replica_lag_seconds", "group=app", "server=b:1"): 0.5,
        ("tidegate_pool_cl_active", *pool): 1,
        ("tidegate_pool_cl_waiting", *pool): 2,
        ("tidegate_pool_sv_active", *pool): 3,
        ("tidegate_pool_sv_idle", *pool): 4,
        ("tidegate_pool_maxwait_seconds", *pool): 1.5,
    }
    assert {key: told[key] for key in expected} == expected
    assert told["tidegate_pool_sv_pinned", *pool[:2], "reason=listen", *pool[2:]] == 2


def test_what_is_not_known_is_not_told(metrics: GroupMetrics) -> None:
    told = scrape(metrics)
    assert ("tidegate_replica_lag_bytes", "group=app", "server=a:1") not in told
    assert ("tidegate_server_position_bytes", "group=app", "server=b:1") not in told


def test_latency_is_a_histogram(metrics: GroupMetrics) -> None:
    for seconds in (0.0002, 0.02, 60.0):
        metrics.server("a:1").latency.record(seconds)
    told = scrape(metrics)
    name = "tidegate_statement_seconds"
    assert told[f"{name}_bucket", "group=app", "le=0.00025", "server=a:1"] == 1
    assert told[f"{name}_bucket", "group=app", "le=10.0", "server=a:1"] == 2
    assert told[f"{name}_bucket", "group=app", "le=+Inf", "server=a:1"] == 3
    assert told[f"{name}_count", "group=app", "server=a:1"] == 3
    assert told[f"{name}_sum", "group=app", "server=a:1"] == pytest.approx(60.0202)


def test_every_name_is_ours_or_the_process(metrics: GroupMetrics) -> None:
    assert {key[0].split("_")[0] for key in scrape(metrics)} == {"tidegate", "process"}


def test_label_may_hold_any_text(metrics: GroupMetrics) -> None:
    metrics.foreign_writes.count('we"ird\n\\table')
    assert scrape(metrics)["tidegate_foreign_writes_total", "group=app", 'table=we"ird\n\\table']


def test_the_bus_is_told_of_where_there_is_one(metrics: GroupMetrics) -> None:
    assert not any(key[0].startswith("tidegate_bus") for key in scrape(metrics))
    bus = BusCounts()
    bus.is_up, bus.ups, bus.refused, bus.unsent = True, 3, 1, 2
    bus.messages_in, bus.messages_out, bus.bytes_in, bus.bytes_out = 10, 4, 1000, 400
    told = scrape(metrics, bus)
    assert told["tidegate_bus_up",] == 1
    assert told["tidegate_bus_reconnects_total",] == 2
    for name, label, numbers in (
        ("messages", "direction", {"in": 10, "out": 4}),
        ("bytes", "direction", {"in": 1000, "out": 400}),
        ("lost", "reason", {"away": 2, "refused": 1}),
    ):
        for value, number in numbers.items():
            assert told[f"tidegate_bus_{name}_total", f"{label}={value}"] == number


def test_a_fleet_is_told_of_where_there_is_one(metrics: GroupMetrics) -> None:
    assert not any(key[0].startswith("tidegate_fleet") for key in scrape(metrics))
