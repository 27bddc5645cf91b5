"""The checker can fail over MariaDB, too: see `test_sensitivity`.

A replica is ahead of its primary where commits wait, unseen there, for another replica's word that
it has received them (semi-synchronous replication, AFTER_SYNC), and that is long on its way.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pytest

from proxy.demo.local_mysql import MySQLCluster
from tests.consistency.anomalies import Kind, Verdict
from tests.consistency.faults import Fault, Planned
from tests.consistency.mysql_doors import Aiomysql
from tests.consistency.mysql_warm_up import warm_up
from tests.consistency.proxied import Place
from tests.consistency.run import Ground
from tests.integration.relay import Relay

ROUND: Final = 2.0
"""Seconds that clients work before the judge is asked."""

ROUNDS: Final = 8

LATE: Final = 0.12
"""Seconds that a replica's word is on its way."""

LAG: Final = 0.3
LAG_EVERY: Final = 0.4

TOO_OLD: Final = {
    *(Kind.TORN, Kind.STALE, Kind.WENT_BACK, Kind.FORK),
    *(Kind.OWN_WRITE_MISSED, Kind.OWN_READ_UNDONE),
}

IS_SOAK: Final = "TIDEGATE_SOAK_SECONDS" in os.environ


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What is arranged for a run.

    Attributes:
        ahead: Whether commits wait while replicas show them.
        lags: Whether a replica is held back again and again.
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
    load: Mapping[str, Any] = field(default_factory=lambda: {"topics": ("warm",)})


BEHIND: Final = Situation(lags=True)
AHEAD: Final = Situation(ahead=True)
"""Replicas show what the primary does not, nor what was kept before."""

OVERTAKEN: Final = Situation(
    ahead=True,
    cache=False,
    delay=0.03,
    load={"topics": ("warm", "cold", "transfer")},
)
SLOW: Final = Situation(
    replicas=False,
    load={"topics": ("warm", "parted"), "slowness": 100.0, "doors": (Aiomysql.way,)},
)
SNAPSHOTS: Final = replace(
    BEHIND,
    load={"topics": ("warm", "cold", "transfer", "hot"), "snapshots": 0.5},
)

SITUATIONS = {
    "mark": AHEAD,
    "version": BEHIND,
    "need": BEHIND,
    "validation": OVERTAKEN,
}
IN_SOAK: Final = {"pending": AHEAD, "fill": SLOW, "snapshot": SNAPSHOTS}
"""Rules that have nothing of the engine in them; `make soak` tries them, and all rules together."""

if IS_SOAK:
    SITUATIONS |= IN_SOAK

MARIADB: Final = pytest.mark.parametrize("mysql_place", ["mariadb"], indirect=True)


@MARIADB
@pytest.mark.parametrize("rule", SITUATIONS)
async def test_missing_rule_is_found(mysql_place: Place, rule: str) -> None:
    situation = SITUATIONS[rule]
    async with arranged(mysql_place, situation, without=[rule]) as stage:
        for number in range(ROUNDS):
            verdict = await stage.run(ROUND, number)
            if not verdict:
                break
    assert verdict.kinds & TOO_OLD, f"nothing was found without {rule}\n{verdict.report()}"
    # What was kept in an earlier round is no value of this one.
    older = {Kind.NEVER_WRITTEN} if number else set()
    assert verdict.kinds <= TOO_OLD | older, verdict.report()


@MARIADB
@pytest.mark.skipif(not IS_SOAK, reason="takes long: make soak")
@pytest.mark.parametrize("situation", [AHEAD, OVERTAKEN], ids=["ahead", "overtaken"])
async def test_nothing_is_found_with_all_rules(mysql_place: Place, situation: Situation) -> None:
    """Of replicas that are behind, `test_mysql_runs` has more than enough."""
    async with arranged(mysql_place, situation) as stage:
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
        name = self.ground.cluster.replicas[-1].name
        count = int(seconds / LAG_EVERY) if it.lags else 0
        lags = [Planned(n * LAG_EVERY, LAG, name, Fault.LAG) for n in range(count)]
        return await asyncio.to_thread(self.ground.run, seconds, [lags], seed=seed, **it.load)


@asynccontextmanager
async def arranged(
    place: Place, situation: Situation, without: Sequence[str] = ()
) -> AsyncIterator[Stage]:
    """Make a situation, with some rules switched off."""
    cluster = place.cluster
    assert isinstance(cluster, MySQLCluster)
    async with AsyncExitStack() as stack:
        servers = [cluster.primary.address]
        relays = [
            await stack.enter_async_context(Relay(replica.port))
            for replica in (cluster.replicas if situation.replicas else ())
        ]
        servers += [relay.address for relay in relays]
        proxy = place.proxy(servers, without, cache=situation.cache, repeatable_read="versioned")
        ground, served = await asyncio.to_thread(proxy.__enter__)
        stack.push_async_callback(asyncio.to_thread, proxy.__exit__, None, None, None)
        await asyncio.to_thread(warm_up, ground.write_dsn, served, servers[1:])
        for relay in relays:
            relay.to_server.delay = situation.delay
        if situation.ahead:
            await stack.enter_async_context(acknowledged_late(cluster))
        yield Stage(situation, ground)


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
