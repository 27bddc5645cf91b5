"""The product's promise, on real servers that lag, die and come back: not one anomaly.

`TIDEGATE_SOAK_SECONDS` makes each run so long, with a new seed each time unless
`TIDEGATE_SOAK_SEED` gives one.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass

import pytest

from tests.consistency.anomalies import Verdict
from tests.consistency.faults import Fault, Planned, plan
from tests.consistency.history import Act
from tests.consistency.proxied import Place, Yield
from tests.consistency.run import commit_with

SOAK = "TIDEGATE_SOAK_SECONDS"
SECONDS = float(os.environ.get(SOAK, "16"))
SEED = int(
    os.environ.get("TIDEGATE_SOAK_SEED", random.randrange(10**6) if SOAK in os.environ else 1)
)


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
    plans = plan(SEED, SECONDS, names, one_at_a_time=bool(commits.standbys))
    with place.proxy() as (ground, proxy):
        verdict = ground.run(SECONDS, plans, seed=SEED)
        yielded = Yield.of(proxy, cluster)
    check(verdict, yielded)
    assert not verdict.history.errors, verdict.report()


def test_nothing_is_stale_when_the_primary_crashes(place: Place) -> None:
    """Commits end in nobody knows what, and a new epoch begins."""
    crashes = [
        Planned(SECONDS * 0.2, 0.3, "primary", Fault.KILL),
        Planned(SECONDS * 0.6, 0.0, "primary", Fault.CRASH),
    ]
    lags = plan(SEED, SECONDS, ["replica1"], [Fault.LAG])
    with place.proxy() as (ground, proxy):
        verdict = ground.run(SECONDS, [crashes, *lags], seed=SEED)
        yielded = Yield.of(proxy, place.cluster)
    check(verdict, yielded)


def check(verdict: Verdict, yielded: Yield) -> None:
    """Fail when anything is wrong, or when the run proves nothing."""
    text = f"seed {SEED}\n{yielded}\n{verdict.report()}"
    assert verdict, text
    assert verdict.history.count(Act.READ) > 50 * SECONDS, text
    assert verdict.history.count(Act.WRITE) > 10 * SECONDS, text
    assert yielded.hits > 5 * SECONDS, text
    assert yielded.fills > 5 * SECONDS, text
    assert yielded.by_replicas > 5 * SECONDS, text
    assert yielded.behind > SECONDS, text
    assert yielded.pending > SECONDS, text
    assert max((it.bytes_behind for it in verdict.history.events), default=0) > 1000, text
