"""Whether a host is ready, from what its workers say. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Readiness:
    """What one worker says of its server groups, by their names."""

    problems: dict[str, list[str]]  # in the way of serving
    notes: dict[str, list[str]]  # what an operator should know all the same

    @property
    def is_ready(self) -> bool:
        """Tell if nothing is in the way."""
        return not any(self.problems.values())


def of_host(
    told: Mapping[int, Readiness], states: Mapping[int, str], *, is_stopping: bool
) -> tuple[bool, dict[str, object]]:
    """Say whether a host is ready, and what /readyz shows.

    Ready it is as soon as one worker is; what is in the others' way becomes a note.

    Args:
        told: By the numbers of the workers that have answered.
        states: Of all workers.
        is_stopping: Whether it is on its way out.
    """
    is_ready = not is_stopping and any(each.is_ready for each in told.values())
    groups: dict[str, list[str]] = {}
    notes: dict[str, list[str]] = {}
    for number, each in sorted(told.items()):
        for name, problems in each.problems.items():
            said = groups.setdefault(name, [])
            if is_ready:
                _note(notes, name, [f"worker {number}: {problem}" for problem in problems])
            else:
                said += [problem for problem in problems if problem not in said]
        for name, more in each.notes.items():
            _note(notes, name, more)
    if is_stopping:
        groups["process"] = ["shutting down"]
    elif not told:
        groups["process"] = ["no worker answers"]
    body: dict[str, object] = {
        "ready": is_ready,
        "groups": groups,
        "workers": {str(number): state for number, state in sorted(states.items())},
    }
    if notes:
        body["notes"] = notes
    return is_ready, body


def _note(notes: dict[str, list[str]], name: str, texts: list[str]) -> None:
    for text in texts:
        said = notes.setdefault(name, [])
        if text not in said:
            said.append(text)
