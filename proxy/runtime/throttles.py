"""The lines of those who wait until a rule lets their statement through."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from proxy.errors import PoolTimeout
from proxy.routing.rules import Match
from proxy.routing.throttle import Throttle
from proxy.session.ports import Throttled, Waiter


@final
class ThrottleLine:
    """One rule's line: first come, first served."""

    __slots__ = (
        "_clock",
        "_is_going_on",
        "_limit",
        "_name",
        "_throttle",
        "_timer",
        "_waiting",
    )

    def __init__(
        self, name: str, throttle: Throttle, clock: Callable[[], float], limit: float
    ) -> None:
        self._name = name
        self._throttle = throttle
        self._clock = clock
        self._limit = limit
        self._waiting: dict[Waiter, tuple[Throttled, Callable[[], bool], float]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._is_going_on = False

    def enter(self, waiter: Throttled, is_running: Callable[[], bool]) -> bool:
        """Let a statement through; False: it stands in line."""
        now = self._clock()
        if not self._waiting and self._throttle.enter(now, is_running):
            return True
        self._waiting[waiter] = (waiter, is_running, now)
        self._look_later(now)
        return False

    def leave(self, waiter: Waiter) -> None:
        """Step out."""
        self._waiting.pop(waiter, None)

    def go_on(self) -> None:
        """Let through who may be: a statement has ended, or time has passed."""
        if self._is_going_on:
            return  # one that was let through has ended at once: its place is seen below
        self._is_going_on = True
        try:
            self._let_through()
        finally:
            self._is_going_on = False

    def _let_through(self) -> None:
        now = self._clock()
        while self._waiting:
            first = next(iter(self._waiting))
            waiter, is_running, _ = self._waiting[first]
            if not self._throttle.enter(now, is_running):
                break
            del self._waiting[first]
            waiter.admitted()
        if self._waiting:
            self._look_later(now)

    def open(self) -> None:
        """Let everybody through: the rule is no more."""
        waiting, self._waiting = self._waiting, {}
        for waiter, _, _ in waiting.values():
            waiter.admitted()

    def end_long_waits(self, now: float) -> None:
        """Tell those who have waited for too long."""
        for waiter, (_, _, since) in list(self._waiting.items()):
            if now - since >= self._limit and self._waiting.pop(waiter, None) is not None:
                waiter.not_acquired(
                    PoolTimeout(
                        f'rule "{self._name}" let no statement through within {self._limit:g} s'
                        f" ({len(self._waiting)} more waiting)"
                    )
                )

    def _look_later(self, now: float) -> None:
        opens_at = self._throttle.opens_at(now)
        if opens_at > now and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(opens_at - now, self._look)

    def _look(self) -> None:
        self._timer = None
        self.go_on()


@final
class Throttles:
    """All the lines of a server group.

    Args:
        clock: Seconds.
        limit: Of a wait, in seconds.
    """

    __slots__ = ("_clock", "_limit", "_lines")

    def __init__(self, clock: Callable[[], float], limit: float) -> None:
        self._clock = clock
        self._limit = limit
        self._lines: dict[Match, ThrottleLine] = {}

    def line(self, rule: Match, throttle: Throttle) -> ThrottleLine:
        """Find or make the line of a rule."""
        line = self._lines.get(rule)
        if line is None:
            line = ThrottleLine(rule.name, throttle, self._clock, self._limit)
            self._lines[rule] = line
        return line

    def ended(self, rule: Match) -> None:
        """A statement that a rule let through has ended."""
        line = self._lines.get(rule)
        if line is not None:
            line.go_on()

    def upkeep(self, now: float) -> None:
        """Look after what is overdue, and what has ended unseen."""
        for line in list(self._lines.values()):
            line.go_on()
            line.end_long_waits(now)

    def follow(self, rules: tuple[Match, ...]) -> None:
        """Other rules are there: who waits for those that are no more goes on at once."""
        gone = [line for rule, line in self._lines.items() if rule not in rules]
        self._lines = {rule: line for rule, line in self._lines.items() if rule in rules}
        for line in gone:
            line.open()
