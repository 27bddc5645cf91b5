"""What a process tells of itself, as data that another process can add to its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias, final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

Sample: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]
"""The name of a series (with `_total`, `_bucket` and the like), and its labels."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric: its series and their values."""

    name: str
    kind: str  # as Prometheus calls it
    text: str
    samples: dict[Sample, float]


def families(metrics: Iterable[Metric]) -> list[Family]:
    """Take what was collected out of the library's own objects."""
    return [
        Family(
            metric.name,
            metric.type,
            metric.documentation,
            {
                (sample.name, tuple(sample.labels.items())): float(sample.value)
                for sample in metric.samples
            },
        )
        for metric in metrics
    ]


def render(told: Iterable[Family]) -> bytes:
    """Return the text to answer a scrape with."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(told))
    return generate_latest(registry)


@final
class _Told(Collector):
    """Tells what it was given."""

    def __init__(self, told: Iterable[Family]) -> None:
        self._told = told

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        for family in self._told:
            metric = Metric(family.name, family.text, family.kind)
            for (name, labels), value in family.samples.items():
                metric.add_sample(name, dict(labels), value)
            yield metric
