"""A replica that is behind is avoided for what was just written, and for nothing else."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Final

from proxy.demo.database import Server, Session
from proxy.demo.scenes.statements import ACCOUNT, LAST_TELLER, TELLER, with_value
from proxy.demo.stage import Spread, Stage, connected, fetch_number

CLIENTS: Final = 8
READS: Final = 50
"""For each client."""

PATIENCE: Final = 20.0
"""Seconds that something sure to happen may take on a busy machine."""

PAY_IN: Final = "UPDATE pgbench_tellers SET tbalance = tbalance + 1"
# The number is another one each time, so nobody has asked this before.
ANOTHER_TELLER: Final = "SELECT tbalance FROM pgbench_tellers WHERE tid = $1 AND $2 >= 0"

Read = Callable[[Session], Awaitable[int]]


async def hold_back(stage: Stage) -> None:
    """Hold a replica back, write, and look who is asked."""
    screen = stage.screen
    held = stage.servers[-1]
    screen.heading(f"3. {held.name} is held back: it is avoided for the table just written")
    screen.statement(f"{stage.database.hold_back}    -- on {held.name}")
    held.pause_replay()
    numbers = count()

    async def read_teller(connection: Session) -> int:
        teller = random.randint(1, LAST_TELLER)
        return await fetch_number(connection, ANOTHER_TELLER, teller, next(numbers))

    async def read_account(connection: Session) -> int:
        return await fetch_number(connection, ACCOUNT, random.randint(1, stage.database.accounts))

    async with connected(stage.through, CLIENTS) as connections:
        try:
            screen.statement(PAY_IN)
            await connections[0].execute(PAY_IN)
            with stage.counting("pgbench_tellers, just written") as written:
                balances = await _read(connections, read_teller)
            meanwhile = "pgbench_accounts, meanwhile"
            others = await _read_until_asked(stage, meanwhile, held, connections, read_account)
            route = stage.route(with_value(TELLER, 1))
        finally:
            held.resume_replay()
        caught_up = f"pgbench_tellers, once {held.name} caught up"
        after = await _read_until_asked(stage, caught_up, held, connections, read_teller)
    stage.claim(
        f"{written.reads.total()} reads of pgbench_tellers: {held.name} answered"
        f" {written.reads[held.name]} of them, and every one saw the write.",
        not written.reads[held.name] and set(balances) == {1},
    )
    stage.claim(
        f"{others.reads.total()} reads of pgbench_accounts meanwhile: {held.name} answered"
        f" {others.reads[held.name]}, since it has all that was written there.",
        others.reads[held.name] > 0,
    )
    stage.claim(
        f"EXPLAIN ROUTE {with_value(TELLER, 1)}: it would go to {route}.",
        held.name not in route,
    )
    stage.claim(
        f"Once it had caught up, it answered {after.reads[held.name]} of"
        f" {after.reads.total()} reads of pgbench_tellers.",
        after.reads[held.name] > 0,
    )


async def _read_until_asked(
    stage: Stage, what: str, server: Server, connections: list[Session], read: Read
) -> Spread:
    """Read until a server was asked, or patience ends."""
    deadline = time.monotonic() + PATIENCE
    while True:
        with stage.counting(what) as spread:
            await _read(connections, read)
        if spread.reads[server.name] or time.monotonic() > deadline:
            return spread


async def _read(connections: list[Session], read: Read) -> list[int]:
    """Read with all connections side by side."""

    async def repeat(connection: Session) -> list[int]:
        return [await read(connection) for _ in range(READS)]

    lists = await asyncio.gather(*map(repeat, connections))
    return [value for values in lists for value in values]
