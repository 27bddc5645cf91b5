"""What can be read at a primary, in the words of MySQL and MariaDB."""

from __future__ import annotations

import pytest

from proxy.errors import RemoteProtocolError
from proxy.topology.gtid import parse_executed
from proxy.topology.visibility import Before, ByGtid, ByPlace, Numbers, parse_owned

UUID = "786201c1-eacc-11f1-802f-02fc00000001"
OTHER = "786201c1-eacc-11f1-802f-02fc00000002"


def test_mysql_shows_what_it_has_executed() -> None:
    numbers = Numbers()
    snapshot = ByGtid(numbers, parse_executed(f"{UUID}:1-5:7,{OTHER}:tag:3"), Before())
    shown = [f"{UUID}:1", f"{UUID}:5", f"{UUID}:7", f"{OTHER}:tag:3"]
    hidden = [f"{UUID}:6", f"{UUID}:8", f"{OTHER}:3", f"{OTHER}:tag:2"]
    assert all(snapshot.shows(numbers.number(it)) for it in shown)
    assert not any(snapshot.shows(numbers.number(it)) for it in hidden)


def test_mariadb_shows_its_log_up_to_a_place() -> None:
    snapshot = ByPlace(100, Before())
    assert snapshot.shows(100)
    assert not snapshot.shows(101)


def test_what_was_under_way_at_the_beginning_runs_until_it_is_shown() -> None:
    before = Before()
    before.add(100)
    before.add(101)
    snapshot = ByPlace(100, before)
    assert snapshot.running == {101}
    before.add(102)  # told of before anybody was there to hear it
    assert snapshot.running == {101, 102}
    before.is_over = True
    before.add(103)
    assert snapshot.running == {101, 102}
    numbers = Numbers()
    start = Before()
    start.add(numbers.number(f"{UUID}:6"))
    assert ByGtid(numbers, parse_executed(f"{UUID}:1-5"), start).running
    assert not ByGtid(numbers, parse_executed(f"{UUID}:1-6"), start).running


@pytest.mark.parametrize(
    ("text", "gtids"),
    [
        ("", []),
        (f"{UUID}:7#12", [f"{UUID}:7"]),
        (f"{UUID.upper()}:7#12:8#13,\n{OTHER}:1#5", [f"{UUID}:7", f"{UUID}:8", f"{OTHER}:1"]),
        (f"{UUID}:tag:1#5", [f"{UUID}:tag:1"]),
    ],
)
def test_what_is_owned_is_under_way(text: str, gtids: list[str]) -> None:
    assert parse_owned(text) == gtids


@pytest.mark.parametrize("text", ["7#12", f"{UUID}:x#1"])
def test_what_can_not_be_read_is_refused(text: str) -> None:
    with pytest.raises(RemoteProtocolError):
        parse_owned(text)


@pytest.mark.parametrize("gtid", ["", "7", f"{UUID}:", f"{UUID}:x"])
def test_what_is_no_gtid_is_refused(gtid: str) -> None:
    with pytest.raises(RemoteProtocolError):
        Numbers().number(gtid)
