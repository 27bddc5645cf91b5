"""Commits on their way: announced before they are sent, settled by what became of them.

The ledger decides what a mark means. Here is who holds it, what happens to it when the catalog or
the epoch changes under it, or its connection breaks, and what is asked of the server afterwards
where nobody could tell what would be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol, final

from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import LOST, VOID, Mark
from proxy.freshness.tables import EVERY_DATABASE, schema_of
from proxy.freshness.tally import Tally, tell
from proxy.routing.plan import Plan, Planner
from proxy.session.transaction import Transaction
from proxy.topology.group import Server
from proxy.types import ALL_OID, SCHEMA_OID, Position, Table, Token

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


@final
class Lost:
    """A commit whose connection broke: its server may still run it, or be about to.

    Attributes:
        mark: While it may come about where all is read. None: another server is the primary, to
            which whatever becomes of it is nothing.
        tables: That it may change.
        server: It was sent to this one.
    """

    def __init__(self, mark: Mark, server: Server) -> None:
        self.mark: Mark | None = mark
        self.tables = mark.tables
        self.server = server


@final
class Commits:
    """See the module."""

    __slots__ = (
        "_announcer",
        "_defining",
        "_held",
        "_ledger",
        "_lost",
        "_new_token",
        "_planner",
        "_primary",
        "_schema_changed",
        "_suspects",
        "_tallies",
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
    ) -> None:
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
        self._lost: list[Lost] = []
        self._primary: Server | None = None

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

    def lose(self, mark: Mark, server: Server) -> Lost:
        """Keep the tables of a commit with the primary until nothing more can become of it.

        Args:
            mark: Of it.
            server: It was sent to this one, on a connection that broke.

        Returns:
            Names it, for `ended`.
        """
        self._ledger.lose(mark)
        self._tallies.pop(mark, None)
        self._suspects.pop(mark, None)
        self._defining.pop(mark, None)
        self._held[mark] = lost = Lost(mark, server)
        self._lost.append(lost)
        if server is not self._primary:
            self._settle_lost(lost)
        return lost

    def ended(self, lost: Lost) -> None:
        """Count a lost commit: its session is over."""
        self._lost.remove(lost)
        self._settle_lost(lost)

    def moved(self, primary: Server) -> None:
        """An epoch has begun on this server.

        What was lost on another one counts: if it is to be seen here, it is already. That one may
        be the primary again, with the same sessions: then what comes of them matters again.
        """
        self._primary = primary
        for lost in self._lost:
            if lost.server is not primary:
                self._settle_lost(lost)
            elif lost.mark is None:
                mark = self._mark(lost, lost.tables)
                mark.is_ahead = False
                self._ledger.lose(mark)

    def _settle_lost(self, lost: Lost) -> None:
        mark, lost.mark = lost.mark, None
        if mark is not None and self._held.pop(mark, None) is not None:
            self._ledger.resolve(mark)
            self._tell()
            if _SCHEMA in mark.tables:
                self._planner.distrust()
                self._schema_changed()

    def carry_over(self) -> None:
        """A new epoch dropped what was pending: what may still commit is announced again."""
        self._tallies.clear()
        self._suspects.clear()
        self._defining.clear()
        for mark, holder in list(self._held.items()):
            del self._held[mark]
            renewed = self._mark(holder, mark.tables, mark)
            if isinstance(holder, Lost):
                self._ledger.lose(renewed)

    def has_lost(self) -> bool:
        """Tell whether there is a commit whose outcome nobody knows."""
        return any(lost.mark is not None for lost in self._lost)

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
