"""Gathering what a statement touches, of whatever engine: the sum, and the way to each part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from proxy.sql.access import Access
from proxy.sql.routines import Judgement, Verdict
from proxy.sql.statement import Statement
from proxy.types import Reason

MAX_DEPTH: Final = 50
"""Views and functions upon each other; far above what people write, far below our stack."""

MAX_PARTS: Final = 2_000
"""Statements beneath one statement: reading them for the first time takes up to half a second."""


class Step(NamedTuple):
    """A step on the way from a statement to a table, for people."""

    kind: str
    name: str


class Gathering:
    """What has been found so far.

    Attributes:
        reads: Oids of what is read.
        writes: Oids of what is changed.
        access: Everything else.
        ways: By which way each oid came in, if anybody wants to know: by oid and whether it is
            written.
    """

    def __init__(self) -> None:
        """Begin with nothing touched."""
        self._trail: list[Step] = []
        self.ways: dict[tuple[int, bool], tuple[Step, ...]] | None = None
        self.reads: set[int] = set()
        self.writes: set[int] = set()
        self.access = Access()
        self._depth = 0  # of statements within statements
        self._parts = 0  # statements seen

    def whole(self, statement: Statement) -> None:
        """Take everything that a statement names, and draw the sum."""
        raise NotImplementedError

    def _call(self, oid: int) -> None:
        """Follow a function into what it runs."""
        raise NotImplementedError

    def _believes_labels(self) -> bool:
        """Tell if what is read here is said to depend on nothing, and that is believed."""
        return False

    def _take(self, judgement: Judgement, *, hidden: bool = True) -> None:
        """Draw the consequences of what is called.

        Args:
            judgement: What it may do.
            hidden: Whether that may be done past the transaction, if it may be anything.
        """
        if judgement.is_good:
            return
        if judgement.taints:
            self.access.taints = True
        for oid in judgement.follow:
            self._call(oid)
        verdict = judgement.verdict
        if verdict is Verdict.ANYTHING:
            # Whatever is believed: that is no promise of what it calls.
            self._cannot_tell(Reason.FUNCTION, judgement.detail, hidden=hidden)
        elif self._believes_labels():
            return
        elif verdict is Verdict.CLOCK:
            self._keep_out(Reason.CLOCK, judgement.detail)
        elif verdict is Verdict.DICE:
            self._keep_out(Reason.VOLATILE, judgement.detail)
        elif verdict is Verdict.PRIMARY:
            self._refuse(Reason.FUNCTION, judgement.detail)

    def _write(self, oid: int) -> None:
        self.writes.add(oid)
        if self._depth:
            self.access.counted = False
        if self.ways is not None:
            self._record((oid,), is_written=True)

    def _record(self, oids: Iterable[int], *, is_written: bool) -> None:
        assert self.ways is not None
        for oid in oids:
            self.ways.setdefault((oid, is_written), tuple(self._trail))

    def _cannot_tell(self, reason: Reason, detail: str, *, hidden: bool = True) -> None:
        """Note that it may do anything, its definitions and its session included."""
        self.access.hidden = self.access.hidden or hidden
        self._refuse(reason, detail)
        if not self.access.unseen:
            steps = [f"{kind} {name}" for kind, name in self._trail]
            if not (steps and steps[-1].endswith(detail)):
                steps.append(detail)
            self.access.unseen = " -> ".join(steps)
        self.access.exact = False
        self.access.schema = True
        self.access.taints = True

    def _refuse(self, reason: Reason, detail: str) -> None:
        """Note why no replica may serve it; the first reason is the one that is told."""
        if self.access.replica is None:
            self.access.replica = reason
            self.access.detail = detail
        self._keep_out(reason, detail)

    def _keep_out(self, reason: Reason, detail: str) -> None:
        if reason is Reason.CLOCK:
            self.access.clock = True
        if self.access.cache is None:
            self.access.cache = reason
            self.access.detail = self.access.detail or detail
