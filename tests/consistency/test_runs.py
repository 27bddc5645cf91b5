"""The product's promise, on real servers that lag, die and come back: not one anomaly.

`TIDEGATE_SOAK_SECONDS` makes each test so long, in runs of a minute that are judged one by one,
and with a new seed each time unless `TIDEGATE_SOAK_SEED` gives one.
"""

from __future__ import annotations

import itertools
import os
import random
from dataclasses import dataclass

import pytest

from tests.consistency.anomalies import Verdict
from tests.consistency.faults import Fault, Planned, plan
from tests.consistency.history import Act
from tests.consistency.proxied import Place, Yield
from tests.consistency.run import commit_with
from tests.consistency.warm_up import warm_up

SOAK = "TIDEGATE_SOAK_SECONDS"
SECONDS = float(os.environ.get(SOAK, "16"))
SEED = int(
    os.environ.get("TIDEGATE_SOAK_SEED", random.randrange(10**6) if SOAK in os.environ else 1)
)
RUNS = max(1, round(SECONDS / 60))
LENGTH = SECONDS / RUNS
LAGGING = LENGTH if SOAK in os.environ else 11.0
"""Seconds in which replicas lag and die: of each kind of fault the first seed has one by then."""


@dataclass(frozen=True, slots=True)
class Commits:
    """How the servers commit in a run.

    Attributes:
        synchronous_commit: The setting.
        standbys: Which replicas a commit waits for.
    """

    synchronous_commit: str
    standbys: str = ""

    def __str__(self) -> str:
        return f"{self.synchronous_commit} {self.standbys}".strip()


@pytest.mark.parametrize(
    "commits",
    [
        Commits("off"),
        Commits("on"),
        Commits("remote_apply", "ANY 1 (replica1, replica2)"),
    ],
    ids=str,
)
def test_nothing_is_stale_while_replicas_lag_and_die(place: Place, commits: Commits) -> None:
    cluster = place.cluster
    commit_with(cluster.primary, commits.synchronous_commit, commits.standbys)
    names = [replica.name for replica in cluster.replicas]
    # A commit that waits for one of two replicas must find one.
    one_at_a_time = bool(commits.standbys)
    with place.proxy(repeatable_read="versioned") as (ground, proxy):
        warm_up(ground.write_dsn, proxy, [it.address for it in cluster.replicas])
        for seed in range(SEED, SEED + RUNS):
            plans = plan(seed, LAGGING, names, one_at_a_time=one_at_a_time)
            verdict = ground.run(LAGGING, plans, seed=seed)
            yielded = Yield.of(proxy, cluster)
            check(verdict, yielded, seed, LAGGING)
            assert not verdict.history.errors, verdict.report()
            assert yielded.spared > LAGGING, yielded
            assert yielded.refused, yielded


def test_nothing_is_stale_when_the_primary_crashes(place: Place) -> None:
    """Commits end in nobody knows what, and a new epoch begins."""
    kinds = itertools.cycle((Fault.KILL, Fault.CRASH, Fault.KILL, Fault.STOP))
    times = itertools.takewhile(lambda at: at < LENGTH - 2.0, itertools.count(1.0, 2.5))
    crashes = [
        Planned(at, 0.0 if kind is Fault.CRASH else 0.3, "primary", kind)
        for at, kind in zip(times, kinds, strict=False)
    ]
    with place.proxy(repeatable_read="versioned") as (ground, proxy):
        warm_up(ground.write_dsn, proxy, [it.address for it in place.cluster.replicas])
        for seed in range(SEED, SEED + RUNS):
            lags = plan(seed, LENGTH, ["replica1"], [Fault.LAG])
            verdict = ground.run(LENGTH, [crashes, *lags], seed=seed)
            # Each crash empties the cache.
            check(verdict, Yield.of(proxy, place.cluster), seed, LENGTH, hits_a_second=2)


def check(
    verdict: Verdict, yielded: Yield, seed: int, seconds: float, *, hits_a_second: float = 5
) -> None:
    """Fail when anything is wrong, or when the run proves nothing."""
    text = f"seed {seed}\n{yielded}\n{verdict.report()}"
    assert verdict, text
    assert verdict.history.count(Act.READ) > 50 * seconds, text
    assert verdict.history.count(Act.WRITE) > 10 * seconds, text
    assert yielded.hits > hits_a_second * seconds, text
    assert yielded.fills > 5 * seconds, text
    assert yielded.by_replicas > 5 * seconds, text
    assert yielded.behind > seconds, text
    assert yielded.pending > seconds, text
    assert max((it.bytes_behind for it in verdict.history.events), default=0) > 1000, text
