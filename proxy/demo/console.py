"""SQL to a local server from blocking code, a connection for each call."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import asyncpg

SUPERUSER = "postgres"

T = TypeVar("T")


class Console:
    """Asks and tells one server, as the superuser, over its Unix socket.

    Args:
        sockets: The folder of the server's socket.
        port: The server's port, which is in the socket's name.
    """

    def __init__(self, sockets: Path, port: int) -> None:
        self.port = port
        self._sockets = sockets

    def execute(self, sql: str, *, database: str = "postgres") -> None:
        """Run one or more statements."""
        run_blocking(self._execute(sql, database))

    def fetch(
        self, sql: str, *arguments: object, database: str = "postgres"
    ) -> list[tuple[object, ...]]:
        """Run one statement and return its rows."""
        return run_blocking(self._fetch(sql, arguments, database))

    def fetch_value(self, sql: str, *arguments: object, database: str = "postgres") -> object:
        """Run one statement and return the first column of its first row."""
        return self.fetch(sql, *arguments, database=database)[0][0]

    async def _execute(self, sql: str, database: str) -> None:
        connection = await self.connect(database)
        try:
            await connection.execute(sql)
        finally:
            await connection.close()

    async def _fetch(
        self, sql: str, arguments: tuple[object, ...], database: str
    ) -> list[tuple[object, ...]]:
        connection = await self.connect(database)
        try:
            return [tuple(row.values()) for row in await connection.fetch(sql, *arguments)]
        finally:
            await connection.close()

    async def connect(self, database: str) -> asyncpg.Connection:
        """Open a session; closing it is the caller's."""
        return await asyncpg.connect(
            host=str(self._sockets),
            port=self.port,
            user=SUPERUSER,
            database=database,
            # A paused replica must not hold up those who observe it.
            server_settings={"synchronous_commit": "local"},
        )


def run_blocking(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end from blocking code, even from inside a running loop."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(max_workers=1) as beside:
        return beside.submit(asyncio.run, work).result()
