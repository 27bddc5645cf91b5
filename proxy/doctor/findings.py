"""What the doctor counts, by statement, by reason, by table. Bounded, however long the log is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, final

from proxy.sql.statement import Kind
from proxy.types import Reason

SHOWN: Final = 160
"""Characters of a statement that are shown."""

EXAMPLES: Final = 100
"""Statements that are told apart below one reason; later ones are counted, and not shown."""

CAUSES: Final = 5_000
"""Reasons with a name that are told apart."""

TABLES: Final = 20_000
"""Tables that are told apart."""


@dataclass(slots=True)
class Count:
    """How often, and for how long.

    Attributes:
        timed: How many of the calls have a time.
    """

    calls: int = 0
    seconds: float = 0.0
    timed: int = 0

    def add(self, calls: int = 1) -> None:
        self.calls += calls

    def time(self, seconds: float, calls: int = 1) -> None:
        self.seconds += seconds
        self.timed += calls


@dataclass(slots=True)
class Cause:
    """Why something was not done, and for which statements."""

    reason: Reason
    detail: str
    count: Count = field(default_factory=Count)
    examples: dict[str, int] = field(default_factory=dict)

    @property
    def example(self) -> str:
        """The statement that it was most often."""
        return max(self.examples, key=self.examples.__getitem__, default="")

    def add(self, statement: str, calls: int = 1) -> None:
        self.count.calls += calls
        known = self.examples.get(statement)
        if known is not None or len(self.examples) < EXAMPLES:
            self.examples[statement] = (known or 0) + calls


@final
class Causes:
    """Causes, told apart by their reason and the name behind it."""

    def __init__(self) -> None:
        self._causes: dict[tuple[Reason, str], Cause] = {}

    def find(self, reason: Reason, detail: str = "") -> Cause:
        """Find or make one; past the limit, names are not told apart any more."""
        cause = self._causes.get((reason, detail))
        if cause is None:
            if len(self._causes) >= CAUSES:
                detail = "others"
            cause = self._causes.setdefault((reason, detail), Cause(reason, detail))
        return cause

    def top(self) -> list[Cause]:
        """List them, the most frequent first."""
        return sorted(self._causes.values(), key=lambda cause: -cause.count.calls)


@dataclass(slots=True)
class Traffic:
    """What is done to one table."""

    name: str
    reads: int = 0
    writes: int = 0


@dataclass(slots=True)
class Findings:
    """What was found.

    Attributes:
        kinds: Statements, by kind.
        reads: All reads.
        away: Those that may leave the primary, hits included.
        hits: Those that the cache would have answered.
        blocked: Why reads stay at the primary.
        uncached: Why reads that may leave it are not kept.
        asked: Why the server would be asked before a commit what was written.
        unseen: What makes writes count for every table.
        tables: By database and oid.
        sessions: How many were seen.
        transactions: How many ended.
        spared: How many of those no server would have known of.
        failed: Statements that failed.
        loose: Statements of which the log does not say in which session they were run.
        valueless: Reads with parameters whose values are not in the log.
        elsewhere: Statements in databases that nothing is known of.
        is_ordered: Whether statements came one by one, in their order.
        shortest: Seconds that the fastest statement took.
    """

    kinds: dict[Kind, Count] = field(default_factory=dict)
    reads: Count = field(default_factory=Count)
    away: Count = field(default_factory=Count)
    hits: Count = field(default_factory=Count)
    blocked: Causes = field(default_factory=Causes)
    uncached: Causes = field(default_factory=Causes)
    asked: Causes = field(default_factory=Causes)
    unseen: Causes = field(default_factory=Causes)
    tables: dict[tuple[str, int], Traffic] = field(default_factory=dict)
    sessions: int = 0
    transactions: int = 0
    spared: int = 0
    failed: int = 0
    loose: int = 0
    valueless: int = 0
    elsewhere: dict[str, int] = field(default_factory=dict)
    is_ordered: bool = True
    shortest: float | None = None

    @property
    def statements(self) -> int:
        """All statements that were looked at."""
        return sum(count.calls for count in self.kinds.values())

    @property
    def writes(self) -> int:
        """Those that change rows."""
        return self.kinds[Kind.WRITE].calls if Kind.WRITE in self.kinds else 0

    def kind(self, kind: Kind) -> Count:
        return self.kinds.setdefault(kind, Count())


def shorten(text: str) -> str:
    """Cut a statement to what is shown of it."""
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def share(part: float, whole: float) -> float:
    """A part of a whole, in percent."""
    return 100.0 * part / whole if whole else 0.0


def most_read(tables: Iterable[Traffic]) -> list[Traffic]:
    """Sort tables by their reads, the busiest first; those without are left out."""
    return sorted((t for t in tables if t.reads), key=lambda t: -t.reads)


def most_written(tables: Iterable[Traffic]) -> list[Traffic]:
    """Sort tables by their writes, the busiest first; those without are left out."""
    return sorted((t for t in tables if t.writes), key=lambda t: -t.writes)
