"""Servers of our own for the consistency runs: they are paused, killed and reconfigured."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from concurrent.futures import Executor
from pathlib import Path

import pytest

from proxy.demo.local_postgres import PostgresCluster, temporary_cluster
from tests.consistency.proxied import Place
from tests.consistency.run import client_processes, commit_with
from tests.consistency.topics import schema

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


def heal(cluster: PostgresCluster) -> None:
    """Bring every server up, let every replica replay, and wait until they are in step."""
    for server in cluster.servers:
        if not server.is_running:
            server.start()
    for replica in cluster.replicas:
        replica.resume_replay()
    commit_with(cluster.primary, "on")
    cluster.wait_replayed()
