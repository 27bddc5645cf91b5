"""Who wrote past the proxy, by the primary's own log (`out_of_band = "cdc"`).

The primary says of every commit, in their order, how many rows of which table it wrote. Those that
our own commits wrote, as their command tags said, are subtracted; what is left was somebody else.
Where a commit's id is told both in the log and with its acknowledgement, it is subtracted by that.
Ours are all that are marked before they are sent: this member's, and those of the fleet's others.

- **Ours or not.** A table has a balance: rows credited to us, less those that the log told of.
  Below zero somebody else has written, or one of ours is in the log and not settled here yet; its
  mark is pending, so nothing is judged before it is settled. Above zero rows of ours are still to
  come; they may hide as many of others, but not for longer than until they are told of, and each of
  our commits, being later in the log, has changed the version since. Rows that never come (a credit
  that was wrong) are written off when the log has been read past the moment at which they had been
  acknowledged; the table counts as written then.
- **No credit comes too late.** Rows that were judged already would be credited for nothing, and
  hide as many of others. So it counts only if the mark was known here before the COMMIT was sent
  (`Mark.is_ahead`), and not since before the log is read: then the log told of it while it was
  pending, or will. Else its rows are taken for foreign, once.
- **Told of, and not visible.** A commit is in the log before it can be read. What is read at the
  primary in between must not be kept as the content after it. So a table is marked when it is told
  of, as for a commit of our own, and counts as written when a snapshot that was taken since shows
  all that had been told.
- **Before the beginning.** What was committed in front of it is not told of, so everything counts
  as written then; and again when a transaction that was open then has ended and was not told of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, Protocol, final

from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.types import Position, Table, Token


class Commit(NamedTuple):
    """What the log tells of one.

    Attributes:
        xid: Its number.
        rows: Inserted, updated and deleted, by the table that they count for.
        certain: Tables that count as written whatever we have written: emptied ones, for example.
        gtid: Its id, where its client is told that too.
    """

    xid: int
    rows: Mapping[Table, int]
    certain: frozenset[Table] = frozenset()
    gtid: str = ""


LOG: Final = "log"
"""The owner of marks that the others are not told of: each member reads the log by itself."""

MAX_TOLD: Final = 4096
"""Commits that may turn out to be ours when they are acknowledged, which is milliseconds later."""


class Foreign(NamedTuple):
    """A table that somebody else wrote to, and how many rows more than we did."""

    table: Table
    rows: int


class Snapshot(Protocol):
    """What can be read at the primary."""

    @property
    def running(self) -> frozenset[int]:
        """The transactions under way."""

    def shows(self, xid: int) -> bool:
        """Tell whether a transaction is over, and all that it wrote can be read."""


class Question(NamedTuple):
    """What had been heard when a snapshot was asked for."""

    heard: int
    credits: int


class _Settling(NamedTuple):
    """What will be known when the log has been read up to a position."""

    position: Position
    credits: int
    ended: frozenset[int]


class _Claim(NamedTuple):
    """A commit of ours, which wrote to no other tables. What number the claim has."""

    tables: frozenset[Table]
    number: int


class _Suspicion(NamedTuple):
    """A table that is marked.

    Attributes:
        mark: Its mark.
        heard: The last commit for which it is.
        may_be_ours: Whether a commit of ours was under way when the first one was told of: its
            credit may come any moment, and is waited for rather than to ask for a snapshot.
    """

    mark: Mark
    heard: int
    may_be_ours: bool


@final
class Feed:
    """See the module. One for each database; what happens in it calls for no order but its own.

    Args:
        everything: Stands for every table of the database.
        ledger: Is told.
        new_token: Makes ids of commits.
    """

    __slots__ = (
        "_balance",
        "_before",
        "_certain",
        "_credited",
        "_credits",
        "_everything",
        "_heard",
        "_ledger",
        "_new_token",
        "_ours",
        "_running",
        "_settling",
        "_suspicions",
        "_told",
        "_unseen",
        "is_following",
    )

    def __init__(self, everything: Table, ledger: Ledger, new_token: Callable[[], Token]) -> None:
        self._everything = everything
        self._ledger = ledger
        self._new_token = new_token
        self.is_following = False
        self._heard = 0  # commits
        self._credits = 0
        self._balance: dict[Table, int] = {}
        self._credited: dict[Table, int] = {}  # by the number of the last credit
        self._unseen: list[tuple[int, int]] = []  # number, xid: not known to be visible
        self._suspicions: dict[Table, _Suspicion] = {}
        self._certain: set[Table] = set()
        self._running: set[int] = set()  # since before the beginning
        self._before: frozenset[Token] = frozenset()  # pending since then: told of or not
        self._ours: dict[str, _Claim] = {}  # that may still be told of
        self._told: dict[str, dict[Table, int]] = {}  # that may still be claimed
        self._settling: list[_Settling] = []  # in the order of their positions

    def begin(self, snapshot: Snapshot) -> None:
        """From now on all commits are told of; before, nobody knows.

        Args:
            snapshot: Taken when that was so already.
        """
        self._clear()
        self.is_following = True
        self._running = set(snapshot.running)
        self._before = self._ledger.pending_tokens()
        self._ledger.foreign_commit([self._everything], self._new_token())

    def lose(self) -> None:
        """The log tells no more."""
        suspicions = list(self._suspicions.items())
        self._clear()
        self.is_following = False
        for table, suspicion in suspicions:
            self._count(table)
            self._ledger.rollback(suspicion.mark)

    def wrote(self, mark: Mark, table: Table, rows: int) -> None:
        """Credit rows that a commit of ours wrote, before its mark is released."""
        if rows and self._is_in_time(mark):
            self._credits += 1
            self._credit(table, rows)

    def claim(self, mark: Mark, gtids: Iterable[str], tables: frozenset[Table]) -> None:
        """Commits are ours, and wrote to no other tables: say so before their mark is released.

        Args:
            mark: They were announced by it.
            gtids: Their ids.
            tables: Some of its.
        """
        if not self._is_in_time(mark):
            return
        for gtid in gtids:
            self._credits += 1
            before = self._ours.get(gtid)
            all_of_it = tables if before is None else tables | before.tables
            self._ours[gtid] = _Claim(all_of_it, self._credits)
            told = self._told.get(gtid)
            if told is not None:
                for table in tables.intersection(told):
                    self._credit(table, told.pop(table))

    def _is_in_time(self, mark: Mark) -> bool:
        """Tell whether the log has told of nothing of it that was judged already, and will."""
        return self.is_following and mark.is_ahead and mark.token not in self._before

    def _credit(self, table: Table, rows: int) -> None:
        self._credited[table] = self._credits
        self._add(table, rows)
        suspicion = self._suspicions.get(table)
        if suspicion is None or table in self._certain or self._balance.get(table, 0) < 0:
            return
        # It was ours that we were told of, or hides behind ours that we have not been told of yet.
        del self._suspicions[table]
        self._ledger.rollback(suspicion.mark)

    def heard(self, commit: Commit) -> None:
        """Take in what a commit wrote, by whomever; before the beginning, it is part of that."""
        if not self.is_following:
            return
        self._heard += 1
        self._unseen.append((self._heard, commit.xid))
        self._running.discard(commit.xid)
        claim = self._ours.get(commit.gtid)
        ours = frozenset[Table]() if claim is None else claim.tables
        for table, rows in commit.rows.items():
            if table in ours:
                continue
            self._add(table, -rows)
            self._remember(commit.gtid, table, rows)
            if self._balance.get(table, 0) < 0:
                self._suspect(table)
        for table in commit.certain:
            if table not in ours:
                self._certain.add(table)
                self._suspect(table)

    def _remember(self, gtid: str, table: Table, rows: int) -> None:
        """Keep in mind what was told of a commit that may be claimed; it may come in parts."""
        if not gtid:
            return
        told = self._told.get(gtid)
        if told is None:
            told = self._told[gtid] = {}
            if len(self._told) > MAX_TOLD:
                del self._told[next(iter(self._told))]
        told[table] = told.get(table, 0) + rows

    def reached(self, position: Position) -> None:
        """All that is in the log up to a position has been told."""
        while self._settling and self._settling[0].position <= position:
            self._settle(self._settling.pop(0))

    def _settle(self, settling: _Settling) -> None:
        for gtid, claim in list(self._ours.items()):
            if claim.number <= settling.credits:
                del self._ours[gtid]
        wrong = [
            table
            for table, rows in self._balance.items()
            if rows > 0 and self._credited[table] <= settling.credits
        ]
        if not self._running.isdisjoint(settling.ended):
            self._running -= settling.ended
            wrong.append(self._everything)
        for table in wrong:
            self._balance.pop(table, None)
            self._credited.pop(table, None)
            self._certain.add(table)
            self._suspect(table)

    @property
    def has_suspicions(self) -> bool:
        """Tell whether any table is marked."""
        return bool(self._suspicions)

    @property
    def wants_snapshot(self) -> bool:
        """Tell whether it is to be found out what can be seen."""
        for table, suspicion in self._suspicions.items():
            if not self._is_held(table, suspicion):
                return True
        return False

    @property
    def is_urgent(self) -> bool:
        """Tell whether that can't be a commit of ours, as far as is known."""
        for table, suspicion in self._suspicions.items():
            if not suspicion.may_be_ours and not self._is_held(table, suspicion):
                return True
        return False

    def _is_held(self, table: Table, suspicion: _Suspicion) -> bool:
        """Tell whether a commit of ours is under way, which may be what was told of.

        Then nobody reads the table fast as it is.
        """
        if table in self._certain:
            return False
        return self._ledger.is_pending_beside(table, suspicion.mark)

    def ask(self) -> Question:
        """A snapshot is about to be asked for."""
        return Question(self._heard, self._credits)

    def answered(self, question: Question, snapshot: Snapshot, position: Position) -> list[Foreign]:
        """Take it in; returns who has been written to by others, as far as that is certain.

        Args:
            question: Returned by `ask` before it was sent.
            snapshot: What it shows.
            position: In the log, behind all that had been acknowledged when it was asked for.
        """
        self._unseen = [
            (number, xid)
            for number, xid in self._unseen
            if number > question.heard or not snapshot.shows(xid)
        ]
        ended = frozenset([xid for xid in self._running if snapshot.shows(xid)])
        last = self._settling[-1] if self._settling else None
        if last is None or last.credits != question.credits or last.ended != ended:
            self._settling.append(_Settling(position, question.credits, ended))
        oldest = self._unseen[0][0] if self._unseen else question.heard + 1
        shown = min(question.heard, oldest - 1)
        found: list[Foreign] = []
        for table, suspicion in list(self._suspicions.items()):
            if suspicion.heard <= shown:
                self._judge(table, suspicion, found)
        return found

    def _judge(self, table: Table, suspicion: _Suspicion, found: list[Foreign]) -> None:
        """All that was told of a table can be read: release its mark, or wait for ours."""
        rows = self._balance.get(table, 0)
        if table in self._certain:
            self._certain.discard(table)
            if rows < 0 and self._ledger.is_pending_beside(table, suspicion.mark):
                self._count(table)
                return  # whose rows these were is told when ours is settled
            if table != self._everything:
                found.append(Foreign(table, max(0, -rows)))
            self._count(table)
        elif rows < 0:
            if self._ledger.is_pending_beside(table, suspicion.mark):
                return
            found.append(Foreign(table, -rows))
            self._count(table)
        if rows < 0:
            self._balance.pop(table, None)
            self._credited.pop(table, None)
        del self._suspicions[table]
        self._ledger.rollback(suspicion.mark)

    def _count(self, table: Table) -> None:
        """Somebody else has written to it."""
        self._ledger.foreign_commit([table], self._new_token())

    def _add(self, table: Table, rows: int) -> None:
        left = self._balance.get(table, 0) + rows
        if left:
            self._balance[table] = left
            self._credited.setdefault(table, 0)
        else:
            self._balance.pop(table, None)
            self._credited.pop(table, None)

    def _suspect(self, table: Table) -> None:
        known = self._suspicions.get(table)
        if known is not None:
            self._suspicions[table] = known._replace(heard=self._heard)
            return
        may_be_ours = self._ledger.is_pending(table)
        mark = self._ledger.mark([table], self._new_token(), LOG)
        self._suspicions[table] = _Suspicion(mark, self._heard, may_be_ours)

    def _clear(self) -> None:
        self._balance.clear()
        self._credited.clear()
        self._unseen.clear()
        self._suspicions.clear()
        self._certain.clear()
        self._running.clear()
        self._ours.clear()
        self._told.clear()
        self._settling.clear()
        self._before = frozenset()
