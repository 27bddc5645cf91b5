"""Who is to blame for the errors of a fleet's clients: a killed member, a primary, or nobody.

Nobody may have one for anything else: not for Redis, whatever befalls it, not for a replica, not
for a member that stands still, nor for one that is cut off from the others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.consistency.anomalies import Verdict
from tests.consistency.faults import Fault
from tests.consistency.fleet import MEMBERS, WAY, member_names
from tests.consistency.history import Event

SETTLING: Final = 6.0
"""Seconds within which every member has found the primary again, on a busy machine."""

TOLD: Final = frozenset(
    {
        *("", "-1"),  # nothing: the connection broke, or was refused
        *("08000", "08003", "08006", "08007", "57P01", "57P02", "57P03", "25006", "53300"),
        *("2002", "2003", "2006", "2013", "2055", "1053", "1203", "1290", "1317", "1836", "1927"),
        "3024",  # Connector/Python's own, where nothing has come for 10 s
    }
)
"""What may be said to clients then, by us, by the server or by their driver: nothing but that."""

TRY_AGAIN: Final = frozenset({"40001", "1213"})
"""What `repeatable_read = "versioned"` answers where what was read has been written since."""


@dataclass(slots=True)
class Blame:
    """Who is to blame for what.

    Attributes:
        counts: How many errors there were, by whose fault and by the code.
        unexplained: Those that nobody is to blame for.
        latest: Seconds behind the end of an outage, of the last error it is blamed for.
    """

    counts: Counter[tuple[str, str]]
    unexplained: list[Event]
    latest: float = 0.0

    @classmethod
    def of(cls, verdict: Verdict) -> Blame:
        """Look for a reason for each."""
        history = verdict.history
        deaths = _of_members(history.events, Fault.KILL, Fault.STOP)
        pauses = _of_members(history.events, Fault.PAUSE)
        outages = [it for it in history.events if it.text.startswith("primary ")]
        ways = [it for it in history.events if it.text.startswith(f"{WAY} ")]
        blame = cls(Counter(), [])
        for error in history.errors:
            absences = outages + (ways if error.place == MEMBERS - 1 else [])
            still = pauses[error.place]
            reason = "nobody"
            if error.code in TRY_AGAIN:
                reason = "versioned snapshot"
            elif any(_is_by(error, it) for it in deaths[error.place]):
                reason = "killed member"
            else:
                ends = [it.end for it in absences if _meet(error, it, _settled(it, still) - it.end)]
                if ends:
                    reason = "primary away"
                    blame.latest = max(blame.latest, error.start - max(ends))
            blame.counts[reason, error.code or "no answer"] += 1
            if reason == "nobody" or error.code not in TOLD | TRY_AGAIN:
                blame.unexplained.append(error)
        return blame

    def report(self, verdict: Verdict) -> str:
        """Tell it, with everything that happened if there is something to find out."""
        lines = [
            f"  {number} {whose}: {code}" for (whose, code), number in sorted(self.counts.items())
        ]
        lines.append(f"  {self.latest:.1f} s behind an outage at the latest")
        origin = min((it.start for it in verdict.history.operations), default=0.0)
        if self.unexplained:
            events = sorted(verdict.history.events, key=lambda it: it.start)
            samples = {(it.place, it.code): it for it in self.unexplained}
            lines.append(f"{len(self.unexplained)} errors that nobody is to blame for")
            lines += [
                f"  [{it.start - origin:.3f}, {it.end - origin:.3f}] s: {it.text}"
                for it in [*samples.values(), *events]
            ]
        return "\n".join(lines)


def _of_members(events: Sequence[Event], *faults: Fault) -> list[list[Event]]:
    """Gather what happened of some kinds, by members."""
    return [
        [it for it in events if it.text in {f"{name} {fault.value}" for fault in faults}]
        for name in member_names()
    ]


def _is_by(error: Event, death: Event) -> bool:
    """Tell whether a member's death explains an error, if only by a connection of before it.

    Of which an idle client finds out when it uses it next: it reads the member's last words then.
    """
    return min(error.start, error.since) <= death.end and error.end >= death.start


def _meet(error: Event, event: Event, settling: float = 0.0) -> bool:
    return error.start <= event.end + settling and error.end >= event.start


def _settled(outage: Event, still: Sequence[Event]) -> float:
    """Return until when a member may notice an outage: if it stands still, when it goes on."""
    ends = [it.end for it in still if _meet(it, outage, SETTLING)]
    return max([outage.end, *ends]) + SETTLING
