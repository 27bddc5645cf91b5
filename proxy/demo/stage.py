"""What the scenes of the demo share: servers, Tidegate in front, the screen, and the score."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, final

import asyncpg
from asyncpg import Connection

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import ProgramFailed
from proxy.demo.proxy_process import ProxyProcess
from proxy.demo.screen import Screen

USER: Final = "demo"
PASSWORD: Final = "demo"
DATABASE: Final = "demo"

CACHE: Final = "cache"

PATIENCE: Final = 30.0
"""Seconds after which an answer is not awaited any longer."""


@dataclass(slots=True)
class Spread:
    """Reads, by who answered them: "primary", "replica1", ..., "cache"."""

    reads: Counter[str] = field(default_factory=Counter)

    @property
    def hits(self) -> int:
        return self.reads[CACHE]

    @property
    def asked(self) -> int:
        """How many went to a server."""
        return self.reads.total() - self.hits


@final
class Stage:
    """What scenes need, and where they leave their results.

    Attributes:
        spreads: Who answered, by what was read.
        timings: Rows of the table of times: a statement, then the medians direct and through.
        claims: How many were made.
        failures: Those that did not hold.

    Args:
        cluster: The servers.
        proxy: Tidegate in front of them.
        screen: Where the scenes say what happens.
    """

    def __init__(self, cluster: PostgresCluster, proxy: ProxyProcess, screen: Screen) -> None:
        self.cluster = cluster
        self.proxy = proxy
        self.screen = screen
        self.spreads: dict[str, Spread] = {}
        self.timings: list[list[str]] = []
        self.claims = 0
        self.failures: list[str] = []

    @property
    def direct_dsn(self) -> str:
        """The primary itself."""
        return self.cluster.primary.dsn(DATABASE, user=USER, password=PASSWORD)

    @property
    def dsn(self) -> str:
        """The same database, through Tidegate."""
        return self.proxy.dsn(DATABASE, user=USER, password=PASSWORD)

    @contextmanager
    def counting(self, what: str) -> Iterator[Spread]:
        """Count who answers the reads inside, by Tidegate's metrics, on top of earlier ones."""
        spread = self.spreads.setdefault(what, Spread())
        before = self.proxy.scrape()
        yield spread
        counted = self.proxy.scrape() - before
        for server, reads in counted.by("server", "tidegate_reads_total").items():
            spread.reads[self.named(server)] += reads

    def claim(self, text: str, held: bool) -> None:
        """Say that something happened, and keep it in mind when it did not."""
        self.claims += 1
        if not held:
            self.failures.append(text)
        self.screen.verdict(text, held=held)

    def route(self, sql: str) -> str:
        """Ask Tidegate where it would send a statement now, with psql as anybody can."""
        asked = subprocess.run(
            [self.psql, "-XAt", self.dsn, "-c", f"EXPLAIN ROUTE {sql}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=30.0,
        )
        if asked.returncode:
            raise ProgramFailed(f"psql ended with {asked.returncode}: {asked.stderr.strip()}")
        facts = dict(line.split("|", 1) for line in asked.stdout.splitlines())
        return self.named(facts["goes to"].split()[-1])

    @property
    def psql(self) -> str:
        """How to call it: by its name alone where that is enough."""
        return "psql" if shutil.which("psql") else self.cluster.postgres.path("psql")

    def named(self, text: str) -> str:
        """Put the servers' names for their addresses."""
        for server in self.cluster.servers:
            text = text.replace(server.address, server.name)
        return text


async def fetch_number(connection: Connection, sql: str, *arguments: object) -> int:
    """Read one number.

    The driver's own `fetchval` asks for the first row only, and what may be a part of a result
    is never cached.
    """
    (row,) = await connection.fetch(sql, *arguments)
    return int(row[0])


@asynccontextmanager
async def connected(dsn: str, count: int) -> AsyncIterator[list[Connection]]:
    """Lend some connections."""
    connections: list[Connection] = []
    try:
        for _ in range(count):
            connections.append(await asyncpg.connect(dsn, command_timeout=PATIENCE))
        yield connections
        for connection in connections:
            await connection.close(timeout=PATIENCE)
    finally:
        # In the middle of something: no goodbye, which would wait for its end.
        for connection in connections:
            connection.terminate()
