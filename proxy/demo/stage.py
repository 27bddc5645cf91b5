"""What the scenes of the demo share: servers, Tidegate in front, the screen, and the score."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Final, final

from proxy.demo.database import PATIENCE, Database, Server, Session
from proxy.demo.proxy_process import ProxyProcess
from proxy.demo.screen import Screen

CACHE: Final = "cache"


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
        database: The servers, and how they are spoken to.
        proxy: Tidegate in front of them.
        screen: Where the scenes say what happens.
    """

    def __init__(self, database: Database, proxy: ProxyProcess, screen: Screen) -> None:
        self.database = database
        self.proxy = proxy
        self.screen = screen
        self.spreads: dict[str, Spread] = {}
        self.timings: list[list[str]] = []
        self.claims = 0
        self.failures: list[str] = []

    @property
    def servers(self) -> Sequence[Server]:
        """The primary, then its replicas."""
        return self.database.servers

    async def direct(self) -> Session:
        """Connect to the primary itself."""
        return await self.database.connect(self.servers[0].port)

    async def through(self) -> Session:
        """Connect to the same database through Tidegate."""
        return await self.database.connect(self.proxy.port)

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
        """Ask Tidegate where it would send a statement now."""
        facts = self.database.ask_route(self.proxy.port, sql)
        return self.named(facts["goes to"].split()[-1])

    def named(self, text: str) -> str:
        """Put the servers' names for their addresses."""
        for server in self.servers:
            text = text.replace(server.address, server.name)
        return text


async def fetch_number(connection: Session, sql: str, *arguments: object) -> int:
    """Read one number.

    The driver's own `fetchval` asks for the first row only, and what may be a part of a result
    is never cached.
    """
    (row,) = await connection.fetch(sql, *arguments)
    return int(row[0])


@asynccontextmanager
async def connected(
    connect: Callable[[], Awaitable[Session]], count: int
) -> AsyncIterator[list[Session]]:
    """Lend some connections."""
    connections: list[Session] = []
    try:
        for _ in range(count):
            connections.append(await connect())
        yield connections
        async with asyncio.timeout(PATIENCE):
            for connection in connections:
                await connection.close()
    finally:
        # In the middle of something: no goodbye, which would wait for its end.
        for connection in connections:
            connection.terminate()
