"""The servers that suites run on, and how they are connected to, for every engine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, Protocol, final
from urllib.parse import quote

from proxy.demo.local_mysql import CONTROL_USER, MySQLCluster, temporary_mysql
from proxy.demo.local_postgres import SUPERUSER, PostgresCluster, temporary_cluster
from proxy.demo.mysql_console import SUPERUSER as ROOT
from proxy.demo.mysql_programs import Flavour
from tests.integration.proxy_under_test import ProxyUnderTest

Engine = Literal["postgres", "mariadb", "mysql"]
ENGINES: Final[tuple[Engine, ...]] = ("postgres", "mariadb", "mysql")

USER, PASSWORD = "suites", "pencil"
"""A superuser. One of SQLAlchemy's tests is wrong about passwords with capital letters in them."""


@final
@dataclass(frozen=True, slots=True)
class Access:
    """How a suite connects; directly or through the proxy.

    Attributes:
        engine: What it connects to.
        port: Of 127.0.0.1.
        database: Which.
        authority: Whose certificates it is shown, as a PEM file; None where there is no TLS.
    """

    engine: Engine
    port: int
    database: str
    authority: Path | None = None
    user: str = USER
    password: str = PASSWORD

    def at(self, port: int) -> Access:
        """The same, by another way."""
        return replace(self, port=port)

    def url(self, scheme: str) -> str:
        """Say it as SQLAlchemy wants to hear it."""
        secret = quote(self.password, safe="")
        return f"{scheme}://{self.user}:{secret}@127.0.0.1:{self.port}/{self.database}"

    @property
    def environment(self) -> Mapping[str, str]:
        """Our own, and what PostgreSQL's programs connect by; of MySQL's, each has its way."""
        prefix = "PG" if self.engine == "postgres" else "MYSQL_SUITE_"
        names = {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "USER": self.user,
            "PASSWORD": self.password,
            "DATABASE": self.database,
        }
        return {**os.environ, **{f"{prefix}{name}": value for name, value in names.items()}}


class Servers(Protocol):
    """A primary and two replicas that allow what suites ask for."""

    @property
    def replicas(self) -> Sequence[str]:
        """Their addresses."""

    def access(self, database: str) -> Access:
        """Say how the primary is connected to."""

    def make_database(self, name: str, setup: Sequence[str]) -> None:
        """Make a suite's database anew, on every server."""

    def proxy(self, folder: Path) -> ProxyUnderTest:
        """Make a proxy in front of them, which keeps its files in a folder."""


@final
class PostgresServers:
    """See `Servers`."""

    def __init__(self, cluster: PostgresCluster) -> None:
        self.cluster = cluster
        cluster.primary.execute(f"CREATE ROLE {USER} SUPERUSER LOGIN PASSWORD '{PASSWORD}'")

    @property
    def replicas(self) -> Sequence[str]:
        """See the base."""
        return [replica.address for replica in self.cluster.replicas]

    def access(self, database: str) -> Access:
        """See the base."""
        return Access("postgres", self.cluster.primary.port, database)

    def make_database(self, name: str, setup: Sequence[str]) -> None:
        """See the base."""
        primary = self.cluster.primary
        if name != "postgres":
            primary.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            primary.execute(f"CREATE DATABASE {name}")
        for statement in setup:
            primary.execute(statement, database=name)
        self.cluster.wait_replayed()

    def proxy(self, folder: Path) -> ProxyUnderTest:
        """See the base."""
        return ProxyUnderTest(
            folder,
            [server.address for server in self.cluster.servers],
            auth_user=SUPERUSER,
            auth_password=self.cluster.password,
        )


@final
class MySQLServers:
    """See `Servers`. They and the proxy offer TLS, which some suites insist on."""

    def __init__(self, cluster: MySQLCluster) -> None:
        self.cluster = cluster
        cluster.primary.execute(f"ALTER USER '{ROOT}'@'%' IDENTIFIED BY '{PASSWORD}'")

    @property
    def replicas(self) -> Sequence[str]:
        """See the base."""
        return [replica.address for replica in self.cluster.replicas]

    def access(self, database: str) -> Access:
        """See the base."""
        cluster = self.cluster
        assert cluster.authority is not None
        authority = cluster.authority.certificate
        return Access(cluster.flavour, cluster.primary.port, database, authority, user=ROOT)

    def make_database(self, name: str, setup: Sequence[str]) -> None:
        """See the base."""
        primary = self.cluster.primary
        for (database,) in primary.fetch("SELECT schema_name FROM information_schema.schemata"):
            if database not in SYSTEM:
                primary.execute(f"DROP DATABASE `{database}`")
        for statement in (f"CREATE DATABASE {name}", *setup):
            primary.execute(statement)
        self.cluster.wait_replayed()

    def proxy(self, folder: Path) -> ProxyUnderTest:
        """See the base."""
        assert self.cluster.authority is not None
        pair = self.cluster.authority.issue_server("proxy")
        return ProxyUnderTest(
            folder,
            [server.address for server in self.cluster.servers],
            auth_user=CONTROL_USER,
            auth_password=self.cluster.control_password,
            group={
                "engine": "mysql",
                "client_tls_cert_file": str(_copy(pair.certificate, folder)),
                "client_tls_key_file": str(_copy(pair.key, folder)),
            },
        )


SYSTEM: Final = ("information_schema", "mysql", "performance_schema", "sys")


def _copy(file: Path, folder: Path) -> Path:
    """The servers' own folder is not one that the proxy's user can read."""
    return Path(shutil.copy(file, folder))


@contextmanager
def postgres_servers() -> Iterator[PostgresServers]:
    """Lend those of PostgreSQL."""
    with temporary_cluster(settings={"max_prepared_transactions": "20"}) as cluster:
        yield PostgresServers(cluster)


@contextmanager
def mysql_servers(flavour: Flavour) -> Iterator[MySQLServers]:
    """Lend those of MariaDB or MySQL.

    Raises:
        MissingProgram: They can't be had here.
    """
    settings = {"local_infile": "ON", "max_allowed_packet": "64M"}
    with temporary_mysql(flavour, settings=settings, tls=True) as cluster:
        yield MySQLServers(cluster)


def suite_servers(engine: Engine) -> AbstractContextManager[Servers]:
    """Lend those of an engine; raises as `mysql_servers`."""
    return postgres_servers() if engine == "postgres" else mysql_servers(engine)
