"""The tables of pgbench, made without pgbench: what everybody's benchmark and ours run on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import asyncpg

SCALE: Final = 10
TELLERS: Final = 10
"""For each branch."""
ACCOUNTS: Final = 100_000
"""For each branch, too."""

TABLES: Final = """
CREATE TABLE pgbench_branches (bid int NOT NULL, bbalance int, filler char(88));
CREATE TABLE pgbench_tellers (tid int NOT NULL, bid int, tbalance int, filler char(84));
CREATE TABLE pgbench_accounts (aid int NOT NULL, bid int, abalance int, filler char(84));
CREATE TABLE pgbench_history (
    tid int, bid int, aid int, delta int, mtime timestamp, filler char(22)
);
"""
BRANCHES_ROWS: Final = (
    "INSERT INTO pgbench_branches (bid, bbalance) SELECT b, 0 FROM generate_series(1, $1::int) b"
)
TELLERS_ROWS: Final = (
    "INSERT INTO pgbench_tellers (tid, bid, tbalance)"
    " SELECT t, (t - 1) / 10 + 1, 0 FROM generate_series(1, $1::int) t"
)
ACCOUNTS_ROWS: Final = (
    "INSERT INTO pgbench_accounts (aid, bid, abalance, filler)"
    " SELECT a, (a - 1) / 100000 + 1, 0, '' FROM generate_series($1::int, $2::int) a"
)
# Last: to build an index at once takes half the time of keeping it up row by row.
KEYS: Final = """
ALTER TABLE pgbench_branches ADD PRIMARY KEY (bid);
ALTER TABLE pgbench_tellers ADD PRIMARY KEY (tid);
ALTER TABLE pgbench_accounts ADD PRIMARY KEY (aid);
"""


async def load(dsn: str, *, scale: int = SCALE, progress: Callable[[int], None]) -> None:
    """Make the tables and fill them.

    Args:
        dsn: The primary's database, as the user who shall own the tables.
        scale: As pgbench's: 100,000 accounts for each.
        progress: Told how many branches have got their accounts.
    """
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(TABLES)
        await connection.execute(BRANCHES_ROWS, scale)
        await connection.execute(TELLERS_ROWS, scale * TELLERS)
        for branch in range(scale):
            first = branch * ACCOUNTS + 1
            await connection.execute(ACCOUNTS_ROWS, first, first + ACCOUNTS - 1)
            progress(branch + 1)
        await connection.execute(KEYS)
        for table in ("branches", "tellers", "accounts", "history"):
            await connection.execute(f"VACUUM ANALYZE pgbench_{table}")
        # A server process reports what it wrote when it ends: wait for that.
        await connection.close()
    finally:
        connection.terminate()
