"""What Tidegate holds: idle clients, clients by the thousand, results of any size."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from benchmarks.bare_client import BareClient
from benchmarks.cases import SELECT
from benchmarks.contenders import (
    CACHED,
    DATABASE,
    ONE_SERVER,
    PASSWORD,
    PGBOUNCER,
    USER,
    Contender,
    House,
)
from benchmarks.pgbench import Load
from benchmarks.process import resident_bytes
from benchmarks.rounds import Tell

IDLE_CLIENTS: Final = 1000
MANY_CLIENTS: Final = 2000
MANY_TRANSACTIONS: Final = 20
"""Of each: what all of them have got done in the end, and how long the unluckiest waited."""

MANY_SECONDS: Final = 120
MB: Final = 1e6

BIG_ROWS: Final = 1_000_000
BIG: Final = f"SELECT repeat('x', 1000) FROM generate_series(1, {BIG_ROWS})"
SAMPLE_BYTES: Final = 16 * 1024 * 1024
PAUSE_AT: Final = 100_000_000
PAUSE_SECONDS: Final = 1.0
"""The client stops reading for a while: that is when a proxy's memory would grow."""

ASK: Final = "SELECT abalance FROM pgbench_accounts WHERE aid = {number}"


@dataclass(slots=True)
class Capacity:
    """What was found, as numbers with their names, for each contender."""

    title: str
    found: dict[str, dict[str, float]] = field(default_factory=dict)


def idle_clients(house: House, tell: Tell) -> Capacity:
    """Measure what clients cost that only sit there."""
    result = Capacity(f"memory of {IDLE_CLIENTS:,} idle clients (MB)")
    for name in (PGBOUNCER, CACHED):
        tell(f"{name}: {IDLE_CLIENTS} idle clients")
        with house.running(name) as (contender,), _clients(contender, 10) as some:
            _ask_all(some)
            before = _memory(contender)
            with _clients(contender, IDLE_CLIENTS) as clients:
                connected = _memory(contender)
                _ask_all(clients)
                asked = _memory(contender)
        result.found[name] = {
            "once connected": connected - before,
            "once each has asked something": asked - before,
        }
    return result


def many_clients(house: House, tell: Tell) -> Capacity:
    """See whether clients by the thousand all get their turn on a pool's connections."""
    result = Capacity(f"{MANY_CLIENTS:,} clients over 20 server connections ")
    load = Load(SELECT, "simple", MANY_CLIENTS, MANY_TRANSACTIONS)
    for name in (PGBOUNCER, ONE_SERVER):
        tell(f"{name}: {MANY_CLIENTS} clients")
        with house.running(name) as (contender,):
            done = load.run(
                port=contender.port,
                database=DATABASE,
                user=USER,
                password=PASSWORD,
                seconds=MANY_SECONDS,
            )
        served = sum(count == MANY_TRANSACTIONS for count in done.by_client.values())
        result.found[name] = {
            f"clients that got {MANY_TRANSACTIONS} transactions done": served,
            "transactions per second": done.per_second,
            "p50 (ms)": done.percentile(50) / 1000,
            "p99 (ms)": done.percentile(99) / 1000,
            "longest wait (ms)": done.percentile(100) / 1000,
        }
    return result


def big_result(house: House, tell: Tell) -> Capacity:
    """Pass a result of a gigabyte through, to a client that stops reading for a while."""
    result = Capacity("a result of 1 GB")
    for name in (PGBOUNCER, CACHED):
        tell(f"{name}: a result of 1 GB")
        with house.running(name) as (contender,), _clients(contender, 1) as (client,):
            _ask_all([client])
            memory = [_memory(contender)]
            pause = _Pause(contender, memory)
            started = time.perf_counter()
            size = client.ask(BIG, pause)
            seconds = time.perf_counter() - started - pause.seconds
        result.found[name] = {
            "MB/s": size / MB / seconds,
            "memory before (MB)": memory[0],
            "memory at most (MB)": max(memory),
        }
    return result


class _Pause:
    """Looks at the memory now and then as a result comes in, and once stops reading."""

    def __init__(self, contender: Contender, memory: list[float]) -> None:
        self.seconds = 0.0
        self._contender = contender
        self._memory = memory
        self._next = SAMPLE_BYTES

    def __call__(self, total: int) -> None:
        if total < self._next:
            return
        self._next = total + SAMPLE_BYTES
        if total > PAUSE_AT and not self.seconds:
            time.sleep(PAUSE_SECONDS)
            self.seconds = PAUSE_SECONDS
        self._memory.append(_memory(self._contender))


@contextmanager
def _clients(contender: Contender, count: int) -> Iterator[list[BareClient]]:
    clients: list[BareClient] = []
    try:
        for _ in range(count):
            clients.append(
                BareClient(contender.port, database=DATABASE, user=USER, password=PASSWORD)
            )
        yield clients
    finally:
        for client in clients:
            client.close()


def _ask_all(clients: list[BareClient]) -> None:
    for number, client in enumerate(clients, 1):
        client.ask(ASK.format(number=number))


def _memory(contender: Contender) -> float:
    assert contender.pid is not None
    return resident_bytes(contender.pid) / MB
