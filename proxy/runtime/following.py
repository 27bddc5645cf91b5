"""Reading the primary's log, for the databases in use (`out_of_band = "cdc"`).

While it can't be read, the counters tell of foreign writes as with `watch`: they are compared all
the time, since not everything is in the log. Every beginning and every end is logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, Final, final

from proxy.errors import ClientVisibleError, ServerLost
from proxy.freshness.feed import Commit, Feed, Foreign
from proxy.freshness.ledger import Ledger
from proxy.freshness.tables import everything_in
from proxy.observe.logs import Logger
from proxy.runtime.engine import Changes, Engine, Written
from proxy.runtime.server import Address
from proxy.settings.model import ServerGroup
from proxy.topology.group import Group, Server
from proxy.topology.witness import FAILURES, describe
from proxy.types import Position, Table, Token

log = Logger("changes")

TICK: Final = 1.0
"""Seconds between two looks at how far all is, when nobody else has written."""

QUICK_FIRST: Final = 0.001
QUICK_LAST: Final = 0.064
"""Seconds between two looks at whether a commit is visible, which waits for nothing but a turn of
its process or a synchronous replica: short at first, doubling."""

RETRY_FIRST: Final = 0.2
RETRY_LAST: Final = 10.0
"""Seconds between two attempts."""

SILENCE: Final = 10.0
"""Seconds after which a primary that has been asked and says nothing is not heard any more."""

TablesNamed = Callable[[str, str, str], frozenset[Table] | None]
"""The tables for which a change of a relation counts, by database, schema and name."""


@final
class _Follower:
    """Keeps the log of one database read. `run` is its task."""

    def __init__(self, database: str, owner: Following) -> None:
        self.database = database
        self._everything = everything_in(database)
        self.feed = Feed(self._everything, owner.ledger, owner.new_token)
        self._owner = owner
        self._wake = asyncio.Event()
        self._away_until = 0.0
        self._said = ""

    def vacate(self, seconds: float) -> None:
        """Hang up for a while."""
        self._away_until = monotonic() + seconds
        self._wake.set()

    async def run(self) -> None:
        """Follow whoever is the primary until cancelled."""
        retry = RETRY_FIRST
        while True:
            primary = self._owner.group.primary
            if primary is not None and monotonic() >= self._away_until:
                began = monotonic()
                try:
                    await self._follow(primary)
                except (ClientVisibleError, *FAILURES) as error:
                    self._say(primary, describe(error))
                except Exception as error:
                    log.exception("a follower met a bug", error, database=self.database)
                finally:
                    self.feed.lose()
                if monotonic() - began > RETRY_LAST:
                    retry = RETRY_FIRST
            await asyncio.sleep(retry)
            retry = min(2 * retry, RETRY_LAST)

    def _say(self, primary: Server, why: str) -> None:
        """Tell the log once, or who makes a new primary would hear it every second."""
        if why != self._said:
            self._said = why
            log.warning(
                "changes not followed: counters are compared instead",
                group=self._owner.group.name,
                server=primary.name,
                database=self.database,
                error=why,
            )

    async def _follow(self, primary: Server) -> None:
        owner = self._owner
        epoch = owner.group.epoch
        address = owner.address_of(primary)
        limit = owner.limit
        changes = await owner.engine.follow(address, self.database, self, limit=limit)
        try:
            view = await changes.look()
            self.feed.begin(view.snapshot)
            self._said = ""
            log.info(
                "changes followed",
                group=owner.group.name,
                server=primary.name,
                database=self.database,
            )
            while owner.group.epoch == epoch and monotonic() >= self._away_until:
                await self._look(changes, limit)
        finally:
            changes.close()

    async def _look(self, changes: Changes, limit: int) -> None:
        """Wait until there is something to be found out, then do."""
        try:
            async with asyncio.timeout(TICK):
                await self._wake.wait()
        except TimeoutError:
            if monotonic() - changes.heard_at > SILENCE:
                raise ServerLost("the log says nothing any more") from None
        self._wake.clear()
        feed = self.feed
        pause = QUICK_FIRST
        while True:
            question = feed.ask()
            view = await changes.look()
            found = feed.answered(question, view.snapshot, view.position)
            self._owner.found([*found, *feed.look()])
            if view.kept > limit:
                raise ServerLost(f"{view.kept} bytes of log are kept, {limit} may be")
            if not feed.wants_snapshot:
                break
            await asyncio.sleep(pause)
            pause = min(2 * pause, QUICK_LAST)
        changes.confirm()

    # Hearer

    def heard(self, written: Written) -> None:
        """See `proxy.runtime.engine.Hearer`."""
        rows: dict[Table, int] = {}
        certain = set[Table]()
        if not written.is_clear:
            certain.add(self._everything)
        for name, number in written.rows.items():
            for table in self._tables(*name):
                rows[table] = rows.get(table, 0) + number
        for name in written.emptied:
            certain |= self._tables(*name)
        if rows.pop(self._everything, 0):
            certain.add(self._everything)
        self.feed.heard(Commit(written.xid, rows, frozenset(certain)))
        if self.feed.wants_snapshot:
            self._wake.set()

    def reached(self, position: Position) -> None:
        """See `proxy.runtime.engine.Hearer`."""
        self.feed.reached(position)
        if self.feed.wants_snapshot:
            self._wake.set()

    def lost(self) -> None:
        """See `proxy.runtime.engine.Hearer`."""
        self._wake.set()

    def _tables(self, schema: str, name: str) -> frozenset[Table]:
        named = self._owner.tables_named(self.database, schema, name)
        return named or frozenset((self._everything,))


@final
class Following:
    """See the module.

    Args:
        settings: Of the group.
        engine: Reads logs.
        group: Whose primary's.
        ledger: Is told what others have written.
        new_token: Makes ids of commits.
        address_of: How a server is reached.
        tables_named: What names mean.
        found: Is told who has been written to by others.
    """

    def __init__(
        self,
        settings: ServerGroup,
        engine: Engine,
        group: Group,
        ledger: Ledger,
        new_token: Callable[[], Token],
        address_of: Callable[[Server], Address],
        tables_named: TablesNamed,
        found: Callable[[Iterable[Foreign]], None],
    ) -> None:
        self.limit = settings.out_of_band_log_bytes
        self.engine = engine
        self.group = group
        self.ledger = ledger
        self.new_token = new_token
        self.address_of = address_of
        self.tables_named = tables_named
        self.found = found
        self._followers: dict[str, _Follower] = {}
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    def want(self, database: str) -> None:
        """A client uses this database."""
        if database not in self._followers:
            self._followers[database] = follower = _Follower(database, self)
            self._tasks[database] = asyncio.get_running_loop().create_task(follower.run())

    def let_go(self, database: str) -> None:
        """Nobody does any more, or it is gone."""
        self._followers.pop(database, None)
        task = self._tasks.pop(database, None)
        if task is not None:
            task.cancel()

    def vacate(self, database: str, seconds: float) -> None:
        """Hang up for a while: nobody may be connected to it."""
        follower = self._followers.get(database)
        if follower is not None:
            follower.vacate(seconds)

    def wrote(self, table: Table, rows: int) -> None:
        """Credit rows that a commit of ours wrote, before its mark is released."""
        follower = self._followers.get(table.database)
        if follower is not None:
            follower.feed.wrote(table, rows)

    def is_following(self) -> dict[str, bool]:
        """Tell of each database whether its log is read at present."""
        return {name: follower.feed.is_following for name, follower in self._followers.items()}

    async def close(self) -> None:
        """Stop, and leave no slot behind."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
