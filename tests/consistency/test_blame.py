"""Whom the errors of a fleet's clients are blamed for."""

from __future__ import annotations

import pytest

from tests.consistency.anomalies import Verdict
from tests.consistency.blame import Blame
from tests.consistency.faults import Fault
from tests.consistency.history import Event, History

KILLED = Event(10.0, 11.0, f"member0 {Fault.KILL.value}")


@pytest.mark.parametrize(
    ("start", "since", "place", "code", "whose"),
    [
        (10.5, 10.5, 0, "", "killed member"),  # a login meanwhile
        (10.5, 10.5, 1, "", "nobody"),  # at another
        (20.0, 9.0, 0, "", "killed member"),  # idle since before it
        (20.0, 12.0, 0, "", "nobody"),  # the connection is younger
        (20.0, 9.0, 0, "57P01", "killed member"),  # and had been told goodbye
        (20.0, 12.0, 0, "57P01", "nobody"),
        (9.5, 9.0, 0, "57P01", "nobody"),  # too early
    ],
)
def test_a_death_explains_what_it_broke(
    start: float, since: float, place: int, code: str, whose: str
) -> None:
    error = Event(start, start + 0.01, "an error", place=place, code=code, since=since)
    blame = Blame.of(Verdict(History(events=[KILLED], errors=[error]), []))
    assert list(blame.counts) == [(whose, code or "no answer")]
    assert bool(blame.unexplained) == (whose == "nobody")
