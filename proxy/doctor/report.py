"""What the doctor says: first what matters most, in plain words; no value of a statement ever."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from proxy.doctor.events import Unread
from proxy.doctor.findings import Cause, Findings, Traffic, most_read, most_written, share
from proxy.doctor.model import LEFT_OUT
from proxy.routing.advice import ADVICE, MEANINGS
from proxy.types import Reason

TOP: Final = 8
"""Tables that are shown."""

NAMES: Final = 4
"""Names that are shown behind a reason."""

SLOW: Final = 0.002
"""Seconds: where no statement of many is faster, the fast ones were not logged."""
MANY: Final = 50

EMPTIES: Final = "What empties the cache: it may have written to any table"
SLOWS: Final = "What makes commits slower: the server must be asked what was written"

UNSEEN: Final[dict[Reason, str]] = {
    Reason.SCHEMA: "change definitions in few steps, when it is quiet",
}
_PLAIN: Final = "use plain statements in its place, where cached tables matter"

ASKED: Final[dict[Reason, str]] = {Reason.FUNCTION: ADVICE[Reason.FUNCTION]}
_NO_MATTER: Final = "nothing, if two more trips to the primary at its commit are no matter"


@dataclass(frozen=True, slots=True)
class Origin:
    """What was read.

    Attributes:
        name: Of the log, or of the server.
        lines: How many; None for what has none.
        unread: Those that could not be read.
        logged: How statements come to be logged, or counted.
        problems: What else went wrong, a line each.
    """

    name: str
    lines: int | None
    unread: Unread
    logged: str
    problems: tuple[str, ...] = ()


class Line(NamedTuple):
    """A line of the report; a heading stands out on a terminal."""

    text: str
    is_heading: bool = False


def as_data(findings: Findings, origin: Origin) -> dict[str, Any]:
    """Put everything in a form for machines."""
    reads, away, hits = findings.reads, findings.away, findings.hits
    return {
        "source": origin.name,
        "lines": origin.lines,
        "unread_lines": origin.unread.count,
        "first_unread": origin.unread.first or None,
        "statements": findings.statements,
        "sessions": findings.sessions if findings.is_ordered else None,
        "kinds": {
            kind.value: count.calls
            for kind, count in sorted(findings.kinds.items(), key=lambda item: -item[1].calls)
        },
        "reads": reads.calls,
        "reads_that_may_leave": away.calls,
        "cache_hits": hits.calls if findings.is_ordered else None,
        "read_seconds": round(reads.seconds, 6) if reads.timed else None,
        "read_seconds_that_may_leave": round(away.seconds, 6) if reads.timed else None,
        "read_seconds_of_cache_hits": round(hits.seconds, 6) if reads.timed else None,
        "transactions": findings.transactions if findings.is_ordered else None,
        "transactions_that_need_no_server": findings.spared if findings.is_ordered else None,
        "failed": findings.failed,
        "of_no_known_session": findings.loose,
        "without_values": findings.valueless,
        "blocked": [_cause(cause) for cause in findings.blocked.top()],
        "not_cached": [_cause(cause) for cause in findings.uncached.top()],
        "counts_for_every_table": [_cause(cause) for cause in findings.unseen.top()],
        "asked_of_the_server": [_cause(cause) for cause in findings.asked.top()],
        "tables": [
            {"name": table.name, "reads": table.reads, "writes": table.writes}
            for table in sorted(findings.tables.values(), key=lambda t: (-t.writes, -t.reads))
        ],
        "other_databases": findings.elsewhere,
        "problems": list(origin.problems),
        "model_leaves_out": list(LEFT_OUT),
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "reason": cause.reason.value,
        "detail": cause.detail,
        "calls": cause.count.calls,
        "seconds": round(cause.count.seconds, 6),
        "example": cause.example,
    }


def as_lines(findings: Findings, origin: Origin) -> list[Line]:
    """Put what matters on lines, the most important first."""
    return [
        *_headline(findings, origin),
        *_causes("What keeps reads at the primary", findings.blocked.top(), findings),
        *_causes("What is not kept in the cache", findings.uncached.top(), findings),
        *_unforeseen(EMPTIES, findings.unseen.top(), UNSEEN, _PLAIN),
        *_unforeseen(SLOWS, findings.asked.top(), ASKED, _NO_MATTER),
        *_tables(findings),
        *_kinds(findings),
        *_limits(findings, origin),
    ]


def _headline(findings: Findings, origin: Origin) -> Iterator[Line]:
    reads, away, hits = findings.reads, findings.away, findings.hits
    read = f"{_counted(origin.lines, 'line')}, " if origin.lines is not None else ""
    who = f" of {_counted(findings.sessions, 'session')}" if findings.is_ordered else ""
    yield Line(f"{origin.name}: {read}{_counted(findings.statements, 'statement')}{who}")
    yield Line("")
    if not reads.calls:
        yield Line(f"There are no reads in it: {origin.logged}.", True)
        return
    yield Line(
        f"{share(away.calls, reads.calls):.1f} % of reads can leave the primary"
        f" ({away.calls:,} of {reads.calls:,})",
        True,
    )
    if findings.is_ordered:
        yield _part(hits.calls, reads.calls, "answered from the cache (a model, see the end)")
        yield _part(away.calls - hits.calls, reads.calls, "served by a replica")
        yield _part(reads.calls - away.calls, reads.calls, "stay at the primary")
    if reads.timed:
        yield Line(
            f"Reads took {_time(reads.seconds)}; {_time(away.seconds)} of that"
            f" ({share(away.seconds, reads.seconds):.0f} %) would leave the primary."
        )
    if findings.transactions:
        yield Line(
            f"{findings.spared:,} of {findings.transactions:,} transactions only read:"
            " no server would be asked to begin them."
        )


def _part(part: int, whole: int, what: str) -> Line:
    return Line(f"  {share(part, whole):5.1f} %  {what}")


@dataclass(slots=True)
class _Group:
    """Causes of one reason: what can be done is the same for all of them."""

    reason: Reason
    causes: list[Cause]

    @property
    def calls(self) -> int:
        return sum(cause.count.calls for cause in self.causes)

    @property
    def took(self) -> str:
        if not any(cause.count.timed for cause in self.causes):
            return ""
        return f", {_time(sum(cause.count.seconds for cause in self.causes))}"

    @property
    def names(self) -> str:
        """The names behind it, with their numbers where there are several."""
        named = [cause for cause in self.causes if cause.detail]
        if len(named) == 1:
            return named[0].detail
        shown = [f"{cause.detail} {cause.count.calls:,}" for cause in named[:NAMES]]
        return ", ".join([*shown, "..."] if len(named) > NAMES else shown)


def _groups(causes: Sequence[Cause]) -> list[_Group]:
    groups: dict[Reason, _Group] = {}
    for cause in causes:
        groups.setdefault(cause.reason, _Group(cause.reason, [])).causes.append(cause)
    return sorted(groups.values(), key=lambda group: -group.calls)


def _causes(title: str, causes: Sequence[Cause], findings: Findings) -> Iterator[Line]:
    if not causes:
        return
    yield from _titled(title)
    for group in _groups(causes):
        part = share(group.calls, findings.reads.calls)
        name = f": {group.names}" if group.names else ""
        count = f"  ({group.calls:,}{group.took})"
        yield Line(f"  {part:5.1f} %  {MEANINGS[group.reason]}{name}{count}")
        yield from _remedy(ADVICE.get(group.reason), group.causes[0])


def _unforeseen(
    title: str, causes: Sequence[Cause], advice: dict[Reason, str], otherwise: str
) -> Iterator[Line]:
    if not causes:
        return
    yield from _titled(title)
    for group in _groups(causes):
        yield Line(f"  {group.calls:7,}  {MEANINGS[group.reason]}: {group.names}")
        yield from _remedy(advice.get(group.reason, otherwise), group.causes[0])


def _remedy(advice: str | None, cause: Cause) -> Iterator[Line]:
    if advice is not None:
        yield Line(f"           do: {advice}")
    yield Line(f"           as: {cause.example}")


def _tables(findings: Findings) -> Iterator[Line]:
    written = most_written(findings.tables.values())[:TOP]
    read = most_read(findings.tables.values())[:TOP]
    if not written and not read:
        return
    yield from _titled("Busiest tables")
    yield from _traffic("by writes", written)
    yield from _traffic("by reads", read)


def _traffic(title: str, tables: Sequence[Traffic]) -> Iterator[Line]:
    width = max((len(table.name) for table in tables), default=0)
    if tables:
        yield Line(f"  {title:<{width}}  {'reads':>12}{'writes':>12}")
    for table in tables:
        yield Line(f"  {table.name:<{width}}  {table.reads:12,}{table.writes:12,}")


def _kinds(findings: Findings) -> Iterator[Line]:
    kinds = sorted(findings.kinds.items(), key=lambda item: -item[1].calls)
    if kinds:
        yield from _titled("Statements")
        yield Line("  " + ", ".join(f"{kind.value} {count.calls:,}" for kind, count in kinds))


def _limits(findings: Findings, origin: Origin) -> Iterator[Line]:
    """Say what stands behind the numbers, and what does not."""
    yield from _titled("What these numbers leave out")
    unread = origin.unread
    if unread.count:
        lines = _counted(unread.count, "line")
        yield Line(f"  {lines} could not be read (the first: {unread.first})")
    for database, calls in sorted(findings.elsewhere.items(), key=lambda item: -item[1]):
        yield Line(f"  {_counted(calls, 'statement')} in {database}: no definitions are at hand")
    for problem in origin.problems:
        yield Line(f"  {problem}")
    if findings.loose:
        yield Line(f"  {_counted(findings.loose, 'statement')} of no known session (no process in")
        yield Line("  the prefix, or --prefix is needed): their transactions were not followed")
    if findings.valueless:
        reads = _counted(findings.valueless, "read")
        yield Line(f"  {reads} without their values (log_error_verbosity = terse?): no hits")
    if findings.failed:
        errors = _counted(findings.failed, "error")
        yield Line(f"  {errors}: what follows one in a transaction counts for the primary")
    if findings.shortest is not None and findings.shortest >= SLOW and _timed(findings) >= MANY:
        yield Line(
            f"  every statement took {findings.shortest * 1000:.0f} ms or more: faster ones were"
            " not logged, and all shares are of slow ones"
        )
    if findings.is_ordered:
        yield Line("  The cache and the sessions are modelled. The model leaves out")
        for what in LEFT_OUT:
            yield Line(f"  - {what}")
    else:
        yield Line("  Totals have no order and no values: they do not tell what transactions and")
        yield Line("  the cache make of these reads.")


def _timed(findings: Findings) -> int:
    return sum(count.timed for count in findings.kinds.values())


def _titled(title: str) -> Iterator[Line]:
    yield Line("")
    yield Line(title, True)


def _time(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 1 else f"{seconds * 1000:,.0f} ms"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'' if count == 1 else 's'}"
