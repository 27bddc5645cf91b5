"""Reading the primary's log, for the databases in use (`out_of_band = "cdc"`, `"strict"`).

While it can't be read, the counters tell of foreign writes as with `watch`: they are compared all
the time, since not everything is in the log. Every beginning and every end is logged.

With `strict` reads wait here until the log has been read up to where it was when they came. All
that come while the primary is being asked where that is, are told by its next answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from math import inf
from time import monotonic
from typing import Any, Final, final

from proxy.errors import ClientVisibleError, ServerLost
from proxy.freshness.feed import Commit, Feed, Foreign
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.tables import everything_in
from proxy.observe.logs import Logger
from proxy.runtime.engine import Changes, Engine, Written
from proxy.runtime.server import Address
from proxy.session.ports import Line, Throttled, Waiter
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

PATIENCE: Final = 0.01
"""Seconds until it is looked whether a commit is visible that may be one of ours: most often its
acknowledgement comes before, and nothing needs to be asked."""

RETRY_FIRST: Final = 0.2
RETRY_LAST: Final = 10.0
"""Seconds between two attempts."""

SILENCE: Final = 10.0
"""Seconds after which a primary that has been asked and says nothing is not heard any more."""

LONGEST_WAIT: Final = 0.05
"""Seconds that a read waits for the log before it goes to the primary, where it is always right:
what is not flushed is not told of, as of commits that do not wait for the disk."""

ASK_AGAIN: Final = 0.001
"""Seconds between two questions to the primary for how far it has told, while a read waits."""

Waiting = dict[Waiter, tuple[Throttled, float]]
"""Reads, and since when they wait."""

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
        self._changes: Changes | None = None
        self._is_lost = False  # what is told
        self._asking: Waiting = {}  # for where the log is
        self._asked: Waiting = {}  # while the primary is
        self._behind: list[tuple[Position, Waiting]] = []  # to be read up to there
        self._timer: asyncio.TimerHandle | None = None
        self._patience: asyncio.TimerHandle | None = None

    def confirm(self, waiter: Throttled) -> Line | None:
        """Have a read wait until it is known what others had committed; None: it can't be."""
        if not self.feed.is_following:
            return None
        self._asking[waiter] = (waiter, monotonic())
        self._wake.set()
        if self._timer is None:
            self._look_later()
        return self

    def leave(self, waiter: Waiter) -> None:
        """Step out of the line."""
        for waiting in self._lines():
            waiting.pop(waiter, None)

    def _lines(self) -> list[Waiting]:
        return [self._asking, self._asked, *(waiting for _, waiting in self._behind)]

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(ASK_AGAIN, self._look_after_waiting)

    def _look_after_waiting(self) -> None:
        """Ask again how far the log has been told, and let nobody wait for too long."""
        self._timer = None
        self._turn_away(before=monotonic() - LONGEST_WAIT)
        if any(waiting for _, waiting in self._behind) and self._changes is not None:
            self._changes.confirm()
        if any(self._lines()):
            self._look_later()

    def _turn_away(self, before: float = inf) -> None:
        """Send those to the primary who have waited since before a moment."""
        for waiting in self._lines():
            for key, (waiter, since) in list(waiting.items()):
                if since <= before and waiting.pop(key, None) is not None:
                    waiter.primary_found()

    def vacate(self, seconds: float) -> None:
        """Hang up for a while."""
        self._away_until = monotonic() + seconds
        self._wake.set()

    async def run(self) -> None:
        """Follow whoever is the primary until cancelled."""
        retry = RETRY_FIRST
        while True:
            primary = self._owner.group.primary
            if primary is None or monotonic() < self._away_until:
                await asyncio.sleep(RETRY_FIRST)
                continue
            began = monotonic()
            try:
                await self._follow(primary)
            except (ClientVisibleError, *FAILURES) as error:
                self._say(primary, describe(error))
            except Exception as error:
                log.exception("a follower met a bug", error, database=self.database)
            finally:
                self._end()
            if monotonic() - began > RETRY_LAST:
                retry = RETRY_FIRST
            await asyncio.sleep(retry)
            retry = min(2 * retry, RETRY_LAST)

    def _end(self) -> None:
        """Nothing is told any more: who waits for it goes to the primary."""
        self._changes = None
        self.feed.lose()
        self._turn_away()
        self._behind.clear()

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
        self._is_lost = False
        changes = await owner.engine.follow(address, self.database, self, limit=limit)
        try:
            view = await changes.look()
            looked_at = monotonic()
            self.feed.begin(view.snapshot)
            self._changes = changes
            self._said = ""
            log.info(
                "changes followed",
                group=owner.group.name,
                server=primary.name,
                database=self.database,
            )
            pause = TICK
            while owner.group.epoch == epoch and monotonic() >= self._away_until:
                await self._rest(pause)
                if self._wants_look() or monotonic() - looked_at >= TICK:
                    looked_at = monotonic()
                    await self._look(changes, limit)
                pause = self._pause(pause)
        finally:
            changes.close()

    def _pause(self, before: float) -> float:
        """Say how long to wait now, if nothing happens before; and how long it was last."""
        feed = self.feed
        if feed.is_urgent:
            first = QUICK_FIRST
        elif feed.wants_snapshot:
            return PATIENCE
        elif feed.has_suspicions:
            first = PATIENCE  # a commit of ours is under way: when it is settled, nobody tells
        else:
            return TICK
        return min(2 * before, QUICK_LAST) if before < TICK else first

    def _wants_look(self) -> bool:
        return self._is_lost or bool(self._asking) or self.feed.wants_snapshot

    async def _rest(self, seconds: float) -> None:
        """Wait until there is something to be found out, for a while at most."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _look(self, changes: Changes, limit: int) -> None:
        if monotonic() - changes.heard_at > SILENCE:
            raise ServerLost("the log says nothing any more")
        question = self.feed.ask()
        self._asked, self._asking = self._asking, {}
        view = await changes.look()
        if self._asked:
            self._behind.append((view.position, self._asked))
            self._asked = {}
        found = self.feed.answered(question, view.snapshot, view.position)
        self._owner.found(found)
        if view.kept > limit:
            raise ServerLost(f"{view.kept} bytes of log are kept, {limit} may be")
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
        self.feed.heard(Commit(written.xid, rows, frozenset(certain), written.gtid))
        self._wonder()

    def _wonder(self) -> None:
        """See to it that what is suspected will be looked at."""
        if self.feed.is_urgent:
            self._wake.set()
        elif self._patience is None and self.feed.has_suspicions:
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(PATIENCE, self._lose_patience)

    def _lose_patience(self) -> None:
        self._patience = None
        if self.feed.has_suspicions:
            self._wake.set()

    def reached(self, position: Position) -> None:
        """See `proxy.runtime.engine.Hearer`."""
        self.feed.reached(position)
        self._wonder()
        while self._behind and self._behind[0][0] <= position:
            _, waiting = self._behind.pop(0)
            while waiting:
                waiter, _ = waiting.pop(next(iter(waiting)))
                waiter.admitted()

    def lost(self) -> None:
        """See `proxy.runtime.engine.Hearer`."""
        self._is_lost = True
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

    def confirm(self, database: str, waiter: Throttled) -> Line | None:
        """Have a read wait until it is known what others had committed; None: it can't be."""
        follower = self._followers.get(database)
        return None if follower is None else follower.confirm(waiter)

    def wrote(self, mark: Mark, table: Table, rows: int) -> None:
        """Credit rows that a commit of ours wrote, before its mark is released."""
        follower = self._followers.get(table.database)
        if follower is not None and not self.engine.tells_gtids:
            follower.feed.wrote(mark, table, rows)

    def claim(self, mark: Mark, gtids: Sequence[str], tables: frozenset[Table]) -> None:
        """Commits are ours, and wrote to no other tables: say so before their mark is released."""
        for follower in self._followers.values():
            follower.feed.claim(mark, gtids, tables)

    def is_following(self) -> dict[str, bool]:
        """Tell of each database whether its log is read at present."""
        return {name: follower.feed.is_following for name, follower in self._followers.items()}

    async def close(self) -> None:
        """Stop, and leave no slot behind."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
