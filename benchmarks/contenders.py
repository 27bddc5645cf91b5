"""What is compared: a database directly, through PgBouncer, and through Tidegate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.pgbouncer import SESSION_SUFFIX, PgBouncer, version_of
from proxy.demo import schema
from proxy.demo.local_postgres import SUPERUSER, PostgresCluster
from proxy.demo.proxy_process import ProxyProcess, Setting

DATABASE: Final = "bench"
USER: Final = "bench"
POOL_SIZE: Final = 20
PROTOCOL_PREPARED: Final = "prepared"

DIRECT: Final = "direct"
PGBOUNCER: Final = "PgBouncer"
ONE_SERVER: Final = "Tidegate, 1 server"
THREE_SERVERS: Final = "Tidegate, 3 servers"
CACHED: Final = "Tidegate, cached"

TIDEGATES: Final[Mapping[str, Mapping[str, Setting]]] = {
    ONE_SERVER: {"cache": False},
    THREE_SERVERS: {"cache": False},
    CACHED: {},
}
"""Settings of Tidegate's forms, where they are not the defaults."""

SERVER_SETTINGS: Final = {"max_connections": "600", "shared_buffers": "256MB"}


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to the database.

    Attributes:
        name: As in the tables.
        port: Where clients connect.
        pid: The proxy's process; None when there is none.
        session_suffix: Behind the database's name, for clients that prepare named statements.
    """

    name: str
    port: int
    pid: int | None = None
    session_suffix: str = ""

    def database(self, protocol: str) -> str:
        suffix = self.session_suffix if protocol == PROTOCOL_PREPARED else ""
        return DATABASE + suffix


class House:
    """The servers, with the tables of pgbench, and whichever contenders are asked for.

    Args:
        folder: Temporary; everything is kept in it.
        scale: Of the tables.
    """

    def __init__(self, folder: Path, *, scale: int) -> None:
        self.folder = folder
        self.scale = scale
        self.cluster = PostgresCluster(folder / "pg", replicas=2, settings=SERVER_SETTINGS)
        self.password = "bench"

    async def load(self) -> None:
        """Make the database and its tables, and wait until the replicas have them."""
        self.cluster.primary.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{self.password}'")
        self.cluster.primary.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        dsn = self.cluster.primary.dsn(DATABASE, user=USER, password=self.password)
        await schema.load(dsn, scale=self.scale, progress=lambda _: None)
        self.cluster.wait_replayed()

    @contextmanager
    def running(self, *names: str) -> Iterator[list[Contender]]:
        """Start some contenders; they are stopped at the end."""
        with ExitStack() as stack:
            yield [self._start(name, stack) for name in names]

    def _start(self, name: str, stack: ExitStack) -> Contender:
        if name == DIRECT:
            return Contender(name, self.cluster.primary.port)
        if name == PGBOUNCER:
            bouncer = stack.enter_context(self._pgbouncer())
            # Named prepared statements came to its transaction pooling with 1.21.
            suffix = SESSION_SUFFIX if version_of(bouncer.program) < (1, 21) else ""
            return Contender(name, bouncer.port, bouncer.pid, suffix)
        proxy = stack.enter_context(self._tidegate(name))
        return Contender(name, proxy.port, proxy.pid)

    def _pgbouncer(self) -> PgBouncer:
        return PgBouncer(
            self.folder / "pgbouncer",
            self.cluster.account,
            self.cluster.primary,
            database=DATABASE,
            user=USER,
            password=self.password,
            pool_size=POOL_SIZE,
        )

    def _tidegate(self, name: str) -> ProxyProcess:
        servers = [self.cluster.primary] if name == ONE_SERVER else self.cluster.servers
        return ProxyProcess(
            self.folder,
            [server.address for server in servers],
            user=SUPERUSER,
            password=self.cluster.password,
            group={"default_pool_size": POOL_SIZE, **TIDEGATES[name]},
        )
