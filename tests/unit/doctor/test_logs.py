"""Logs in, events out. The samples are of a PostgreSQL 15, made by the workload of
`tests/integration/test_doctor.py`: statements logged before they are run (`said`), afterwards with
their durations (`timed`), and both (`twice`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.doctor.events import Began, Ended, Event, Failed, Ran, Timed, Unread
from proxy.doctor.postgres import structured
from proxy.doctor.postgres.logs import read_log
from proxy.doctor.postgres.records import Record, read_record

SAMPLES = Path(__file__).parent / "samples"
CSV = (
    '2026-11-27 04:16:16.987 UTC,"app","shop",7,"127.0.0.1:5000",6b0900b3.2a44,3,"idle",'
    '2026-11-27 04:16:15 UTC,3/7,0,LOG,00000,"{}",,,,,,,,,"","client backend",,0\n'
)


def read(text: str, prefix: str | None = None) -> tuple[list[Event], Unread]:
    unread = Unread()
    return list(read_log(text.splitlines(keepends=True), "a.log", unread, prefix)), unread


def sample(name: str) -> list[Event]:
    events, unread = read((SAMPLES / name).read_text())
    assert unread.count == 0
    return events


def outlines(events: list[Event]) -> list[tuple[object, ...]]:
    """What the formats must agree in: they name sessions differently."""
    found: list[tuple[object, ...]] = []
    for event in events:
        match event:
            case Ran():
                found.append((event.user, event.database, event.text, event.values, event.seconds))
            case Timed():
                found.append((event.seconds, event.is_ahead))
            case _:
                found.append((type(event),))
    return found


@pytest.mark.parametrize("name", ["said", "timed", "twice"])
def test_every_format_says_the_same(name: str) -> None:
    csv, json, plain = (outlines(sample(f"{name}.{kind}")) for kind in ("csv", "json", "log"))
    assert csv == json
    assert csv == plain


def test_texts_and_values_come_as_they_were_sent() -> None:
    ran = [event for event in sample("said.log") if isinstance(event, Ran)]
    assert ran[0].text == "SELECT note FROM notes WHERE id = $1"
    assert ran[0].values == " $1 = '1'"
    assert (ran[0].user, ran[0].database, ran[0].seconds) == ("postgres", "said", None)
    assert any(event.values == " $1 = 'hunter2\n\tand more'" for event in ran)
    multi = "SELECT note\n\tFROM all_notes -- LOG:  no\n WHERE note = 'hunter2'''"
    assert any(event.text == multi for event in ran)


@pytest.mark.parametrize(("name", "timed", "ahead"), [("said", 0, 0), ("timed", 22, 22)])
def test_what_prepares_a_statement_is_timed_ahead_of_it(name: str, timed: int, ahead: int) -> None:
    found = [event for event in sample(f"{name}.csv") if isinstance(event, Timed)]
    assert (len(found), sum(event.is_ahead for event in found)) == (timed, ahead)


def record(message: str, *, severity: str = "LOG", detail: str = "") -> Event | None:
    return read_record(Record("s", "u", "d", severity, message, detail))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("statement: SELECT 1", Ran("s", "u", "d", "SELECT 1")),
        ("execute S_1/C_2: SELECT 1", Ran("s", "u", "d", "SELECT 1")),
        ("execute <unnamed>: SELECT\n1", Ran("s", "u", "d", "SELECT\n1")),
        ("duration: 1.500 ms", Timed("s", 0.0015)),
        ("duration: 2.000 ms  statement: SELECT 1", Ran("s", "u", "d", "SELECT 1", seconds=0.002)),
        ("duration: 2.000 ms  execute a: SELECT 1", Ran("s", "u", "d", "SELECT 1", seconds=0.002)),
        ("duration: 2.000 ms  bind a: SELECT 1", Timed("s", 0.002, is_ahead=True)),
        ("duration: 2.000 ms  parse a: SELECT 1", Timed("s", 0.002, is_ahead=True)),
        ("execute fetch from S_1/C_2: SELECT 1", None),
        ("duration: 1.000 ms  execute fetch from a: SELECT 1", Timed("s", 0.001, is_ahead=True)),
        ("duration: 1.000 ms  plan:\nQuery Text: SELECT 1", None),
        ("duration: soon", None),
        ("disconnection: session time: 0:00:00.059 user=u database=d host=[local]", Ended("s")),
        ("connection authorized: user=a b database=c", Began("s", "a b", "c")),
        ("connection authorized: user=a database=c application_name=psql", Began("s", "a", "c")),
        (
            "connection authorized: user=a database=c SSL enabled (protocol=TLSv1.3)",
            Began("s", "a", "c"),
        ),
        ("checkpoint starting: time", None),
        ("process 7 still waiting for ShareLock", None),
    ],
)
def test_messages(message: str, expected: Event | None) -> None:
    assert record(message) == expected


def test_details() -> None:
    for word in ("parameters", "Parameters"):
        event = record("execute a: SELECT $1", detail=f"{word}: $1 = '1'")
        assert event == Ran("s", "u", "d", "SELECT $1", " $1 = '1'")
    event = record("statement: EXECUTE p(3)", detail="prepare: PREPARE p AS SELECT $1::int")
    assert event == Ran("s", "u", "d", "EXECUTE p(3)")


def test_errors_and_ends() -> None:
    assert record("division by zero", severity="ERROR") == Failed("s", "d")
    assert record("terminating connection", severity="FATAL") == Ended("s")
    assert record("there is no transaction in progress", severity="WARNING") is None


def test_a_record_that_was_cut_off_is_given_up_where_the_next_begins() -> None:
    cut = CSV.format("statement: SELECT 'a")[:-60]
    events, unread = read(cut + "\nmore\n" + CSV.format("statement: SELECT 1"))
    assert [event.text for event in events if isinstance(event, Ran)] == ["SELECT 1"]
    assert (unread.count, unread.first) == (2, "a.log, line 1")


def test_a_log_may_begin_and_end_in_the_middle_of_a_record() -> None:
    whole = CSV.format("statement: SELECT\n1")
    first, _, rest = whole.partition("\n")
    events, unread = read(rest + whole + first + "\n")
    assert [event.text for event in events if isinstance(event, Ran)] == ["SELECT\n1"]
    assert unread.count == 2


def test_a_record_beyond_all_measure_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(structured, "LONGEST", 1000)
    text = CSV.format("statement: SELECT 1" + "\n+ 1" * 1000) + CSV.format("statement: SELECT 2")
    events, unread = read(text)
    assert [event.text for event in events if isinstance(event, Ran)] == ["SELECT 2"]
    assert unread.count == 1001


@pytest.mark.parametrize("text", ["\x00\n", "{\n", '{"timestamp":3\n', "[]\n", '"\n' * 9, "a,b\n"])
def test_garbage_is_counted(text: str) -> None:
    for first in ("", CSV.format("statement: SELECT 1") * 2, '{"timestamp":"x"}\n' * 2):
        _, unread = read(first + text)
        assert unread.count == text.count("\n")


def test_continued_lines_in_front_of_everything_are_no_harm() -> None:
    events, _ = read("\tFROM a\n2026-11-27 04:16:16.987 UTC [7] LOG:  statement: SELECT 1\n")
    assert events == [Ran("7", None, None, "SELECT 1")]


def test_verbose_messages_have_their_code_in_front() -> None:
    text = (
        "2026-11-27 04:16:16.987 UTC [7] LOG:  00000: statement: SELECT 1\n"
        "2026-11-27 04:16:16.987 UTC [7] LOCATION:  exec_simple_query, postgres.c:1019\n"
    )
    events, unread = read(text)
    assert events == [Ran("7", None, None, "SELECT 1")]
    assert unread.count == 0


def test_a_prefix_that_is_said_is_what_counts() -> None:
    text = "u/d 7 LOG:  statement: SELECT 1\nother LOG:  statement: SELECT 2\n"
    events, unread = read(text, "%u/%d %p ")
    assert events == [Ran("7", "u", "d", "SELECT 1")]
    assert unread.count == 1
