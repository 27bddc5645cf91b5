"""Numbers for values: which version of its object each operation wrote or saw.

Where the numbers come from depends on the kind of object (see `history`). On the way comes
to light what no order of the writes explains: values from nowhere, from a write that was
rolled back, from one that began later, half transactions, lists that contradict each other.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from tests.consistency.anomalies import Anomaly, Kind
from tests.consistency.history import Act, Operation, Outcome, Pair, Value

END = ","
"""Comes behind each element in the text of a list."""


class Step(NamedTuple):
    """One operation, as far as it concerns one object."""

    operation: Operation
    name: str
    version: int


Found: TypeAlias = int | Anomaly
"""A version, or why there is none."""


@dataclass(slots=True)
class Lists:
    """The order of one list's elements: that of the longest text anybody read.

    Attributes:
        writers: Who appended an element.
        longest: The longest text read, and by whom.
    """

    writers: dict[str, Operation] = field(default_factory=dict)
    longest: str = ""
    longest_reader: Operation | None = None
    places: dict[str, int] = field(default_factory=dict)
    ends: list[int] = field(default_factory=list)
    latest: list[float] = field(default_factory=list)

    def saw(self, text: str, reader: Operation) -> None:
        if len(text) > len(self.longest):
            self.longest, self.longest_reader = text, reader

    def settle(self, name: str) -> list[Anomaly]:
        """Number the elements, once every text is known; returns what is wrong with them."""
        anomalies: list[Anomaly] = []
        reader = self.longest_reader
        if reader is None:
            return anomalies
        latest, end = 0.0, 0
        for element in self.longest.split(END)[:-1]:
            end += len(element) + len(END)
            writer = self.writers.get(element)
            if element in self.places:
                anomalies.append(Anomaly(Kind.REPEATED, name, reader, writer))
            if writer is None:
                anomalies.append(Anomaly(Kind.NEVER_WRITTEN, name, reader))
            elif writer.outcome is Outcome.FAILED:
                anomalies.append(Anomaly(Kind.ROLLED_BACK, name, reader, writer))
            else:
                latest = max(latest, writer.start)
            self.places[element] = len(self.ends) + 1
            self.ends.append(end)
            self.latest.append(latest)
        return anomalies

    def appended(self, element: str) -> int:
        """Number an append. What nobody has ever seen must come after all that was."""
        return self.places.get(element, len(self.ends) + 1)

    def read(self, name: str, text: str, reader: Operation) -> Found:
        """Number a text: how many elements it holds."""
        if not text:
            return 0
        place = bisect_left(self.ends, len(text))
        if not self.longest.startswith(text) or self.ends[place] != len(text):
            return Anomaly(Kind.REORDERED, name, reader, self.longest_reader)
        if self.latest[place] > reader.end:
            return Anomaly(Kind.FROM_THE_FUTURE, name, reader)
        return place + 1


class Versions:
    """Turns operations into steps.

    Attributes:
        steps: Of all operations that certainly happened.
        anomalies: What was found on the way.
    """

    def __init__(self, operations: list[Operation]) -> None:
        self.steps: list[Step] = []
        self.anomalies: list[Anomaly] = []
        self._written: dict[tuple[str, int], Operation] = {}
        self._totals: dict[str, int] = {}
        self._lists: dict[str, Lists] = {}
        for operation in operations:
            self._learn(operation)
        for name, it in self._lists.items():
            self.anomalies += it.settle(name)
        for operation in operations:
            if operation.outcome is Outcome.OK:
                self.steps += self._steps_of(operation)

    def _learn(self, operation: Operation) -> None:
        """Note who wrote what, and the longest text of each list."""
        for name, value in operation.values:
            if isinstance(value, str):
                it = self._lists.setdefault(name, Lists())
                if operation.act is Act.WRITE:
                    it.writers[value] = operation
                elif operation.outcome is Outcome.OK:
                    it.saw(value, operation)
            elif operation.act is Act.WRITE:
                key = (name, _number(value))
                if key in self._written:
                    raise ValueError(f"{name} = {value} was written twice: nothing can be told")
                self._written[key] = operation
                if isinstance(value, Pair):
                    self._totals[name] = value.total

    def _steps_of(self, operation: Operation) -> Iterator[Step]:
        for name, value in operation.values:
            found = self._version(operation, name, value)
            if isinstance(found, Anomaly):
                self.anomalies.append(found)
            else:
                yield Step(operation, name, found)

    def _version(self, operation: Operation, name: str, value: Value) -> Found:
        if isinstance(value, str):
            it = self._lists[name]
            if operation.act is Act.WRITE:
                return it.appended(value)
            return it.read(name, value, operation)
        if operation.act is Act.WRITE:
            return _number(value)
        if isinstance(value, Pair) and (
            value.left != value.right or value.total != self._totals.get(name)
        ):
            writer = self._written.get((name, max(value.left, value.right)))
            return Anomaly(Kind.FRACTURED, name, operation, writer)
        return self._read(operation, name, _number(value))

    def _read(self, operation: Operation, name: str, version: int) -> Found:
        writer = self._written.get((name, version))
        if writer is None:
            return Anomaly(Kind.NEVER_WRITTEN, name, operation)
        if writer.outcome is Outcome.FAILED:
            return Anomaly(Kind.ROLLED_BACK, name, operation, writer)
        if writer.start > operation.end:
            return Anomaly(Kind.FROM_THE_FUTURE, name, operation, writer)
        return version


def _number(value: int | Pair) -> int:
    return value.left if isinstance(value, Pair) else value
