"""One run of sysbench against one port, and what came of it."""

from __future__ import annotations

import re
import subprocess
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from benchmarks.rival import find_program
from proxy.demo.processes import ProgramFailed

PATIENCE: Final = 300

_TRANSACTIONS: Final = re.compile(r"^ +transactions: +(\d+) +\(([\d.]+) per sec\.\)", re.MULTILINE)
_BUCKET: Final = re.compile(r"^ *([\d.]+) \|\**\s+(\d+)$", re.MULTILINE)
_VERSION: Final = re.compile(r"sysbench ([\d.]+)")


@dataclass(frozen=True, slots=True)
class Load:
    """What sysbench does.

    Attributes:
        script: One of its own, as "oltp_read_only".
        protocol: "auto", with prepared statements, or "disable", in plain text.
        clients: How many at a time, each in a thread.
        rows: The first of the table, of which it picks at random.
    """

    script: str
    protocol: str
    clients: int
    rows: int

    def run(self, *, port: int, database: str, user: str, password: str, seconds: int) -> Run:
        """Run it once.

        Args:
            port: On 127.0.0.1.
            database: To connect to.
            user: To log in as.
            password: The user's.
            seconds: For how long.

        Raises:
            MissingProgram: sysbench isn't installed.
            ProgramFailed: It ended with an error, or some client was sent one.
        """
        options = [
            *(f"--db-ps-mode={self.protocol}", f"--threads={self.clients}", f"--time={seconds}"),
            *(f"--table-size={self.rows}", "--rand-type=uniform", "--histogram"),
        ]
        where = _where(port=port, database=database, user=user, password=password)
        return read_output(_call(self.script, *where, *options, "run", timeout=seconds + 120))


@dataclass(slots=True)
class Run:
    """What came of it.

    Attributes:
        per_second: Transactions: an event of sysbench is one, be it of one statement.
        buckets: Milliseconds, and how many transactions took about as long; ascending.
    """

    per_second: float
    buckets: list[tuple[float, int]]

    @property
    def transactions(self) -> int:
        return sum(count for _, count in self.buckets)

    def percentile(self, percent: float) -> float:
        """Return what so many of the transactions did not exceed, in microseconds."""
        rank = self.transactions * percent / 100
        reached = list(accumulate(count for _, count in self.buckets))
        found = min(bisect_right(reached, rank), len(reached) - 1)
        return 1000 * self.buckets[found][0]


def read_output(text: str) -> Run:
    """Read what sysbench printed.

    Raises:
        ProgramFailed: It has done nothing.
    """
    found = _TRANSACTIONS.search(text)
    buckets = list(_read_histogram(text))
    if found is None or not buckets:
        raise ProgramFailed(f"sysbench did nothing: {_last(text)}")
    return Run(float(found[2]), buckets)


def _read_histogram(text: str) -> Iterator[tuple[float, int]]:
    for bucket in _BUCKET.finditer(text):
        yield float(bucket[1]), int(bucket[2])


def prepare(rows: int, *, port: int, database: str, user: str, password: str) -> None:
    """Make the table and fill it.

    Args:
        rows: How many.
        port: On 127.0.0.1.
        database: To connect to.
        user: To log in as.
        password: The user's.

    Raises:
        MissingProgram: sysbench isn't installed.
        ProgramFailed: It ended with an error.
    """
    where = _where(port=port, database=database, user=user, password=password)
    _call("oltp_point_select", *where, f"--table-size={rows}", "prepare", timeout=PATIENCE)


def version() -> str:
    """Return sysbench's version, as "1.0.20"."""
    found = _VERSION.search(_call("--version", timeout=PATIENCE))
    return found[1] if found else "unknown"


def _where(*, port: int, database: str, user: str, password: str) -> Sequence[str]:
    return [
        *("--db-driver=mysql", "--mysql-host=127.0.0.1", f"--mysql-port={port}"),
        *(f"--mysql-user={user}", f"--mysql-password={password}", f"--mysql-db={database}"),
    ]


def _call(*arguments: str, timeout: int) -> str:
    done = subprocess.run(
        [find_program("sysbench"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
    )
    if done.returncode:
        said = _last(done.stdout + done.stderr)
        raise ProgramFailed(f"sysbench ended with {done.returncode}: {said}")
    return done.stdout


def _last(text: str) -> str:
    return " | ".join(text.splitlines()[-8:])
