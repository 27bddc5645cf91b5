"""PostgreSQL with the tables of pgbench, and PgBouncer."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Final, final

from benchmarks.contenders import DATABASE, PASSWORD, POOL_SIZE, USER, Contender, House, Server
from benchmarks.pgbouncer import SESSION_SUFFIX, PgBouncer, version_of
from benchmarks.rival import find_program
from proxy.demo import schema
from proxy.demo.local_postgres import SUPERUSER, PostgresCluster
from proxy.demo.programs import find_postgres

SETTINGS: Final = {"max_connections": "600", "shared_buffers": "256MB"}


@final
class PostgresHouse(House):
    """See the base; scale is pgbench's: 100,000 accounts each."""

    cluster: PostgresCluster

    def __init__(self, folder: Path, scale: int) -> None:
        super().__init__(
            folder, scale, PostgresCluster(folder / "pg", replicas=2, settings=SETTINGS)
        )

    @property
    def servers(self) -> list[Server]:
        """See the base."""
        return [*self.cluster.servers]

    @property
    def control(self) -> tuple[str, str]:
        """See the base."""
        return SUPERUSER, self.cluster.password

    def load(self) -> None:
        """See the base."""
        primary = self.cluster.primary
        primary.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        primary.execute(f"CREATE DATABASE {DATABASE} OWNER {USER}")
        dsn = primary.dsn(DATABASE, user=USER, password=PASSWORD)
        asyncio.run(schema.load(dsn, scale=self.scale, progress=lambda _: None))
        self.cluster.wait_replayed()

    def versions(self) -> dict[str, object]:
        """See the base."""
        return {
            "PostgreSQL": find_postgres().major,
            "PgBouncer": ".".join(map(str, version_of(find_program("PgBouncer")))),
        }

    def _start_rival(self, name: str, stack: ExitStack) -> Contender:
        bouncer = PgBouncer(
            self.folder / "pgbouncer",
            self.cluster.account,
            self.cluster.primary,
            database=DATABASE,
            user=USER,
            password=PASSWORD,
            pool_size=POOL_SIZE,
        )
        stack.enter_context(bouncer)
        # Named prepared statements came to its transaction pooling with 1.21.
        suffix = SESSION_SUFFIX if version_of(bouncer.program) < (1, 21) else ""
        return Contender(name, bouncer.port, bouncer.pid, suffix)
