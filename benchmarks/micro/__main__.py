"""Time single steps: `python -m benchmarks.micro [PART OF A NAME]`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from itertools import chain
from time import perf_counter_ns
from typing import Final

from benchmarks.micro.knowing import knowing, memory
from benchmarks.micro.passage import passages
from benchmarks.micro.steps import steps

REPEATS: Final = 7
LEAST_NS: Final = 20_000_000
"""How long a repeat takes at least."""


def main() -> None:
    asyncio.run(_time_all(sys.argv[1] if len(sys.argv) > 1 else ""))


async def _time_all(wanted: str) -> None:
    for step in chain(steps(), knowing(), passages()):
        if wanted in step.name:
            print(f"{step.name:56} {best_of(step.run):>12,.0f} ns", flush=True)
    if wanted in "memory":
        for line in memory():
            print(line)


def best_of(run: Callable[[], object]) -> float:
    """Return the least time of a call in nanoseconds: whatever disturbs only adds to it."""
    calls = 1
    while _time(run, calls) < LEAST_NS:
        calls *= 2
    return min(_time(run, calls) for _ in range(REPEATS)) / calls


def _time(run: Callable[[], object], calls: int) -> int:
    started = perf_counter_ns()
    for _ in range(calls):
        run()
    return perf_counter_ns() - started


if __name__ == "__main__":
    main()
