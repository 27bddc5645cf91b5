"""The checker can fail: with any one rule of freshness switched off it finds an anomaly.

Each rule has a situation in which it is all that stands between a client and the anomaly,
and that comes about in nearly every second. With all rules on, the same situations must
come to nothing: else it would be the situation that is found, not the missing rule.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import pytest

from tests.consistency.anomalies import Kind, Verdict
from tests.consistency.faults import Fault, Planned
from tests.consistency.proxied import Place
from tests.consistency.run import Ground, commit_with
from tests.integration.relay import Relay

ROUND = 3.0
"""Seconds that clients work before the judge is asked."""

ROUNDS = 5

TOO_OLD = {Kind.STALE, Kind.WENT_BACK, Kind.OWN_WRITE_MISSED, Kind.OWN_READ_UNDONE, Kind.FORK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is arranged for a run.

    Attributes:
        commit: `synchronous_commit`, and the replicas it waits for.
        lags: Which replica is paused for half of the time, if any.
        replicas: Whether the proxy is told of replicas at all.
        delay: Seconds that requests to replicas take longer to arrive.
        topics: Which take part.
        slowness: See `Load`.
    """

    commit: tuple[str, str] = ("on", "")
    lags: str = ""
    replicas: bool = True
    delay: float = 0.0
    topics: tuple[str, ...] = ("warm", "cold", "transfer")
    slowness: float = 1.0


BEHIND = Situation(lags="replica1")
"""A replica lacks what the primary acknowledged."""

AHEAD = Situation(
    commit=("remote_apply", "FIRST 2 (replica1, replica2)"), lags="replica2", delay=0.01
)
"""A replica shows what the primary does not, for as long as the commit waits for the other.

Requests to replicas are slow, so that commits overtake many of them.
"""

SLOW = Situation(replicas=False, topics=("warm", "cold"), slowness=40.0)
"""Reads take long, so that commits are acknowledged while they run."""

SITUATIONS = {
    "mark": AHEAD,
    "pending": AHEAD,
    "version": BEHIND,
    "need": BEHIND,
    "validation": AHEAD,
    "fill": SLOW,
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


@pytest.mark.parametrize("situation", [BEHIND, AHEAD, SLOW], ids=["behind", "ahead", "slow"])
async def test_nothing_is_found_with_all_rules(place: Place, situation: Situation) -> None:
    async with arranged(place, situation) as stage:
        verdict = await stage.run(2 * ROUND, 0)
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
        starts = range(int(seconds)) if it.lags else ()
        lags = [Planned(start + 0.1, 0.6, it.lags, Fault.LAG) for start in starts]
        return await asyncio.to_thread(
            self.ground.run, seconds, [lags], seed=seed, topics=it.topics, slowness=it.slowness
        )


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
        proxy = place.proxy(servers, without)
        ground, _ = await asyncio.to_thread(proxy.__enter__)
        stack.push_async_callback(asyncio.to_thread, proxy.__exit__, None, None, None)
        yield Stage(situation, ground)
