"""What is compared: a database directly, through another proxy, and through Tidegate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from proxy.demo.proxy_process import ProxyProcess, Setting

DATABASE: Final = "bench"
USER: Final = "bench"
PASSWORD: Final = "bench"
POOL_SIZE: Final = 20
PROTOCOL_PREPARED: Final = "prepared"

DIRECT: Final = "direct"
PGBOUNCER: Final = "PgBouncer"
HAPROXY: Final = "HAProxy"
ROUTER: Final = "MySQL Router"
ONE_SERVER: Final = "Tidegate, 1 server"
THREE_SERVERS: Final = "Tidegate, 3 servers"
CACHED: Final = "Tidegate, cached"

TIDEGATES: Final[Mapping[str, Mapping[str, Setting]]] = {
    ONE_SERVER: {"cache": False},
    THREE_SERVERS: {"cache": False},
    CACHED: {},
}
"""Settings of Tidegate's forms, where they are not the defaults."""


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


class Server(Protocol):
    """A server of either engine."""

    @property
    def port(self) -> int: ...

    @property
    def address(self) -> str: ...


class House:
    """The servers, with their tables, and whichever contenders are asked for.

    Args:
        folder: Temporary; everything is kept in it.
        scale: Of the tables.

    Attributes:
        engine: As in Tidegate's settings.
        cluster: `with` starts and stops the servers.
        absent: Contenders that can't be had here, and why.
    """

    engine = "postgres"

    def __init__(self, folder: Path, scale: int, cluster: AbstractContextManager[object]) -> None:
        self.folder = folder
        self.scale = scale
        self.cluster = cluster
        self.absent: dict[str, str] = {}

    @property
    def servers(self) -> list[Server]:
        """The primary, then the replicas."""
        raise NotImplementedError

    @property
    def control(self) -> tuple[str, str]:
        """Tidegate's own user, and its password."""
        raise NotImplementedError

    def load(self) -> None:
        """Make the database and its tables, and wait until the replicas have them."""
        raise NotImplementedError

    def versions(self) -> dict[str, object]:
        """Say what is measured."""
        raise NotImplementedError

    @contextmanager
    def running(self, *names: str) -> Iterator[list[Contender]]:
        """Start some contenders, but for absent ones; they are stopped at the end."""
        with ExitStack() as stack:
            yield [self._start(name, stack) for name in names if name not in self.absent]

    def _start(self, name: str, stack: ExitStack) -> Contender:
        if name == DIRECT:
            return Contender(name, self.servers[0].port)
        if name not in TIDEGATES:
            return self._start_rival(name, stack)
        proxy = stack.enter_context(self._tidegate(name))
        return Contender(name, proxy.port, proxy.pid)

    def _start_rival(self, name: str, stack: ExitStack) -> Contender:
        raise NotImplementedError

    def _tidegate(self, name: str) -> ProxyProcess:
        servers = self.servers[:1] if name == ONE_SERVER else self.servers
        user, password = self.control
        return ProxyProcess(
            self.folder,
            [server.address for server in servers],
            user=user,
            password=password,
            engine=self.engine,
            group={"default_pool_size": POOL_SIZE, **TIDEGATES[name]},
        )
