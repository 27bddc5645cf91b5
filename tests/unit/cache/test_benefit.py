"""The second level is asked where that was seen to save time, and now and then elsewhere."""

from __future__ import annotations

import pytest

from proxy.cache.benefit import MOST_PASSED, SPENT, TRIAL, WORTH_A_WAIT, Benefit


def judged(seconds: float, found: int, of: int = 64) -> Benefit:
    """A statement for which much was asked, and something found, evenly."""
    benefit = Benefit()
    for number in range(of):
        benefit.answered(seconds, is_hit=number * found // of != (number + 1) * found // of)
    return benefit


def test_nothing_is_judged_before_it_was_tried() -> None:
    benefit = Benefit()
    for _ in range(TRIAL):
        assert benefit.asks(0.0)
        assert benefit.keeps(0.0)
        benefit.answered(0.001, is_hit=False)
    assert not benefit.asks(0.01)


def test_what_is_found_quicker_than_it_is_read_is_asked_for() -> None:
    assert judged(0.001, found=64).asks(0.002)


def test_what_a_server_says_quicker_is_not_asked_for_nor_kept() -> None:
    benefit = judged(0.001, found=64)
    assert not benefit.asks(0.0005)
    assert not benefit.keeps(0.0005)


def test_what_is_seldom_found_must_save_the_more() -> None:
    benefit = judged(0.001, found=8)
    assert not benefit.asks(0.003)
    assert benefit.asks(0.02)


def test_what_is_never_found_is_kept_for_others_all_the_same() -> None:
    benefit = judged(0.001, found=0)
    assert not benefit.asks(0.002)
    assert benefit.keeps(0.002)


@pytest.mark.parametrize("saved", [0.0002, 0.001, 0.01])
def test_what_does_not_pay_is_asked_for_now_and_then(saved: float) -> None:
    benefit = judged(0.001, found=0)
    asked = sum(benefit.asks(saved) for _ in range(10_000))
    assert 0.9 * SPENT <= asked * 0.001 / (10_000 * saved) <= SPENT


def test_what_takes_a_server_very_long_is_always_asked_for() -> None:
    benefit = judged(0.001, found=0)
    assert all(benefit.asks(0.05) for _ in range(100))


def test_what_begins_to_be_found_pays_again() -> None:
    benefit = judged(0.001, found=0)
    for _ in range(4):
        benefit.answered(0.001, is_hit=True)
    assert benefit.asks(0.01)


def test_a_moments_stall_changes_little() -> None:
    benefit = judged(0.0002, found=64)
    benefit.answered(0.5, is_hit=False)
    assert benefit.asks(0.0004)


def test_a_store_that_has_become_slow_is_not_asked_any_more() -> None:
    benefit = judged(0.0002, found=64)
    assert benefit.asks(0.001)
    for _ in range(8):
        benefit.answered(0.005, is_hit=False)
    assert not benefit.asks(0.001)


def test_what_takes_a_server_far_longer_than_a_fetch_is_waited_for() -> None:
    benefit = judged(0.001, found=8)
    assert not benefit.waits(0.9 * WORTH_A_WAIT * 0.001, 0.001)
    assert benefit.waits(1.1 * WORTH_A_WAIT * 0.001, 0.001)
    assert not benefit.waits(1.1 * WORTH_A_WAIT * 0.001, 0.002)


def test_after_each_wait_in_vain_more_misses_are_passed() -> None:
    benefit = judged(0.001, found=8)
    for passed in (1, 3, 7, 15, 31, MOST_PASSED, MOST_PASSED):
        assert benefit.waits(1.0, 0.001)
        benefit.waited(is_hit=False)
        assert [benefit.waits(1.0, 0.001) for _ in range(passed)] == [False] * passed
    assert benefit.waits(1.0, 0.001)
    benefit.waited(is_hit=True)
    assert benefit.waits(1.0, 0.001)
