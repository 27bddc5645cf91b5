"""A fleet under test: its members, its Redis and the ways between, all of which faults befall."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, final

from proxy.demo.processes import freeze
from tests.consistency.anomalies import Verdict
from tests.consistency.faults import Fault, Planned, Sufferer
from tests.consistency.links import links
from tests.consistency.proxied import NO_SETTINGS, Place
from tests.consistency.run import Ground
from tests.consistency.warm_up import warm_up
from tests.integration.proxy_under_test import ProxyUnderTest, Setting
from tests.integration.redis_under_test import Redis

MEMBERS: Final = 3
BUS: Final = "bus"
WAY: Final = "way"
"""The name of the way that one member, the last, has to the servers: the others reach them."""

LONGEST_START: Final = 90.0
"""Seconds that a member's start takes at most, while everything else is killed."""


@dataclass(slots=True)
class Reads:
    """Where reads were answered, by the members' own counters.

    Attributes:
        cache: From memory.
        replicas: By one of them.
        primary: By it.
    """

    cache: float = 0.0
    replicas: float = 0.0
    primary: float = 0.0

    def add(self, proxy: ProxyUnderTest) -> None:
        """Add what a process has counted in its life."""
        hits = proxy.metric("tidegate_cache_hits_total")
        replicas = proxy.metric("tidegate_reads_total", reason="replica")
        cached = proxy.metric("tidegate_reads_total", reason="hit")
        self.cache += hits
        self.replicas += replicas
        self.primary += proxy.metric("tidegate_reads_total") - cached - replicas


@final
class Member:
    """A member that faults befall.

    Attributes:
        proxy: Its process.
        reads: What those before this process had counted.
    """

    def __init__(self, proxy: ProxyUnderTest) -> None:
        self.proxy = proxy
        self.reads = Reads()

    def suffer(self, planned: Planned) -> None:
        """Be killed, stand still, or be restarted."""
        if planned.fault is Fault.PAUSE:
            freeze(self.proxy.process.pid)
            time.sleep(planned.lasts)
            self.proxy.process.send_signal(signal.SIGCONT)
        else:
            self.reads.add(self.proxy)
            if planned.fault is Fault.STOP:
                self.proxy.stop()
            else:
                self.proxy.kill()
            time.sleep(planned.lasts)
            self.proxy.start(LONGEST_START)


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


@dataclass(frozen=True, slots=True)
class FleetUnderTest:
    """What is judged.

    Attributes:
        ground: Where clients of all members work.
        members: In the order of the ground's connection strings.
        others: Whoever suffers besides the servers, by the names in plans.
    """

    ground: Ground
    members: Sequence[Member]
    others: Mapping[str, Sufferer]

    def run(self, seconds: float, plans: Sequence[Sequence[Planned]], **load: object) -> Verdict:
        """See `Ground.run`."""
        return self.ground.run(seconds, plans, others=self.others, **load)

    def reads(self) -> Reads:
        """Add up what all members have counted, those that were killed included."""
        total = Reads()
        for member in self.members:
            total.add(member.proxy)
            total.cache += member.reads.cache
            total.replicas += member.reads.replicas
            total.primary += member.reads.primary
        return total


def member_names() -> list[str]:
    return [f"member{number}" for number in range(MEMBERS)]


def link_names() -> list[str]:
    """Name each member's way to the bus."""
    return [f"link{number}" for number in range(MEMBERS)]


@contextmanager
def fleet(
    place: Place,
    redis: Redis,
    switches: Sequence[str] = (),
    shared: Mapping[str, Setting] = NO_SETTINGS,
    **group: Setting,
) -> Iterator[FleetUnderTest]:
    """Start members that have a way each to one Redis, and warm them up.

    Args:
        place: Where.
        redis: Their bus.
        switches: Words for `tests.consistency.serve`, where they are not the product.
        shared: Settings of the fleet.
        group: Settings of their server group.
    """
    servers = place.cluster.servers
    with links(*[[redis.port]] * MEMBERS, [it.port for it in servers]) as opened:
        way = opened[MEMBERS]
        urls = [redis.url.replace(f":{redis.port}/", f":{it.ports[0]}/") for it in opened[:MEMBERS]]
        direct = [it.address for it in servers]
        ways = [*[direct] * (MEMBERS - 1), way.addresses]
        with place.fleet(urls, switches, ways, shared, **group) as (ground, proxies):
            for dsn, proxy, addresses in zip(ground.read_dsns, proxies, ways, strict=True):
                warm_up(dsn, proxy, addresses[1:])
            members = [Member(it) for it in proxies]
            others: dict[str, Sufferer] = {BUS: Bus(redis), WAY: way}
            others |= dict(zip(member_names(), members, strict=True))
            others |= dict(zip(link_names(), opened, strict=False))
            yield FleetUnderTest(ground, members, others)
