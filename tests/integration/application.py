"""What connects in these tests: one role and one database, directly or through a proxy."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

import asyncpg
import psycopg

from proxy.demo.console import Console
from proxy.demo.local_postgres import PostgresCluster
from proxy.wire.postgres.login import Welcome
from tests.integration.raw_client import RawClient

Row = tuple[Any, ...]


PASSWORD = "pencil ½"


@dataclass(frozen=True, slots=True)
class Application:
    """Opens connections to one port, all as the same role and to the same database."""

    port: int
    user: str = "app"
    password: str = PASSWORD
    database: str = "app"

    def at(self, port: int) -> Application:
        """The same application, connected to another port."""
        return replace(self, port=port)

    def like(self, **changes: str) -> Application:
        """Another one, with another user, password or database."""
        return replace(self, **changes)

    def create(self, cluster: PostgresCluster) -> None:
        """Make its role and its database, and wait until every server has them."""
        console: Console = cluster.primary
        console.execute(f"CREATE ROLE {self.user} LOGIN PASSWORD '{self.password}'")
        console.execute(f"CREATE DATABASE {self.database} OWNER {self.user}")
        cluster.wait_replayed()

    def dsn(self, **parameters: str) -> str:
        """A connection string."""
        secret = quote(self.password, safe="")
        more = f"?{urlencode(parameters, quote_via=quote)}" if parameters else ""
        return f"postgresql://{self.user}:{secret}@127.0.0.1:{self.port}/{self.database}{more}"

    @property
    def environment(self) -> Mapping[str, str]:
        """What PostgreSQL's own programs connect by."""
        return {
            **os.environ,
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": self.database,
        }

    def connect(self, **options: Any) -> psycopg.Connection[Row]:
        """Connect with psycopg; every statement is its own transaction unless told otherwise."""
        options.setdefault("autocommit", True)
        return psycopg.connect(self.dsn(), **options)

    async def connect_async(self, **options: Any) -> psycopg.AsyncConnection[Row]:
        """The same, for a running loop."""
        options.setdefault("autocommit", True)
        return await psycopg.AsyncConnection.connect(self.dsn(), **options)

    @asynccontextmanager
    async def asyncpg(self, **options: Any) -> AsyncIterator[asyncpg.Connection]:
        """Connect with asyncpg for a while."""
        connection = await asyncpg.connect(
            host="127.0.0.1",
            port=self.port,
            user=self.user,
            password=self.password,
            database=self.database,
            **options,
        )
        try:
            yield connection
        except BaseException:
            connection.terminate()
            raise
        await connection.close()

    def raw(self, **settings: str) -> RawClient:
        """Connect with a client that is told every byte."""
        client = RawClient(self.port)
        try:
            self.log_in(client, **settings)
        except BaseException:
            client.close()
            raise
        return client

    def log_in(self, client: RawClient, **settings: str) -> Welcome:
        """Log a client in."""
        return client.log_in(self.user, self.password, self.database, **settings)
