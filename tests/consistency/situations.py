"""Situations in which one rule of freshness is all that stands between a client and an anomaly.

A replica is ahead of its primary where commits wait, unseen there, for another replica: on
PostgreSQL until that has replayed them, while it is paused (remote_apply); on MariaDB for its word
that it has received them (semi-synchronous replication, AFTER_SYNC), which is long on its way.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from proxy.demo.local_mysql import MySQLCluster
from tests.consistency.anomalies import Kind, Verdict
from tests.consistency.faults import AnyCluster, Fault, Planned
from tests.consistency.proxied import Place
from tests.consistency.run import Ground, commit_with
from tests.consistency.warm_up import warm_up
from tests.integration.relay import Relay

LAG: Final = 0.3
"""Seconds for which a replica is paused."""

LAGS: Final = 5
"""How often, in a round."""

LATE: Final = 0.12
"""Seconds that a replica's word is on its way."""

TOO_OLD: Final = {
    *(Kind.TORN, Kind.STALE, Kind.WENT_BACK, Kind.FORK),
    *(Kind.OWN_WRITE_MISSED, Kind.OWN_READ_UNDONE),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is arranged for a run.

    Attributes:
        ahead: Whether commits wait while replicas show them.
        lags: Whether the last replica is paused again and again.
        replicas: Whether the proxy is told of replicas at all.
        cache: Whether results are kept.
        delay: Seconds that requests to replicas take longer to arrive.
        load: What is not to be as in `Load`.
    """

    ahead: bool = False
    lags: bool = False
    replicas: bool = True
    cache: bool = True
    delay: float = 0.0
    load: Mapping[str, Any] = field(
        default_factory=lambda: {"topics": ("warm", "cold", "transfer")}
    )


@dataclass(frozen=True, slots=True)
class Stage:
    """A situation with a proxy in it."""

    situation: Situation
    ground: Ground

    async def run(self, seconds: float, seed: int) -> Verdict:
        """Let clients work, and judge; meanwhile relays work in this loop."""
        it = self.situation
        name = self.ground.cluster.replicas[-1].name
        starts = [seconds / LAGS * number for number in range(LAGS if it.lags else 0)]
        lags = [Planned(start, LAG, name, Fault.LAG) for start in starts]
        return await asyncio.to_thread(self.ground.run, seconds, [lags], seed=seed, **it.load)


async def search(
    place: Place, situation: Situation, rule: str, *, rounds: int, seconds: float
) -> list[Verdict]:
    """Let clients work without a rule until something is found: the verdict of each round."""
    verdicts: list[Verdict] = []
    async with arranged(place, situation, without=[rule]) as stage:
        for number in range(rounds):
            verdicts.append(await stage.run(seconds, number))
            if not verdicts[-1]:
                break
    return verdicts


def show_what_is_too_old(verdicts: Sequence[Verdict]) -> bool:
    """Whether the last round found something, and nothing but what is too old.

    That is what was kept in an earlier round, too, which a later one takes for never written.
    """
    kinds = verdicts[-1].kinds
    return bool(kinds) and kinds <= TOO_OLD | ({Kind.NEVER_WRITTEN} if verdicts[1:] else set())


async def find_nothing(place: Place, situation: Situation, *, seconds: float) -> None:
    """Let clients work under all rules, which must come to nothing."""
    async with arranged(place, situation) as stage:
        verdict = await stage.run(seconds, 0)
    assert verdict, verdict.report()
    assert not verdict.history.errors, verdict.report()


@asynccontextmanager
async def arranged(
    place: Place, situation: Situation, without: Sequence[str] = ()
) -> AsyncIterator[Stage]:
    """Make a situation, with some rules switched off."""
    cluster = place.cluster
    async with AsyncExitStack() as stack:
        relays = [
            await stack.enter_async_context(Relay(replica.port))
            for replica in (cluster.replicas if situation.replicas else ())
        ]
        replicas = [relay.address for relay in relays]
        servers = [cluster.primary.address, *replicas]
        proxy = place.proxy(servers, without, cache=situation.cache, repeatable_read="versioned")
        ground, served = await asyncio.to_thread(proxy.__enter__)
        stack.push_async_callback(asyncio.to_thread, proxy.__exit__, None, None, None)
        if isinstance(cluster, MySQLCluster):
            await asyncio.to_thread(warm_up, ground.write_dsn, served, replicas)
        for relay in relays:
            relay.to_server.delay = situation.delay
        if situation.ahead:
            await stack.enter_async_context(shown_too_early(cluster))
        yield Stage(situation, ground)


@asynccontextmanager
async def shown_too_early(cluster: AnyCluster) -> AsyncIterator[None]:
    """Have commits wait, unseen on the primary, while a replica shows them."""
    if isinstance(cluster, MySQLCluster):
        async with acknowledged_late(cluster):
            yield
        return
    names = ", ".join(replica.name for replica in cluster.replicas)
    every = f"FIRST {len(cluster.replicas)} ({names})"
    await asyncio.to_thread(commit_with, cluster.primary, "remote_apply", every)
    try:
        yield
    finally:
        await asyncio.to_thread(commit_with, cluster.primary, "on")


@asynccontextmanager
async def acknowledged_late(cluster: MySQLCluster) -> AsyncIterator[None]:
    """Have commits wait, unseen, for the word of a replica that is long on its way."""
    primary, replica = cluster.primary, cluster.replicas[-1]
    async with Relay(primary.port) as relay:
        relay.to_server.delay = LATE

        def wait(is_on: bool) -> None:
            port = relay.port if is_on else primary.port
            switch = "ON" if is_on else "OFF"
            primary.execute(
                f"SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC;"
                f" SET GLOBAL rpl_semi_sync_master_enabled = {switch}"
            )
            replica.execute(
                f"STOP REPLICA; SET GLOBAL rpl_semi_sync_slave_enabled = {switch};"
                f" CHANGE MASTER TO MASTER_PORT = {port}; START REPLICA"
            )

        await asyncio.to_thread(wait, True)
        try:
            yield
        finally:
            await asyncio.to_thread(wait, False)
