"""What becomes of marks while, and after, a server is asked what a commit has changed."""

from __future__ import annotations

import pytest

from proxy.engines.postgres.grammar import PostgresGrammar
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import LOST, Mark
from proxy.freshness.tally import Tally
from proxy.freshness.watch import Counters
from proxy.routing.plan import Planner
from proxy.routing.reading import Reader
from proxy.runtime.commits import Asked, Commits, Lost
from proxy.session.transaction import Transaction
from proxy.topology.group import Server
from proxy.types import Table, Token

DATABASE = "def"
T, U, V = (Table(DATABASE, oid) for oid in (101, 102, 103))
A, B = Server("a", 1), Server("b", 1)


def tally(t: int, u: int, era: int = 1) -> Tally:
    return Tally(era, {T: Counters(t, 0), U: Counters(u, 0)})


class Writer:
    """Sends commits."""

    def __init__(self, writes: frozenset[Table], before: Tally | None, generation: int) -> None:
        self.mark: Mark | None = None
        self.transaction = Transaction(PostgresGrammar())
        self.transaction.writes = writes
        self.transaction.tally = before
        self.transaction.generation = generation


class Stage:
    """Commits, with what they are made of."""

    def __init__(self) -> None:
        self.ledger = Ledger(Token(0))
        self.planner = Planner(self.ledger)
        self.now: Tally | None = tally(1, 1)
        self.asked: list[Asked] = []
        self.looks = 0
        self.tokens = iter(map(Token, range(1, 100)))
        self.commits = Commits(
            self.ledger, self.planner, lambda: next(self.tokens), self, self.look
        )
        self.sets = {table: self.ledger.read_set(DATABASE, [table]) for table in (T, U, V)}

    def tally(self, _: str) -> Tally | None:
        return self.now

    def ask(self, _: str, question: Asked) -> None:
        self.asked.append(question)

    def look(self) -> None:
        self.looks += 1

    def announce(self, *named: Table, anything: bool = True) -> Writer:
        writes = frozenset(named)
        if anything:
            writes |= self.planner.everything(DATABASE)
        writer = Writer(writes, self.now if anything else None, self.planner.generation)
        self.commits.announce(writer, writer.transaction, DATABASE)
        return writer

    def commit(self, *named: Table, is_kept: bool = False) -> Asked:
        writer = self.announce(*named)
        assert writer.mark is not None
        self.commits.settle(writer.mark, committed=True, is_kept=is_kept)
        return self.asked.pop()

    def lose(self, server: Server, *named: Table) -> Lost:
        writer = self.announce(*named, anything=False)
        assert writer.mark is not None
        return self.commits.lose(writer.mark, server)

    def begin(self, primary: Server) -> None:
        """Begin an epoch on a server."""
        self.ledger.new_epoch(next(self.tokens))
        self.commits.carry_over()
        self.commits.moved(primary)

    def versions(self) -> list[int]:
        return [self.ledger.version(read_set) for read_set in self.sets.values()]

    def changed(self, before: list[int]) -> set[Table]:
        pairs = zip(self.sets, before, self.versions(), strict=True)
        return {table for table, old, new in pairs if old != new}

    def blocked(self) -> set[Table]:
        return {
            table
            for table, read_set in self.sets.items()
            if not self.ledger.is_clean(read_set, 0.0)
        }


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_all_is_read_at_the_primary_until_it_is_told_what_was_written(stage: Stage) -> None:
    before = stage.versions()
    asked = stage.commit(V)
    assert stage.blocked() == {T, U, V}
    assert stage.changed(before) == set()
    asked.answer([tally(2, 1)], frozenset())
    assert stage.blocked() == set()
    assert stage.changed(before) == {T, V}
    assert stage.planner.generation == 0
    assert not stage.looks


def test_what_is_counted_late_was_written(stage: Stage) -> None:
    before = stage.versions()
    stage.commit().answer([tally(1, 1)], frozenset({U}))
    assert stage.changed(before) == {U}


def test_definitions_stay_true_where_nothing_is_counted(stage: Stage) -> None:
    before = stage.versions()
    stage.now = Tally(1, None)
    stage.commit().answer([Tally(1, None)], frozenset())
    assert stage.changed(before) == {T, U, V}
    assert stage.planner.generation == 0
    assert not stage.looks


@pytest.mark.parametrize("is_told", [True, False])
def test_what_can_not_be_told_may_be_anything(stage: Stage, is_told: bool) -> None:
    before = stage.versions()
    asked = stage.commit()
    if is_told:
        asked.answer([tally(1, 1, era=2)], frozenset())
    else:
        asked.give_up()
    assert stage.changed(before) == {T, U, V}
    assert stage.blocked() == set()
    assert stage.planner.generation == 1
    assert stage.looks == 1


def test_without_a_tally_nothing_is_asked(stage: Stage) -> None:
    before = stage.versions()
    stage.now = None
    writer = stage.announce()
    assert writer.mark is not None
    stage.commits.settle(writer.mark, committed=True)
    assert not stage.asked
    assert stage.changed(before) == {T, U, V}


def test_a_call_of_which_nobody_can_say_has_nothing_read_again_yet(stage: Stage) -> None:
    stage.now = None
    scope = stage.planner.scope(DATABASE, "ann", ())
    call = Reader().read(b"CALL p()").statements[0]
    writer = Writer(stage.planner.everything(DATABASE), None, stage.planner.generation)
    writer.transaction.suspects = [stage.planner.plan(scope, call)]
    mark = stage.commits.announce(writer, writer.transaction, DATABASE)
    stage.commits.settle(mark, committed=True)
    assert stage.planner.generation == 0
    assert not stage.looks


def test_a_rollback_is_not_asked_about(stage: Stage) -> None:
    before = stage.versions()
    writer = stage.announce()
    assert writer.mark is not None
    stage.commits.settle(writer.mark, committed=False)
    assert not stage.asked
    assert stage.changed(before) == set()
    assert stage.blocked() == set()


def test_commits_under_way_are_asked_about_when_definitions_may_change(stage: Stage) -> None:
    """What was planned may set off a trigger that is only being made."""
    before = stage.versions()
    beside = stage.announce(T, anything=False)
    stage.commit().answer([tally(1, 1)], frozenset())
    assert beside.mark is not None
    stage.commits.settle(beside.mark, committed=True)
    assert stage.blocked() == {T, U, V}
    stage.asked.pop().answer([tally(2, 1)], frozenset())
    assert stage.changed(before) == {T}


def test_a_commit_behind_new_definitions_may_change_anything(stage: Stage) -> None:
    """Announced while they were about to change, and run behind that: a trigger sees to it."""
    defines = stage.announce()
    later = stage.announce(T, anything=False)
    assert defines.mark is not None
    stage.now = None
    stage.commits.settle(defines.mark, committed=True)
    stage.asked.pop().give_up()
    assert stage.blocked() == {T, U, V}
    before = stage.versions()
    assert later.mark is not None
    stage.commits.settle(later.mark, committed=True)
    assert stage.changed(before) == {T, U, V}


def test_others_that_define_may_add_to_every_commit(stage: Stage) -> None:
    """One under way is announced anew, and what comes while they do, for everything at once."""
    before = stage.announce(T, anything=False)
    (widened,) = stage.commits.widen()
    assert before.mark is widened
    assert stage.blocked() == {T, U, V}
    assert stage.commits.widen() == []


def test_what_no_replica_hears_of_is_kept_and_nothing_else(stage: Stage) -> None:
    stage.commit(is_kept=True).answer([tally(2, 1)], frozenset())
    assert stage.blocked() == {T}
    stage.announce()  # definitions may change
    stage.ledger.new_epoch(Token(1000))
    stage.commits.carry_over()
    marks = [mark.tables for mark in stage.ledger.unsettled()]
    assert frozenset({T}) in marks


def test_an_answer_in_another_epoch_counts_for_everything(stage: Stage) -> None:
    asked = stage.commit()
    stage.ledger.new_epoch(Token(1000))
    stage.commits.carry_over()
    assert stage.blocked() == {T, U, V}
    before = stage.versions()
    asked.give_up()
    assert stage.changed(before) == {T, U, V}
    assert not stage.ledger.unsettled()


def test_a_lost_commit_is_pending_until_its_session_is_over(stage: Stage) -> None:
    stage.begin(A)
    lost = stage.lose(A, T)
    stage.begin(A)  # the same server, found anew: its sessions may be there yet
    assert stage.blocked() == {T}
    assert lost.mark is not None
    assert lost.mark.state is LOST
    assert stage.commits.has_lost()
    before = stage.versions()
    stage.commits.ended(lost)
    assert stage.blocked() == set()
    assert stage.changed(before) == {T}
    assert not stage.commits.has_lost()


def test_what_was_lost_with_another_server_is_nothing_to_the_primary(stage: Stage) -> None:
    """Nobody waits for a server that never comes back."""
    stage.begin(A)
    lost = stage.lose(A, T)
    under_way = stage.announce(U, anything=False)
    stage.begin(B)
    assert stage.blocked() == {U}
    assert not stage.commits.has_lost()
    assert under_way.mark is not None
    late = stage.commits.lose(under_way.mark, A)  # as its connection is broken now
    assert stage.blocked() == set()
    for of in (lost, late):
        stage.commits.ended(of)
    assert not stage.ledger.unsettled()


def test_what_was_lost_with_a_server_matters_again_when_it_is_the_primary_again(
    stage: Stage,
) -> None:
    """It never was away, and its session may be about to commit."""
    stage.begin(A)
    lost = stage.lose(A, T)
    stage.begin(B)
    stage.begin(A)
    assert stage.blocked() == {T}
    assert lost.mark is not None
    assert not lost.mark.is_ahead
    stage.commits.ended(lost)
    assert stage.blocked() == set()


def test_definitions_that_may_be_lost_are_read_again(stage: Stage) -> None:
    stage.begin(A)
    writer = stage.announce()
    assert writer.mark is not None
    stage.commits.lose(writer.mark, A)
    stage.begin(B)
    assert stage.looks == 1
