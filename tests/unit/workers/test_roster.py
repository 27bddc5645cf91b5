"""When workers are started, and given up. Times are made up."""

from __future__ import annotations

import re

from proxy.workers.roster import (
    FIRST_PAUSE,
    HANGS,
    LASTING,
    LONGEST_PAUSE,
    SLOW_START,
    TRIES,
    Roster,
    State,
)
from proxy.workers.sums import HOW
from proxy.workers.supervisor import GOODBYE
from proxy.workers.worker import ALONE
from tests.conftest import ROOT


def running(count: int = 3) -> Roster:
    """Workers that have all come up at 0."""
    roster = Roster(count, hangs=10.0)
    for number in roster.due(0.0):
        roster.started(number, 0.0)
        roster.ready(number, 0.0)
    return roster


def test_all_are_started_at_once() -> None:
    roster = Roster(3)
    assert roster.due(0.0) == [1, 2, 3]
    for number in (1, 2, 3):
        roster.started(number, 0.0)
    assert roster.due(0.0) == []
    assert roster.count(State.STARTING) == 3


def test_one_that_dies_is_started_at_once_and_then_later_each_time() -> None:
    roster = running()
    now = 100.0
    roster.ended(2, now)
    assert roster.due(now) == [2]
    pauses = []
    for _ in range(12):
        roster.started(2, now)
        roster.ready(2, now)
        roster.ended(2, now)
        assert not roster.is_hopeless, "the others are there"
        pause = roster.slots[2].due - now
        pauses.append(pause)
        assert roster.due(now + pause) == [2]
        now += pause
    assert pauses[:4] == [0.25, 0.5, 1.0, 2.0]
    assert pauses[-1] == LONGEST_PAUSE


def test_who_has_lasted_is_started_at_once_again() -> None:
    roster = running()
    for now in (1.0, 2.0, 3.0):
        roster.ended(1, now)
        roster.started(1, now)
        roster.ready(1, now)
    roster.ended(1, 3.0 + LASTING)
    assert roster.due(3.0 + LASTING) == [1]


def test_a_first_start_that_fails_is_the_end() -> None:
    roster = Roster(2)
    for number in roster.due(0.0):
        roster.started(number, 0.0)
    roster.ended(1, 0.5)
    assert roster.is_hopeless


def test_a_first_start_that_fails_behind_another_is_tried_again() -> None:
    roster = Roster(2)
    for number in roster.due(0.0):
        roster.started(number, 0.0)
    roster.ready(2, 0.4)
    roster.ended(1, 0.5)
    assert not roster.is_hopeless
    assert roster.due(0.5) == [1]


def test_when_none_comes_up_any_more_it_is_given_up() -> None:
    roster = running(2)
    now = 100.0
    for number in (1, 2):
        roster.ended(number, now)
    assert not roster.is_hopeless
    for tried in range(TRIES):
        assert not roster.is_hopeless, tried
        now += LONGEST_PAUSE
        roster.started(1 + tried % 2, now)
        roster.ended(1 + tried % 2, now)
    assert roster.is_hopeless
    roster.started(1, now)
    roster.ready(1, now)
    assert not roster.is_hopeless


def test_silence_is_a_hang() -> None:
    roster = running(2)
    for now in range(1, 11):
        roster.heard(1, float(now))
        assert roster.hanging(float(now)) == []
    assert roster.hanging(10.5) == [2]


def test_a_start_may_take_longer() -> None:
    roster = Roster(1, hangs=10.0)
    roster.started(1, 0.0)
    silent = [now for now in range(int(SLOW_START) + 3) if roster.hanging(float(now))]
    assert silent == [int(SLOW_START) + 1, int(SLOW_START) + 2]


def test_nobody_hangs_only_because_we_were_stopped() -> None:
    roster = running(2)
    assert roster.hanging(1.0) == []
    assert roster.hanging(500.0) == [], "what they said meanwhile is not read yet"
    assert roster.hanging(501.0) == []
    for now in range(502, 511):
        roster.heard(1, float(now))
        assert roster.hanging(float(now)) == []
    assert roster.hanging(511.0) == [2]


def test_the_guide_tells_these_times() -> None:
    guide = (ROOT / "docs" / "workers.md").read_text()
    for said in (
        f"it has not said for {HANGS:g} s",
        f"A start may take {SLOW_START:g} s",
        f"from {FIRST_PAUSE:g} s on and doubled each time up to {LONGEST_PAUSE:g} s",
        f"has lasted for {LASTING:g} s",
        f"and {TRIES} starts in a row",
        f"takes longer than {GOODBYE:g} s is killed",
        f"end, within {ALONE:g} s",
    ):
        assert said in guide, said
    assert set(re.findall(r"`(tidegate_[a-z_]+?)(?:_total)?[`{]", guide)) <= HOW.keys()
