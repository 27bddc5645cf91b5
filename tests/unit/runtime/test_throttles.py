"""The line of those who wait until a rule lets their statement through."""

from __future__ import annotations

from asyncio import sleep
from time import monotonic

from proxy.errors import ClientVisibleError, PoolTimeout
from proxy.routing.throttle import Throttle
from proxy.runtime.throttles import ThrottleLine
from proxy.session.ports import Link


class Waiter:
    """A session with one statement."""

    def __init__(self, line: ThrottleLine, *, is_quick: bool = False) -> None:
        self.line = line
        self.is_quick = is_quick
        self.is_running = True
        self.is_let_through = False
        self.error: ClientVisibleError | None = None

    def enter(self) -> bool:
        self.is_let_through = self.line.enter(self, lambda: self.is_running)
        return self.is_let_through

    def end(self) -> None:
        self.is_running = False
        self.line.go_on()

    def admitted(self) -> None:
        self.is_let_through = True
        if self.is_quick:
            self.end()

    def acquired(self, link: Link) -> None:
        raise AssertionError

    def not_acquired(self, error: ClientVisibleError) -> None:
        self.error = error

    def primary_found(self) -> None:
        raise AssertionError


def narrow(now: float = 0.0) -> ThrottleLine:
    return ThrottleLine("x", Throttle(None, 1), lambda: now, 10.0)


def test_first_come_first_served() -> None:
    line = narrow()
    first, second, third = (Waiter(line) for _ in range(3))
    assert first.enter()
    assert not second.enter()
    assert not third.enter()
    first.end()
    assert second.is_let_through
    assert not third.is_let_through
    line.leave(third)
    second.end()
    assert not third.is_let_through


def test_any_number_may_end_as_soon_as_they_are_let_through() -> None:
    line = narrow()
    first = Waiter(line)
    assert first.enter()
    others = [Waiter(line, is_quick=True) for _ in range(5000)]
    assert not any(waiter.enter() for waiter in others)
    first.end()
    assert all(waiter.is_let_through for waiter in others)


def test_who_waits_for_too_long_is_told() -> None:
    line = narrow()
    first, second = Waiter(line), Waiter(line)
    assert first.enter()
    assert not second.enter()
    line.end_long_waits(9.9)
    assert second.error is None
    line.end_long_waits(10.0)
    assert isinstance(second.error, PoolTimeout)
    first.end()
    assert not second.is_let_through


def test_a_rule_that_is_no_more_holds_nobody() -> None:
    line = narrow()
    first, second = Waiter(line), Waiter(line)
    assert first.enter()
    assert not second.enter()
    line.open()
    assert second.is_let_through


async def test_time_lets_them_through() -> None:
    line = ThrottleLine("x", Throttle(50, None), monotonic, 10.0)
    waiters = [Waiter(line) for _ in range(10)]
    began = monotonic()
    for waiter in waiters:
        waiter.enter()
    while not waiters[-1].is_let_through:
        assert monotonic() < began + 10
        await sleep(0.01)
    assert monotonic() > began + 0.08
