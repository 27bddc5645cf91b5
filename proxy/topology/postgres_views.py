"""A fleet's view in PostgreSQL: adapter to asyncpg.

What tells one life from the next is a row of an unlogged table: recovery from a crash and the
promotion of a replica both begin with that table empty (PostgreSQL, "CREATE TABLE", UNLOGGED),
while a clean restart, which loses nothing, leaves it alone.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any, Final, final

import asyncpg

from proxy.topology.group import Server
from proxy.topology.views import TABLES, Lacking, ViewStore, new_salt, not_ours
from proxy.topology.witness import Control, connect

_TABLES: Final = """
CREATE SCHEMA IF NOT EXISTS tidegate;
CREATE TABLE IF NOT EXISTS tidegate.epoch (
    id integer PRIMARY KEY, number bigint NOT NULL, token text NOT NULL, life text NOT NULL,
    salt text NOT NULL);
CREATE TABLE IF NOT EXISTS tidegate.member (
    name text PRIMARY KEY, label text NOT NULL, standing text NOT NULL,
    entered timestamptz NOT NULL DEFAULT now(), step text NOT NULL, number bigint NOT NULL,
    token text NOT NULL, settles float8);
CREATE UNLOGGED TABLE IF NOT EXISTS tidegate.session (
    member text NOT NULL, pid integer NOT NULL, start float8 NOT NULL);
CREATE UNLOGGED TABLE IF NOT EXISTS tidegate.life (
    id integer PRIMARY KEY, name text NOT NULL);
"""

_ARE_THERE: Final = """
SELECT to_regclass('tidegate.life') IS NOT NULL
       AND EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid = to_regclass('tidegate.epoch'))
"""

_LACKING: Final = """
SELECT pg_catalog.pg_has_role('pg_signal_backend', 'USAGE'),
       pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
"""

_SILENCE: Final = """
SELECT coalesce(extract(epoch FROM pg_catalog.clock_timestamp() - a.state_change)::float8, 0)
FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted
  AND l.classid::bigint = ?::bigint AND l.objid::bigint = ?::bigint
  AND l.database = (SELECT datid
                    FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()))
ORDER BY 1
"""

_ALONE: Final = "SELECT pg_advisory_xact_lock(8386106)"
"""Two that make the same tables at once are in each other's way, IF NOT EXISTS or not."""


@final
class PostgresViews(ViewStore):
    """See `ViewStore`."""

    def __init__(self, connection: asyncpg.Connection[Any]) -> None:
        super().__init__()
        self._connection = connection

    async def run(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        """See the base."""
        return [tuple(row) for row in await self._connection.fetch(_numbered(sql), *values)]

    async def make(self) -> None:
        """See the base."""
        connection = self._connection
        try:
            if not await connection.fetchval(_ARE_THERE):
                async with connection.transaction():
                    await connection.execute(_ALONE)
                    await connection.execute(_TABLES)
            await self.run(
                "INSERT INTO tidegate.epoch (id, number, token, life, salt)"
                " VALUES (1, 0, '0', '', ?) ON CONFLICT DO NOTHING",
                new_salt(),
            )
        except asyncpg.InsufficientPrivilegeError as error:
            raise PermissionError(not_ours(str(error))) from None

    async def lacking(self) -> Lacking:
        """See the base."""
        ((may_end, may_see),) = await self.run(_LACKING)
        return Lacking(
            ending="" if may_end else "pg_signal_backend",
            seeing="" if may_see else "pg_read_all_stats",
        )

    async def life(self) -> str:
        """See the base."""
        while not (rows := await self.run("SELECT name FROM tidegate.life WHERE id = 1")):
            await self.run(
                "INSERT INTO tidegate.life (id, name) VALUES (1, ?) ON CONFLICT DO NOTHING",
                secrets.token_hex(16),
            )
        return str(rows[0][0])

    def is_same_life(self, one: str, other: str) -> bool:
        """See the base."""
        return one == other

    async def show(self, key: int) -> None:
        """See the base. Shared: a session of ours before may not be known to be gone yet."""
        await self.run("SELECT pg_advisory_lock_shared(?)", key)

    async def silence(self, key: int) -> float | None:
        """See the base. What another role's session does is not told without pg_read_all_stats."""
        rows = await self.run(_SILENCE, key >> 32, key & 0xFFFF_FFFF)
        return float(rows[0][0]) if rows else None

    def hang_up(self) -> None:
        """See the base."""
        self._connection.terminate()


async def open_postgres_views(control: Control, server: Server) -> PostgresViews:
    """Open a connection to the view in a primary."""
    return PostgresViews(await connect(control, server))


def postgres_schema(user: str) -> list[str]:
    """Write down what an administrator does in place of a control user who may not.

    Args:
        user: The control user.
    """
    role = '"' + user.replace('"', '""') + '"'
    rights = "SELECT, INSERT, UPDATE, DELETE"
    return [
        *(sql.strip() for sql in _TABLES.split(";") if sql.strip()),
        f"GRANT USAGE ON SCHEMA tidegate TO {role}",
        *(f"GRANT {rights} ON tidegate.{table} TO {role}" for table in (*TABLES, "life")),
    ]


def _numbered(sql: str) -> str:
    pieces = re.split(r"\?", sql)
    return "".join(f"{piece}${at}" for at, piece in enumerate(pieces[:-1], 1)) + pieces[-1]
