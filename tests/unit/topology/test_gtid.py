"""Sets of transaction ids: what servers write is read, and sets are compared as sets."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.topology.gtid import (
    GtidSet,
    largest_by,
    parse_domains,
    parse_executed,
    parse_writers,
)

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "892e27c7-ea55-11f1-bd8c-02fc00000001"
KEYS = (A, f"{A}:tag", B)

members = st.dictionaries(st.sampled_from(KEYS), st.sets(st.integers(1, 30)))


def gtids(numbers: dict[str, set[int]]) -> GtidSet:
    return GtidSet({key: [(n, n) for n in found] for key, found in numbers.items()})


def pairs(numbers: dict[str, set[int]]) -> set[tuple[str, int]]:
    return {(key, number) for key, found in numbers.items() for number in found}


@pytest.mark.parametrize(
    ("text", "intervals"),
    [
        ("", {}),
        (f"{A}:1-5", {A: ((1, 5),)}),
        (f"{A}:1-5:7", {A: ((1, 5), (7, 7))}),
        (f"{A}:1-3,\n{B}:1", {A: ((1, 3),), B: ((1, 1),)}),
        (f"{A.upper()}:2", {A: ((2, 2),)}),
        # As MySQL 9.7 wrote it.
        (f"{A}:1-7:b:1:tagged:1-2", {A: ((1, 7),), f"{A}:b": ((1, 1),), f"{A}:tagged": ((1, 2),)}),
        (f"{A}:tag:4:6", {f"{A}:tag": ((4, 4), (6, 6))}),
        (f"{A}:1-2:3", {A: ((1, 3),)}),
    ],
)
def test_executed_set_is_read(text: str, intervals: dict[str, tuple[tuple[int, int], ...]]) -> None:
    assert parse_executed(text).intervals == intervals


@pytest.mark.parametrize(
    "text", [A, f"{A}:", f"{A}:0-3", f"{A}:3-1", f"{A}:1-", "x:1", f"{A}:1-{2**63}", f"{A}:a-b"]
)
def test_what_is_no_executed_set_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError, match="transaction ids"):
        parse_executed(text)


def test_mariadb_position_is_how_far_each_domain_is() -> None:
    assert parse_domains("0-101-57,3-102-1").intervals == {"0": ((1, 57),), "3": ((1, 1),)}
    assert parse_domains("") == GtidSet()
    # Several writers of one domain, as a binlog state tells them.
    assert parse_domains("0-1-5,0-2-8").intervals == {"0": ((1, 8),)}


def test_mariadb_state_is_how_far_each_writer_is() -> None:
    state = parse_writers("0-19825-10,0-25040-10,3-25040-1")
    assert state.intervals == {"0-19825": ((1, 10),), "0-25040": ((1, 10),), "3-25040": ((1, 1),)}


@pytest.mark.parametrize("text", ["0-1", "0-1-x", "a", f"0-1-{2**64}", "0-1-1;0-1-2", "-1-1-1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_domains(text)
    with pytest.raises(RemoteProtocolError):
        parse_writers(text)


@given(st.text(max_size=60))
def test_garbage_raises_nothing_else(text: str) -> None:
    for parse in (parse_executed, parse_domains, parse_writers):
        try:
            parse(text)
        except RemoteProtocolError:
            continue


@given(members)
def test_reading_what_was_written_gives_the_same(numbers: dict[str, set[int]]) -> None:
    assert parse_executed(str(gtids(numbers))) == gtids(numbers)


@given(members, members)
def test_sets_are_compared_as_sets(one: dict[str, set[int]], other: dict[str, set[int]]) -> None:
    both = pairs(one) | pairs(other)
    assert gtids(one).covers(gtids(other)) == (pairs(one) >= pairs(other))
    assert pairs_of(gtids(one).minus(gtids(other))) == pairs(one) - pairs(other)
    assert pairs_of(gtids(one).plus(gtids(other))) == both
    assert bool(gtids(one)) == bool(pairs(one))


@given(members, st.sampled_from(KEYS))
def test_one_numbering_is_left_out(numbers: dict[str, set[int]], key: str) -> None:
    assert gtids(numbers).without(key) == gtids({k: n for k, n in numbers.items() if k != key})
    assert gtids(numbers).largest(key) == max(numbers.get(key, ()), default=0)


@given(st.sets(st.integers(1, 12)), st.integers(0, 13))
def test_unbroken_run_ends_in_front_of_the_first_gap(numbers: set[int], start: int) -> None:
    expected = start
    while expected + 1 in numbers and (start == 0 or start in numbers):
        expected += 1
    if start == 0 or start in numbers:
        assert gtids({A: numbers}).unbroken(A, start) == expected


def pairs_of(gtid_set: GtidSet) -> set[tuple[str, int]]:
    return {
        (key, number)
        for key, runs in gtid_set.intervals.items()
        for first, last in runs
        for number in range(first, last + 1)
    }


@pytest.mark.parametrize(
    ("writer", "text", "number"),
    [
        (A, f"{A}:5", 5),
        (A, f"{A}:5-6", 6),
        (A, f"{A}:5:7-9", 9),
        (A, f"{A}:tag:5", None),
        (A, f"{A}:5:tag:6", None),
        (A, f"{A}:5,{B}:6", None),
        (B, f"{A}:5", None),
        (A, "", None),
        (A, A, None),
        ("0-10", "0-10-57", 57),
        ("0-1", "0-10-57", None),
        ("0-10", "7-10-57", None),
        ("0-10", "0-10-57,7-10-1", None),
        ("0-10", "0-10-" + "9" * 30, None),
    ],
)
def test_what_was_told_counts_if_all_of_it_is_one_writers(
    writer: str, text: str, number: int | None
) -> None:
    assert largest_by(writer, text) == number
