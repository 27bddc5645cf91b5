"""What befalls the servers while clients work: drawn from a seed, carried out on real ones."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum, unique
from functools import singledispatch
from typing import Final, Protocol, TypeAlias

from proxy.demo.local_mysql import MySQLCluster
from proxy.demo.local_postgres import PostgresCluster, Server
from proxy.demo.mysql_server import MySQLServer
from tests.consistency.history import Event

AnyServer: TypeAlias = Server | MySQLServer
AnyCluster: TypeAlias = PostgresCluster | MySQLCluster


@unique
class Fault(Enum):
    """What can happen to a server, to a member of a fleet, or to a way between two of them."""

    LAG = "replay paused"
    KILL = "killed and started"
    CRASH = "one backend killed: crash restart"
    STOP = "stopped and started"
    DELAY = "replays late, on purpose"
    PAUSE = "stopped for longer than a lease"
    EMPTY = "emptied"
    SWITCH = "replaced by a replica that has all it had"
    CUT = "cut: all connections are reset, and new ones"
    HOLD = "held back: all of it comes late"
    SLOW = "slow"


REPLICA_FAULTS: Final = (*[Fault.LAG] * 4, *[Fault.KILL] * 2, Fault.CRASH, Fault.STOP)
"""For a replica, each as often as it is here: what tests most is a replica that lags."""

MYSQL_REPLICA_FAULTS: Final = (*[Fault.LAG] * 4, *[Fault.DELAY] * 2, Fault.KILL, Fault.STOP)
"""The same, where a process that dies takes the whole server with it."""

LONGEST: Final = {
    Fault.LAG: 2.0,
    Fault.KILL: 0.7,
    Fault.CRASH: 0.0,
    Fault.STOP: 0.7,
    Fault.DELAY: 2.5,
    Fault.SWITCH: 1.0,
    Fault.PAUSE: 4.0,
    Fault.EMPTY: 0.0,
    Fault.CUT: 4.0,
    Fault.HOLD: 4.0,
    Fault.SLOW: 3.0,
}
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
    peace: float = LONGEST_PEACE,
) -> list[list[Planned]]:
    """Draw the faults of a run: lists that are carried out side by side, each in order.

    Args:
        seed: The same gives the same plan.
        seconds: When the last must be over.
        servers: Names of those that suffer.
        faults: What is drawn from.
        one_at_a_time: All other servers are well while one is not, as commits that wait
            for a replica need it.
        peace: Seconds between two of them at most.
    """
    names = list(servers)
    columns = [names] if one_at_a_time else [[name] for name in names]
    return [_column(random.Random(f"{seed} {it}"), seconds, it, faults, peace) for it in columns]


def _column(
    draw: random.Random,
    seconds: float,
    servers: Sequence[str],
    faults: Sequence[Fault],
    peace: float,
) -> list[Planned]:
    planned: list[Planned] = []
    now = draw.uniform(0.2, peace)
    while True:
        fault = draw.choice(faults)
        lasts = draw.uniform(0.3, 1.0) * LONGEST[fault]
        if now + lasts >= seconds:
            return planned
        planned.append(Planned(now, lasts, draw.choice(servers), fault))
        now += lasts + draw.uniform(0.2, peace)


class Sufferer(Protocol):
    """Something else that faults may befall."""

    def suffer(self, planned: Planned, /) -> None:
        """Let it, and be well again."""


class Faults:
    """Carries plans out; `with` waits until the last of them is over, and heals.

    A server's name stands for its part at the beginning, which another has after a switch. Events
    tell of parts: "primary", "replica1" and so on.

    Attributes:
        events: What was done, and when.
    """

    def __init__(
        self,
        cluster: AnyCluster,
        plans: Sequence[Sequence[Planned]],
        others: Mapping[str, Sufferer] | None = None,
    ) -> None:
        self._others = others or {}
        self.events: list[Event] = []
        self._cluster = cluster
        self._parts = {server.name: part for part, server in enumerate(cluster.servers)}
        self._busy = [threading.Lock() for _ in self._parts]
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
        for it in plan:
            time.sleep(max(0.0, began + it.at - time.monotonic()))
            start = time.monotonic()
            behind = 0
            name = it.server
            if it.server in self._others:
                self._others[it.server].suffer(it)
            elif it.fault is Fault.SWITCH:
                name = _name_of(0)
                with ExitStack() as all_are_well:
                    for lock in self._busy:
                        all_are_well.enter_context(lock)
                    start = time.monotonic()
                    switch(self._cluster, it.lasts)
            else:
                part = self._parts[it.server]
                name = _name_of(part)
                with self._busy[part]:
                    start = time.monotonic()
                    behind = _befall(self._cluster.servers[part], it)
            text = f"{name} {it.fault.value}"
            self.events.append(Event(start, time.monotonic(), text, behind))


def _name_of(part: int) -> str:
    return f"replica{part}" if part else "primary"


def _befall(server: AnyServer, planned: Planned) -> int:
    """Let a fault befall a server; returns how many bytes of the log it lacked at the end."""
    if planned.fault is Fault.LAG:
        return _lag(server, planned.lasts)
    CARRIED_OUT[planned.fault](server, planned.lasts)
    return 0


def _lag(server: AnyServer, lasts: float) -> int:
    """Hold a replica back; returns how far behind it was in the end."""
    server.pause_replay()
    time.sleep(lasts)
    behind = bytes_behind(server)
    server.resume_replay()
    return behind


@singledispatch
def bytes_behind(server: AnyServer) -> int:
    """Ask a replica how much it has not replayed of what it received: the primary may be down."""
    assert isinstance(server, Server)
    behind = server.fetch_value(
        "SELECT (pg_last_wal_receive_lsn() - pg_last_wal_replay_lsn())::bigint"
    )
    assert isinstance(behind, int)
    return behind


@bytes_behind.register
def _(server: MySQLServer) -> int:
    status = server.status()
    source = "Master" if server.flavour == "mariadb" else "Source"
    if status[f"{source}_Log_File"] != status[f"Relay_{source}_Log_File"]:
        return 0  # they do not compare
    read, done = status[f"Read_{source}_Log_Pos"], status[f"Exec_{source}_Log_Pos"]
    assert isinstance(read, int)
    assert isinstance(done, int)
    return read - done


def _delay(server: AnyServer, lasts: float) -> None:
    assert isinstance(server, MySQLServer)
    server.delay_replay(1)
    time.sleep(lasts)
    server.delay_replay(0)


def switch(cluster: AnyCluster, lasts: float = 0.0) -> None:
    """Replace the primary by the last replica, and lose nothing that had been acknowledged.

    Args:
        cluster: All of its servers are well.
        lasts: Seconds until the former primary comes back as the last replica; 0 for never.
    """
    _stop_for_good(cluster)
    cluster.fail_over(cluster.replicas[-1])
    if lasts:
        time.sleep(lasts)
        cluster.rejoin(cluster.retired[-1])


@singledispatch
def _stop_for_good(cluster: AnyCluster) -> None:
    """Stop a primary that the last replica has all of."""
    cluster.wait_replayed(cluster.replicas[-1])
    # The replica streams, and who streams is sent everything before a server is down.
    cluster.primary.stop()


@_stop_for_good.register
def _(cluster: MySQLCluster) -> None:
    cluster.primary.set_read_only(True)
    cluster.wait_replayed(cluster.replicas[-1])
    cluster.primary.kill()


def _kill(server: AnyServer, lasts: float) -> None:
    server.kill()
    time.sleep(lasts)
    server.start()


def _stop(server: AnyServer, lasts: float) -> None:
    server.stop()
    time.sleep(lasts)
    server.start()


def _crash(server: AnyServer, _: float) -> None:
    assert isinstance(server, Server)
    server.crash_backend()


CARRIED_OUT: Final[dict[Fault, Callable[[AnyServer, float], None]]] = {
    Fault.KILL: _kill,
    Fault.STOP: _stop,
    Fault.CRASH: _crash,
    Fault.DELAY: _delay,
}
