"""A fleet's view in MySQL and MariaDB: adapter to aiomysql.

A server's life is told by what it is called and by the second of its start: UNIX_TIMESTAMP() less
Uptime, both of which it counts from the same clock, so that setting that clock moves neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf
from typing import Any, Final, final

import aiomysql
from pymysql.constants import ER
from pymysql.err import OperationalError

from proxy.topology.group import Server
from proxy.topology.mysql_witness import connect, failing
from proxy.topology.views import TABLES, Lacking, Session, ViewStore, new_salt, not_ours
from proxy.topology.witness import Control

_TABLES: Final = (
    "CREATE DATABASE IF NOT EXISTS tidegate",
    "CREATE TABLE IF NOT EXISTS tidegate.epoch (id INT PRIMARY KEY, number BIGINT NOT NULL,"
    " token VARCHAR(40) NOT NULL, life VARCHAR(80) NOT NULL, salt VARCHAR(64) NOT NULL)"
    " ENGINE = InnoDB",
    "CREATE TABLE IF NOT EXISTS tidegate.member (name VARCHAR(64) PRIMARY KEY,"
    " label VARCHAR(255) NOT NULL, standing VARCHAR(8) NOT NULL,"
    " entered TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, step VARCHAR(40) NOT NULL,"
    " number BIGINT NOT NULL, token VARCHAR(40) NOT NULL, settles DOUBLE) ENGINE = InnoDB",
    "CREATE TABLE IF NOT EXISTS tidegate.session (member VARCHAR(64) NOT NULL, pid BIGINT NOT NULL,"
    " start DOUBLE NOT NULL, KEY (member)) ENGINE = InnoDB",
)

_IDENTITIES: Final = ("SELECT @@server_id", "SELECT @@server_uuid")

_EVERYWHERE: Final = re.compile(r"GRANT (.+) ON \*\.\* TO ")

_DENIED: Final = (
    ER.DBACCESS_DENIED_ERROR,
    ER.TABLEACCESS_DENIED_ERROR,
    ER.COLUMNACCESS_DENIED_ERROR,
)
"""What a server says to who may not."""

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
        link = self._connection
        async with failing(self._timeout, link), link.cursor(aiomysql.Cursor) as cursor:
            await cursor.execute(sql.replace("?", "%s"), values or None)
            return list(await cursor.fetchall())

    async def make(self) -> None:
        """See the base. That somebody else has made the same meanwhile is no news."""
        await self.run("SET SESSION sql_notes = 0")
        there = await self.run(
            "SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'tidegate'"
            " AND TABLE_NAME IN ('epoch', 'member', 'session')"
        )
        try:
            if there[0][0] < len(TABLES):
                for sql in _TABLES:
                    await self.run(sql)
            await self.run(
                "INSERT INTO tidegate.epoch (id, number, token, life, salt)"
                " VALUES (1, 0, '0', '', ?) ON DUPLICATE KEY UPDATE id = id",
                new_salt(),
            )
        except ConnectionError as error:
            cause = error.__cause__
            if isinstance(cause, OperationalError) and cause.args[0] in _DENIED:
                raise PermissionError(not_ours(str(error))) from None
            raise

    async def lacking(self) -> Lacking:
        """See the base."""
        has = {right for row in await self.run("SHOW GRANTS") for right in _everywhere(row[0])}
        if "ALL PRIVILEGES" in has:
            return Lacking()
        ends = "CONNECTION ADMIN" if self._is_mariadb else "CONNECTION_ADMIN"
        may_end = ends in has or (not self._is_mariadb and "SUPER" in has)
        may_see = "PROCESS" in has or not self._is_mariadb
        return Lacking(ending="" if may_end else ends, seeing="" if may_see else "PROCESS")

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

    async def silence(self, key: int) -> float | None:
        """See the base. It is told in whole seconds, and of other users with PROCESS only."""
        ((holder,),) = await self.run("SELECT IS_USED_LOCK(?)", f"tidegate/{key:x}")
        if holder is None:
            return None
        rows = await self.run(
            "SELECT TIME FROM information_schema.PROCESSLIST WHERE ID = ?", holder
        )
        return float(rows[0][0] or 0) if rows else 0.0

    async def sessions(self, name: str) -> list[Session]:
        """See the base. When each began is not told: that was by the clock of another host."""
        return [Session(it.pid, inf) for it in await super().sessions(name)]

    def hang_up(self) -> None:
        """See the base."""
        self._connection.close()


def mysql_schema(user: str, host: str) -> list[str]:
    """Write down what an administrator does in place of a control user who may not.

    Args:
        user: The control user.
        host: From where it comes, as its account has it.
    """
    account = "@".join("'" + part.replace("'", "''") + "'" for part in (user, host))
    rights = "SELECT, INSERT, UPDATE, DELETE"
    return [*_TABLES, *(f"GRANT {rights} ON tidegate.{table} TO {account}" for table in TABLES)]


def _everywhere(grant: str) -> list[str]:
    """List the rights that a line of SHOW GRANTS gives for all schemas."""
    found = _EVERYWHERE.match(grant)
    return found[1].split(", ") if found is not None else []


async def open_mysql_views(control: Control, server: Server) -> MySQLViews:
    """Open a connection to the view in a primary."""
    return MySQLViews(await connect(control, server), control.timeout)
