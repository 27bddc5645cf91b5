"""Which tests end otherwise through the proxy, and which of them are known to, and why.

What is known stands in `explained.toml`. Both are failures: a difference that is not explained
there, and an explanation whose test does not differ any more.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.suites.outcomes import Outcome, Outcomes
from tests.suites.suite import Suite

EXPLAINED = Path(__file__).with_name("explained.toml")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a suite's two runs say.

    Attributes:
        unexplained: Tests that do worse through the proxy, with both outcomes in words.
        outdated: Tests that should, and don't.
        explained: Tests that should, and do.
    """

    unexplained: Mapping[str, str]
    outdated: tuple[str, ...]
    explained: tuple[str, ...]

    @property
    def is_good(self) -> bool:
        """Whether nothing is to be done."""
        return not self.unexplained and not self.outdated


def judge(direct: Outcomes, through: Outcomes, explained: Mapping[str, str]) -> Verdict:
    """Compare two runs.

    A test that the proxy turns into a skipped one, or that is not run at all through it, counts
    as one that does worse; one that fails both ways says nothing about the proxy.

    Args:
        direct: What became of each test without the proxy.
        through: The same, through it.
        explained: Reasons, by the tests that may differ.
    """
    differing = {
        test: f"{_name(outcome)} directly, {_name(through.get(test))} through the proxy"
        for test, outcome in direct.items()
        if outcome is not Outcome.FAILED and through.get(test) is not outcome
    }
    differing |= dict.fromkeys(through.keys() - direct.keys(), "run through the proxy only")
    return Verdict(
        {test: words for test, words in differing.items() if test not in explained},
        tuple(sorted(explained.keys() - differing.keys())),
        tuple(sorted(explained.keys() & differing.keys())),
    )


def read_explained(suite: Suite, file: Path = EXPLAINED) -> dict[str, str]:
    """Find what is known of a suite: reasons, by test.

    A group that names an engine is of that one only.
    """
    groups = tomllib.loads(file.read_text()).get(suite.name, [])
    return {
        test: group["reason"]
        for group in groups
        if group.get("engine", suite.engine) == suite.engine
        for test in group["tests"]
    }


def _name(outcome: Outcome | None) -> str:
    return outcome.name.lower() if outcome is not None else "absent"
