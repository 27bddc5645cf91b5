"""A fleet's view in MySQL and MariaDB: adapter to aiomysql.

A server's life is told by what it is called and by the second of its start: UNIX_TIMESTAMP() less
Uptime, both of which it counts from the same clock, so that setting that clock moves neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, Final, final

import aiomysql
from pymysql.err import OperationalError

from proxy.topology.group import Server
from proxy.topology.mysql_witness import connect, failing
from proxy.topology.views import Session, ViewStore, new_salt
from proxy.topology.witness import Control

_TABLES: Final = (
    "CREATE DATABASE IF NOT EXISTS tidegate",
    "CREATE TABLE IF NOT EXISTS tidegate.epoch (id INT PRIMARY KEY, number BIGINT NOT NULL,"
    " token VARCHAR(40) NOT NULL, life VARCHAR(80) NOT NULL, salt VARCHAR(64) NOT NULL)"
    " ENGINE = InnoDB",
    "CREATE TABLE IF NOT EXISTS tidegate.member (name VARCHAR(64) PRIMARY KEY,"
    " label VARCHAR(255) NOT NULL, standing VARCHAR(8) NOT NULL,"
    " entered TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, step VARCHAR(40) NOT NULL,"
    " number BIGINT NOT NULL, token VARCHAR(40) NOT NULL) ENGINE = InnoDB",
    "CREATE TABLE IF NOT EXISTS tidegate.session (member VARCHAR(64) NOT NULL, pid BIGINT NOT NULL,"
    " start DOUBLE NOT NULL, KEY (member)) ENGINE = InnoDB",
)

_IDENTITIES: Final = ("SELECT @@server_id", "SELECT @@server_uuid")

SLACK: Final = 1
"""Seconds by which two looks at the start of one life may differ: two statements are asked."""


@final
class MySQLViews(ViewStore):
    """See `ViewStore`."""

    def __init__(self, connection: aiomysql.Connection, timeout: float) -> None:
        super().__init__()
        self._connection = connection
        self._timeout = timeout
        self._is_mariadb = "MariaDB" in connection.get_server_info()

    async def run(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        """See the base."""
        async with failing(self._timeout), self._connection.cursor(aiomysql.Cursor) as cursor:
            await cursor.execute(sql.replace("?", "%s"), values or None)
            return list(await cursor.fetchall())

    async def make(self) -> None:
        """See the base. That somebody else has made the same meanwhile is no news."""
        await self.run("SET SESSION sql_notes = 0")
        there = await self.run(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'tidegate'"
            " AND TABLE_NAME IN ('epoch', 'member', 'session')"
        )
        if there[0][0] < 3:
            try:
                for sql in _TABLES:
                    await self.run(sql)
            except ConnectionError as error:
                if not isinstance(error.__cause__, OperationalError):
                    raise
                raise PermissionError(f"schema tidegate can't be made: {error}") from None
        await self.run(
            "INSERT INTO tidegate.epoch (id, number, token, life, salt)"
            " VALUES (1, 0, '0', '', ?) ON DUPLICATE KEY UPDATE id = id",
            new_salt(),
        )

    async def life(self) -> str:
        """See the base."""
        ((identity,),) = await self.run(_IDENTITIES[0 if self._is_mariadb else 1])
        ((_, uptime),) = await self.run("SHOW GLOBAL STATUS LIKE 'Uptime'")
        ((now,),) = await self.run("SELECT UNIX_TIMESTAMP()")
        return f"{identity}/{int(now) - int(uptime)}"

    def is_same_life(self, one: str, other: str) -> bool:
        """See the base."""
        mine, _, start = one.partition("/")
        its, _, begun = other.partition("/")
        return mine == its and bool(start) and abs(int(start) - int(begun)) <= SLACK

    async def show(self, key: int) -> None:
        """See the base."""
        await self.run("SELECT GET_LOCK(?, 0)", f"tidegate/{key:x}")

    async def sees(self, key: int) -> bool:
        """See the base."""
        rows = await self.run("SELECT IS_USED_LOCK(?) IS NOT NULL", f"tidegate/{key:x}")
        return bool(rows[0][0])

    async def sessions(self, name: str) -> list[Session]:
        """See the base. When each began is not told: that was by the clock of another host."""
        return [Session(it.pid, inf) for it in await super().sessions(name)]

    def hang_up(self) -> None:
        """See the base."""
        self._connection.close()


async def open_mysql_views(control: Control, server: Server) -> MySQLViews:
    """Open a connection to the view in a primary."""
    return MySQLViews(await connect(control, server), control.timeout)
