"""How many statements a rule lets through."""

from __future__ import annotations

import random

from proxy.routing.throttle import Throttle


def always() -> bool:
    return True


def test_a_rate_is_even() -> None:
    throttle = Throttle(5, None)
    assert throttle.enter(10.0, always)
    assert not throttle.enter(10.1, always)
    assert throttle.opens_at(10.1) == 10.2
    assert throttle.enter(10.2, always)


def test_after_a_pause_some_come_at_once() -> None:
    throttle = Throttle(100, None)
    assert sum(throttle.enter(10.0, always) for _ in range(100)) in (9, 10)
    assert sum(throttle.enter(20.0, always) for _ in range(100)) in (9, 10)


def test_no_second_has_more_than_the_rate_and_a_burst() -> None:
    dice = random.Random(1)
    throttle = Throttle(50, None)
    now, passed = 0.0, []
    for _ in range(20_000):
        now += dice.random() / 500
        if throttle.enter(now, always):
            passed.append(now)
    for start in passed:
        assert sum(start <= when < start + 1.0 for when in passed) <= 50 + 5
    assert len(passed) > 0.9 * 50 * now


def test_so_many_are_under_way() -> None:
    throttle = Throttle(None, 2)
    running = {"a", "b", "c"}
    assert throttle.enter(1.0, lambda: "a" in running)
    assert throttle.enter(1.0, lambda: "b" in running)
    assert not throttle.enter(1.0, lambda: "c" in running)
    running.discard("a")
    assert throttle.enter(1.0, lambda: "c" in running)
    assert throttle.running == 2
