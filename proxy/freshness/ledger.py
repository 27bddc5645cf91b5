"""The table ledger: which tables are clean, at what version, and what a replica must have.

One per server group. It is a pure state machine: facts go in (a commit is about to be
sent, was acknowledged, was lost; the epoch changed; a position arrived), decisions come
out. `fast_ok` is the single test for cache hits, fills and replica reads. It sends
nothing and waits for nothing; whoever feeds it does. Theory and proof: docs/freshness.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf
from typing import Final, Protocol, final

from proxy.errors import InternalError
from proxy.freshness.interning import SWEEP_AT, Tables
from proxy.freshness.mark import COMMITTED, LOST, ROLLED_BACK, VOID, Mark
from proxy.freshness.positions import Positions, Ticket
from proxy.freshness.rules import Rules
from proxy.freshness.shares import US, Shares
from proxy.freshness.tables import BLOCKED, UNKNOWN, VERSION_MASK, ReadSet, hash_token
from proxy.types import Position, Table, Token

ALL_RULES: Final = Rules()


class Teller(Protocol):
    """Tells other members what becomes known of this one's commits, in its order."""

    def marked(self, mark: Mark, /) -> None:
        """One is announced."""

    def committed(
        self, mark: Mark, changed: frozenset[Table] | None, position: Position | None, /
    ) -> None:
        """One has changed these tables; None: all that its mark names."""

    def counted(self, token: Token, tables: frozenset[Table], /) -> None:
        """One that was never announced has changed these."""

    def undone(self, token: Token, /) -> None:
        """One never was."""

    def doubted(self, tables: frozenset[Table], /) -> None:
        """These are all tables that this member has in quarantine now."""


@final
class Ledger:
    """What one member knows of the commits on one server group.

    It begins in an epoch whose position nobody has read: all is read at the primary.

    Attributes:
        rules: All on, except in tests.
        epoch: How many epochs have begun; positions of different epochs don't compare.
        granted_until: When the first of the other members' grants runs out. A member that
            is alone needs none.
        shares: Whose commits the versions are made of.
        teller: Hears of all commits that this member announces or counts; None: it is alone.

    Args:
        genesis: A random id for this ledger's beginning, so that no version of an earlier
            run means anything now.
        rules: Tests switch a rule off here to see their checker fail.
        sweep_at: How many tables are known when those that nobody reads are forgotten.
    """

    __slots__ = (
        "_changes",
        "_doubted",
        "_marks",
        "_positions",
        "_tables",
        "epoch",
        "granted_until",
        "rules",
        "shares",
        "teller",
    )

    def __init__(self, genesis: Token, rules: Rules = ALL_RULES, sweep_at: int = SWEEP_AT) -> None:
        self.rules = rules
        self.epoch = 0
        self.granted_until = inf
        self.teller: Teller | None = None
        self._changes = 0
        self._marks: dict[Token, Mark] = {}
        self._positions = Positions()
        self._doubted: dict[str, frozenset[Table]] = {}  # in quarantine, by whose audit found it
        self.shares = Shares()
        self._tables = Tables(hash_token(genesis), self._positions, self.shares, sweep_at)

    # Reads.

    def read_set(self, database: str, tables: Iterable[Table]) -> ReadSet:
        """Intern what a statement depends on: its tables, and what stands for all of them.

        A write to `*schema*` or `*all*` of a database touches every read set of that
        database; of `EVERY_DATABASE`, every read set there is.

        Args:
            database: Where the statement runs.
            tables: What it reads, after lineage; none is fine.
        """
        return self._tables.read_set(database, frozenset(tables))

    def fast_ok(self, read_set: ReadSet, version: int, now: float) -> bool:
        """Tell whether what was read at a version is what the primary would answer now.

        Memory only, and most often three comparisons: this is asked for every cache hit.

        Args:
            read_set: What the result depends on.
            version: `version(read_set)` when the result was asked for.
            now: The time by which grants are counted.
        """
        if read_set.seen != self._changes:
            self._renew(read_set)
        return read_set.fast_version == version and now < self.granted_until

    def is_clean(self, read_set: ReadSet, now: float) -> bool:
        """Tell whether a fast read may begin: nothing is pending and every grant is valid."""
        return self.fast_ok(read_set, self.version(read_set), now)

    def answer_ok(self, read_set: ReadSet, version: int, now: float) -> bool:
        """Validate a replica's answer: ask at its first byte, before any is sent on.

        A replica may be ahead of its primary, so "caught up" is not enough.
        """
        return not self.rules.validation or self.fast_ok(read_set, version, now)

    def stamp(self, read_set: ReadSet, version: int, now: float) -> int | None:
        """Validate a result that is to be stored: ask at its last byte.

        Args:
            read_set: What the result depends on.
            version: `version(read_set)` when the result was asked for.
            now: The time by which grants are counted.

        Returns:
            The version to store it under, or None: it may be old already.
        """
        if not self.rules.fill:
            return self.version(read_set)  # as a cache would that stamps what it stores
        return version if self.fast_ok(read_set, version, now) else None

    def all_hold(self, seen: Mapping[ReadSet, int], now: float) -> bool:
        """Tell whether everything that was read is what the primary would answer now.

        Then what is read now belongs to the same snapshot.

        Args:
            seen: What was read, each with its version then.
            now: The time by which grants are counted.
        """
        if not self.rules.snapshot:
            return True
        return all(self.fast_ok(read_set, version, now) for read_set, version in seen.items())

    def version(self, read_set: ReadSet) -> int:
        """Name the content of a read set: take it before the read is sent."""
        if read_set.seen != self._changes:
            self._renew(read_set)
        return read_set.version

    def need(self, read_set: ReadSet) -> Position | None:
        """Tell what a replica must have replayed; None: not known, the primary only."""
        if read_set.seen != self._changes:
            self._renew(read_set)
        return None if read_set.need == UNKNOWN else read_set.need

    def is_pending(self, table: Table) -> bool:
        """Tell whether a commit on a table may be under way."""
        state = self._tables.find(table)
        return state is not None and bool(state.pending)

    def is_pending_beside(self, table: Table, mark: Mark) -> bool:
        """Tell whether a commit on a table may be under way besides one."""
        state = self._tables.find(table)
        if state is None:
            return False
        pending = state.pending
        return len(pending) > 1 or (len(pending) == 1 and mark.token not in pending)

    def pending_tokens(self) -> frozenset[Token]:
        """List what may be under way."""
        return frozenset(self._marks)

    # Writes.

    def mark(self, tables: Iterable[Table], token: Token, owner: str = US) -> Mark:
        """Announce a commit. The COMMIT may be sent once nobody is left in `waiting`.

        Args:
            tables: Everything the commit may change, after lineage.
            token: Random, and used once.
            owner: The member that sends the COMMIT.

        Raises:
            InternalError: No tables, or a token that is in use.
        """
        mark = Mark(token, frozenset(tables), owner)
        if not mark.tables or token in self._marks:
            raise InternalError("a mark needs tables and a token of its own")
        self._marks[token] = mark
        if self.rules.mark:
            for state in self._tables.states_of(mark.tables):
                state.pending.add(token)
            self._changes += 1
        if self.teller is not None and not owner:
            self.teller.marked(mark)
        return mark

    def commit(
        self,
        mark: Mark,
        changed: frozenset[Table] | None = None,
        position: Position | None = None,
    ) -> None:
        """Note that the server acknowledged a commit; call it before the client hears of it.

        Args:
            mark: What was announced.
            changed: What the commit did change, where that is known by now to be less. As long as
                it is not, its mark stays: it may be committed long after the client has heard.
            position: Where it is in the primary's log, if the server has said so with its
                acknowledgement; None: it is asked for when somebody wants to know.
        """
        is_void = mark.state is VOID
        if is_void:
            position = None  # of a history that has ended
        mark.become(COMMITTED)
        self._release(mark)
        tables = mark.tables if changed is None else changed
        mark.number = self._publish(tables, mark.token, position, mark.owner)
        if self.teller is not None and not mark.owner:
            # A mark of another epoch is known to nobody else any more.
            is_all = not is_void and tables == mark.tables
            self.teller.committed(mark, None if is_all else tables, position)

    def rollback(self, mark: Mark) -> None:
        """Note that the server refused a commit or undid it: what was cached is valid again."""
        mark.become(ROLLED_BACK)
        self._release(mark)
        if self.teller is not None and not mark.owner:
            self.teller.undone(mark.token)

    def lose(self, mark: Mark) -> None:
        """Note that the connection broke under a commit: its tables stay with the primary."""
        mark.become(LOST)

    def resolve(self, mark: Mark) -> None:
        """Note that a lost commit's server process is gone: it counts as committed.

        Raises:
            InternalError: The mark was not lost.
        """
        if mark.state is not LOST and mark.state is not VOID:
            raise InternalError(f"a {mark.state.value} mark has nothing to resolve")
        self.commit(mark)

    def foreign_commit(self, tables: Iterable[Table], token: Token) -> None:
        """Count a commit that somebody else has already made, past the proxy."""
        written = frozenset(tables)
        for state in self._tables.states_of(written):
            state.foreign += 1
        self._count(written, token)

    # Quarantine.

    def quarantine(self, tables: Iterable[Table], token: Token) -> None:
        """Have the primary alone serve some tables from now on, whatever is known of them.

        What was kept of them means nothing any more, even when they are believed again. A new epoch
        does not end it: whatever was wrong may be wrong there too.

        Args:
            tables: A fast read of them was found to be wrong.
            token: Random, and used once.
        """
        found = frozenset(tables)
        self._doubt_here(self.doubted_by(US) | found)
        self._count(found, token)

    def believe(self, tables: Iterable[Table]) -> None:
        """End the quarantine of some tables that this member has found to be wrong."""
        before = self.doubted_by(US)
        left = before.difference(tables)
        if left != before:
            self._doubt_here(left)

    def _doubt_here(self, tables: frozenset[Table]) -> None:
        self.doubt(US, tables)
        if self.teller is not None:
            self.teller.doubted(tables)

    def doubt(self, owner: str, tables: frozenset[Table]) -> None:
        """Take a member's word for all that its audit has in quarantine now.

        Their versions have been changed by what it has told besides.
        """
        changed = self.doubted_by(owner) ^ tables
        if tables:
            self._doubted[owner] = tables
        else:
            self._doubted.pop(owner, None)
        doubted = self.quarantined
        for state in self._tables.states_of(changed):
            state.is_quarantined = state.table in doubted
        self._changes += 1

    def doubted_by(self, owner: str) -> frozenset[Table]:
        """List what a member's audit has in quarantine."""
        return self._doubted.get(owner, frozenset())

    @property
    def doubters(self) -> list[str]:
        """Whose audit has anything in quarantine."""
        return list(self._doubted)

    @property
    def quarantined(self) -> frozenset[Table]:
        """The tables in quarantine, whoever has found them to be wrong."""
        return frozenset().union(*self._doubted.values())

    def is_quarantined(self, read_set: ReadSet) -> bool:
        """Tell whether any table of a read set is in quarantine."""
        if read_set.seen != self._changes:
            self._renew(read_set)
        return read_set.is_quarantined

    def foreign_commits(self, read_set: ReadSet) -> int:
        """Count the commits past the proxy that touch a read set, as far as they were noticed."""
        return sum([state.foreign for state in read_set.states])

    # Other members.

    def marked(self, token: Token) -> Mark | None:
        """Find what is under way, or lost, by its token."""
        return self._marks.get(token)

    def is_marked_by_others(self, table: Table) -> bool:
        """Tell whether another member's commit on a table may be under way."""
        state = self._tables.find(table)
        if state is None:
            return False
        for token in state.pending:
            mark = self._marks.get(token)
            if mark is not None and mark.owner:
                return True
        return False

    def version_of(self, table: Table) -> int:
        """Name the content of one table; 0: nothing is known of it."""
        state = self._tables.find(table)
        return 0 if state is None else state.version

    def heard_commit(self, owner: str, tables: Iterable[Table], token: Token) -> None:
        """Count a commit of another member, whose mark was of an epoch that has ended."""
        self._publish(frozenset(tables), token, None, owner)

    def heard_rides(
        self, owner: str, token: Token, steps: Mapping[Table, int], position: Position | None
    ) -> None:
        """Count all commits of another member that one token stood for, which lingers no longer.

        Args:
            owner: The member.
            token: Of the first of them.
            steps: The sums of their hashed tokens.
            position: Behind the last of them; None: it is asked for when somebody wants to know.
        """
        mark = self._marks.get(token)
        if mark is not None:
            mark.become(COMMITTED)
            self._release(mark)
        self._add(frozenset(steps), steps, position, owner)

    def take_state(
        self,
        owner: str,
        pending: Mapping[Token, frozenset[Table]],
        sums: Mapping[Table, int],
    ) -> None:
        """Take another member's word for all that it has under way, and has committed.

        Args:
            owner: Who tells.
            pending: Its marks that are not settled.
            sums: See `Shares`: of all tables that it has written in this epoch.
        """
        for mark in [it for it in self._marks.values() if it.owner == owner]:
            if mark.token not in pending:
                self._release(mark)
        for token, tables in pending.items():
            if token not in self._marks:
                self.mark(tables, token, owner)
        steps = self.shares.replace(owner, sums)
        if steps:
            # One that is new begins with what its shares are by now.
            known = [table for table in steps if self._tables.find(table) is not None]
            for state in self._tables.states_of(frozenset(known)):
                state.version = (state.version + steps[state.table]) & VERSION_MASK
            self._positions.acknowledge(self._tables.states_of(frozenset(steps)))
        self._changes += 1

    def expel(self, owner: str, position: Position) -> None:
        """Forget all of a member's commits; a `step` must follow, for those not heard of.

        Args:
            owner: The member.
            position: Of the primary, read when the member's server processes were gone.
        """
        self.take_state(owner, {}, {})
        self._positions.raise_all(self._tables, position)
        self._changes += 1

    def step(self, token: Token) -> None:
        """Change the version of every table."""
        self._tables.step(hash_token(token))
        self._changes += 1

    @property
    def known_tables(self) -> int:
        """How many tables there is something known of."""
        return len(self._tables)

    def unsettled(self, owner: str = US) -> list[Mark]:
        """List somebody's commits under way and lost ones: this member's, if nobody is named."""
        return [mark for mark in self._marks.values() if mark.owner == owner]

    # Positions.

    def position_wanted(self, read_set: ReadSet | None = None) -> bool:
        """Tell whether a need is unknown and no position query under way will tell it.

        Args:
            read_set: Whose needs count; None: any.
        """
        return self._positions.wanted(None if read_set is None else read_set.states)

    def ask_position(self, behind: Mark | None = None) -> Ticket:
        """Note that the primary's position is being asked for: call it when the query is sent.

        Every ticket ends in `position_arrived` or `position_lost`.

        Args:
            behind: The commit right in front of the query on the same connection.
        """
        return self._positions.ask(behind)

    def position_arrived(self, ticket: Ticket, position: Position) -> None:
        """Take the answer: what was acknowledged before the query was sent is not past it."""
        if self._positions.arrived(ticket, position):
            self._changes += 1

    def position_lost(self, ticket: Ticket) -> None:
        """Note that a position query failed or lost its connection."""
        self._positions.forget(ticket)

    # Epochs.

    def new_epoch(self, token: Token, position: Position | None = None) -> None:
        """Begin anew: nothing cached, pending or positioned before means anything now.

        Call it before the first statement on the new primary, and only when no server
        process of the old history can commit any more: it drops what was pending.

        Args:
            token: A random id for the epoch.
            position: The primary's position after its start, if it has been read.
        """
        self.epoch += 1
        self._changes += 1
        self._tables.restart(hash_token(token))
        for mark in self._marks.values():
            mark.become(VOID)
        self._marks.clear()
        floor = UNKNOWN if position is None else position
        self._positions.restart(floor, self._tables)

    def _release(self, mark: Mark) -> None:
        self._marks.pop(mark.token, None)
        for state in self._tables.states_of(mark.tables):
            state.pending.discard(mark.token)
        self._changes += 1

    def _count(self, tables: frozenset[Table], token: Token) -> None:
        """Count what was never marked."""
        self._publish(tables, token)
        if self.teller is not None:
            self.teller.counted(token, tables)

    def _publish(
        self,
        tables: frozenset[Table],
        token: Token,
        position: Position | None = None,
        owner: str = US,
    ) -> int:
        steps = dict.fromkeys(tables, hash_token(token))
        return self._add(tables, steps, position, owner)

    def _add(
        self,
        tables: frozenset[Table],
        steps: Mapping[Table, int],
        position: Position | None,
        owner: str,
    ) -> int:
        states = self._tables.states_of(tables)
        for state in states:
            step = steps[state.table]
            state.version = (state.version + step) & VERSION_MASK
            self.shares.add(owner, state.table, step)
        self._changes += 1
        return self._positions.acknowledge(states, position)

    def _renew(self, read_set: ReadSet) -> None:
        """Digest the states anew: cheaper than telling every read set of every change."""
        version = 0
        need = Position(0)
        is_pending = is_quarantined = False
        for state in read_set.states:
            version += state.version
            if state.pending:
                is_pending = True
            if state.is_quarantined:
                is_quarantined = True
            if state.need > need:
                need = state.need
        rules = self.rules
        version = version & VERSION_MASK if rules.version else 0
        read_set.version = version
        is_blocked = is_quarantined or (is_pending and rules.pending)
        read_set.fast_version = BLOCKED if is_blocked else version
        read_set.is_quarantined = is_quarantined
        read_set.need = need if rules.need else Position(0)
        read_set.seen = self._changes
