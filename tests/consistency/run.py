"""One run: clients in processes of their own, faults meanwhile, and the judge at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any

from proxy.demo.local_postgres import Server
from proxy.demo.processes import wait_until
from tests.consistency.anomalies import Verdict
from tests.consistency.engines import ENGINES
from tests.consistency.faults import AnyCluster, AnyServer, Faults, Planned, Sufferer
from tests.consistency.history import History, Value, ended_with, started_with
from tests.consistency.judge import judge
from tests.consistency.workload import PATIENCE, Load, read_state, ready, work

PROCESSES = 2

HEAD_START = 0.2
"""Seconds for the processes to take their loads, so that all clients begin at once."""


@contextmanager
def client_processes() -> Iterator[Executor]:
    """Lend processes for clients. They are new ones, not copies: nothing of ours is in them."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as processes:
        # Each has imported all drivers by then, which takes longer than a head start.
        for future in [processes.submit(ready) for _ in range(PROCESSES)]:
            future.result()
        yield processes


@dataclass(frozen=True, slots=True)
class Ground:
    """Where runs take place.

    Attributes:
        cluster: The servers that suffer.
        database: Made with `topics.schema`.
        processes: Where the clients live.
        write_dsns: Where writers do, one after the other.
        read_dsns: Where readers do, one after the other.
        engine: What the servers are: a name in `ENGINES`.
    """

    cluster: AnyCluster
    database: str
    processes: Executor
    write_dsns: tuple[str, ...]
    read_dsns: tuple[str, ...]
    engine: str = "postgres"

    @property
    def write_dsn(self) -> str:
        """Where the first writer connects."""
        return self.write_dsns[0]

    def run(
        self,
        seconds: float,
        plans: Sequence[Sequence[Planned]] = (),
        *,
        others: Mapping[str, Sufferer] | None = None,
        **load: Any,
    ) -> Verdict:
        """Let clients work, let faults happen, look what is left, and judge.

        Args:
            seconds: How long.
            plans: The faults, as `faults.plan` draws them.
            others: Who suffers besides the servers, by the names in the plans.
            load: What is not to be as in `Load`.
        """
        state = read_state(ENGINES[self.engine], self.cluster.primary.dsn(self.database))
        began = time.monotonic()
        loads = [
            Load(
                write_dsns=self.write_dsns,
                read_dsns=self.read_dsns,
                began=began,
                until=began + HEAD_START + seconds,
                first_list=1 + max(map(_list_number, state), default=0),
                process=number,
                processes=PROCESSES,
                state=state,
                engine=self.engine,
                **load,
            )
            for number in range(PROCESSES)
        ]
        futures = [self.processes.submit(work, it) for it in loads]
        with Faults(self.cluster, plans, others) as faults:
            histories = [future.result(seconds + 4 * PATIENCE) for future in futures]
        history = History.merge(histories)
        history.events = faults.events
        now = time.monotonic()
        left = read_state(ENGINES[self.engine], self.cluster.primary.dsn(self.database))
        history.operations += ended_with(left, history.operations, now)
        history.operations += started_with(_without_lists(state), began)
        return judge(history)


def _list_number(name: str) -> int:
    topic, _, key = name.partition(":")
    return int(key) if topic == "list" else 0


def _without_lists(state: dict[str, Value]) -> list[tuple[str, Value]]:
    return [(name, value) for name, value in state.items() if not isinstance(value, str)]


def commit_with(primary: AnyServer, synchronous_commit: str, standbys: str = "") -> None:
    """Set what a commit waits for, and wait until it does.

    Args:
        primary: The server to set, of PostgreSQL's.
        synchronous_commit: The setting of that name.
        standbys: `synchronous_standby_names`.
    """
    assert isinstance(primary, Server)
    settings = {
        "synchronous_commit": synchronous_commit,
        "synchronous_standby_names": standbys,
    }
    for name, value in settings.items():
        primary.execute(f"ALTER SYSTEM SET {name} = '{value}'")
    primary.execute("SELECT pg_reload_conf()")
    wait_until(
        lambda: primary.fetch_value("SHOW synchronous_standby_names") == standbys,
        "the settings of commits to be in force",
    )
