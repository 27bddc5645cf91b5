"""What is said of members that are not heard, and how often."""

from __future__ import annotations

import logging

import pytest

from proxy.observe.logs import NAME
from proxy.runtime.earshot import LOUD_AFTER, REPEAT, Case, Earshot, Trouble
from proxy.runtime.label import LONGEST, Label, read_label, why_apart

OWN = Label("here:1", "tidegate", "redis://bus:6379")
OTHER = Label("there:2", "tidegate", "redis://other:6379")


class Lines(logging.Handler):
    """What was written, with its level."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[tuple[str, str, dict[str, object]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        fields = getattr(record, "fields", {})
        self.said.append((record.levelname, record.getMessage(), fields))


class Ear:
    """One with a clock of its own."""

    def __init__(self, lines: Lines) -> None:
        self.now = 0.0
        self.lines = lines
        self.earshot = Earshot(OWN, lambda: self.now, lambda: True)

    def take(self, trouble: Trouble | None, seconds: float) -> list[tuple[str, str]]:
        """Look, with somebody in trouble for so long; returns what is written of it."""
        cases = {} if trouble is None else {"b": Case(trouble, seconds, str(OTHER))}
        before = len(self.lines.said)
        self.earshot.take(cases, ["a", "b"])
        return [line[:2] for line in self.lines.said[before:]]


@pytest.fixture
def ear() -> Ear:
    return Ear(Lines())


@pytest.fixture(autouse=True)
def listening(ear: Ear) -> object:
    logger = logging.getLogger(NAME)
    before = logger.level
    logger.addHandler(ear.lines)
    logger.setLevel(logging.INFO)
    yield
    logger.removeHandler(ear.lines)
    logger.setLevel(before)


def test_who_is_not_heard_is_told_of_once_and_rarely(ear: Ear) -> None:
    """Not while it may be about to come; then once, and again after minutes."""
    assert ear.take(Trouble.UNHEARD, LOUD_AFTER - 1) == []
    assert ear.earshot.unheard == 1
    (problem,) = ear.earshot.problems()
    assert problem == (
        "member b (there:2) is not heard on the bus: its bus is redis://other:6379, that of this"
        " one is redis://bus:6379: set the same [fleet] bus_url for both"
    )
    assert ear.take(Trouble.UNHEARD, LOUD_AFTER) == [
        ("ERROR", "a member of the fleet is not heard")
    ]
    fields = ear.lines.said[-1][2]
    assert fields["member"] == "b"
    assert fields["label"] == str(OTHER)
    assert "set the same [fleet] bus_url" in str(fields["why"])
    ear.now = REPEAT - 1
    assert ear.take(Trouble.UNHEARD, 100.0) == []
    ear.now = REPEAT
    assert len(ear.take(Trouble.UNHEARD, 400.0)) == 1
    assert ear.take(None, 0.0) == [("INFO", "a member of the fleet is heard again")]
    assert ear.earshot.unheard == 0
    assert ear.earshot.problems() == []
    assert ear.take(None, 0.0) == []


def test_who_stands_still_is_set_up_well(ear: Ear) -> None:
    """It asks the primary nothing either: nothing is said of its bus."""
    assert ear.take(Trouble.STILL, LOUD_AFTER) == [
        ("WARNING", "a member of the fleet stands still")
    ]
    assert ear.lines.said[-1][2]["why"] is None
    (problem,) = ear.earshot.problems()
    assert "bus_url" not in problem
    assert ear.take(Trouble.UNHEARD, LOUD_AFTER) == [
        ("ERROR", "a member of the fleet is not heard")
    ]


def test_who_is_gone_is_not_heard_again(ear: Ear) -> None:
    ear.take(Trouble.UNHEARD, LOUD_AFTER)
    before = len(ear.lines.said)
    ear.earshot.take({}, ["a"])
    assert len(ear.lines.said) == before


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (None, "older version"),
        (OTHER._replace(fleet="blue"), "of fleet blue, this one of fleet tidegate"),
        (OTHER._replace(format=9), "speaks format 9"),
        (OTHER, "its bus is redis://other:6379, that of this one is redis://bus:6379"),
        (OTHER._replace(bus=OWN.bus), "a firewall"),
    ],
)
def test_why_two_do_not_hear_each_other(other: Label | None, why: str) -> None:
    assert why in why_apart(OWN, other, is_bus_up=True)


def test_sockets_are_heard_on_one_host() -> None:
    own, other = (Label(process, "tidegate", "unix:///run/bus") for process in ("a:1", "b:1"))
    assert "one host only" in why_apart(own, other, is_bus_up=True)


def test_a_bus_that_is_away_is_the_reason() -> None:
    same = OTHER._replace(bus=OWN.bus)
    assert "can't be reached from here" in why_apart(OWN, same, is_bus_up=False)


def test_a_label_is_read_back() -> None:
    assert read_label(str(OTHER)) == OTHER
    assert read_label("there:2") is None
    long = OTHER._replace(bus="unix:///a b/" + "x" * 300)
    assert len(str(long)) <= 255
    read = read_label(str(long))
    assert read is not None
    assert read.bus.startswith("unix:///a%20b/")
    assert len(read.bus) <= LONGEST + 2
