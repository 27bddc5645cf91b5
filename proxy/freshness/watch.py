"""Who wrote past the proxy, by the servers' own counters (`out_of_band = "watch"`).

Every second the servers say how many rows each table has had inserted, updated and
deleted. What our own commits wrote is subtracted; when the rest grows, somebody else
wrote. The counters lag (a PostgreSQL server process reports at the end of a transaction,
at most once a second, else up to ten seconds later), so the rest *falls* after a commit
of ours and comes back; only a rise above its highest value is foreign.

Counting a commit that was not foreign costs a few cached results; missing one would
leave stale results standing. So what is not certain is called foreign, and two rules bind
the caller:

- Credit (`wrote`) only what the servers are sure to count: rows of plain statements, in
  transactions that committed. Rows of a transaction rolled back, or written by a trigger,
  show as foreign, once.
- Credit before the commit's mark is released. A sample may hold the rows of a commit
  whose acknowledgement is still on its way to us; then its mark is pending, and the
  table is left out of that sample.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple, final

from proxy.types import Table

PATIENCE: Final = 15
"""Samples after which rows of ours that have not been reported are not just late."""


class Counters(NamedTuple):
    """What a server says about a table, its partitions and children summed up.

    Attributes:
        rows: Inserted, updated and deleted, since the statistics began.
        files: A digest of the file nodes: TRUNCATE changes these and counts no row.
    """

    rows: int
    files: int


@final
class _Account:
    """One table's history."""

    __slots__ = ("credit", "files", "highest", "rows", "steady")

    def __init__(self, counters: Counters, credit: int) -> None:
        self.rows, self.files = counters
        self.credit = credit
        self.highest = self.rows - credit  # that the servers' count has been above ours
        self.steady = 0  # samples in which neither of the two has moved

    def take(self, counters: Counters, credit: int, patience: int) -> bool:
        """Compare a sample with the history, and say whether somebody else wrote."""
        excess = counters.rows - credit
        is_reset = counters.rows < self.rows
        is_rewritten = counters.files != self.files
        is_still = counters.rows == self.rows and credit == self.credit
        self.steady = self.steady + 1 if is_still and excess < self.highest else 0
        # Rows of ours that are never reported: the statistics were lost, or are switched
        # off. While we write, our own commits refresh the table; now that we don't, a
        # foreign write could hide behind those rows for ever.
        is_stuck = self.steady >= patience
        is_foreign = is_reset or is_rewritten or is_stuck or excess > self.highest
        if is_reset or is_stuck or excess > self.highest:
            self.highest = excess
        self.rows, self.files = counters
        self.credit = credit
        return is_foreign


@final
class Watch:
    """The book of one server group's counters, read from its primary."""

    __slots__ = ("_accounts", "_credit", "_patience")

    def __init__(self, patience: int = PATIENCE) -> None:
        self._patience = patience
        self._accounts: dict[Table, _Account] = {}
        self._credit: dict[Table, int] = {}

    def wrote(self, table: Table, rows: int) -> None:
        """Credit rows that a commit of ours wrote, as its command tags said."""
        self._credit[table] = self._credit.get(table, 0) + rows

    def compare(
        self, sample: Mapping[Table, Counters], is_pending: Callable[[Table], bool]
    ) -> list[Table]:
        """Take a sample of all tables and name those that somebody else wrote.

        A table without history is named too: what happened before is not known.

        Args:
            sample: The counters of every table, by its root.
            is_pending: `Ledger.is_pending`, as of now.
        """
        foreign = []
        for table, counters in sample.items():
            if is_pending(table):
                continue
            credit = self._credit.get(table, 0)
            account = self._accounts.get(table)
            if account is None:
                self._accounts[table] = _Account(counters, credit)
                foreign.append(table)
            elif account.take(counters, credit, self._patience):
                foreign.append(table)
        self._forget_all_but(sample)
        return foreign

    def restart(self) -> None:
        """Forget everything: the epoch changed, or the counters are another server's."""
        self._accounts.clear()
        self._credit.clear()

    def _forget_all_but(self, sample: Mapping[Table, Counters]) -> None:
        for table in [table for table in self._accounts if table not in sample]:
            del self._accounts[table]
        for table in [table for table in self._credit if table not in sample]:
            del self._credit[table]
