"""A run through the proxy: what to start, and whether the run was worth something."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.demo.local_postgres import SUPERUSER, PostgresCluster
from tests.consistency.run import Ground
from tests.integration.proxy_under_test import SERVE, ProxyUnderTest, Setting

SERVE_WITHOUT = (sys.executable, "-m", "tests.consistency.serve")


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs through a proxy take place, before there is one.

    Attributes:
        cluster: The servers.
        database: Made with `topics.schema`.
        processes: Where the clients live.
        folder: For the proxy's files.
    """

    cluster: PostgresCluster
    database: str
    processes: Executor
    folder: Path

    @contextmanager
    def proxy(
        self, servers: Sequence[str] = (), without: Sequence[str] = (), **group: Setting
    ) -> Iterator[tuple[Ground, ProxyUnderTest]]:
        """Start one, and judge its log at the end.

        Args:
            servers: Addresses in place of the cluster's own.
            without: Rules of freshness that are switched off.
            group: Settings of its server group.
        """
        switches = [word for rule in without for word in ("--without", rule)]
        proxy = ProxyUnderTest(
            self.folder,
            servers or [server.address for server in self.cluster.servers],
            auth_user=SUPERUSER,
            auth_password=self.cluster.password,
            group=group,
            command=[*SERVE_WITHOUT, *switches] if without else SERVE,
        )
        with proxy:
            dsn = proxy.dsn(self.database, user=SUPERUSER, password=self.cluster.password)
            yield Ground(self.cluster, self.database, self.processes, dsn, (dsn,)), proxy


@dataclass(frozen=True, slots=True)
class Yield:
    """What the proxy did in a run, by its own counters.

    Attributes:
        hits: Reads from the cache.
        fills: Results that were kept.
        by_replicas: Reads at a replica.
        behind: Reads at the primary because replicas had not replayed what they needed.
        pending: Reads at the primary because of a commit under way.
        invalidated: Answers of replicas that were thrown away at their first byte.
        spared: Transactions that ended before they had to be opened.
        refused: Those that were refused, for what they had read had been written since.
    """

    hits: float
    fills: float
    by_replicas: float
    behind: float
    pending: float
    invalidated: float
    spared: float
    refused: float

    @classmethod
    def of(cls, proxy: ProxyUnderTest, cluster: PostgresCluster) -> Yield:
        """Ask a proxy for its counters."""
        return cls(
            hits=proxy.metric("tidegate_cache_hits_total"),
            fills=proxy.metric("tidegate_cache_fills_total"),
            by_replicas=sum(
                proxy.metric("tidegate_reads_total", server=replica.address)
                for replica in cluster.replicas
            ),
            behind=proxy.metric("tidegate_reads_total", reason="behind"),
            pending=proxy.metric("tidegate_reads_total", reason="pending"),
            invalidated=proxy.metric("tidegate_reads_total", reason="invalidated"),
            spared=proxy.metric("tidegate_transactions_total", outcome="spared"),
            refused=proxy.metric("tidegate_transactions_total", outcome="refused"),
        )
