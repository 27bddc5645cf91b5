"""The catalogs of the databases in use: read, and looked at again whenever they may have changed.

One control connection per database, to the primary. What passes through the proxy says itself when
a definition changes; what does not is noticed by a digest that is compared every second, and so
are the counters of rows written (`out_of_band = "watch"`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final, Protocol, final

import asyncpg

from proxy.observe.logs import Logger
from proxy.settings.model import ServerGroup
from proxy.sql import catalog_queries as queries
from proxy.sql.bodies import Declaration, Declarations
from proxy.sql.catalog import Catalog
from proxy.sql.lineage import Lineage
from proxy.sql.statement import RelationName
from proxy.topology.group import Group
from proxy.topology.witness import FAILURES, Control, connect, describe

log = Logger("catalogs")


AWAY: Final = 6.0
"""Seconds for which a server waits for others to leave a database, and one."""

LONGEST_LOCK: Final = 500
"""Milliseconds to wait for a definition that a client is changing. The text of a view locks what it
reads, and two that wait for each other are a deadlock after `deadlock_timeout`, by default twice
as long, which may well be ended at the client's expense."""


class Taker(Protocol):
    """Who is told what is found."""

    def generation(self) -> int:
        """A number that grows whenever catalogs may have changed."""

    def took(self, database: str, catalog: Lineage, generation: int) -> bool:
        """Here is a catalog, read while `generation` was the number; False: read it again."""

    def met(self, database: str, oid: int) -> None:
        """The name leads to this database; `took` comes after it."""

    def changed(self, database: str) -> None:
        """A definition was changed by somebody else."""

    def lost(self, database: str) -> None:
        """The database is out of sight: anything may become of it."""

    def gone(self, database: str) -> None:
        """There is no such database any more, and its keeper has ended."""

    def counted(self, database: str, rows: Iterable[tuple[int, int, int]]) -> None:
        """The counters of rows written: table, rows, file node."""


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
class CatalogKeeper:
    """Keeps one database's catalog. `run` is its task."""

    def __init__(
        self,
        database: str,
        control: Control,
        group: Group,
        taker: Taker,
        *,
        interval: float,
        watch: bool,
        declarations: Declarations | None = None,
    ) -> None:
        self.database = database
        self._control = control
        self._group = group
        self._taker = taker
        self._interval = interval
        self._watch = watch
        self._declarations = declarations
        self._check = asyncio.Event()
        self._catalog: Catalog | None = None
        self._digest: object = None
        self._oid = 0
        self._is_away = False

    def check_now(self) -> None:
        """Look at once: a definition may have changed."""
        self._is_away = False
        self._check.set()

    def vacate(self) -> None:
        """Hang up until `check_now`, or for a while: nobody may be connected to the database."""
        self._is_away = True
        self._check.set()

    def restart(self) -> None:
        """There is a new primary: what was read from the old one is nothing."""
        self._catalog = None
        self._check.set()

    async def run(self) -> None:
        """Keep the catalog until cancelled, or until there is no such database."""
        while True:
            primary = self._group.primary
            if primary is None:
                self._check.clear()  # or there would be no rest, for anybody
                await self._rest()
                continue
            try:
                connection = await connect(self._control, primary, self.database)
                connection.add_termination_listener(self._lost)
                try:
                    await self._meet(connection)
                    await self._keep(connection)
                finally:
                    connection.remove_termination_listener(self._lost)
                    connection.terminate()
                await self._stay_away()
            except asyncpg.InvalidCatalogNameError:
                self._taker.gone(self.database)
                return
            except asyncpg.LockNotAvailableError:
                log.info("catalog not read yet: a definition is locked", database=self.database)
                await asyncio.sleep(self._interval)
            except FAILURES as error:
                log.warning("catalog not read", database=self.database, error=describe(error))
                await asyncio.sleep(self._interval)
            except Exception as error:
                # A bug; without a catalog no read would leave the primary ever again.
                log.exception("a catalog's keeper met a bug", error, database=self.database)
                await asyncio.sleep(self._interval)

    def _lost(self, _: object) -> None:
        """The connection was ended, as everybody's is before a database is dropped or renamed."""
        self._taker.lost(self.database)
        self._check.set()

    async def _stay_away(self) -> None:
        if not self._is_away:
            return
        self._taker.lost(self.database)
        self._check.clear()
        await self._rest(AWAY)
        self._is_away = False

    async def _meet(self, connection: asyncpg.Connection[Any]) -> None:
        """Find out which database has the name now."""
        self._check.clear()
        oid = await connection.fetchval(queries.DATABASE)
        if oid != self._oid:
            self._oid = oid
            self._catalog = None
        self._taker.met(self.database, oid)

    async def _keep(self, connection: asyncpg.Connection[Any]) -> None:
        epoch = self._group.epoch
        while self._group.epoch == epoch and not self._is_away:
            is_expected = self._check.is_set()  # a change of ours, which has been counted
            self._check.clear()
            generation = self._taker.generation()
            digest = await connection.fetchrow(queries.FINGERPRINT)
            if self._catalog is None or digest != self._digest:
                if self._catalog is not None and not is_expected:
                    self._taker.changed(self.database)
                    generation = self._taker.generation()
                    digest = await connection.fetchrow(queries.FINGERPRINT)
                self._catalog = await self._load(connection)
                self._digest = digest
            if not self._taker.took(self.database, self._catalog, generation):
                continue
            if self._watch:
                self._taker.counted(self.database, await connection.fetch(queries.COUNTERS))
            await self._rest()

    async def _load(self, connection: asyncpg.Connection[Any]) -> Catalog:
        catalog = Catalog.build(self.database, self._declarations, **await read_rows(connection))
        for problem in catalog.problems:
            log.warning("function not as declared", database=self.database, problem=problem)
        return catalog

    async def _rest(self, seconds: float | None = None) -> None:
        try:
            async with asyncio.timeout(seconds or self._interval):
                await self._check.wait()
        except TimeoutError:
            return
