"""What the scenes ask of pgbench's tables."""

from __future__ import annotations

from typing import Final

from proxy.demo.schema import SCALE, TELLERS

LAST_TELLER: Final = SCALE * TELLERS

ACCOUNT: Final = "SELECT abalance FROM pgbench_accounts WHERE aid = $1"
TELLER: Final = "SELECT tbalance FROM pgbench_tellers WHERE tid = $1"
BRANCH: Final = "SELECT bbalance FROM pgbench_branches WHERE bid = $1"
TELLER_AND_BRANCH: Final = (
    "SELECT tbalance, bbalance FROM pgbench_tellers JOIN pgbench_branches USING (bid)"
    " WHERE tid = $1"
)


def with_value(sql: str, value: int) -> str:
    """Write a parameter into the text, as a client without prepared statements does."""
    return sql.replace("$1", str(value))
