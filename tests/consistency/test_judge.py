"""The judge itself: it must find what is wrong, and nothing else."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.consistency.anomalies import Kind, Verdict
from tests.consistency.history import (
    Act,
    Event,
    History,
    Operation,
    Outcome,
    Pair,
    Value,
    ended_with,
    started_with,
)
from tests.consistency.judge import judge

OK, FAILED, UNKNOWN = Outcome.OK, Outcome.FAILED, Outcome.UNKNOWN


def write(
    client: str, start: float, end: float, outcome: Outcome = OK, **values: Value
) -> Operation:
    return Operation(client, Act.WRITE, start, end, outcome, tuple(values.items()), "UPDATE")


def read(
    client: str, start: float, end: float, outcome: Outcome = OK, **values: Value
) -> Operation:
    return Operation(client, Act.READ, start, end, outcome, tuple(values.items()), "SELECT")


def verdict(*operations: Operation, **before: Value) -> Verdict:
    return judge(History([*started_with(before.items(), 0.0), *operations]))


def kinds(*operations: Operation, **before: Value) -> list[Kind]:
    return [it.kind for it in verdict(*operations, **before).anomalies]


class TestRegisters:
    def test_fresh_reads_are_fine(self) -> None:
        assert verdict(write("a", 1, 2, x=1), read("b", 3, 4, x=1), read("b", 0.5, 0.7, x=0), x=0)

    def test_read_may_see_either_side_of_a_write_that_it_overlaps(self) -> None:
        assert verdict(write("a", 1, 4, x=1), read("b", 2, 3, x=0), read("c", 2, 3, x=1), x=0)

    def test_missed_acknowledged_write_is_stale(self) -> None:
        assert kinds(write("a", 1, 2, x=1), read("b", 3, 4, x=0), x=0) == [Kind.STALE]

    def test_what_was_there_before_can_be_missed_too(self) -> None:
        assert kinds(read("b", 3, 4, x=-1), x=0) == [Kind.NEVER_WRITTEN]

    def test_older_than_another_read_is_non_monotonic(self) -> None:
        """The write is still under way, so neither read is stale."""
        operations = write("a", 1, 9, x=1), read("b", 2, 3, x=1), read("c", 4, 5, x=0)
        assert kinds(*operations, x=0) == [Kind.WENT_BACK]

    def test_reads_that_overlap_may_disagree(self) -> None:
        assert verdict(write("a", 1, 9, x=1), read("b", 2, 4, x=1), read("c", 3, 5, x=0), x=0)

    def test_own_write_missed_and_own_read_undone_are_named(self) -> None:
        assert kinds(write("a", 1, 2, x=1), read("a", 3, 4, x=0), x=0) == [Kind.OWN_WRITE_MISSED]
        operations = write("a", 1, 9, x=1), read("b", 2, 3, x=1), read("b", 4, 5, x=0)
        assert kinds(*operations, x=0) == [Kind.OWN_READ_UNDONE]

    def test_own_write_is_named_before_what_others_wrote(self) -> None:
        operations = write("a", 1, 2, x=1), write("b", 3, 4, x=2), read("a", 5, 6, x=0)
        assert kinds(*operations, x=0) == [Kind.OWN_WRITE_MISSED]

    def test_values_from_nowhere(self) -> None:
        assert kinds(read("b", 1, 2, x=7), x=0) == [Kind.NEVER_WRITTEN]

    def test_rolled_back_value_must_never_be_seen(self) -> None:
        operations = write("a", 1, 2, FAILED, x=1), read("b", 1.5, 3, x=1)
        assert kinds(*operations, x=0) == [Kind.ROLLED_BACK]

    def test_rolled_back_value_need_not_be_seen(self) -> None:
        assert verdict(write("a", 1, 2, FAILED, x=1), read("b", 3, 4, x=0), x=0)

    def test_unknown_write_may_count_or_not_and_even_later(self) -> None:
        unknown = write("a", 1, 2, UNKNOWN, x=1)
        assert verdict(unknown, read("b", 3, 4, x=0), x=0)
        assert verdict(unknown, read("b", 3, 4, x=1), x=0)
        assert verdict(unknown, read("b", 3, 4, x=0), read("b", 5, 6, x=1), x=0)

    def test_unknown_write_that_was_seen_stays(self) -> None:
        operations = (
            write("a", 1, 2, UNKNOWN, x=1), read("b", 3, 4, x=1), read("c", 5, 6, x=0),
        )  # fmt: skip
        assert kinds(*operations, x=0) == [Kind.WENT_BACK]

    def test_value_must_not_come_before_its_write(self) -> None:
        operations = read("b", 1, 2, x=1), write("a", 3, 4, x=1)
        assert Kind.FROM_THE_FUTURE in kinds(*operations, x=0)

    def test_failed_read_says_nothing(self) -> None:
        assert verdict(write("a", 1, 2, x=1), read("b", 3, 4, FAILED), x=0)

    def test_objects_are_judged_apart(self) -> None:
        assert kinds(
            write("a", 1, 2, x=1), write("a", 3, 4, y=1), read("b", 5, 6, y=0), x=0, y=0
        ) == [Kind.STALE]

    def test_value_written_twice_is_refused(self) -> None:
        with pytest.raises(ValueError, match="written twice"):
            verdict(write("a", 1, 2, x=0), x=0)


class TestLists:
    def test_order_comes_from_the_longest_text(self) -> None:
        assert verdict(
            write("a", 1, 2, l="p"),
            write("b", 1, 2, l="q"),
            read("c", 3, 4, l="q,p,"),
            read("c", 1.1, 1.2, l=""),
            read("d", 1.3, 1.5, l="q,"),
        )

    def test_texts_that_contradict_each_other(self) -> None:
        operations = (
            write("a", 1, 2, l="p"), write("b", 1, 2, l="q"),
            read("c", 3, 4, l="q,p,"), read("d", 1, 1.5, l="p,"),
        )  # fmt: skip
        assert kinds(*operations) == [Kind.REORDERED]

    def test_failed_read_says_nothing_of_the_order(self) -> None:
        assert verdict(write("a", 1, 2, l="p"), read("c", 1, 2, FAILED, l="q,p,"))

    def test_half_an_element_is_no_prefix(self) -> None:
        operations = write("a", 1, 2, l="pp"), read("c", 3, 4, l="pp,"), read("d", 1, 1.5, l="p")
        assert kinds(*operations) == [Kind.REORDERED]

    def test_acknowledged_append_missed(self) -> None:
        operations = (
            write("a", 1, 2, l="p"), write("b", 3, 4, l="q"),
            read("c", 5, 6, l="p,"), read("c", 7, 8, l="p,q,"),
        )  # fmt: skip
        assert kinds(*operations) == [Kind.STALE]

    def test_acknowledged_append_never_seen_again(self) -> None:
        operations = (
            write("a", 1, 2, l="p"), write("b", 3, 4, l="lost"), read("c", 5, 6, l="p,"),
        )  # fmt: skip
        assert kinds(*operations) == [Kind.STALE]
        assert kinds(write("a", 1, 2, l="p"), read("c", 5, 6, l="")) == [Kind.STALE]

    def test_order_must_be_that_of_time(self) -> None:
        operations = (
            write("a", 1, 2, l="p"), write("b", 3, 4, l="q"), read("c", 5, 6, l="q,p,"),
        )  # fmt: skip
        assert kinds(*operations) == [Kind.MISORDERED]

    def test_element_twice_from_nowhere_or_rolled_back(self) -> None:
        assert Kind.REPEATED in kinds(write("a", 1, 2, l="p"), read("b", 3, 4, l="p,p,"))
        assert kinds(read("b", 3, 4, l="p,")) == [Kind.NEVER_WRITTEN]
        operations = write("a", 1, 2, FAILED, l="p"), read("b", 3, 4, l="p,")
        assert kinds(*operations) == [Kind.ROLLED_BACK]

    def test_element_seen_before_its_append_began(self) -> None:
        operations = (
            write("a", 1, 9, l="p"), write("a", 3, 4, l="q"), read("b", 1, 2, l="p,q,"),
        )  # fmt: skip
        assert Kind.FROM_THE_FUTURE in kinds(*operations)


class TestPairs:
    BEFORE = Pair(0, 0, 100)

    def test_both_sides_of_a_transfer(self) -> None:
        assert verdict(
            write("a", 1, 2, t=Pair(1, 1, 100)), read("b", 3, 4, t=Pair(1, 1, 100)), t=self.BEFORE
        )

    @pytest.mark.parametrize(
        "seen", [Pair(1, 0, 93), Pair(0, 1, 107), Pair(1, 1, 93), Pair(1, 0, 100)]
    )
    def test_half_a_transfer(self, seen: Pair) -> None:
        operations = write("a", 1, 2, t=Pair(1, 1, 100)), read("b", 1, 2, t=seen)
        assert kinds(*operations, t=self.BEFORE) == [Kind.FRACTURED]

    def test_whole_but_old(self) -> None:
        operations = write("a", 1, 2, t=Pair(1, 1, 100)), read("b", 3, 4, t=self.BEFORE)
        assert kinds(*operations, t=self.BEFORE) == [Kind.STALE]


class TestForks:
    WRITES = (write("a", 1, 9, x=1), write("b", 1, 9, y=1))

    def test_one_order_of_concurrent_writes(self) -> None:
        reads = read("c", 2, 3, x=1, y=0), read("d", 2, 3, x=1, y=0), read("d", 4, 5, x=1, y=1)
        assert verdict(*self.WRITES, *reads, x=0, y=0)

    def test_two_orders_of_concurrent_writes(self) -> None:
        """Each row for itself is fine: only both reads together are not."""
        reads = read("c", 2, 3, x=1, y=0), read("d", 2, 3, y=1, x=0)
        assert kinds(*self.WRITES, *reads, x=0, y=0) == [Kind.FORK]


class TestSnapshots:
    """What is read in one transaction of one snapshot is one read."""

    def test_what_was_there_at_one_instant(self) -> None:
        writes = write("a", 1, 2, x=1), write("b", 5, 6, y=1)
        assert verdict(*writes, read("c", 0.5, 9, x=1, y=0), x=0, y=0)

    def test_what_overlaps_may_have_been(self) -> None:
        writes = write("a", 1, 5, x=1), write("b", 4, 6, y=1)
        assert verdict(*writes, read("c", 0.5, 9, x=0, y=1), x=0, y=0)

    def test_what_was_replaced_before_the_rest_was_there(self) -> None:
        writes = write("a", 1, 2, x=1), write("b", 3, 4, y=1)
        assert kinds(*writes, read("c", 0.5, 9, x=0, y=1), x=0, y=0) == [Kind.TORN]

    def test_a_write_that_came_to_nothing_replaces_nothing(self) -> None:
        writes = write("a", 1, 2, UNKNOWN, x=1), write("b", 3, 4, y=1)
        assert verdict(*writes, read("c", 0.5, 9, x=0, y=1), x=0, y=0)

    def test_the_same_thing_twice(self) -> None:
        twice = Operation("c", Act.READ, 0.5, 9, OK, (("x", 0), ("x", 1)), "SELECT")
        assert kinds(write("a", 1, 8, x=1), twice, x=0) == [Kind.TORN]


def test_report_tells_who_when_and_what_befell_the_servers() -> None:
    operations = [
        *started_with([("cold:3", 0)], 100.0),
        write("writer-1", 101.0, 102.0, OK, **{"cold:3": 1}),
        read("reader-7", 102.25, 102.5, OK, **{"cold:3": 0}),
    ]
    events = [Event(101.5, 103.0, "replica1 paused"), Event(110.0, 111.0, "replica2 killed")]
    found = judge(History(operations, events))
    text = found.report()
    assert not found
    assert found.kinds == {Kind.STALE}
    assert "1 anomalies in 1 reads and 2 writes" in text
    assert "reader-7 got cold:3 = 0 (ok) in [2.250000, 2.500000] s by SELECT" in text
    assert "writer-1 wrote cold:3 = 1 (ok) in [1.000000, 2.000000] s by UPDATE" in text
    assert "250.000 ms before" in text
    assert "replica1 paused" in text
    assert "replica2 killed" not in text


class TestLoss:
    """Of writes that were acknowledged, and that no client has read."""

    @staticmethod
    def left(*writes: Operation, **state: Value) -> list[Kind]:
        named = {name.replace("_", ":"): value for name, value in state.items()}
        return kinds(*writes, *ended_with(named, writes, 100.0), **{"cold:1": 0})

    def test_what_is_left_is_what_was_written(self) -> None:
        append = write("a", 1, 2, **{"list:1": "x"})
        assert not self.left(append, cold_1=0, list_1="x,", list_0="of an earlier run,")
        assert not self.left(write("a", 1, 2, UNKNOWN, **{"cold:1": 1}), cold_1=0)

    def test_lost_value_is_missed(self) -> None:
        assert self.left(write("a", 1, 2, **{"cold:1": 1}), cold_1=0) == [Kind.STALE]

    def test_lost_element_is_missed_in_front_of_another(self) -> None:
        lost, kept = (write("a", at, at + 1, **{"list:1": it}) for at, it in ((1, "x"), (3, "y")))
        assert Kind.STALE in self.left(lost, kept, cold_1=0, list_1="y,")

    def test_lost_list_is_missed(self) -> None:
        assert self.left(write("a", 1, 2, **{"list:1": "x"}), cold_1=0) == [Kind.STALE]


@dataclass(frozen=True, slots=True)
class Sketch:
    """A small history of one register: one writer, readers that do as they like."""

    writes: tuple[tuple[int, int, Outcome], ...]
    reads: tuple[tuple[int, int, int], ...]

    def operations(self) -> list[Operation]:
        writes = [
            write("w", start, end, outcome, x=number + 1)
            for number, (start, end, outcome) in enumerate(self.writes)
        ]
        reads = [
            read(f"r{number}", start, end, x=seen)
            for number, (start, end, seen) in enumerate(self.reads)
        ]
        return [*writes, *reads]


@st.composite
def sketches(draw: st.DrawFn) -> Sketch:
    instants = sorted(draw(st.lists(st.integers(1, 12), min_size=0, max_size=6, unique=True)))
    spans = list(zip(instants[::2], instants[1::2], strict=False))
    writes = tuple((a, b, draw(st.sampled_from(Outcome))) for a, b in spans)
    some_reads = st.lists(
        st.tuples(st.integers(1, 12), st.integers(0, 5), st.integers(0, len(writes))), max_size=4
    )
    # Half an instant beside the writes', so that none touch.
    reads = tuple((a + 0.5, a + b + 0.75, seen) for a, b, seen in draw(some_reads))
    return Sketch(writes, reads)  # type: ignore[arg-type]


def is_explicable(operations: Sequence[Operation]) -> bool:
    """Search for an order of the operations that explains every read."""

    def search(left: frozenset[int], value: Value) -> bool:
        musts = [number for number in left if operations[number].outcome is OK]
        if not musts:
            return True
        horizon = min(operations[number].end for number in musts)
        for number in left:
            it = operations[number]
            if it.outcome is FAILED or it.start > horizon:
                continue
            [(_, written)] = it.values
            if it.act is Act.READ:
                if written == value and search(left - {number}, value):
                    return True
            else:
                assert isinstance(written, int)
                assert isinstance(value, int)
                # A write that comes late finds a newer value, and leaves it.
                if search(left - {number}, max(value, written)):
                    return True
        return False

    return search(frozenset(range(len(operations))), 0)


@given(sketches())
@example(Sketch(((1, 2, UNKNOWN), (3, 4, OK)), ((5, 6, 2), (7, 8, 2))))
def test_judge_agrees_with_a_search_for_an_order(sketch: Sketch) -> None:
    operations = sketch.operations()
    assert bool(verdict(*operations, x=0)) == is_explicable(operations)


def simulate(size: int, seed: int) -> list[Operation]:
    """Make a history as a perfect database would: each operation takes effect at once."""
    draw = random.Random(seed)
    operations = []
    values = [0] * 50
    for number in range(size):
        key = draw.randrange(len(values))
        instant = 100.0 + number
        start, end = instant - draw.random() * 20, instant + draw.random() * 20
        if draw.random() < 0.2:
            # One writer for each object, who waits: else the numbers are no order.
            values[key] += 1
            start, end = instant, instant + 0.5
            operations.append(write("w", start, end, OK, **{f"x:{key}": values[key]}))
        else:
            operations.append(read(f"r{number}", start, end, OK, **{f"x:{key}": values[key]}))
    return operations


@given(st.integers(0, 10_000))
def test_nothing_is_found_in_what_a_perfect_database_did(seed: int) -> None:
    assert verdict(*simulate(300, seed), **{f"x:{key}": 0 for key in range(50)})


def test_one_wrong_answer_is_found_among_many_soon() -> None:
    before = {f"x:{key}": 0 for key in range(50)}
    operations = simulate(50_000, 1)
    spoilt = max((it for it in operations if it.act is Act.READ), key=lambda it: it.start)
    [(name, _)] = spoilt.values
    spoilt.values = ((name, 0),)
    began = time.perf_counter()
    found = verdict(*operations, **before)
    assert [(it.operation, it.kind) for it in found.anomalies] == [(spoilt, Kind.STALE)]
    assert time.perf_counter() - began < 10.0
