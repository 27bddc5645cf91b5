"""The tables of pgbench for MariaDB and MySQL: the same columns, and a fifth of the accounts.

Each row is written three times, since replicas here begin with nothing and replay all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.demo.database import Session
from proxy.demo.schema import SCALE, TELLERS

ACCOUNTS: Final = 20_000
"""For each branch."""

TABLES: Final = (
    "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler varchar(88))",
    "CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler varchar(84))",
    "CREATE TABLE pgbench_accounts"
    " (aid int PRIMARY KEY, bid int, abalance int, filler varchar(84))",
    "CREATE TABLE pgbench_history"
    " (tid int, bid int, aid int, delta int, mtime datetime, filler varchar(22))",
)
# Neither has generate_series, and a recursive query ends after a thousand rows.
NUMBERS: Final = """
WITH digits AS (
    SELECT 0 AS n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4
    UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9
), numbers AS (
    SELECT 1 + a.n + 10 * b.n + 100 * c.n + 1000 * d.n + 10000 * e.n AS number
    FROM digits a, digits b, digits c, digits d, digits e
)
"""
BRANCHES_ROWS: Final = (
    "INSERT INTO pgbench_branches (bid, bbalance)"
    f" {NUMBERS} SELECT number, 0 FROM numbers WHERE number <= $1"
)
TELLERS_ROWS: Final = (
    "INSERT INTO pgbench_tellers (tid, bid, tbalance)"
    f" {NUMBERS} SELECT number, (number - 1) DIV 10 + 1, 0 FROM numbers WHERE number <= $1"
)
ACCOUNTS_ROWS: Final = (
    "INSERT INTO pgbench_accounts (aid, bid, abalance, filler)"
    f" {NUMBERS} SELECT $1 + number, $2, 0, '' FROM numbers WHERE number <= $3 ORDER BY number"
)


async def load(session: Session, *, progress: Callable[[int], None]) -> None:
    """Make the tables and fill them.

    Args:
        session: At the primary.
        progress: Told how many branches have got their accounts.
    """
    for table in TABLES:
        await session.execute(table)
    await session.execute(BRANCHES_ROWS, SCALE)
    await session.execute(TELLERS_ROWS, SCALE * TELLERS)
    for branch in range(SCALE):
        await session.execute(ACCOUNTS_ROWS, branch * ACCOUNTS, branch + 1, ACCOUNTS)
        progress(branch + 1)
