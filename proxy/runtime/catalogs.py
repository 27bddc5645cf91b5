"""What is defined in the databases in use, and who writes to them besides us."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from time import monotonic
from typing import Any, Protocol, final

from proxy.freshness.feed import Foreign
from proxy.freshness.frames import Wrote
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.tables import EVERY_DATABASE, schema_of
from proxy.freshness.tally import Tally
from proxy.freshness.watch import Counters, Watch
from proxy.observe.logs import Logger
from proxy.observe.metrics import GroupMetrics
from proxy.routing.plan import Planner
from proxy.runtime.engine import Engine
from proxy.runtime.following import Following
from proxy.runtime.server import Address
from proxy.session.ports import Line, Throttled
from proxy.settings.model import ServerGroup
from proxy.settings.values import OutOfBand
from proxy.sql.lineage import Lineage
from proxy.topology.catalogs import AWAY, CatalogKeeper, Rows
from proxy.topology.group import Group, Server
from proxy.types import Table, Token

log = Logger("catalogs")


class Question(Protocol):
    """Somebody who wants to know what a commit has changed, which has been acknowledged."""

    def answer(self, tallies: Sequence[Tally], uncounted: frozenset[Table]) -> None:
        """It changed no definition, and these were taken since; of some tables they tell late."""

    def give_up(self) -> None:
        """Nobody can tell."""


@final
class Catalogs:
    """Keeps the catalog of every database that a client has asked for."""

    __slots__ = (
        "_counted",
        "_engine",
        "_following",
        "_group",
        "_inquired",
        "_keepers",
        "_known",
        "_ledger",
        "_metrics",
        "_new_token",
        "_oids",
        "_planner",
        "_questions",
        "_replaced",
        "_settings",
        "_tallies",
        "_tasks",
        "_used_at",
        "_watches",
    )

    def __init__(
        self,
        settings: ServerGroup,
        engine: Engine,
        group: Group,
        planner: Planner,
        ledger: Ledger,
        new_token: Callable[[], Token],
        metrics: GroupMetrics,
        replaced: Callable[[str, int], None],
        address_of: Callable[[Server], Address],
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._group = group
        self._planner = planner
        self._ledger = ledger
        self._new_token = new_token
        self._metrics = metrics
        self._replaced = replaced  # is told of a name's new database, or of none: 0
        self._oids: dict[str, int] = {}
        self._keepers: dict[str, CatalogKeeper] = {}
        self._known: dict[str, Lineage] = {}
        self._watches: dict[str, Watch] = {}
        self._tallies: dict[str, Tally] = {}
        self._questions: dict[str, list[Question]] = {}
        self._inquired: dict[str, list[Question]] = {}  # that are being looked for
        self._counted: set[str] = set()  # databases with a history: what rises in them is foreign
        self._tasks: dict[str, asyncio.Task[Any]] = {}
        self._used_at: dict[str, float] = {}
        self._following: Following | None = None
        if settings.out_of_band in (OutOfBand.CDC, OutOfBand.STRICT):
            self._following = Following(
                settings, engine, group, ledger, new_token, address_of, self._named, self._found
            )

    def want(self, database: str) -> None:
        """A client uses this database."""
        if database in self._keepers:
            return
        settings = self._settings
        keeper = CatalogKeeper(
            database,
            self._engine.definitions,
            self._group,
            self,
            interval=settings.out_of_band_interval or 1.0,
            watch=settings.out_of_band is not OutOfBand.NONE,
        )
        self._keepers[database] = keeper
        self._watches[database] = Watch()
        loop = asyncio.get_running_loop()
        self._used_at[database] = monotonic()
        self._tasks[database] = task = loop.create_task(keeper.run())
        task.add_done_callback(_ended)
        if self._following is not None:
            self._following.want(database)

    def let_go(self, in_use: set[str], now: float) -> None:
        """Look no longer at databases that nobody has used for `server_idle_timeout`."""
        limit = self._settings.server_idle_timeout
        for database, used_at in list(self._used_at.items()):
            if database in in_use:
                self._used_at[database] = now
            elif limit and now - used_at >= limit:
                self._tasks[database].cancel()
                self._forget(database)
                self._planner.distrust(database)
                # Nobody sees any more what is written there past the proxy.
                self._ledger.foreign_commit([schema_of(database)], self._new_token())

    def is_meant(self, database: str, oid: int) -> bool:
        """Tell if a name means this database on the primary, as far as is known."""
        return self._oids.get(database, oid) == oid

    def check_now(self) -> None:
        """A definition has changed, or may have."""
        for keeper in self._keepers.values():
            keeper.check_now()

    def keeps(self, database: str) -> bool:
        """Tell if a database is looked at."""
        return database in self._keepers

    def vacate(self, database: str) -> None:
        """Hang up, so that a database can be dropped."""
        keeper = self._keepers.get(database)
        if keeper is not None:
            keeper.vacate()
        if self._following is not None:
            self._following.vacate(database, AWAY)

    def restart(self) -> None:
        """There is a new primary."""
        for keeper in self._keepers.values():
            keeper.restart()
        for watch in self._watches.values():
            watch.restart()

    def name_of(self, table: Table) -> str:
        """Name a table for people."""
        catalog = self._known.get(table.database)
        return str(table.oid) if catalog is None else catalog.name_of(table.oid)

    def wrote(self, mark: Mark | None, written: Wrote) -> None:
        """Credit what a commit of the fleet's wrote, before its mark is released.

        Args:
            mark: By which it was announced, if we know of it.
            written: Its rows, and its id if it is known by that in the log.
        """
        following = self._following
        for table, rows in written.rows:
            watch = self._watches.get(table.database)
            if watch is not None:
                watch.wrote(table, rows)
            if following is not None and mark is not None:
                following.wrote(mark, table, rows)
        if following is not None and mark is not None:
            for claim in written.claims:
                following.claim(mark, claim.gtids, claim.tables)

    @property
    def claims(self) -> bool:
        """Whether commits are told from others' by their ids."""
        return self._following is not None and self._engine.tells_gtids

    def confirm(self, database: str, waiter: Throttled) -> Line | None:
        """Have a read wait until it is known what others had committed; None: it can't be."""
        return None if self._following is None else self._following.confirm(database, waiter)

    def is_following(self) -> dict[str, bool]:
        """Tell of each database whether its log is read, where it should be."""
        return {} if self._following is None else self._following.is_following()

    def tally(self, database: str) -> Tally | None:
        """What may be compared afterwards with what is about to be run; None: nothing."""
        return self._tallies.get(database)

    def ask(self, database: str, question: Question) -> None:
        """Find out what a commit has changed, which was acknowledged just now."""
        keeper = self._keepers.get(database)
        if keeper is None:
            question.give_up()
            return
        self._questions.setdefault(database, []).append(question)
        keeper.ask()

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks.values():
            task.cancel()
        if self._following is not None:
            await self._following.close()

    def _named(self, database: str, schema: str, name: str) -> frozenset[Table] | None:
        catalog = self._known.get(database)
        return None if catalog is None else catalog.named(schema, name)

    def _found(self, found: Iterable[Foreign]) -> None:
        """The log has told of what others wrote; the counters will too, and it will be no news."""
        for table, rows in found:
            watch = self._watches.get(table.database)
            catalog = self._known.get(table.database)
            if watch is not None and catalog is not None:
                if not self._engine.tells_gtids:  # else rows are not what was told
                    watch.wrote(table, rows)
                self._metrics.foreign_writes.count(catalog.name_of(table.oid))

    # Taker

    def generation(self) -> int:
        """See `proxy.topology.catalogs.Taker`."""
        return self._planner.generation

    def took(self, database: str, catalog: Lineage, generation: int) -> bool:
        """Believe a catalog, unless something may have changed since the reading began."""
        if generation != self._planner.generation:
            return False
        if not self._planner.is_known(database) and not self._planner.know(database, catalog):
            return False
        self._known[database] = catalog
        return True

    def met(self, database: str, oid: int) -> None:
        """Note which database a name leads to.

        A database is renamed or dropped only while nobody is connected to it on the primary; but
        connections to the replicas survive a renaming, and go on to lead to the other one. So does
        one that was opened while nobody knew what the name means.
        """
        known = self._oids.get(database)
        self._oids[database] = oid
        if known == oid:
            return
        if known is not None:
            log.warning("another database by that name", group=self._group.name, database=database)
            self.lost(database)
        self._replaced(database, oid)

    def gone(self, database: str) -> None:
        """A database was dropped: nothing is kept of it until a client asks for its name again."""
        log.info("database gone", group=self._group.name, database=database)
        self._forget(database)
        self.lost(database)
        self._replaced(database, 0)

    def _forget(self, database: str) -> None:
        for known in (self._keepers, self._known, self._watches, self._oids, self._used_at):
            known.pop(database, None)
        self._tallies.pop(database, None)
        if self._following is not None:
            self._following.let_go(database)
        self.inquires(database)
        self.give_up(database)
        self._tasks.pop(database, None)
        self._counted.discard(database)

    def changed(self, database: str) -> None:
        """Somebody changed a definition past the proxy: count it as a commit."""
        log.info("definitions changed", group=self._group.name, database=database)
        self.lost(database)

    def lost(self, database: str) -> None:
        """Believe nothing of a database until it has been looked at again."""
        self._planner.distrust(database)
        self._ledger.foreign_commit([schema_of(EVERY_DATABASE)], self._new_token())

    def counted(self, database: str, rows: Rows) -> None:
        """Compare the servers' counters with what we wrote, and count what is foreign."""
        sample = self._sample(database, rows)
        foreign = self._watches[database].compare(sample, self._ledger.is_pending)
        if not foreign:
            return
        self._ledger.foreign_commit(foreign, self._new_token())
        if database in self._counted:
            catalog = self._known[database]
            for table in foreign:
                self._metrics.foreign_writes.count(catalog.name_of(table.oid))
        self._counted.add(database)

    def _sample(self, database: str, rows: Rows) -> dict[Table, Counters]:
        """Sum up what is counted by the table that it counts for."""
        sample: dict[Table, Counters] = {}
        for oid, written, files in rows:
            for table in self._known[database].roots(oid):
                before = sample.get(table, Counters(0, 0))
                sample[table] = Counters(before.rows + written, hash((before.files, files)))
        return sample

    def tallied(self, database: str, era: Hashable, rows: Rows | None) -> None:
        """Keep what commits to come will be compared with."""
        if era is None:
            self._tallies.pop(database, None)
        else:
            self._tallies[database] = self._make_tally(database, era, rows)

    def _make_tally(self, database: str, era: Hashable, rows: Rows | None) -> Tally:
        return Tally(era, None if rows is None else self._sample(database, rows))

    def inquires(self, database: str) -> bool:
        """Tell whether anything is asked, and note that it is being looked for."""
        inquired = self._inquired.setdefault(database, [])
        inquired += self._questions.pop(database, [])
        return bool(inquired)

    def answer(
        self,
        database: str,
        era: Hashable,
        samples: Sequence[Rows | None],
        uncounted: Iterable[int],
    ) -> None:
        """Say what has been written."""
        tallies = [self._make_tally(database, era, rows) for rows in samples]
        others = self._sample(database, [(oid, 0, 0) for oid in uncounted])
        for question in self._inquired.pop(database, ()):
            question.answer(tallies, frozenset(others))

    def give_up(self, database: str) -> None:
        """Say that it can't be told."""
        for question in self._inquired.pop(database, ()):
            question.give_up()


def _ended(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.exception("a task ended by a bug", error)
