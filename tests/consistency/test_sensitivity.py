"""The checker can fail: with any one rule of freshness switched off it finds an anomaly.

Each rule has a situation in which it is all that stands between a client and the anomaly,
and that comes about in nearly every second. With all rules on, the same situations must
come to nothing: else it would be the situation that is found, not the missing rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.consistency.anomalies import Kind, Verdict
from tests.consistency.doors import Asyncpg
from tests.consistency.faults import Fault, Planned
from tests.consistency.proxied import Place
from tests.consistency.run import Ground, commit_with
from tests.integration.relay import Relay

ROUND = 2.5
"""Seconds that clients work before the judge is asked."""

ROUNDS = 6

LAG = 0.3
LAG_EVERY = 0.5

TOO_OLD = {
    Kind.TORN,
    Kind.STALE,
    Kind.WENT_BACK,
    Kind.OWN_WRITE_MISSED,
    Kind.OWN_READ_UNDONE,
    Kind.FORK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is arranged for a run.

    Attributes:
        commit: `synchronous_commit`, and the replicas it waits for.
        lags: Which replica is paused again and again, if any.
        replicas: Whether the proxy is told of replicas at all.
        cache: Whether results are kept.
        delay: Seconds that requests to replicas take longer to arrive.
        load: What is not to be as in `Load`.
    """

    commit: tuple[str, str] = ("on", "")
    lags: str = ""
    replicas: bool = True
    cache: bool = True
    delay: float = 0.0
    load: Mapping[str, Any] = field(
        default_factory=lambda: {"topics": ("warm", "cold", "transfer")}
    )


BEHIND = Situation(lags="replica1")
"""A replica lacks what the primary acknowledged."""

AHEAD = Situation(commit=("remote_apply", "FIRST 2 (replica1, replica2)"), lags="replica2")
"""A replica shows what the primary does not, for as long as the commit waits for the other."""

OVERTAKEN = replace(AHEAD, cache=False, delay=0.03)
"""The same, and requests are so long on their way to replicas that commits overtake them."""

SLOW = Situation(
    replicas=False,
    load={"topics": ("warm", "parted"), "slowness": 100.0, "doors": (Asyncpg.way,)},
)
"""Reads take long, so that commits are acknowledged while they run; and they are the same ones."""

SNAPSHOTS = replace(
    BEHIND,
    load={"topics": ("warm", "cold", "transfer", "hot"), "snapshots": 0.5},
)
"""Many transactions read several tables, and what they have read is written meanwhile."""

SITUATIONS = {
    "mark": AHEAD,
    "pending": AHEAD,
    "version": BEHIND,
    "need": BEHIND,
    "validation": OVERTAKEN,
    "fill": SLOW,
    "snapshot": SNAPSHOTS,
}


@pytest.mark.parametrize("rule", SITUATIONS)
async def test_missing_rule_is_found(place: Place, rule: str) -> None:
    situation = SITUATIONS[rule]
    async with arranged(place, situation, without=[rule]) as stage:
        for number in range(ROUNDS):
            verdict = await stage.run(ROUND, number)
            if not verdict:
                break
    assert verdict.kinds & TOO_OLD, f"nothing was found without {rule}\n{verdict.report()}"
    assert verdict.kinds <= TOO_OLD, verdict.report()


@pytest.mark.parametrize(
    "situation",
    [AHEAD, OVERTAKEN, SLOW, SNAPSHOTS],
    ids=["ahead", "overtaken", "slow", "snapshots"],
)
async def test_nothing_is_found_with_all_rules(place: Place, situation: Situation) -> None:
    """Of replicas that are behind, `test_runs` has more than enough."""
    async with arranged(place, situation) as stage:
        verdict = await stage.run(ROUND, 0)
    assert verdict, verdict.report()
    assert not verdict.history.errors, verdict.report()


@dataclass(frozen=True, slots=True)
class Stage:
    """A situation with a proxy in it."""

    situation: Situation
    ground: Ground

    async def run(self, seconds: float, seed: int) -> Verdict:
        """Let clients work, and judge; meanwhile relays work in this loop."""
        it = self.situation
        count = int(seconds / LAG_EVERY) if it.lags else 0
        lags = [Planned(n * LAG_EVERY, LAG, it.lags, Fault.LAG) for n in range(count)]
        return await asyncio.to_thread(self.ground.run, seconds, [lags], seed=seed, **it.load)


@asynccontextmanager
async def arranged(
    place: Place, situation: Situation, without: Sequence[str] = ()
) -> AsyncIterator[Stage]:
    """Make a situation, with some rules switched off."""
    cluster = place.cluster
    commit_with(cluster.primary, *situation.commit)
    async with AsyncExitStack() as stack:
        servers = [cluster.primary.address]
        for replica in cluster.replicas if situation.replicas else ():
            relay = await stack.enter_async_context(Relay(replica.port))
            relay.to_server.delay = situation.delay
            servers.append(relay.address)
        proxy = place.proxy(servers, without, cache=situation.cache, repeatable_read="versioned")
        ground, _ = await asyncio.to_thread(proxy.__enter__)
        stack.push_async_callback(asyncio.to_thread, proxy.__exit__, None, None, None)
        yield Stage(situation, ground)
