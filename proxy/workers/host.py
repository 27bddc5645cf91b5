"""What operators ask, answered for all workers of the host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol, final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from proxy.observe.families import families, render
from proxy.workers import readiness
from proxy.workers.messages import Told
from proxy.workers.roster import Roster, State
from proxy.workers.sums import Totals

PATIENCE: Final = 1.0
"""Seconds in which a worker must answer; who asks us waits no longer than that."""

SILENT: Final = "silent"
"""What a worker is called that is up, and has not answered."""

STATES: Final = (*(state.value for state in State), SILENT)


class Asked(Protocol):
    """A worker that may be asked."""

    async def ask(self) -> Told | None:
        """Ask how it is; None: it has ended."""


@final
class Host:
    """See the module.

    Args:
        roster: Of the workers.
        asked: Those there are, by number.
        is_stopping: Whether all of them are on their way out.
    """

    def __init__(
        self, roster: Roster, asked: Mapping[int, Asked], is_stopping: Callable[[], bool]
    ) -> None:
        self._roster = roster
        self._asked = asked
        self._is_stopping = is_stopping
        self._totals = Totals()
        self._own = CollectorRegistry(auto_describe=False)
        self._counts = _Counts()
        self._own.register(self._counts)
        ProcessCollector(registry=self._own)

    def ended(self, number: int) -> None:
        """A worker has ended, and nobody has asked it to."""
        self._totals.ended(number)
        self._counts.ends += 1

    async def metrics(self) -> bytes:
        """Make what /metrics shows."""
        told = await self._ask()
        for number, each in told.items():
            self._totals.hear(number, each.families)
        states = self._states(told)
        self._counts.states = {word: list(states.values()).count(word) for word in STATES}
        return render(self._totals.all(told, families(self._own.collect())))

    async def ready(self) -> tuple[bool, dict[str, object]]:
        """Find out what /readyz shows."""
        told = await self._ask()
        said = {number: each.readiness for number, each in told.items()}
        return readiness.of_host(said, self._states(told), is_stopping=self._is_stopping())

    async def _ask(self) -> dict[int, Told]:
        """Ask all workers that are up, at the same time."""
        numbers = [number for number in self._asked if self._roster.slots[number].state is State.UP]
        answers = await asyncio.gather(*(_answer(self._asked[number]) for number in numbers))
        return {
            number: answer
            for number, answer in zip(numbers, answers, strict=True)
            # One that ended meanwhile has been counted as such.
            if answer is not None and self._roster.slots[number].state is State.UP
        }

    def _states(self, told: Mapping[int, Told]) -> dict[int, str]:
        return {
            number: SILENT if slot.state is State.UP and number not in told else slot.state.value
            for number, slot in self._roster.slots.items()
        }


async def _answer(worker: Asked) -> Told | None:
    try:
        async with asyncio.timeout(PATIENCE):
            return await worker.ask()
    except TimeoutError:
        return None


@final
class _Counts(Collector):
    """What only the supervisor knows."""

    def __init__(self) -> None:
        self.states: dict[str, int] = {}
        self.ends = 0

    def collect(self) -> Iterator[Metric]:
        states = GaugeMetricFamily(
            "tidegate_workers", "Worker processes, by what they are at.", labels=("state",)
        )
        for word, count in self.states.items():
            states.add_metric((word,), count)
        yield states
        yield CounterMetricFamily(
            "tidegate_worker_ends", "How often a worker ended without being asked to.", self.ends
        )
