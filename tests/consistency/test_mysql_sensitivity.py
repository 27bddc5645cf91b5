"""The checker can fail over MariaDB, too: see `test_sensitivity`."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Final

import pytest

from tests.consistency.mysql_doors import Aiomysql
from tests.consistency.proxied import Place
from tests.consistency.situations import Situation, find_nothing, search, show_what_is_too_old

ROUND: Final = 2.0
"""Seconds that clients work before the judge is asked."""

ROUNDS: Final = 8

IS_SOAK: Final = "TIDEGATE_SOAK_SECONDS" in os.environ

BEHIND: Final = Situation(lags=True, load={"topics": ("warm",)})
AHEAD: Final = Situation(ahead=True, load={"topics": ("warm",)})
"""Replicas show what the primary does not, nor what was kept before."""

OVERTAKEN: Final = Situation(ahead=True, cache=False, delay=0.03)
SLOW: Final = Situation(
    replicas=False,
    load={"topics": ("warm", "parted"), "slowness": 100.0, "doors": (Aiomysql.way,)},
)
SNAPSHOTS: Final = replace(
    BEHIND,
    load={"topics": ("warm", "cold", "transfer", "hot"), "snapshots": 0.5},
)

SITUATIONS = {
    "mark": AHEAD,
    "version": BEHIND,
    "need": BEHIND,
    "validation": OVERTAKEN,
}
IN_SOAK: Final = {"pending": AHEAD, "fill": SLOW, "snapshot": SNAPSHOTS}
"""Rules that have nothing of the engine in them; `make soak` tries them, and all rules together."""

if IS_SOAK:
    SITUATIONS |= IN_SOAK

MARIADB: Final = pytest.mark.parametrize("mysql_place", ["mariadb"], indirect=True)


@MARIADB
@pytest.mark.parametrize("rule", SITUATIONS)
async def test_missing_rule_is_found(mysql_place: Place, rule: str) -> None:
    verdicts = await search(mysql_place, SITUATIONS[rule], rule, rounds=ROUNDS, seconds=ROUND)
    assert show_what_is_too_old(verdicts), f"without {rule}\n{verdicts[-1].report()}"


@MARIADB
@pytest.mark.skipif(not IS_SOAK, reason="takes long: make soak")
@pytest.mark.parametrize("situation", [AHEAD, OVERTAKEN], ids=["ahead", "overtaken"])
async def test_nothing_is_found_with_all_rules(mysql_place: Place, situation: Situation) -> None:
    """Of replicas that are behind, `test_mysql_runs` has more than enough."""
    await find_nothing(mysql_place, situation, seconds=ROUND)
