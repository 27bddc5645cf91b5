"""Servers of our own for the consistency runs: they are paused, killed and reconfigured."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.demo.local_mysql import WITHOUT_GTIDS, MySQLCluster, temporary_mysql
from proxy.demo.local_postgres import PostgresCluster, temporary_cluster
from proxy.demo.mysql_programs import Flavour
from tests.consistency import mysql_topics
from tests.consistency.faults import switch
from tests.consistency.proxied import CLIENT, Place
from tests.consistency.run import client_processes, commit_with
from tests.consistency.topics import schema
from tests.integration.conftest import heal_mysql, require
from tests.integration.redis_under_test import Redis, temporary_redis

PRIMARY = "primary"
AT_ONCE = 0.01

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def all_servers() -> Iterator[PostgresCluster]:
    """A primary and two replicas, started once. Tests use `cluster`, which heals it."""
    with temporary_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def processes() -> Iterator[Executor]:
    """Processes for clients."""
    with client_processes() as processes:
        yield processes


@pytest.fixture
def cluster(all_servers: PostgresCluster) -> Iterator[PostgresCluster]:
    """The servers, all up, in step and committing as they do by default, before and after."""
    yield all_servers
    heal(all_servers)


@pytest.fixture
def database(cluster: PostgresCluster) -> Iterator[str]:
    """The name of a database with all tables in their first state, there on every server."""
    name = f"consistency_{next(_numbers)}"
    cluster.primary.execute(f"CREATE DATABASE {name}")
    cluster.primary.execute(schema(), database=name)
    cluster.primary.execute("ANALYZE", database=name)
    cluster.wait_replayed()
    yield name
    heal(cluster)
    cluster.primary.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def place(cluster: PostgresCluster, database: str, processes: Executor, tmp_path: Path) -> Place:
    """All that a run through the proxy needs but the proxy."""
    return Place(cluster, database, processes, tmp_path)


@pytest.fixture
def redis() -> Iterator[Redis]:
    """A Redis server of the test's own."""
    with temporary_redis() as server:
        yield server


def heal(cluster: PostgresCluster) -> None:
    """Bring every server up, in its first part, let every replica replay, and wait for them."""
    for server in cluster.servers:
        if not server.is_running:
            server.start()
    for replica in cluster.replicas:
        replica.resume_replay()
    if cluster.primary.name != PRIMARY:
        switch(cluster, AT_ONCE)
    commit_with(cluster.primary, "on")
    cluster.wait_replayed()


@pytest.fixture(params=["mariadb", "mysql"])
def mysql_place(
    request: pytest.FixtureRequest, processes: Executor, tmp_path: Path
) -> Iterator[Place]:
    """The same over servers of MariaDB's and MySQL's, with a database of this test's."""
    cluster: MySQLCluster = request.getfixturevalue(f"all_{request.param}_servers")
    name = f"consistency_{next(_numbers)}"
    primary = cluster.primary
    primary.execute(f"CREATE DATABASE {name}; GRANT ALL ON {name}.* TO '{CLIENT}'@'%'")
    primary.execute(mysql_topics.schema(), database=name)
    cluster.wait_replayed()
    yield Place(cluster, name, processes, tmp_path)
    for server in list(cluster.retired):
        cluster.rejoin(server)
    heal_mysql(cluster)
    cluster.primary.execute(f"DROP DATABASE {name}")


@pytest.fixture(scope="session")
def all_mariadb_servers() -> Iterator[MySQLCluster]:
    """A primary and two replicas of MariaDB's."""
    with _clients_served("mariadb") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def all_mysql_servers() -> Iterator[MySQLCluster]:
    """A primary and two replicas of MySQL's."""
    with _clients_served("mysql") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def all_mariadb_pair_servers() -> Iterator[MySQLCluster]:
    """A primary of MariaDB's and one replica."""
    with _clients_served("mariadb", replicas=1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def all_mysql_by_log_servers() -> Iterator[MySQLCluster]:
    """The same without GTIDs."""
    with _clients_served("mysql", WITHOUT_GTIDS) as cluster:
        yield cluster


@contextmanager
def _clients_served(
    flavour: Flavour, settings: Mapping[str, str] | None = None, replicas: int = 2
) -> Iterator[MySQLCluster]:
    require(flavour)
    with temporary_mysql(flavour, settings=settings, replicas=replicas) as cluster:
        cluster.primary.execute(f"CREATE USER '{CLIENT}'@'%' IDENTIFIED BY '{cluster.password}'")
        cluster.wait_replayed()
        yield cluster
