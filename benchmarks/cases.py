"""What is measured with pgbench: loads, and who runs them. Those of sysbench: `mysql_cases`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.contenders import CACHED, DIRECT, ONE_SERVER, PGBOUNCER, THREE_SERVERS
from benchmarks.pgbench import Load
from benchmarks.rounds import Runnable

SELECT: Final = "-select-only"
TPCB: Final = "-tpcb-like"
HOT_KEYS: Final = 1000
HOT: Final = f"""\
\\set aid random(1, {HOT_KEYS})
SELECT abalance FROM pgbench_accounts WHERE aid = :aid;
"""
HUNDRED_ROWS: Final = """\
\\set first random(1, 90000)
SELECT * FROM pgbench_accounts WHERE aid BETWEEN :first AND :first + 99;
"""
PROTOCOLS: Final = ("simple", "extended", "prepared")
SOME_CLIENTS: Final = 8


@dataclass(frozen=True, slots=True)
class Case:
    """A load, and whom it is run against.

    Attributes:
        suite: The name of the family that it belongs to.
        load: What is run.
        contenders: In the order of their turns; the first is what the others are compared with.
    """

    suite: str
    load: Runnable
    contenders: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.suite}, {self.load.protocol}, {self.load.clients} clients"


SUITES: Final = {
    "select": "pgbench -S: a row by its key, of all there are; nothing is cached",
    "hot": f"the same of {HOT_KEYS} keys: Tidegate answers from its cache",
    "rows": "100 rows of the same table; nothing is cached",
    "write": "pgbench's own transaction (TPC-B), three updates, an insert and a read",
}


def cases(
    suites: Sequence[str], protocols: Sequence[str], clients: Sequence[int], scale: int
) -> Iterator[Case]:
    """Yield the cases of some suites; pgbench finds the scale out for itself."""
    for protocol in protocols:
        for count in clients:
            if "select" in suites:
                load = Load(SELECT, protocol, count)
                yield Case("select", load, (DIRECT, PGBOUNCER, ONE_SERVER, THREE_SERVERS))
            if "hot" in suites:
                yield Case("hot", Load(HOT, protocol, count), (DIRECT, PGBOUNCER, CACHED))
    if "rows" in suites:
        load = Load(HUNDRED_ROWS, "simple", SOME_CLIENTS)
        yield Case("rows", load, (DIRECT, PGBOUNCER, ONE_SERVER, THREE_SERVERS))
    if "write" in suites:
        load = Load(TPCB, "simple", SOME_CLIENTS)
        yield Case("write", load, (DIRECT, PGBOUNCER, ONE_SERVER, CACHED))
