"""Places in binary logs as numbers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import RemoteProtocolError
from proxy.topology.binlog import behind, is_missing, parse_files, parse_log, shown
from proxy.topology.gtid import GtidSet

offsets = st.integers(1, 2**32 - 1)
files = st.integers(0, 2**31 - 1)


def test_place_is_named_by_the_writer_and_its_files() -> None:
    assert parse_log("u", "binlog.000007", 158) == GtidSet({"u@binlog": [(1, 7 << 32 | 158)]})
    assert parse_log("u", "a.b-c.1", 4) == GtidSet({"u@a.b-c": [(1, 1 << 32 | 4)]})


@given(files, offsets, files, offsets)
def test_places_are_in_the_order_of_the_log(file: int, at: int, other: int, other_at: int) -> None:
    one = parse_log("u", f"binlog.{file:06d}", at)
    another = parse_log("u", f"binlog.{other:06d}", other_at)
    assert one.covers(another) is ((file, at) >= (other, other_at))
    assert shown("u@binlog", one.largest("u@binlog")) == f"binlog.{file:06d}:{at}"


def test_places_in_two_logs_do_not_compare() -> None:
    place = parse_log("u", "binlog.000007", 158)
    assert not place.covers(parse_log("v", "binlog.000001", 4))
    assert not place.covers(parse_log("u", "other.000001", 4))


@pytest.mark.parametrize(
    ("writer", "file", "offset"),
    [
        ("u", "", 158),
        ("u", "binlog", 158),
        ("u", "binlog.x", 158),
        ("u", ".000001", 158),
        ("u", "binlog.00000000001", 158),
        ("u", "binlog.000001", 0),
        ("u", "binlog.000001", 2**32),
        ("", "binlog.000001", 158),
    ],
)
def test_no_place_is_refused(writer: str, file: str, offset: int) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_log(writer, file, offset)


def test_people_are_told_of_bytes_and_of_files() -> None:
    assert behind(0) == "0 bytes behind"
    assert behind(1) == "1 byte behind"
    assert behind(2**32 + 5) == "1 log file behind"
    # From the end of one file to the beginning of the next.
    assert behind((3 << 32 | 158) - (2 << 32 | 1_000_000)) == "1 log file behind"
    assert behind(3 << 32) == "3 log files behind"


def test_place_behind_the_end_of_a_file_is_missing_once_there_is_another() -> None:
    files = parse_files("u", [("log.000002", 500), ("log.000003", 900), ("log.000004", 158)])
    for file, offset, expected in (
        (1, 900, False),  # purged, or never there
        (2, 4, False),
        (2, 500, False),
        (2, 501, True),
        (3, 900, False),
        (3, 2**32 - 1, True),
        (4, 158, False),
        (4, 159, False),  # written since
        (5, 4, False),
    ):
        place = parse_log("u", f"log.{file:06d}", offset).largest("u@log")
        assert is_missing(files, "u@log", place) is expected
    assert not is_missing(files, "v@log", 2 << 32 | 501)
    assert not is_missing(GtidSet(), "u@log", 2 << 32 | 501)
