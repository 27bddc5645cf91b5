"""What the proxy counted, read as anybody can: from /metrics."""

from __future__ import annotations

from collections import Counter
from typing import final

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


@final
class Scrape:
    """The samples of one scrape, or what was counted between two."""

    __slots__ = ("_samples",)

    def __init__(self, samples: dict[tuple[str, Labels], float]) -> None:
        self._samples = samples

    @classmethod
    def parse(cls, text: str) -> Scrape:
        return cls(
            {
                (sample.name, frozenset(sample.labels.items())): sample.value
                for family in text_string_to_metric_families(text)
                for sample in family.samples
            }
        )

    def __sub__(self, earlier: Scrape) -> Scrape:
        """Return what was counted since an earlier scrape."""
        return Scrape(
            {key: value - earlier._samples.get(key, 0.0) for key, value in self._samples.items()}
        )

    def total(self, name: str, **labels: str) -> int:
        """Add up a metric's samples that have these labels."""
        return sum(self.by("", name, **labels).values())

    def by(self, label: str, name: str, **labels: str) -> Counter[str]:
        """Add up a metric's samples that have these labels, apart by the value of another."""
        found: Counter[str] = Counter()
        for (sample, own), value in self._samples.items():
            if sample == name and labels.items() <= own:
                found[dict(own).get(label, "")] += round(value)
        return +found
