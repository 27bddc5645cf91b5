"""What befalls the servers while clients work: drawn from a seed, carried out on real ones."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from proxy.demo.local_postgres import PostgresCluster, Server
from tests.consistency.history import Event


@unique
class Fault(Enum):
    """What can happen to a server."""

    LAG = "replay paused"
    KILL = "killed and started"
    CRASH = "one backend killed: crash restart"
    STOP = "stopped and started"


REPLICA_FAULTS: Final = (*[Fault.LAG] * 4, *[Fault.KILL] * 2, Fault.CRASH, Fault.STOP)
"""For a replica, each as often as it is here: what tests most is a replica that lags."""

LONGEST: Final = {Fault.LAG: 2.0, Fault.KILL: 0.7, Fault.CRASH: 0.0, Fault.STOP: 0.7}
"""Seconds that it lasts at most, a server's start not counted."""

LONGEST_PEACE: Final = 1.5


@dataclass(frozen=True, slots=True)
class Planned:
    """One fault to come.

    Attributes:
        at: Seconds from the beginning.
        lasts: Seconds.
        server: Its name.
        fault: What happens to it.
    """

    at: float
    lasts: float
    server: str
    fault: Fault


def plan(
    seed: int,
    seconds: float,
    servers: Iterable[str],
    faults: Sequence[Fault] = REPLICA_FAULTS,
    *,
    one_at_a_time: bool = False,
) -> list[list[Planned]]:
    """Draw the faults of a run: lists that are carried out side by side, each in order.

    Args:
        seed: The same gives the same plan.
        seconds: When the last must be over.
        servers: Names of those that suffer.
        faults: What is drawn from.
        one_at_a_time: All other servers are well while one is not, as commits that wait
            for a replica need it.
    """
    names = list(servers)
    columns = [names] if one_at_a_time else [[name] for name in names]
    return [_column(random.Random(f"{seed} {it}"), seconds, it, faults) for it in columns]


def _column(
    draw: random.Random, seconds: float, servers: Sequence[str], faults: Sequence[Fault]
) -> list[Planned]:
    planned: list[Planned] = []
    now = draw.uniform(0.2, LONGEST_PEACE)
    while True:
        fault = draw.choice(faults)
        lasts = draw.uniform(0.3, 1.0) * LONGEST[fault]
        if now + lasts >= seconds:
            return planned
        planned.append(Planned(now, lasts, draw.choice(servers), fault))
        now += lasts + draw.uniform(0.2, LONGEST_PEACE)


class Faults:
    """Carries plans out; `with` waits until the last of them is over, and heals.

    Attributes:
        events: What was done, and when.
    """

    def __init__(self, cluster: PostgresCluster, plans: Sequence[Sequence[Planned]]) -> None:
        self.events: list[Event] = []
        self._cluster = cluster
        self._plans = plans
        self._threads = ThreadPoolExecutor(max_workers=max(1, len(plans)))

    def __enter__(self) -> Faults:
        began = time.monotonic()
        self._running = [self._threads.submit(self._run, it, began) for it in self._plans]
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown()
        for future in self._running:
            future.result()

    def _run(self, plan: Sequence[Planned], began: float) -> None:
        servers = {server.name: server for server in self._cluster.servers}
        for it in plan:
            time.sleep(max(0.0, began + it.at - time.monotonic()))
            self._suffer(servers[it.server], it)

    def _suffer(self, server: Server, planned: Planned) -> None:
        start = time.monotonic()
        text = f"{server.name} {planned.fault.value}"
        behind = 0
        if planned.fault is Fault.LAG:
            behind = self._lag(server, planned.lasts)
        else:
            CARRIED_OUT[planned.fault](server, planned.lasts)
        self.events.append(Event(start, time.monotonic(), text, behind))

    def _lag(self, server: Server, lasts: float) -> int:
        """Hold a replica back; returns how far behind it was in the end."""
        server.pause_replay()
        time.sleep(lasts)
        # Against what it received, since the primary may be down.
        behind = server.fetch_value(
            "SELECT (pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn())::bigint"
        )
        server.resume_replay()
        assert isinstance(behind, int)
        return behind


def _kill(server: Server, lasts: float) -> None:
    server.kill()
    time.sleep(lasts)
    server.start()


def _stop(server: Server, lasts: float) -> None:
    server.stop()
    time.sleep(lasts)
    server.start()


def _crash(server: Server, _: float) -> None:
    server.crash_backend()


CARRIED_OUT: Final[dict[Fault, Callable[[Server, float], None]]] = {
    Fault.KILL: _kill,
    Fault.STOP: _stop,
    Fault.CRASH: _crash,
}
