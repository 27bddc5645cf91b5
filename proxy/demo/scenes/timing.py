"""The same statements, timed direct and through Tidegate, in turns."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from dataclasses import dataclass, field
from typing import Final

from proxy.demo.database import Session
from proxy.demo.scenes.statements import ACCOUNT
from proxy.demo.stage import Stage, connected

ROUNDS: Final = 3
SECONDS: Final = 0.2
"""How long it is measured each time."""

CLIENTS: Final = 8
"""How many ask at a time when it is counted how many answers come in a second."""

HOT_ACCOUNTS: Final = 10
WRITE: Final = "UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = $1"


@dataclass(slots=True)
class Timing:
    """What was measured of one statement on one way.

    Attributes:
        seconds: What each answer took, when one client asked.
        rates: Answers per second, when several did, for each round.
    """

    seconds: list[float] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    @property
    def cells(self) -> list[str]:
        """Write the medians."""
        milliseconds = 1000 * statistics.median(self.seconds)
        return [f"{milliseconds:.2f} ms", f"{statistics.median(self.rates):,.0f}"]


async def compare(stage: Stage) -> None:
    """Time everything both ways."""
    screen = stage.screen
    screen.heading("5. The same statements, direct and through Tidegate")
    accounts = stage.database.accounts
    timed = {
        "a row by its key, hardly ever asked before": (ACCOUNT, accounts),
        f"one of {HOT_ACCOUNTS} rows, asked all the time": (ACCOUNT, HOT_ACCOUNTS),
        "a write of one row": (WRITE, accounts),
    }
    async with (
        connected(stage.direct, CLIENTS) as direct,
        connected(stage.through, CLIENTS) as through,
    ):
        with screen.doing("timed in turns", total=ROUNDS * len(timed)) as advance:
            for what, (sql, highest) in timed.items():
                timings = Timing(), Timing()
                for number in range(ROUNDS):
                    await _measure(timings[0], direct, sql, highest)
                    await _measure(timings[1], through, sql, highest)
                    advance(len(stage.timings) * ROUNDS + number + 1)
                stage.timings.append([what, *timings[0].cells, *timings[1].cells])


async def _measure(timing: Timing, connections: list[Session], sql: str, highest: int) -> None:
    """Measure for a moment: one client first, then all of them."""
    timing.seconds += await _repeat(connections[0], sql, highest)
    started = time.perf_counter()
    answers = await asyncio.gather(*(_repeat(it, sql, highest) for it in connections))
    timing.rates.append(sum(map(len, answers)) / (time.perf_counter() - started))


async def _repeat(connection: Session, sql: str, highest: int) -> list[float]:
    statement = await connection.prepare(sql)
    taken: list[float] = []
    now = time.perf_counter()
    end = now + SECONDS
    while now < end:
        await statement.fetch(random.randint(1, highest))
        before, now = now, time.perf_counter()
        taken.append(now - before)
    return taken
