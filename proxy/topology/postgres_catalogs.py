"""PostgreSQL's definitions, over a control connection to one database."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, final

import asyncpg

from proxy.observe.logs import Logger
from proxy.settings.model import ServerGroup
from proxy.sql import catalog_queries as queries
from proxy.sql.bodies import Declaration, Declarations
from proxy.sql.catalog import Catalog
from proxy.sql.statement import RelationName
from proxy.topology.catalogs import DatabaseGone, DefinitionsBusy
from proxy.topology.group import Server
from proxy.topology.witness import FAILURES, Control, connect

log = Logger("catalogs")

LONGEST_LOCK: Final = 500
"""Milliseconds to wait for a definition that a client is changing. The text of a view locks what it
reads, and two that wait for each other are a deadlock after `deadlock_timeout`, by default twice
as long, which may well be ended at the client's expense."""


def declarations_of(settings: ServerGroup) -> Declarations:
    """What operators have said that functions do."""
    return {
        _name(name): Declaration(
            reads=frozenset(map(_name, function.reads)),
            writes=frozenset(map(_name, function.writes)),
            volatility=function.volatility and function.volatility.value[0],
        )
        for name, function in settings.functions.items()
    }


def _name(name: str) -> RelationName:
    schema, _, own = name.partition(".")
    return RelationName(schema, own)


async def read_rows(connection: asyncpg.Connection[Any]) -> dict[str, list[asyncpg.Record]]:
    """Read the rows of every query of a catalog, in one snapshot."""
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(f"SET LOCAL lock_timeout = {LONGEST_LOCK}")
        return {name: await connection.fetch(sql) for name, sql in queries.QUERIES.items()}


@final
class PostgresDefinitions:
    """See `proxy.topology.catalogs.Definitions`.

    Args:
        control: How to connect.
        declarations: What functions do, by those who know.
    """

    failures = FAILURES

    def __init__(self, control: Control, declarations: Declarations | None = None) -> None:
        self._control = control
        self._declarations = declarations

    async def open(
        self, primary: Server, database: str, ended: Callable[[], None]
    ) -> _PostgresSource:
        """Connect to a database of the primary."""
        try:
            connection = await connect(self._control, primary, database)
        except asyncpg.InvalidCatalogNameError as error:
            raise DatabaseGone(database) from error
        return _PostgresSource(connection, database, self._declarations, ended)


@final
class _PostgresSource:
    counts_at_once = False  # a server process counts what it wrote when it finds the time

    def __init__(
        self,
        connection: asyncpg.Connection[Any],
        database: str,
        declarations: Declarations | None,
        ended: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._database = database
        self._declarations = declarations
        self._ended = ended
        connection.add_termination_listener(self._lost)

    def _lost(self, _: object) -> None:
        """The connection was ended, as everybody's is before a database is dropped or renamed."""
        self._ended()

    async def identify(self) -> int:
        oid: int = await self._connection.fetchval(queries.DATABASE)
        return oid

    async def fingerprint(self, *, anew: bool) -> object:
        return await self._connection.fetchrow(queries.FINGERPRINT)

    async def load(self) -> Catalog:
        try:
            rows = await read_rows(self._connection)
        except asyncpg.LockNotAvailableError as error:
            raise DefinitionsBusy("a definition is locked") from error
        catalog = Catalog.build(self._database, self._declarations, **rows)
        for problem in catalog.problems:
            log.warning("function not as declared", database=self._database, problem=problem)
        return catalog

    async def counters(self) -> Iterable[tuple[int, int, int]]:
        rows: Iterable[tuple[int, int, int]] = await self._connection.fetch(queries.COUNTERS)
        return rows

    async def era(self) -> None:
        return None

    async def uncounted(self) -> Iterable[int]:
        return ()

    def close(self) -> None:
        self._connection.remove_termination_listener(self._lost)
        self._connection.terminate()
