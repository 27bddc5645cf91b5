"""The demo on PostgreSQL: asyncpg asks, psql is what its visitors have."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, final

import asyncpg

from proxy.demo import schema
from proxy.demo.database import DATABASE, PASSWORD, PATIENCE, USER, Session
from proxy.demo.local_postgres import SUPERUSER, PostgresCluster
from proxy.demo.postgres_server import Server
from proxy.demo.processes import ProgramFailed


@final
class PostgresDatabase:
    """See `Database`.

    Args:
        folder: Everything is kept in it.
    """

    engine: Final = "postgres"
    port: Final = 6432
    title: Final = "a PostgreSQL primary and two streaming replicas"
    client: Final = "psql"
    ways: Final = ("as a prepared statement", "as plain text")
    hold_back: Final = "SELECT pg_wal_replay_pause()"
    accounts: Final = schema.SCALE * schema.ACCOUNTS
    errors: Final = (asyncpg.PostgresError, asyncpg.InterfaceError)

    def __init__(self, folder: Path) -> None:
        self._cluster = PostgresCluster(folder / "pg", replicas=2)

    @property
    def version(self) -> str:
        return f"PostgreSQL {self._cluster.postgres.major}"

    @property
    def servers(self) -> Sequence[Server]:
        return self._cluster.servers

    @property
    def control(self) -> tuple[str, str]:
        return SUPERUSER, self._cluster.password

    def __enter__(self) -> PostgresDatabase:
        self._cluster.__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        self._cluster.__exit__(*why)

    def make_user(self) -> None:
        """See the base."""
        primary = self._cluster.primary
        primary.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        primary.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")

    async def load(self, progress: Callable[[int], None]) -> None:
        """See the base."""
        await schema.load(_dsn(self._cluster.primary.port), progress=progress)

    def wait_replayed(self) -> None:
        """See the base."""
        self._cluster.wait_replayed()

    async def connect(self, port: int) -> Session:
        """See the base."""
        session: Session = await asyncpg.connect(_dsn(port), command_timeout=PATIENCE)
        return session

    def ask_route(self, port: int, sql: str) -> dict[str, str]:
        """See the base: with psql, as anybody can."""
        asked = subprocess.run(
            [self._psql, "-XAt", _dsn(port), "-c", f"EXPLAIN ROUTE {sql}"],
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        if asked.returncode:
            raise ProgramFailed(f"psql ended with {asked.returncode}: {asked.stderr.strip()}")
        return dict(line.split("|", 1) for line in asked.stdout.splitlines())

    def call_client(self, port: int) -> str:
        """See the base."""
        return f"{self._psql} {_dsn(port)}"

    @property
    def _psql(self) -> str:
        """How to call it: by its name alone where that is enough."""
        return "psql" if shutil.which("psql") else self._cluster.postgres.path("psql")


def _dsn(port: int) -> str:
    return f"postgresql://{USER}:{PASSWORD}@127.0.0.1:{port}/{DATABASE}"
