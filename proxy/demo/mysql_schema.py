"""The tables of pgbench for MariaDB and MySQL: the same rows in the same columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.demo.database import Session
from proxy.demo.schema import ACCOUNTS, SCALE, TELLERS

TABLES: Final = (
    "CREATE TABLE pgbench_branches (bid int PRIMARY KEY, bbalance int, filler char(88))",
    "CREATE TABLE pgbench_tellers (tid int PRIMARY KEY, bid int, tbalance int, filler char(84))",
    "CREATE TABLE pgbench_accounts (aid int PRIMARY KEY, bid int, abalance int, filler char(84))",
    "CREATE TABLE pgbench_history"
    " (tid int, bid int, aid int, delta int, mtime datetime, filler char(22))",
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
    f" {NUMBERS} SELECT $1 + number, $2, 0, '' FROM numbers ORDER BY number"
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
        await session.execute(ACCOUNTS_ROWS, branch * ACCOUNTS, branch + 1)
        progress(branch + 1)
