"""The product's promise, kept by several members while they, their bus and the servers die.

`make soak` makes the runs longer, and has more of what takes long.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests.consistency.blame import Blame
from tests.consistency.faults import MYSQL_REPLICA_FAULTS, REPLICA_FAULTS, Fault, Planned, plan
from tests.consistency.fleet import (
    BUS,
    MEMBERS,
    WAY,
    FleetUnderTest,
    fleet,
    link_names,
    member_names,
)
from tests.consistency.history import Act, Event
from tests.consistency.proxied import Place, Yield
from tests.consistency.test_mysql_runs import PLAIN, PLAIN_DOORS
from tests.consistency.test_runs import LAGGING, LENGTH, RUNS, SEED, SOAK
from tests.consistency.warm_up import warm_up
from tests.integration.proxy_under_test import Setting
from tests.integration.redis_under_test import Redis

IS_SOAK: Final = SOAK in os.environ

MEMBER_FAULTS: Final = (Fault.KILL, Fault.PAUSE, Fault.STOP)
BUS_FAULTS: Final = (Fault.KILL, Fault.PAUSE, Fault.EMPTY)
LINK_FAULTS: Final = (Fault.CUT, Fault.HOLD, Fault.SLOW)
SWITCHED_AT: Final = 0.6
"""The part of a run after which a replica becomes the primary."""

CALM: Final = 4.0
"""How much rarer faults are in every other run, so that members get to read fast between them."""

FENCINGS: Final = ("primary", "lease") if IS_SOAK else ("primary",)
MARGIN: Final = "1s"
"""Of members that fence themselves: short, so that they get to read fast again between faults."""


def test_nothing_is_stale_while_replicas_lag_and_die(place: Place, tmp_path: Path) -> None:
    """Of three over sockets: no client has an error, and each has its share."""
    with place.fleet([f"unix://{tmp_path}/bus"] * MEMBERS) as (ground, members):
        replicas = place.cluster.replicas
        for dsn, member in zip(ground.read_dsns, members, strict=True):
            warm_up(dsn, member, [it.address for it in replicas])
        for seed in range(SEED, SEED + RUNS):
            plans = plan(seed, LAGGING, [it.name for it in replicas])
            verdict = ground.run(LAGGING, plans, seed=seed)
            shares = [Yield.of(member, place.cluster) for member in members]
            text = f"seed {seed}\n{shares}\n{verdict.report()}"
            print(text)
            assert verdict, text
            assert not verdict.history.errors, text
            assert verdict.history.count(Act.WRITE) > 5 * LAGGING, text
            assert all(it.hits and it.by_replicas for it in shares), text


@pytest.mark.parametrize("fencing", FENCINGS)
def test_nothing_is_stale_while_all_die(place: Place, redis: Redis, fencing: str) -> None:
    """Of three over Redis and PostgreSQL with two replicas."""
    shared: dict[str, Setting] = {"fencing": fencing, "fencing_margin": MARGIN}
    with fleet(place, redis, shared=shared, repeatable_read="versioned") as under_test:
        crashes = (Fault.CRASH, Fault.KILL, Fault.STOP)
        judge_all_dying(place, under_test, LENGTH, REPLICA_FAULTS, crashes)


@pytest.mark.parametrize("mysql_place", ["mariadb_pair"], indirect=True)
def test_nothing_is_stale_while_all_die_over_mariadb(mysql_place: Place, redis: Redis) -> None:
    """Of three over Redis and MariaDB with one replica."""
    seconds = LENGTH if IS_SOAK else LENGTH / 2
    load = {"topics": PLAIN, "doors": PLAIN_DOORS}
    with fleet(mysql_place, redis, repeatable_read="versioned") as under_test:
        crashes = (Fault.KILL, Fault.STOP)
        judge_all_dying(mysql_place, under_test, seconds, MYSQL_REPLICA_FAULTS, crashes, load)


def judge_all_dying(
    place: Place,
    under_test: FleetUnderTest,
    seconds: float,
    of_replicas: tuple[Fault, ...],
    of_the_primary: tuple[Fault, ...],
    load: Mapping[str, Any] | None = None,
) -> None:
    """Members, Redis, all ways, replicas and the primary; who dies is to blame for errors."""
    unexplained: list[Event] = []
    befallen: Counter[str] = Counter()
    errors: Counter[str] = Counter()
    done: Counter[str] = Counter()
    for seed in range(SEED, SEED + RUNS):
        calm = CALM if (seed - SEED) % 2 else 1.0
        primary, replicas = place.cluster.primary.name, [it.name for it in place.cluster.replicas]
        plans = [
            *plan(seed, seconds, replicas, of_replicas, peace=3 * calm),
            *plan(seed, seconds, member_names(), MEMBER_FAULTS, one_at_a_time=True, peace=8 * calm),
            *plan(seed, seconds, [BUS], BUS_FAULTS, peace=10 * calm),
            *plan(seed, seconds, link_names(), LINK_FAULTS, one_at_a_time=True, peace=5 * calm),
            *plan(seed, seconds, [WAY], LINK_FAULTS, peace=20 * calm),
            *plan(seed, seconds, [primary], of_the_primary, peace=30 * calm),
            [Planned(SWITCHED_AT * seconds, 1.0, primary, Fault.SWITCH)],
        ]
        verdict = under_test.run(seconds, plans, seed=seed, **(load or {}))
        blame = Blame.of(verdict)
        text = f"seed {seed}\n{under_test.reads()}\n{verdict.report()}\n{blame.report(verdict)}"
        print(text)
        assert verdict, text
        unexplained += blame.unexplained
        assert verdict.history.count(Act.READ) > 10 * seconds, text
        assert verdict.history.count(Act.WRITE) > seconds, text
        befallen.update(it.text for it in verdict.history.events)
        errors.update(f"{whose}: {code}" for whose, code in blame.counts.elements())
        done.update(f"{it.act.value} {it.outcome.value}" for it in verdict.history.operations)
    for counted in (done, errors, befallen):
        print("\n".join(f"{count} x {what}" for what, count in sorted(counted.items())))
    assert not unexplained, unexplained[:8]
    assert befallen[f"primary {Fault.SWITCH.value}"] == RUNS
