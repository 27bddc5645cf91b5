"""PostgreSQL's servers, asked over a control connection: definitions, and pg_stat_statements.

Adapter to asyncpg.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import final

import asyncpg

from proxy.doctor import ways
from proxy.doctor.events import Unread
from proxy.doctor.postgres import totals
from proxy.doctor.ways import TIMEOUT, Rows, Total, Totals, Way
from proxy.errors import Unanswerable
from proxy.sql.bodies import Declarations
from proxy.sql.catalog import Catalog
from proxy.sql.catalog_queries import QUERIES
from proxy.sql.language import PostgresLanguage
from proxy.topology.postgres_catalogs import read_rows
from proxy.topology.witness import FAILURES, connect, describe


@final
class PostgresAsker(ways.Asker):
    """See the base."""

    engine = "postgres"
    language = PostgresLanguage()
    schemes = ("postgresql://", "postgres://")
    port = 5432
    listen = 6432
    secret = "PGPASSWORD"
    counts = "pg_stat_statements"
    logged = "log_statement = 'all' or log_min_duration_statement = 0 logs them"
    search_path = '"$user", public'
    has_schemas = False
    has_order = True

    def questions(self) -> Iterable[str]:
        """See the base."""
        return (f"{name}\0{sql}" for name, sql in sorted(QUERIES.items()))

    def build(self, database: str, declarations: Declarations | None, rows: Rows) -> Catalog:
        """See the base."""
        asked = {name: rows[name] for name in QUERIES}
        return Catalog.build(database, declarations, **asked)

    async def ask_rows(self, way: Way, database: str) -> Rows:
        """See the base."""
        connection = await reach(way, database)
        try:
            found = await read_rows(connection)
        except FAILURES as error:
            raise Unanswerable(f'database "{database}": {describe(error)}') from None
        finally:
            connection.terminate()
        return {name: [tuple(row) for row in rows] for name, rows in found.items()}

    def read_totals(self, lines: Iterable[str], name: str, unread: Unread) -> Iterator[Total]:
        """See the base: they are followed."""
        return iter(())

    async def ask_totals(self, way: Way) -> Totals:
        """See the base."""
        name = way.control.database
        connection = await reach(way, name)
        try:
            return await totals.read_totals(connection, name)
        except FAILURES as error:
            raise Unanswerable(f'database "{name}": {describe(error)}') from None
        finally:
            connection.terminate()


async def reach(way: Way, database: str) -> asyncpg.Connection[asyncpg.Record]:
    """Connect to the first server that answers.

    Raises:
        Unanswerable: None does, or there is no such database.
    """
    problems = []
    for server in way.servers:
        try:
            return await connect(replace(way.control, timeout=TIMEOUT), server, database)
        except asyncpg.InvalidCatalogNameError:
            raise Unanswerable(f'{server.name}: there is no database "{database}"') from None
        except FAILURES as error:
            problems.append(f"{server.name}: {describe(error)}")
    raise Unanswerable("no server could be asked: " + "; ".join(problems))
