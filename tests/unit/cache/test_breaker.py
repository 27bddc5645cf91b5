"""A store that fails or lags is skipped at once, and tried again by nobody who waits for it."""

from __future__ import annotations

import pytest

from proxy.cache.breaker import GOOD, LATE, LONGEST, SHORTEST, Breaker, State


@pytest.fixture
def breaker() -> Breaker:
    """Of a store that works."""
    breaker = Breaker()
    breaker.try_now()
    breaker.tried()
    return breaker


def test_a_store_is_not_asked_before_it_was_tried() -> None:
    breaker = Breaker()
    assert not breaker.allows
    assert breaker.wait(1000.0) == 0.0
    breaker.try_now()
    assert not breaker.allows
    breaker.tried()
    assert breaker.allows


def test_it_opens_at_the_first_failure(breaker: Breaker) -> None:
    breaker.failed(1000.0)
    assert not breaker.allows
    assert breaker.wait(1000.0) == pytest.approx(SHORTEST)
    assert breaker.wait(1001.0) == 0.0


def test_it_bears_one_late_answer_and_not_two_in_a_row(breaker: Breaker) -> None:
    breaker.late(1000.0)
    breaker.answered()
    for _ in range(LATE - 1):
        breaker.late(1000.0)
    assert breaker.allows
    breaker.late(1000.005)
    assert not breaker.allows


def test_all_that_was_asked_at_once_and_fails_counts_once(breaker: Breaker) -> None:
    for _ in range(10):
        breaker.failed(1000.0)
    assert breaker.wait(1000.0) == pytest.approx(SHORTEST)
    assert breaker.opened == 1


def test_pauses_double_up_to_the_longest(breaker: Breaker) -> None:
    now = 1000.0
    breaker.failed(now)
    pauses = []
    for _ in range(10):
        pauses.append(breaker.wait(now))
        now += breaker.wait(now)
        breaker.try_now()
        breaker.failed(now)
    assert pauses[:3] == pytest.approx([SHORTEST, 2 * SHORTEST, 4 * SHORTEST])
    assert pauses[-1] == pytest.approx(LONGEST)
    assert breaker.opened == 1


def test_one_that_comes_and_goes_is_tried_less_and_less(breaker: Breaker) -> None:
    for pause in (SHORTEST, 2 * SHORTEST, 4 * SHORTEST):
        breaker.failed(1000.0)
        assert breaker.wait(1000.0) == pytest.approx(pause)
        breaker.try_now()
        breaker.tried()


def test_one_that_has_been_good_for_a_while_is_tried_soon(breaker: Breaker) -> None:
    for _ in range(3):
        breaker.failed(1000.0)
        breaker.try_now()
        breaker.tried()
    for _ in range(GOOD):
        breaker.answered()
    breaker.failed(1000.0)
    assert breaker.wait(1000.0) == pytest.approx(SHORTEST)


def test_a_late_word_on_an_open_one_changes_nothing(breaker: Breaker) -> None:
    breaker.failed(1000.0)
    breaker.answered()
    breaker.late(1000.0)
    assert breaker.state is State.OPEN
