"""A statement's results are kept as long as keeping them pays."""

from __future__ import annotations

from proxy.cache.admission import HALF_LIFE, MEMORY, SAMPLE, TRIAL, Worth

NOW = 100.0


def make_worth(seconds: float = 200e-6, size: int = 500) -> Worth:
    worth = Worth(NOW)
    worth.answered(seconds, size)
    return worth


def leave(worth: Worth, count: int) -> None:
    for _ in range(count):
        worth.leave()


def admitted(worth: Worth, asked: int, now: float = NOW) -> int:
    return sum(worth.admits(now) for _ in range(asked))


def test_a_new_statement_is_given_credit() -> None:
    assert admitted(Worth(NOW), 1000) == 1000


def test_results_that_are_still_here_are_not_held_against_it() -> None:
    worth = make_worth()
    leave(worth, TRIAL - 1)
    assert admitted(worth, 1000) == 1000


def test_results_that_leave_unused_are_not_worth_keeping() -> None:
    worth = make_worth()
    leave(worth, 10 * TRIAL)
    assert admitted(worth, 10 * SAMPLE) == 10


def test_few_hits_on_a_slow_statement_are_worth_more_than_many_on_a_fast_one() -> None:
    slow, fast = make_worth(seconds=0.5), make_worth(seconds=20e-6)
    for worth in (slow, fast):
        leave(worth, 1000)
    slow.hits += 1
    fast.hits += 100
    assert slow.admits(NOW)
    assert not fast.admits(NOW)


def test_large_results_must_earn_more() -> None:
    small, large = make_worth(size=500), make_worth(size=500_000)
    for worth in (small, large):
        leave(worth, 100)
        worth.hits += 20
    assert small.admits(NOW)
    assert not large.admits(NOW)


def test_a_statement_recovers_when_its_samples_are_hit() -> None:
    worth = make_worth()
    leave(worth, 10_000)
    assert not worth.admits(NOW)
    worth.hits += MEMORY
    assert admitted(worth, 100) == 100


def test_a_glorious_past_is_outweighed_by_results_that_leave_unused() -> None:
    worth = make_worth()
    worth.hits = 1e9
    assert worth.admits(NOW)
    leave(worth, 20 * MEMORY)
    assert not worth.admits(NOW)


def test_a_bad_past_fades_with_time() -> None:
    worth = make_worth()
    leave(worth, 10 * TRIAL)
    assert not worth.admits(NOW + HALF_LIFE)
    assert admitted(worth, 100, NOW + 6 * HALF_LIFE) == 100


def test_a_statement_is_known_by_its_late_answers() -> None:
    worth = make_worth(seconds=1.0, size=10)
    assert (worth.seconds, worth.size) == (1.0, 10)
    for _ in range(100):
        worth.answered(0.001, 5000)
    assert abs(worth.seconds - 0.001) < 0.0001
    assert abs(worth.size - 5000) < 1
