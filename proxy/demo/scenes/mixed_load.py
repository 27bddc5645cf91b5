"""Many clients at once: who answers their reads, and whether any answer is old."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import Final

from proxy.demo.database import Session
from proxy.demo.scenes.statements import ACCOUNT, TELLER
from proxy.demo.stage import CACHE, Stage, connected, fetch_number

CLIENTS: Final = 8
SECONDS: Final = 3.0

HOT_ACCOUNTS: Final = 100
READS_PER_WRITE: Final = 20

PAY_IN: Final = "UPDATE pgbench_tellers SET tbalance = tbalance + 1 WHERE tid = $1"
NOTE: Final = (
    "INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, 1, 1, 1, now())"
)


@dataclass(slots=True)
class Tally:
    """What a client did: reads sent, writes committed, and of those what others did not see."""

    reads: int = 0
    writes: int = 0
    missed: int = 0


async def run_load(stage: Stage) -> None:
    """Read and write with several clients for a moment."""
    screen = stage.screen
    screen.heading(f"4. {CLIENTS} clients read, and now and then write in a transaction")
    async with (
        connected(stage.through, CLIENTS) as writers,
        connected(stage.through, CLIENTS) as readers,
    ):
        with (
            screen.doing(f"{CLIENTS} clients at work"),
            stage.counting(f"a load of {CLIENTS} clients that also write") as spread,
        ):
            tallies = await asyncio.gather(
                *(
                    _work(writer, reader, teller, stage.database.accounts)
                    for teller, (writer, reader) in enumerate(zip(writers, readers, strict=True), 1)
                )
            )
    reads = sum(tally.reads for tally in tallies)
    writes = sum(tally.writes for tally in tallies)
    missed = sum(tally.missed for tally in tallies)
    names = [server.name for server in stage.servers]
    shares = ", ".join(f"{name} {_percent(spread.reads[name], reads)}" for name in [*names, CACHE])
    stage.claim(f"{reads:,} reads were answered by: {shares}.", spread.reads.total() == reads)
    by_primary, *by_replicas = (spread.reads[name] for name in names)
    stage.claim(
        "Each replica and the cache had a part in it; the primary had less than the replicas, and"
        " less than the cache.",
        min(by_replicas) > 0 and by_primary < min(sum(by_replicas), spread.hits),
    )
    stage.claim(
        f"{writes:,} transactions were read back at once through another connection:"
        f" {missed} reads were old.",
        writes > 0 and not missed,
    )


async def _work(writer: Session, reader: Session, teller: int, accounts: int) -> Tally:
    """Be one client, with a connection to write and another to read."""
    tally = Tally()
    balance = await fetch_number(reader, TELLER, teller)
    tally.reads += 1
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        for number in range(READS_PER_WRITE):
            highest = HOT_ACCOUNTS if number % 2 else accounts
            await fetch_number(reader, ACCOUNT, random.randint(1, highest))
        async with writer.transaction():
            await writer.execute(PAY_IN, teller)
            await writer.execute(NOTE, teller)
        balance += 1
        tally.missed += await fetch_number(reader, TELLER, teller) != balance
        tally.reads += READS_PER_WRITE + 1
        tally.writes += 1
    return tally


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"
