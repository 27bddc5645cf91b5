"""The checker can fail: with any one rule of freshness switched off it finds an anomaly.

Each rule has a situation in which it is all that stands between a client and the anomaly,
and that comes about in nearly every second. With all rules on, the same situations must
come to nothing: else it would be the situation that is found, not the missing rule.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.consistency.doors import Asyncpg
from tests.consistency.proxied import Place
from tests.consistency.situations import Situation, find_nothing, search, show_what_is_too_old

ROUND = 2.5
"""Seconds that clients work before the judge is asked."""

ROUNDS = 6

BEHIND = Situation(lags=True)
"""A replica lacks what the primary acknowledged."""

AHEAD = Situation(ahead=True, lags=True)
"""A replica shows what the primary does not, for as long as the commit waits for the other."""

OVERTAKEN = replace(AHEAD, cache=False, delay=0.03)
"""The same, and requests are so long on their way to replicas that commits overtake them."""

SLOW = Situation(
    replicas=False,
    load={"topics": ("warm", "parted"), "slowness": 100.0, "doors": (Asyncpg.way,)},
)
"""Reads take long, so that commits are acknowledged while they run; and they are the same ones."""

SNAPSHOTS = replace(
    BEHIND,
    load={"topics": ("warm", "cold", "transfer", "hot"), "snapshots": 0.5},
)
"""Many transactions read several tables, and what they have read is written meanwhile."""

SITUATIONS = {
    "mark": AHEAD,
    "pending": AHEAD,
    "version": BEHIND,
    "need": BEHIND,
    "validation": OVERTAKEN,
    "fill": SLOW,
    "snapshot": SNAPSHOTS,
}


@pytest.mark.parametrize("rule", SITUATIONS)
async def test_missing_rule_is_found(place: Place, rule: str) -> None:
    verdicts = await search(place, SITUATIONS[rule], rule, rounds=ROUNDS, seconds=ROUND)
    assert show_what_is_too_old(verdicts), f"without {rule}\n{verdicts[-1].report()}"


@pytest.mark.parametrize(
    "situation",
    [AHEAD, OVERTAKEN, SLOW, SNAPSHOTS],
    ids=["ahead", "overtaken", "slow", "snapshots"],
)
async def test_nothing_is_found_with_all_rules(place: Place, situation: Situation) -> None:
    """Of replicas that are behind, `test_runs` has more than enough."""
    await find_nothing(place, situation, seconds=ROUND)
