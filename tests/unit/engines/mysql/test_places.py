"""Places in the history of MySQL and MariaDB, as one member tells them and another reads them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.engines.mysql.places import KIND, GtidPlace, MySQLPlaces, parse, write
from proxy.freshness.handed import seal
from proxy.topology.gtid import GtidSet
from proxy.types import Position

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
OTHER = "4e11fa47-71ca-11e1-9e33-c80aa9429562"

KEYS = st.one_of(
    st.sampled_from([UUID, f"{UUID}:tag", "0", "17", f"{UUID}@mysql-bin"]), st.text(min_size=1)
)
NUMBERS = st.integers(1, 2**63 - 1)
RUNS = st.lists(st.tuples(NUMBERS, NUMBERS).map(lambda it: (min(it), max(it))), max_size=5)
SETS = st.dictionaries(KEYS, RUNS, max_size=5).map(GtidSet)


class History:
    """What a test says is known."""

    def __init__(self, executed: GtidSet | None) -> None:
        self.executed = executed

    def position_of(self, contents: GtidSet) -> Position | None:
        return Position(7) if self.executed and self.executed.covers(contents) else None


def domains(**numbers: int) -> GtidSet:
    return GtidSet({key.strip("_"): [(1, number)] for key, number in numbers.items()})


@given(SETS)
def test_what_is_told_is_read(contents: GtidSet) -> None:
    places = MySQLPlaces(History(contents))
    text = places.here()
    assert text is not None
    assert text.isascii()
    assert not set(text) & set(" '\"\\")
    place = places.read(text)
    assert isinstance(place, GtidPlace)
    assert place.contents == contents
    assert place.find() == (7 if contents else None)


@given(SETS)
def test_a_set_is_what_was_written(contents: GtidSet) -> None:
    assert parse(write(contents)) == contents


@given(st.text())
def test_what_nobody_has_told_is_refused(text: str) -> None:
    places = MySQLPlaces(History(None))
    with pytest.raises(ValueError, match=r"."):
        places.read(text)
    try:
        place = places.read(seal(KIND, text))
    except ValueError:
        return
    assert isinstance(place, GtidPlace)


@pytest.mark.parametrize("body", ["0", "0:1", "0:2-1", "0:0-1", f"0:1-{2**63}", ",", ":"])
def test_what_is_no_set_is_refused(body: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        MySQLPlaces(History(None)).read(seal(KIND, body))


def test_a_place_is_short_where_one_server_has_written() -> None:
    for contents in (
        GtidSet({UUID: [(1, 2**40)]}),
        domains(_0=2**63 - 1, _1=2**63 - 1),
        GtidSet({f"{UUID}@mysql-bin": [(1, 2**50)]}),
    ):
        assert len(MySQLPlaces(History(contents)).here() or "") < 100


def test_without_a_primary_there_is_nothing_to_tell() -> None:
    assert MySQLPlaces(History(None)).here() is None


def test_another_data_set_is_refused_where_that_is_known() -> None:
    text = MySQLPlaces(History(domains(_0=5))).here() or ""
    with pytest.raises(ValueError, match="data set"):
        MySQLPlaces(History(GtidSet({UUID: [(1, 5)]}))).read(text)
    for executed in (None, GtidSet(), domains(_0=3), GtidSet({f"{OTHER}@bin": [(1, 5)]})):
        MySQLPlaces(History(executed)).read(text)


def test_logs_of_two_servers_may_be_of_one_data_set() -> None:
    text = MySQLPlaces(History(GtidSet({f"{UUID}@bin": [(1, 5)]}))).here() or ""
    place = MySQLPlaces(History(GtidSet({f"{OTHER}@bin": [(1, 5)]}))).read(text)
    assert place.find() is None
