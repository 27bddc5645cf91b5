"""Repeated reads come from memory, until a write touches a table that they read."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

from proxy.demo.database import Session
from proxy.demo.scenes.statements import ACCOUNT, BRANCH, TELLER, TELLER_AND_BRANCH, with_value
from proxy.demo.stage import Stage, connected, fetch_number

SOMEBODY: Final = 4711
WARM_UP: Final = 10

READS_BRANCHES: Final = [
    *((BRANCH, number) for number in range(1, 11)),
    *((TELLER_AND_BRANCH, number) for number in range(1, 6)),
]
READS_OTHERS: Final = [
    *((TELLER, number) for number in range(1, 11)),
    *((ACCOUNT, number) for number in range(1, 11)),
]
DEPOSIT: Final = "UPDATE pgbench_branches SET bbalance = bbalance + 100 WHERE bid = 3"


async def ask_again(stage: Stage) -> None:
    """The same question, again."""
    screen = stage.screen
    screen.heading("1. The same question again is answered from memory")
    text = with_value(ACCOUNT, SOMEBODY)
    screen.statement(text)
    async with connected(stage.through, 1) as (connection,):
        statement = await connection.prepare(ACCOUNT)
        # So that the time of the first answer is not that of opening connections.
        for number in range(WARM_UP):
            await statement.fetch(SOMEBODY + 1 + number)
        ways = stage.database.ways
        with stage.counting(f"one account, asked {3 * len(ways)} times") as spread:
            taken: list[float] = []
            for _ in range(3):
                started = time.perf_counter()
                await statement.fetch(SOMEBODY)
                taken.append(time.perf_counter() - started)
            for _ in range(3 * (len(ways) - 1)):
                await connection.execute(text)
    stage.claim(
        f"Asked 3 times {' and 3 times '.join(ways)}: {'each' if len(ways) > 1 else 'it'} went to"
        " a server once, the rest came from memory.",
        (spread.asked, spread.hits) == (len(ways), 2 * len(ways)),
    )
    screen.note(f"{1000 * taken[0]:.2f} ms by a server, {1000 * min(taken[1:]):.2f} ms from memory")


async def write_between(stage: Stage) -> None:
    """The same questions before and after a write."""
    screen = stage.screen
    screen.heading("2. A write invalidates the results that read its table, and no others")
    async with connected(stage.through, 2) as (connection, writer):
        for what in ("35 results", "the same, again"):
            with stage.counting(what) as before:
                await _ask(connection, [*READS_BRANCHES, *READS_OTHERS])
        screen.statement(DEPOSIT)
        await writer.execute(DEPOSIT)
        with stage.counting("15 of them that read the table just written") as touched:
            balances = await _ask(connection, READS_BRANCHES)
        with stage.counting("20 of them that don't") as others:
            await _ask(connection, READS_OTHERS)
    stage.claim(
        f"35 results were asked for twice: the second time {before.hits} came from memory.",
        (before.asked, before.hits) == (0, 35),
    )
    stage.claim(
        f"15 of them read pgbench_branches: after the write {touched.asked} were asked anew.",
        (touched.asked, touched.hits) == (15, 0),
    )
    stage.claim("The first read after the write saw it.", balances[2] == 100)
    stage.claim(
        f"20 of them don't: {others.hits} still came from memory.",
        (others.asked, others.hits) == (0, 20),
    )


async def _ask(connection: Session, questions: Sequence[tuple[str, int]]) -> list[int]:
    return [await fetch_number(connection, sql, value) for sql, value in questions]
