"""The catalogs of the databases in use: read, and looked at again whenever they may have changed.

One control connection per database, to the primary. What passes through the proxy says itself when
a definition changes; what does not is noticed by a digest that is compared every second, and so
are the counters of rows written (`out_of_band = "watch"`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final, Protocol, final

from proxy.observe.logs import Logger
from proxy.sql.lineage import Lineage
from proxy.topology.group import Group, Server
from proxy.topology.witness import describe

log = Logger("catalogs")


AWAY: Final = 6.0
"""Seconds for which a server waits for others to leave a database, and one."""


Rows = Iterable[tuple[int, int, int]]
"""The counters of rows written: table, rows, file node."""


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

    def counted(self, database: str, rows: Rows) -> None:
        """The counters of rows written."""

    def tallied(self, database: str, era: Hashable, rows: Rows | None) -> None:
        """The same as commits to come will be compared with; None: it is not counted at once.

        Args:
            database: In this one.
            era: In which it was begun to read them; None: they can't be compared with others.
            rows: The counters.
        """

    def inquires(self, database: str) -> bool:
        """Tell if somebody wants to know what commits have changed: it is looked for from now."""

    def answer(
        self,
        database: str,
        era: Hashable,
        samples: Sequence[Rows | None],
        uncounted: Iterable[int],
    ) -> None:
        """Tell those who did: definitions are what they were, and the counters are these.

        Args:
            database: In this one.
            era: In which the counters have been read; None: they can't be compared with others.
            samples: The counters; None where a write may be acknowledged before it is counted.
            uncounted: Tables that all the same were not counted, perhaps, before the last sample.
        """

    def give_up(self, database: str) -> None:
        """Tell those who have not been told that they will not be."""


class DatabaseGone(Exception):
    """There is no database of that name."""


class DefinitionsBusy(Exception):
    """The definitions can't be read just now; the message says why."""


class Source(Protocol):
    """A connection to the primary over which the definitions of one database are read."""

    @property
    def counts_at_once(self) -> bool:
        """Whether a write has been counted by the time it is acknowledged."""

    async def identify(self) -> int:
        """A number of the database that is another's when the name is given to another."""

    async def fingerprint(self, *, anew: bool) -> object:
        """What differs from what it was before whenever a definition does.

        Args:
            anew: Whether a change is expected; if not, what was found a moment ago will do.
        """

    async def load(self) -> Lineage:
        """Read the catalog.

        Raises:
            DefinitionsBusy: It can't be read just now.
        """

    async def counters(self) -> Rows:
        """The counters of rows written: table, rows, file node."""

    async def era(self) -> Hashable:
        """What is the same for as long as whatever is done has shown when it is acknowledged.

        That is in definitions or, where writes are counted at once, in counters. None: it may
        never show, or late.
        """

    async def uncounted(self) -> Iterable[int]:
        """The tables of which counters may not have everything that is acknowledged."""

    def close(self) -> None:
        """Hang up; nothing is said of that."""


class Definitions(Protocol):
    """How the definitions of an engine are come by."""

    @property
    def failures(self) -> tuple[type[BaseException], ...]:
        """What a connection may fail with."""

    async def open(self, primary: Server, database: str, ended: Callable[[], None]) -> Source:
        """Connect to a database of the primary.

        Args:
            primary: Where it is.
            database: Its name.
            ended: Called when the connection is found to have been ended by somebody else.

        Raises:
            DatabaseGone: There is none of that name.
        """


@final
class CatalogKeeper:
    """Keeps one database's catalog. `run` is its task."""

    def __init__(
        self,
        database: str,
        definitions: Definitions,
        group: Group,
        taker: Taker,
        *,
        interval: float,
        watch: bool,
    ) -> None:
        self.database = database
        self._definitions = definitions
        self._group = group
        self._taker = taker
        self._interval = interval
        self._watch = watch
        self._check = asyncio.Event()
        self._is_expected = False  # whether a change is one of ours, which has been counted
        self._catalog: Lineage | None = None
        self._digest: object = None
        self._oid = 0
        self._is_away = False

    def check_now(self) -> None:
        """Look at once: a definition may have changed."""
        self._is_away = False
        self._is_expected = True
        self._check.set()

    def ask(self) -> None:
        """Look at once: somebody has a question."""
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
                self._give_up()
                self._check.clear()  # or there would be no rest, for anybody
                await self._rest()
                continue
            try:
                source = await self._definitions.open(primary, self.database, self._lost)
                try:
                    await self._meet(source)
                    await self._keep(source)
                finally:
                    source.close()
                    self._give_up()
                await self._stay_away()
            except DatabaseGone:
                self._taker.gone(self.database)
                return
            except DefinitionsBusy as error:
                log.info("catalog not read yet", database=self.database, why=str(error))
                await asyncio.sleep(self._interval)
            except self._definitions.failures as error:
                self._give_up()
                log.warning("catalog not read", database=self.database, error=describe(error))
                await asyncio.sleep(self._interval)
            except Exception as error:
                # A bug; without a catalog no read would leave the primary ever again.
                log.exception("a catalog's keeper met a bug", error, database=self.database)
                await asyncio.sleep(self._interval)

    def _give_up(self) -> None:
        """Leave nobody waiting for an answer."""
        self._taker.inquires(self.database)
        self._taker.give_up(self.database)

    def _lost(self) -> None:
        self._taker.lost(self.database)
        self._is_expected = True
        self._check.set()

    async def _stay_away(self) -> None:
        if not self._is_away:
            return
        self._taker.lost(self.database)
        self._check.clear()
        await self._rest(AWAY)
        self._is_away = False

    async def _meet(self, source: Source) -> None:
        """Find out which database has the name now."""
        self._check.clear()
        oid = await source.identify()
        if oid != self._oid:
            self._oid = oid
            self._catalog = None
        self._taker.met(self.database, oid)

    async def _keep(self, source: Source) -> None:
        epoch = self._group.epoch
        loop = asyncio.get_running_loop()
        while self._group.epoch == epoch and not self._is_away:
            self._check.clear()
            is_asked = self._taker.inquires(self.database)
            began = loop.time()
            is_good = await self._look(source, is_asked=is_asked)
            if is_asked:
                await asyncio.sleep(loop.time() - began)  # half of the time is the server's own
            if is_good:
                await self._rest()

    async def _look(self, source: Source, *, is_asked: bool) -> bool:
        """Look at everything once; False: something has changed meanwhile."""
        is_expected, self._is_expected = self._is_expected, False
        generation = self._taker.generation()
        is_first = self._catalog is None
        if is_first:
            self._taker.tallied(self.database, await source.era(), None)
        digest = await source.fingerprint(anew=is_expected or is_first)
        if self._catalog is None or digest != self._digest:
            if not is_first:
                self._taker.give_up(self.database)  # what is asked about may have changed them
                is_asked = False
                if not is_expected:
                    self._taker.changed(self.database)
                generation = self._taker.generation()
                digest = await source.fingerprint(anew=True)
            self._catalog = await source.load()
            self._digest = digest
            is_first = True
        if not self._taker.took(self.database, self._catalog, generation):
            return False
        if self._watch or is_first or is_asked:
            await self._count(source, is_asked=is_asked)
        return True

    async def _count(self, source: Source, *, is_asked: bool) -> None:
        """Have the counters compared with what they were."""
        era = await source.era()
        first: list[tuple[int, int, int]] = []
        if self._watch or source.counts_at_once:
            first = list(await source.counters())
        if self._watch:
            self._taker.counted(self.database, first)
        told = first if source.counts_at_once else None
        self._taker.tallied(self.database, era, told)
        if is_asked:
            uncounted = await source.uncounted()
            more = list(await source.counters()) if source.counts_at_once else None
            self._taker.answer(self.database, await source.era(), [told, more], uncounted)

    async def _rest(self, seconds: float | None = None) -> None:
        try:
            async with asyncio.timeout(seconds or self._interval):
                await self._check.wait()
        except TimeoutError:
            return
