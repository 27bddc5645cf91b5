"""Explores every state that a scene can come to, nearest first, until a read is too old."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain
from time import perf_counter
from typing import Final, TypeAlias

from tests.model.commits import commit_steps
from tests.model.epochs import epoch_steps
from tests.model.grants import grant_steps
from tests.model.reads import read_steps
from tests.model.reduction import reduced
from tests.model.scene import Scene, Step, Steps
from tests.model.servers import replica_steps
from tests.model.states import Fleet
from tests.model.streams import stream_steps
from tests.model.views import view_steps

Reduction: TypeAlias = Callable[[Fleet, Scene], Fleet]

_PARTS: Final[tuple[Callable[[Fleet, Scene], Steps], ...]] = (
    commit_steps,
    replica_steps,
    stream_steps,
    grant_steps,
    read_steps,
    view_steps,
    epoch_steps,
)


@dataclass(frozen=True)
class Report:
    """What an exploration found.

    Attributes:
        states: How many different states were reached.
        seconds: How long that took.
        complete: There are no others. Where a violation or the cap ended it, there may be.
        trace: The steps of a shortest way to a read that is too old; empty: none was found.
    """

    states: int
    seconds: float
    complete: bool
    trace: tuple[str, ...] = ()

    def __str__(self) -> str:
        rate = self.states / self.seconds if self.seconds else 0.0
        how = f"{self.states} states in {self.seconds:.1f} s, {rate:.0f} a second"
        if self.trace:
            return "\n".join((f"a stale read after {how}", *map("  {}".format, self.trace)))
        return f"no stale read in all {how}" if self.complete else f"CUT OFF at the cap: {how}"


def next_steps(fleet: Fleet, scene: Scene) -> Iterator[Step]:
    """All that may happen next."""
    return chain.from_iterable(steps(fleet, scene) for steps in _PARTS)


def explore(scene: Scene, cap: int | None = None, *, reduce: Reduction = reduced) -> Report:
    """Visit all states, breadth first.

    Args:
        scene: The bounds.
        cap: How many states are kept before it is given up; None: no limit.
        reduce: What states are taken for the same.
    """
    started = perf_counter()
    first = scene.first()
    came_from: dict[Fleet, Fleet | None] = {first: None}
    nearest = [first]
    while nearest:
        farther = []
        for fleet in nearest:
            for _, reached in next_steps(fleet, scene):
                after = reduce(reached, scene)
                if after in came_from:
                    continue
                came_from[after] = fleet
                if after.stale:
                    trace = _trace(after, came_from, scene, reduce)
                    return Report(len(came_from), perf_counter() - started, False, trace)
                farther.append(after)
            if cap is not None and len(came_from) >= cap:
                return Report(len(came_from), perf_counter() - started, False)
        nearest = farther
    return Report(len(came_from), perf_counter() - started, True)


def _trace(
    last: Fleet, came_from: dict[Fleet, Fleet | None], scene: Scene, reduce: Reduction
) -> tuple[str, ...]:
    """Walk back to the beginning. Which step it was each time is found by taking it again."""
    steps = []
    before = came_from[last]
    while before is not None:
        steps.append(
            next(what for what, it in next_steps(before, scene) if reduce(it, scene) == last)
        )
        last, before = before, came_from[before]
    return tuple(reversed(steps))
