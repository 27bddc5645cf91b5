"""Which worker is to be started, and which to be killed. Pure: times are given.

A worker that ends is started again: at once if it had lasted, else after a pause that doubles each
time. The first start is another matter: if that fails before any worker has been ready, it fails
as a single process would.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final, final

HANGS: Final = 10.0
"""Seconds of silence after which a worker counts as hanging. It beats every second; a full
collection of garbage, or a statement that is long to read, holds it up for less than one."""

SLOW_START: Final = 60.0
"""Seconds that a start may take."""

LASTING: Final = 30.0
"""Seconds after which a worker's end has nothing to do with its start."""

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 15.0
"""Seconds before the second try in a row, and between any two."""

TRIES: Final = 6
"""Starts in a row that come to nothing, while no worker is there, before it is given up."""


@unique
class State(Enum):
    """What a worker is at."""

    DOWN = "down"
    STARTING = "starting"
    UP = "up"


@final
class Slot:
    """One worker's place; who has it changes."""

    __slots__ = ("due", "failures", "heard", "since", "state")

    def __init__(self) -> None:
        self.state = State.DOWN
        self.due = 0.0  # while it is down: when to start it
        self.since = 0.0  # when it was started
        self.heard = 0.0  # when it was last heard of
        self.failures = 0  # ends soon after their start, in a row


@final
class Roster:
    """See the module.

    Args:
        count: Of workers; their numbers begin with 1.
        hangs: Seconds of silence.
    """

    __slots__ = ("_fruitless", "_hangs", "_looked_at", "slots", "was_ready")

    def __init__(self, count: int, hangs: float = HANGS) -> None:
        self.slots = {number: Slot() for number in range(1, count + 1)}
        self.was_ready = False  # some worker, once
        self._hangs = hangs
        self._fruitless = 0  # ends before they were ready, since one was
        self._looked_at = 0.0

    def due(self, now: float) -> list[int]:
        """Return who is to be started."""
        return [
            number
            for number, slot in self.slots.items()
            if slot.state is State.DOWN and slot.due <= now
        ]

    def started(self, number: int, now: float) -> None:
        """It is a process now."""
        slot = self.slots[number]
        slot.state = State.STARTING
        slot.since = slot.heard = now

    def ready(self, number: int, now: float) -> None:
        """It serves clients."""
        slot = self.slots[number]
        slot.state = State.UP
        slot.heard = now
        self.was_ready = True
        self._fruitless = 0

    def heard(self, number: int, now: float) -> None:
        """It is alive."""
        self.slots[number].heard = now

    def ended(self, number: int, now: float) -> None:
        """It is no process any more."""
        slot = self.slots[number]
        if slot.state is not State.UP:
            self._fruitless += 1
        slot.state = State.DOWN
        if now - slot.since >= LASTING:
            slot.failures = 0
        # With the first failure it may have been by chance: clients wait.
        pause = FIRST_PAUSE * 2.0 ** (slot.failures - 1) if slot.failures else 0.0
        slot.due = now + min(pause, LONGEST_PAUSE)
        slot.failures += 1

    @property
    def is_hopeless(self) -> bool:
        """Tell if no worker is there, and none will be."""
        if any(slot.state is State.UP for slot in self.slots.values()):
            return False
        return self._fruitless >= (TRIES if self.was_ready else 1)

    def hanging(self, now: float) -> list[int]:
        """Return who has been silent for too long. To be asked every second or more often."""
        if now - self._looked_at > self._hangs / 2:
            # It was us who were stopped: what they have said meanwhile has not been read yet.
            for slot in self.slots.values():
                slot.heard = now
        self._looked_at = now
        limits = {State.UP: self._hangs, State.STARTING: SLOW_START}
        return [
            number
            for number, slot in self.slots.items()
            if slot.state in limits and now - slot.heard > limits[slot.state]
        ]

    def count(self, state: State) -> int:
        """Count the workers in a state."""
        return sum(slot.state is state for slot in self.slots.values())
