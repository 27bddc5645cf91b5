"""Contenders measured in turns, so that whatever else happens on the machine happens to all."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from benchmarks.contenders import PASSWORD, USER, Contender
from benchmarks.process import cpu_seconds

Tell = Callable[[str], None]
"""Hears what is under way."""


class Outcome(Protocol):
    """What came of one run of a load."""

    @property
    def per_second(self) -> float: ...

    @property
    def transactions(self) -> int: ...

    def percentile(self, percent: float) -> float: ...


class Runnable(Protocol):
    """A load: something that clients do for a while."""

    @property
    def protocol(self) -> str: ...

    @property
    def clients(self) -> int: ...

    def run(
        self, *, port: int, database: str, user: str, password: str, seconds: int
    ) -> Outcome: ...


@dataclass(slots=True)
class Measured:
    """One contender under one load, a number for each round.

    Attributes:
        contender: Its name.
        per_second: Transactions.
        p50: Microseconds that half of the transactions did not exceed.
        p99: The same for 99 of 100.
        cpu: Microseconds of processor time of the proxy for each transaction.
    """

    contender: str
    per_second: list[float] = field(default_factory=list)
    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some numbers, and how far they reach."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        return cls(statistics.median(numbers), min(numbers), max(numbers))


def ratios(numbers: Sequence[float], base: Sequence[float]) -> Spread:
    """Compare round by round: what disturbs a round disturbs both sides of a ratio."""
    return Spread.of([one / other for one, other in zip(numbers, base, strict=True)])


def measure(
    load: Runnable, contenders: Sequence[Contender], *, seconds: int, rounds: int
) -> list[Measured]:
    """Run a load against each contender in turn, some rounds long.

    Args:
        load: What is run.
        contenders: Against whom.
        seconds: How long a turn takes.
        rounds: How many turns each has, after a short one that doesn't count.
    """
    measured = [Measured(contender.name) for contender in contenders]
    for number in range(rounds + 1):
        for contender, result in zip(contenders, measured, strict=True):
            length = seconds if number else 1
            turn = _turn(load, contender, length)
            if number:
                _add(result, *turn)
    return measured


def _turn(load: Runnable, contender: Contender, seconds: int) -> tuple[Outcome, float | None]:
    """Run once; returns the run, and the proxy's processor time for each transaction."""
    before = cpu_seconds(contender.pid) if contender.pid else 0.0
    done = load.run(
        port=contender.port,
        database=contender.database(load.protocol),
        user=USER,
        password=PASSWORD,
        seconds=seconds,
    )
    if not contender.pid:
        return done, None
    # What connecting cost is in it as well: with many clients and short turns it shows.
    return done, (cpu_seconds(contender.pid) - before) / done.transactions


def _add(result: Measured, done: Outcome, cpu: float | None) -> None:
    result.per_second.append(done.per_second)
    result.p50.append(done.percentile(50))
    result.p99.append(done.percentile(99))
    if cpu is not None:
        result.cpu.append(1e6 * cpu)
