"""One run of pgbench against one port, and what came of it."""

from __future__ import annotations

import os
import re
import subprocess
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from proxy.demo.processes import MissingProgram, ProgramFailed
from proxy.demo.programs import find_postgres

THREADS: Final = 2
"""Of pgbench: one may be slower than what it measures."""

_TPS: Final = re.compile(r"^tps = ([\d.]+) \(without", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Load:
    """What pgbench does.

    Attributes:
        script: A script's text, or `-` and the name of one that pgbench has.
        protocol: "simple", "extended" or "prepared".
        clients: How many at a time.
        transactions: That each client does; 0: as many as it can in some seconds.
    """

    script: str
    protocol: str
    clients: int
    transactions: int = 0

    def run(self, *, port: int, database: str, user: str, password: str, seconds: int) -> Run:
        """Run pgbench once.

        Args:
            port: On 127.0.0.1.
            database: To connect to.
            user: To log in as.
            password: The user's.
            seconds: For how long; for a number of transactions, how long they may take at most.

        Raises:
            MissingProgram: It isn't installed.
            ProgramFailed: It ended with an error, or some client was sent one.
        """
        with TemporaryDirectory(prefix="tidegate-pgbench-") as name:
            folder = Path(name)
            where = ["--host", "127.0.0.1", "--port", str(port), "--username", user, database]
            done = subprocess.run(
                [*self._command(folder, seconds), *where],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "PGPASSWORD": password},
                timeout=seconds + 120,
            )
            found = _TPS.search(done.stdout)
            if done.returncode or found is None:
                last = " | ".join((done.stdout + done.stderr).splitlines()[-8:])
                raise ProgramFailed(f"pgbench ended with {done.returncode}: {last}")
            result = Run(float(found[1]))
            for client, microseconds in read_logs(folder):
                result.microseconds.append(microseconds)
                result.by_client[client] += 1
            return result

    def _command(self, folder: Path, seconds: int) -> list[str]:
        length = ["--time", str(seconds)]
        if self.transactions:
            length = ["--transactions", str(self.transactions)]
        return [
            *(_program(), "--no-vacuum", *_script(self.script, folder)),
            *("--protocol", self.protocol, "--client", str(self.clients)),
            *("--jobs", str(min(THREADS, self.clients)), *length),
            *("--log", "--log-prefix", str(folder / "log")),
        ]


@dataclass(slots=True)
class Run:
    """What came of it.

    Attributes:
        per_second: Transactions, not counting the time to connect.
        microseconds: What each transaction took.
        by_client: How many each client got done.
    """

    per_second: float
    microseconds: array[int] = field(default_factory=lambda: array("L"))
    by_client: Counter[int] = field(default_factory=Counter)

    @property
    def transactions(self) -> int:
        return len(self.microseconds)

    def percentile(self, percent: float) -> float:
        """Return what so many of the transactions did not exceed, in microseconds."""
        ordered = sorted(self.microseconds)
        return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def _program() -> str:
    program = find_postgres().path("pgbench")
    if not os.access(program, os.X_OK):
        raise MissingProgram(f"pgbench is not installed: {program} is missing")
    return program


def _script(script: str, folder: Path) -> list[str]:
    if script.startswith("-"):
        return ["--builtin", script[1:]]
    file = folder / "script.sql"
    file.write_text(script)
    return ["--file", str(file)]


def read_logs(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield client and microseconds of every transaction; each thread has a file."""
    for file in folder.glob("log.*"):
        for line in file.read_text().splitlines():
            client, _, microseconds, _ = line.split(" ", 3)
            yield int(client), int(microseconds)
