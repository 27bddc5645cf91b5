"""What became of each test of a suite, read from the report that its runner wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from enum import IntEnum, unique
from pathlib import Path
from xml.etree import ElementTree


@unique
class Outcome(IntEnum):
    """How a test ended, the worst last."""

    PASSED = 0
    SKIPPED = 1
    FAILED = 2


Outcomes = Mapping[str, Outcome]

_MARKS = {"failure": Outcome.FAILED, "error": Outcome.FAILED, "skipped": Outcome.SKIPPED}


def read_junit(report: Path) -> Outcomes:
    """Read what pytest wrote with --junitxml."""
    return _worst(
        (
            f"{case.get('classname')}::{case.get('name')}",
            max((_MARKS.get(part.tag, Outcome.PASSED) for part in case), default=Outcome.PASSED),
        )
        for case in ElementTree.parse(report).iter("testcase")
    )


def read_lines(report: Path) -> Outcomes:
    """Read one JSON array a line: the test, and its outcome in lower case."""
    lines = map(json.loads, report.read_text().splitlines())
    return _worst((test, Outcome[outcome.upper()]) for test, outcome in lines)


def count(outcomes: Outcomes) -> str:
    """Say how many tests ended how."""
    numbers = Counter(outcomes.values())
    return ", ".join(f"{numbers[outcome]} {outcome.name.lower()}" for outcome in Outcome)


def _worst(noted: Iterable[tuple[str, Outcome]]) -> Outcomes:
    """A test is noted more than once where its parts or its clean-up failed."""
    found: dict[str, Outcome] = {}
    for test, outcome in noted:
        found[test] = max(outcome, found.get(test, outcome))
    return found
