"""The product's promise, kept by several members while they, their bus and the servers die."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import final

import pytest

from tests.consistency.faults import Fault, Planned, plan
from tests.consistency.history import Act
from tests.consistency.proxied import Place, Yield
from tests.consistency.situations import TOO_OLD
from tests.consistency.test_runs import LENGTH, RUNS, SEED
from tests.consistency.warm_up import warm_up
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.redis_under_test import Redis, temporary_redis

ROUNDS = 5

MEMBER_FAULTS = (Fault.KILL, Fault.PAUSE, Fault.STOP)
BUS_FAULTS = (Fault.KILL, Fault.PAUSE, Fault.EMPTY)


@pytest.fixture
def redis() -> Iterator[Redis]:
    with temporary_redis() as server:
        yield server


@final
class Member:
    """A member that faults befall."""

    def __init__(self, proxy: ProxyUnderTest) -> None:
        self._proxy = proxy

    def suffer(self, planned: Planned) -> None:
        """Be killed, stand still, or be restarted."""
        if planned.fault is Fault.PAUSE:
            self._proxy.process.send_signal(signal.SIGSTOP)
            time.sleep(planned.lasts)
            self._proxy.process.send_signal(signal.SIGCONT)
        else:
            if planned.fault is Fault.STOP:
                self._proxy.stop()
            else:
                self._proxy.kill()
            time.sleep(planned.lasts)
            self._proxy.start()


@final
class Bus:
    """Redis, as the members' bus."""

    def __init__(self, server: Redis) -> None:
        self._server = server

    def suffer(self, planned: Planned) -> None:
        """Be killed, stand still, or forget all."""
        if planned.fault is Fault.PAUSE:
            self._server.pause()
            time.sleep(planned.lasts)
            self._server.resume()
        elif planned.fault is Fault.EMPTY:
            with self._server.client() as client:
                client.flushall()
        else:
            self._server.kill()
            time.sleep(planned.lasts)
            self._server.start()


def warm(place: Place, dsns: tuple[str, ...], members: list[ProxyUnderTest]) -> None:
    replicas = [it.address for it in place.cluster.replicas]
    for dsn, member in zip(dsns, members, strict=True):
        warm_up(dsn, member, replicas)


def total(members: list[ProxyUnderTest], place: Place) -> list[Yield]:
    return [Yield.of(member, place.cluster) for member in members]


def test_nothing_is_stale_while_replicas_lag_and_die(place: Place, tmp_path: Path) -> None:
    """Of three over sockets: no client has an error, and each has its share."""
    with place.fleet(f"unix://{tmp_path}/bus") as (ground, members):
        warm(place, ground.read_dsns, members)
        for seed in range(SEED, SEED + RUNS):
            plans = plan(seed, LENGTH, [it.name for it in place.cluster.replicas])
            verdict = ground.run(LENGTH, plans, seed=seed)
            shares = total(members, place)
            text = f"seed {seed}\n{shares}\n{verdict.report()}"
            print(text)
            assert verdict, text
            assert not verdict.history.errors, text
            assert verdict.history.count(Act.WRITE) > 5 * LENGTH, text
            assert all(it.hits and it.by_replicas for it in shares), text


def test_nothing_is_stale_while_all_die(place: Place, redis: Redis) -> None:
    """Members, Redis, replicas and the primary; only who dies is to blame for errors."""
    with place.fleet(redis.url) as (ground, members):
        warm(place, ground.read_dsns, members)
        others = {f"member{at}": Member(it) for at, it in enumerate(members)}
        replicas = [it.name for it in place.cluster.replicas]
        for seed in range(SEED, SEED + RUNS):
            plans = [
                *plan(seed, LENGTH, replicas, peace=3.0),
                *plan(seed, LENGTH, others, MEMBER_FAULTS, one_at_a_time=True, peace=8.0),
                *plan(seed, LENGTH, ["bus"], BUS_FAULTS, peace=6.0),
                *plan(seed, LENGTH, ["primary"], (Fault.CRASH,), peace=20.0),
            ]
            verdict = ground.run(LENGTH, plans, seed=seed, others={**others, "bus": Bus(redis)})
            text = f"seed {seed}\n{total(members, place)}\n{verdict.report()}"
            print(text)
            assert verdict, text


SHORT = [Planned(0.5 + at, 0.6, "bus", Fault.PAUSE) for at in range(4)]
LONG = [Planned(0.5, 3.5, "bus", Fault.PAUSE)]
"""Longer than a lease: who waits for an acknowledgement has given up by then."""


@pytest.mark.parametrize(
    ("switches", "pauses"),
    [(["--impatient"], SHORT), (["--fleet", "ungranted"], LONG)],
    ids=["impatient", "ungranted"],
)
def test_a_missing_rule_is_found(
    place: Place, redis: Redis, switches: list[str], pauses: list[Planned]
) -> None:
    """While the bus stands still, nobody hears of a commit."""
    with place.fleet(redis.url, switches=switches) as (ground, members):
        warm(place, ground.read_dsns, members)
        for number in range(ROUNDS):
            verdict = ground.run(5.0, [pauses], seed=SEED + number, others={"bus": Bus(redis)})
            if verdict.anomalies:
                break
    assert verdict.kinds & TOO_OLD, verdict.report()
