"""Every so-manieth fast read is audited, and never more than some in a second."""

from __future__ import annotations

from proxy.freshness.sampling import REST, Sampler


def test_every_so_manieth_is_taken() -> None:
    sampler = Sampler(0.01, 10)
    taken = [n for n in range(1, 501) if sampler.takes()]
    assert taken == [100, 200, 300, 400, 500]


def test_none_is_taken_while_it_is_off() -> None:
    sampler = Sampler(0.0, 10)
    assert not any(sampler.counts() or sampler.takes() for _ in range(10_000))


def test_all_are_taken_where_all_are_wanted() -> None:
    sampler = Sampler(1.0, 10)
    assert all(sampler.takes() for _ in range(10))


def test_the_first_may_be_chosen() -> None:
    sampler = Sampler(0.1, 10, first=3)
    assert [n for n in range(1, 30) if sampler.takes()] == [3, 13, 23]


def test_what_is_counted_in_the_hot_path_is_taken_by_who_can() -> None:
    sampler = Sampler(0.2, 10)
    assert [sampler.counts() for _ in range(5)] == [False] * 4 + [True]
    assert sampler.takes(), "the same read, and it is not counted twice"
    assert [sampler.takes() for _ in range(5)] == [False] * 4 + [True]


def test_only_so_many_begin_within_a_second() -> None:
    sampler = Sampler(1.0, 3)
    assert [sampler.admits(10.0 + n / 10) for n in range(8)] == [True] * 3 + [False] * 5
    assert sampler.admits(11.0)
    assert [sampler.admits(11.1), sampler.admits(11.2), sampler.admits(11.3)] == [True, True, False]


def test_what_takes_long_is_repeated_the_more_seldom() -> None:
    sampler = Sampler(1.0, 1000)
    assert sampler.admits(10.0)
    sampler.ended(2.0, 12.0)
    assert not sampler.admits(12.0 + 2.0 * REST - 0.1)
    assert sampler.admits(12.0 + 2.0 * REST)


def test_another_share_counts_from_now_on() -> None:
    sampler = Sampler(0.0, 1)
    sampler.follow(0.5, 2)
    assert [sampler.takes() for _ in range(4)] == [False, True, False, True]
    sampler.follow(0.0, 2)
    assert not any(sampler.takes() for _ in range(10))
