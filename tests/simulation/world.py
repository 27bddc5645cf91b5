"""Virtual time: what happens when, and who goes on with what."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Generator
from itertools import count
from random import Random


class Signal:
    """Something to wait for; whoever waits goes on when it is given."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def give(self) -> None:
        """Let all who wait go on."""
        waiting, self.waiting = self.waiting, []
        for go_on in waiting:
            go_on()


Steps = Generator[float | Signal, None, None]
"""What somebody does: each `yield` is for some seconds, or until a signal."""


class World:
    """One seed's time.

    Attributes:
        now: Seconds.
        random: Draws everything.
    """

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = Random(seed)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        """Have something happen."""
        heapq.heappush(self._events, (self.now + seconds, next(self._order), what))

    def start(self, steps: Steps, body: Body | None = None) -> None:
        """Have somebody begin; a body that is paused does nothing, and a dead one never again."""
        self.after(0.0, lambda: self._go_on(steps, body))

    def run(self, until: float) -> None:
        """Let everything happen that does by then."""
        while self._events and self._events[0][0] <= until:
            self.now, _, what = heapq.heappop(self._events)
            what()
        self.now = until

    def short(self, mean: float) -> float:
        """Draw how long something takes that takes as long on average; never above 20 times it."""
        return min(self.random.expovariate(1 / mean), 20 * mean)

    def _go_on(self, steps: Steps, body: Body | None) -> None:
        if body is not None and body.is_dead:
            return
        if body is not None and body.paused_until > self.now:
            self.after(body.paused_until - self.now, lambda: self._go_on(steps, body))
            return
        try:
            wanted = next(steps)
        except StopIteration:
            return
        if isinstance(wanted, Signal):
            wanted.waiting.append(lambda: self.start(steps, body))
        else:
            self.after(wanted, lambda: self._go_on(steps, body))


class Body:
    """What can be paused, and killed."""

    def __init__(self) -> None:
        self.is_dead = False
        self.paused_until = -1.0
