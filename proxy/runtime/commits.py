"""Commits on their way: announced before they are sent, settled by what became of them.

The ledger decides what a mark means. Here is who holds it, what happens to it when the catalog or
the epoch changes under it, the search for the outcome of one whose connection broke, and what is
asked of the server afterwards where nobody could tell what would be written.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, final

from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import LOST, VOID, Mark
from proxy.freshness.quiet import Quiet
from proxy.freshness.tables import EVERY_DATABASE, schema_of
from proxy.freshness.tally import Tally, tell
from proxy.observe.logs import Logger
from proxy.routing.plan import Plan, Planner
from proxy.runtime.server import ServerConnection
from proxy.runtime.session_end import is_over
from proxy.session.transaction import Transaction
from proxy.topology.witness import Witness
from proxy.types import ALL_OID, SCHEMA_OID, Position, Table, Token

log = Logger("commits")

RETRY: Final = 0.2
"""Seconds between two tries to find out what became of a lost commit."""

_SCHEMA: Final = schema_of(EVERY_DATABASE)
_ANY: Final = (ALL_OID, SCHEMA_OID)


class Holder(Protocol):
    """Who sends the commit that a mark stands for."""

    mark: Mark | None


class Announcer(Protocol):
    """Tells the other members of a fleet."""

    def mark(self, tables: Iterable[Table], token: Token, /) -> Mark:
        """Announce a commit, which waits until they know; see `Ledger.mark`."""

    def replace(self, mark: Mark, by: Mark, /) -> None:
        """Have what waits with one mark wait with another."""

    def settled(self) -> None:
        """The ledger knows what became of one."""

    def others_define(self) -> bool:
        """Tell whether another member may be changing definitions right now."""


class Teller(Protocol):
    """Who can find out what a commit has changed."""

    def tally(self, database: str) -> Tally | None:
        """What may be compared afterwards with what is about to be run; None: nothing."""

    def ask(self, database: str, question: Asked) -> None:
        """Find out what a commit has changed, which was acknowledged just now."""


class _Kept:
    """Nobody any more."""

    def __init__(self, mark: Mark) -> None:
        self.mark: Mark | None = mark


@final
class Asked:
    """Holds the mark of a commit that is asked about: all is read at the primary meanwhile.

    Args:
        commits: Who is to settle it.
        mark: Of any table.
        before: Taken before anything of it was sent.
        is_kept: Whether no replica will ever have what it wrote.
    """

    def __init__(self, commits: Commits, mark: Mark, before: Tally, *, is_kept: bool) -> None:
        self.mark: Mark | None = mark
        self._commits = commits
        self._before = before
        self._is_kept = is_kept

    def answer(self, tallies: Sequence[Tally], uncounted: frozenset[Table]) -> None:
        """See `proxy.runtime.catalogs.Question`."""
        told = tell(self._before, tallies)
        mark = self.mark
        if told is None or mark is None:
            self.give_up()
        elif told.written is None:
            self._end(frozenset(table for table in mark.tables if table != _SCHEMA))
        else:
            named = (table for table in mark.tables if table.oid not in _ANY)
            self._end(told.written.union(named, uncounted))

    def give_up(self) -> None:
        """Nobody can tell."""
        if self.mark is not None:
            self._end(self.mark.tables)

    def _end(self, changed: frozenset[Table]) -> None:
        mark, self.mark = self.mark, None
        assert mark is not None
        self._commits.told(mark, changed, is_kept=self._is_kept)


class _Lost:
    """Holds the mark of a commit whose connection broke."""

    def __init__(self, mark: Mark) -> None:
        self.mark: Mark | None = mark


@final
class Commits:
    """See the module."""

    __slots__ = (
        "_announcer",
        "_defining",
        "_held",
        "_ledger",
        "_new_token",
        "_planner",
        "_schema_changed",
        "_settles",
        "_suspects",
        "_tallies",
        "_tasks",
        "_teller",
    )

    def __init__(
        self,
        ledger: Ledger,
        planner: Planner,
        new_token: Callable[[], Token],
        teller: Teller,
        schema_changed: Callable[[], None],
        announcer: Announcer | None = None,
        settles: float | None = None,
    ) -> None:
        self._settles = settles
        self._announcer = announcer
        self._teller = teller
        self._ledger = ledger
        self._planner = planner
        self._new_token = new_token
        self._schema_changed = schema_changed
        self._held: dict[Mark, Holder] = {}
        self._tallies: dict[Mark, tuple[str, Tally]] = {}  # of what will be asked about
        self._suspects: dict[Mark, tuple[str, Sequence[Plan]]] = {}
        self._defining: dict[Mark, str] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def announce(self, holder: Holder, transaction: Transaction, database: str) -> Mark:
        """Mark what a commit may change, just before it is sent."""
        tables = transaction.writes
        is_outdated = transaction.generation != self._planner.generation
        if is_outdated or (self._announcer is not None and self._announcer.others_define()):
            # Planned by a catalog that has changed since, or is about to: it may miss a trigger.
            tables |= self._planner.any_table(database)
        if _SCHEMA in tables:
            self.widen(database)
        mark = self._mark(holder, tables)
        if _SCHEMA in tables:
            self._defining[mark] = database
        if transaction.suspects:
            self._suspects[mark] = (database, transaction.suspects)
        if transaction.tally is not None and not tables.isdisjoint(
            self._planner.any_table(database)
        ):
            self._tallies[mark] = (database, transaction.tally)
        return mark

    def settle(
        self,
        mark: Mark,
        *,
        committed: bool,
        is_kept: bool = False,
        position: Position | None = None,
    ) -> None:
        """Say what became of a commit.

        Args:
            mark: Of it.
            committed: Whether it was acknowledged.
            is_kept: Whether no replica will ever have what it wrote.
            position: Where it is in the primary's log, if that is known.
        """
        self._held.pop(mark, None)
        known = self._tallies.pop(mark, None)
        if not committed:
            self._suspects.pop(mark, None)
            self._defining.pop(mark, None)
            self._ledger.rollback(mark)
            self._tell()
        elif known is None or mark.state is VOID:
            self.told(mark, mark.tables, is_kept=is_kept, position=position)
        else:
            database, before = known
            self._held[mark] = asked = Asked(self, mark, before, is_kept=is_kept)
            self._teller.ask(database, asked)

    def told(
        self,
        mark: Mark,
        changed: frozenset[Table],
        *,
        is_kept: bool,
        position: Position | None = None,
    ) -> None:
        """Say what a commit has changed."""
        self._held.pop(mark, None)
        suspected = self._suspects.pop(mark, None)
        database = self._defining.pop(mark, None)
        redefines = _SCHEMA in changed and (
            suspected is None or self._planner.may_have_redefined(*suspected)
        )
        if redefines:
            # What was announced since may have set off what is there now, and be behind it.
            self.widen(database)
            position = None
        if is_kept and changed:
            kept = self._ledger.mark(changed, self._new_token())
            self._held[kept] = _Kept(kept)  # in every epoch to come
        self._ledger.commit(mark, changed, position)
        self._tell()
        if redefines:
            self._planner.distrust()
            self._schema_changed()

    def lose(self, mark: Mark, connection: ServerConnection, witness: Witness) -> None:
        """Keep the tables of a commit with the primary until its outcome is certain."""
        self._ledger.lose(mark)
        self._tallies.pop(mark, None)
        self._suspects.pop(mark, None)
        self._defining.pop(mark, None)
        holder = _Lost(mark)
        self._held[mark] = holder
        task = asyncio.get_running_loop().create_task(self._resolve(holder, connection, witness))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def carry_over(self) -> None:
        """A new epoch dropped what was pending: what may still commit is announced again."""
        self._tallies.clear()
        self._suspects.clear()
        self._defining.clear()
        for mark, holder in list(self._held.items()):
            del self._held[mark]
            renewed = self._mark(holder, mark.tables, mark)
            if isinstance(holder, _Lost):
                self._ledger.lose(renewed)

    def drop(self) -> None:
        """A new primary: what was under way on the old one is nothing to it."""
        self._held = {m: h for m, h in self._held.items() if not isinstance(h, _Lost)}
        for task in self._tasks:
            task.cancel()

    def has_lost(self) -> bool:
        """Tell whether there is a commit whose outcome nobody knows."""
        return any(isinstance(holder, _Lost) for holder in self._held.values())

    def close(self) -> None:
        """Stop looking for outcomes."""
        for task in self._tasks:
            task.cancel()

    def _mark(self, holder: Holder, tables: frozenset[Table], before: Mark | None = None) -> Mark:
        announcer = self._announcer
        if announcer is None:
            mark = self._ledger.mark(tables, self._new_token())
        else:
            mark = announcer.mark(tables, self._new_token())
            if before is not None:
                announcer.replace(before, mark)
        mark.is_ahead = before is None
        self._held[mark] = holder
        holder.mark = mark
        return mark

    def _tell(self) -> None:
        if self._announcer is not None:
            self._announcer.settled()

    def widen(self, database: str | None = None) -> list[Mark]:
        """A definition changes: commits under way may set off what it adds.

        Args:
            database: It is one of this, or of whatever database.

        Returns:
            What they are announced with now.
        """
        anything = self._planner.any_table(EVERY_DATABASE if database is None else database)
        widened: list[Mark] = []
        for mark, holder in list(self._held.items()):
            is_under_way = mark.state is not LOST and not isinstance(holder, (_Kept, Asked))
            if is_under_way and _SCHEMA not in mark.tables and not anything <= mark.tables:
                del self._held[mark]
                wider = self._mark(holder, mark.tables | anything, mark)
                widened.append(wider)
                known = self._tallies.pop(mark, None)
                tally = None if database is None else self._teller.tally(database)
                if known is not None:
                    self._tallies[wider] = known
                elif database is not None and tally is not None:
                    self._tallies[wider] = (database, tally)
                self._ledger.rollback(mark)
        return widened

    async def _resolve(self, holder: _Lost, connection: ServerConnection, witness: Witness) -> None:
        """End the server process that had the commit, and see it gone; then it counts."""
        log.warning(
            "outcome of a commit unknown", server=connection.server.name, pid=connection.pid
        )
        clock = asyncio.get_running_loop().time
        quiet = None if self._settles is None else Quiet(clock(), self._settles)
        is_said = False
        while True:
            try:
                start = connection.facts.backend_start
                if await is_over(witness, connection.pid, start, quiet, clock):
                    break
            except Exception as error:
                if not is_said:  # the primary is away, most often: for each of many commits
                    log.warning("could not look for a lost commit yet", error=str(error))
                is_said = True
            await asyncio.sleep(RETRY)
        mark = holder.mark
        if mark is not None and mark in self._held:
            del self._held[mark]
            self._ledger.resolve(mark)
            self._tell()
            if _SCHEMA in mark.tables:
                self._planner.distrust()
                self._schema_changed()
        log.info("commit counted", server=connection.server.name, pid=connection.pid)
