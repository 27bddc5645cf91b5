"""What can be wrong with a history, in words that an engineer can act on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, unique

from tests.consistency.history import Act, Event, History, Operation, Value


@unique
class Kind(Enum):
    """The name of an anomaly, and what it says to its reader."""

    STALE = "a read missed a write acknowledged before it began"
    WENT_BACK = "a read returned less than another that had ended before it began"
    OWN_WRITE_MISSED = "a client did not see its own write"
    OWN_READ_UNDONE = "a client saw less than it had seen before"
    NEVER_WRITTEN = "a read returned what nobody wrote"
    ROLLED_BACK = "a read returned what was rolled back"
    FROM_THE_FUTURE = "a read returned what was not yet being written"
    FRACTURED = "a read returned half of a transaction"
    REORDERED = "two reads of a list disagree on its order"
    REPEATED = "a list holds an element twice"
    MISORDERED = "a write took its place before something that had ended when it began"
    TORN = "what a read saw of several rows was never there at one instant"
    FORK = "two reads of several rows each lack what the other has"


@dataclass(slots=True)
class Anomaly:
    """One thing wrong.

    Attributes:
        kind: What.
        name: The object, or the objects, that it shows on.
        operation: Whose answer is wrong.
        witness: What proves it, if that is another operation.
    """

    kind: Kind
    name: str
    operation: Operation
    witness: Operation | None = None

    def describe(self, history: History, origin: float) -> str:
        """Tell it: who, what, how, when, against whom, and what befell the servers then.

        Args:
            history: Where it was found.
            origin: The instant that others are counted from.
        """
        lines = [f"{self.kind.value}: {self.name}", f"  {_tell(self.operation, origin)}"]
        begin = self.operation.start
        if self.witness is not None:
            gap = (self.operation.start - self.witness.end) * 1000.0
            apart = f"{gap:.3f} ms before" if gap > 0 else "overlapping"
            lines.append(f"  {_tell(self.witness, origin)} ({apart})")
            begin = min(begin, self.witness.start)
        for event in history.events:
            if event.start <= self.operation.end and event.end >= begin:
                lines.append(f"  meanwhile {_span(event, origin)}: {event.text}")
        return "\n".join(lines)


def _tell(operation: Operation, origin: float) -> str:
    verb = "got" if operation.act is Act.READ else "wrote"
    values = ", ".join(f"{name} = {_show(value)}" for name, value in operation.values)
    return (
        f"{operation.client} {verb} {values} ({operation.outcome.value})"
        f" in {_span(operation, origin)} by {operation.way}"
    )


def _span(it: Operation | Event, origin: float) -> str:
    return f"[{it.start - origin:.6f}, {it.end - origin:.6f}] s"


def _show(value: Value) -> str:
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:30]} ... {text[-60:]} ({len(text)} long)"


@dataclass(slots=True)
class Verdict:
    """What the judge says of a history.

    Attributes:
        history: The one judged.
        anomalies: In the order of the operations' beginnings.
    """

    history: History
    anomalies: list[Anomaly]

    def __bool__(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.anomalies

    @property
    def kinds(self) -> set[Kind]:
        return {it.kind for it in self.anomalies}

    def report(self, limit: int = 5) -> str:
        """Describe it all in short, and the first anomalies in full."""
        operations = self.history.operations
        reads, writes = (self.history.count(act) for act in (Act.READ, Act.WRITE))
        lines = [f"{len(self.anomalies)} anomalies in {reads} reads and {writes} writes"]
        lines += _tally("", (it.kind.name for it in self.anomalies))
        lines += _tally("of ", (it.name.partition(":")[0] for it in self.anomalies))
        lines += _tally("by ", (it.operation.way for it in self.anomalies))
        origin = min((it.start for it in operations), default=0.0)
        lines += [it.describe(self.history, origin) for it in self.anomalies[:limit]]
        if self.history.errors:
            lines.append(f"{len(self.history.errors)} errors")
            lines += _tally("", (it.text for it in self.history.errors))
        return "\n".join(lines)


def _tally(word: str, them: Iterable[str]) -> list[str]:
    return [f"  {count} {word}{name}" for name, count in Counter(them).most_common(8)]
