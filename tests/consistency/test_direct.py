"""The checker without a proxy: it finds nothing in a primary, and what is wrong with others."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace

import pytest

from proxy.demo.local_postgres import PostgresCluster
from tests.consistency.anomalies import Kind
from tests.consistency.faults import Fault, Planned
from tests.consistency.history import Act, Outcome
from tests.consistency.run import Ground, commit_with


@pytest.fixture
def ground(cluster: PostgresCluster, database: str, processes: Executor) -> Ground:
    """Readers and writers at the primary itself."""
    dsn = cluster.primary.dsn(database)
    return Ground(cluster, database, processes, (dsn,), (dsn,))


ROUNDS = 5
"""In each of which what is looked for comes about, unless the machine has something else to do."""


def test_primary_is_consistent(ground: Ground) -> None:
    verdict = ground.run(3.0)
    assert verdict, verdict.report()
    assert not [it.text for it in verdict.history.errors]
    assert verdict.history.count(Act.READ) > 500
    assert verdict.history.count(Act.WRITE) > 100
    assert verdict.history.count(Act.WRITE, Outcome.FAILED) > 10


def test_primary_that_crashes_is_consistent(ground: Ground) -> None:
    crashes = [
        Planned(0.8, 0.2, "primary", Fault.KILL),
        Planned(2.5, 0.0, "primary", Fault.CRASH),
    ]
    verdict = ground.run(4.0, [crashes])
    assert verdict, verdict.report()
    assert verdict.history.errors


def test_replica_that_lags_is_found_stale(ground: Ground) -> None:
    replica = ground.cluster.replicas[0]
    behind = replace(ground, read_dsns=(replica.dsn(ground.database),))
    verdict = behind.run(2.0, [[Planned(0.5, 1.0, replica.name, Fault.LAG)]])
    assert Kind.STALE in verdict.kinds, verdict.report()
    assert "replica1 replay paused" in verdict.report()


def test_replica_that_is_ahead_is_found_out_at_the_primary(ground: Ground) -> None:
    """A commit that waits for both replicas shows on the one before it does on the primary."""
    first, second = ground.cluster.replicas
    places = tuple(server.dsn(ground.database) for server in (ground.cluster.primary, first))
    commit_with(ground.cluster.primary, "remote_apply", "FIRST 2 (replica1, replica2)")
    lag = Planned(0.5, 1.0, second.name, Fault.LAG)
    for seed in range(ROUNDS):
        verdict = replace(ground, read_dsns=places).run(2.0, [[lag]], seed=seed)
        at_primary = [it for it in verdict.anomalies if "@0" in it.operation.client]
        if at_primary:
            break
    assert at_primary, verdict.report()
    assert {it.kind for it in at_primary} <= {Kind.WENT_BACK, Kind.FORK}, verdict.report()
