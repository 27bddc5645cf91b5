"""The faster of two servers is taken, and no server is forgotten or stormed."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.routing.balancer import DECAY_SECONDS, EXPLORE_ONE_IN, Balancer, Load

NOW = 100.0
DRAWS = 20_000


def choices(balancer: Balancer[str], servers: list[str]) -> Counter[str | None]:
    random = Random(1)
    return Counter(balancer.choose(servers, random.random()) for _ in range(DRAWS))


def make_balancer(**latencies: float) -> Balancer[str]:
    balancer: Balancer[str] = Balancer(ban_time=5.0)
    for server, seconds in latencies.items():
        balancer.probed(server, seconds, NOW)
    return balancer


def test_of_two_servers_the_faster_is_taken_except_for_exploration() -> None:
    taken = choices(make_balancer(near=0.001, far=0.010), ["far", "near"])
    assert 0.25 / EXPLORE_ONE_IN < taken["far"] / DRAWS < 1.0 / EXPLORE_ONE_IN


def test_servers_of_one_speed_share_the_load() -> None:
    taken = choices(make_balancer(a=0.001, b=0.001, c=0.001), ["a", "b", "c"])
    assert all(0.30 < taken[server] / DRAWS < 0.37 for server in "abc")


def test_the_slowest_of_three_is_asked_by_chance_only() -> None:
    taken = choices(make_balancer(a=0.001, b=0.002, c=0.003), ["a", "b", "c"])
    assert 0.6 < taken["a"] / DRAWS < 0.72
    assert 0 < taken["c"] / DRAWS < 1.0 / EXPLORE_ONE_IN


def test_statements_under_way_count() -> None:
    balancer = make_balancer(a=0.001, b=0.002)
    for _ in range(2):
        balancer.started("a")
    assert choices(balancer, ["a", "b"]).most_common(1)[0][0] == "b"
    balancer.abandoned("a")
    balancer.finished("a", 0.001, NOW)
    assert choices(balancer, ["a", "b"]).most_common(1)[0][0] == "a"


def test_a_server_without_measurement_gets_a_first_statement_and_no_burst() -> None:
    balancer = make_balancer(known=0.001)
    servers = ["known", "new"]
    assert choices(balancer, servers).most_common(1)[0][0] == "new"
    balancer.started("new")
    assert choices(balancer, servers).most_common(1)[0][0] == "known"


@given(st.integers(1, 8), st.floats(0, 1, exclude_max=True))
def test_any_draw_chooses_one_of_the_eligible(count: int, draw: float) -> None:
    balancer: Balancer[int] = Balancer(ban_time=5.0)
    assert balancer.choose(list(range(count)), draw) in range(count)


def test_a_banned_server_is_not_chosen() -> None:
    balancer = make_balancer(a=0.001, b=0.010)
    balancer.bans.ban("a", NOW)
    assert choices(balancer, ["a", "b"]) == {"b": DRAWS}


def test_when_all_are_banned_none_is_chosen() -> None:
    balancer = make_balancer(a=0.001, b=0.010)
    for server in "ab":
        balancer.bans.ban(server, NOW)
    assert balancer.choose(["a", "b"], 0.5) is None
    assert balancer.choose([], 0.5) is None


def test_a_peak_counts_at_once() -> None:
    load = Load()
    load.measure(0.001, NOW)
    load.measure(0.5, NOW + 0.001)
    assert load.latency == 0.5


def test_a_peak_fades_with_time_not_with_the_number_of_measurements() -> None:
    often, once = Load(), Load()
    for load in (often, once):
        load.measure(1.0, NOW)
    for step in range(1, 101):
        often.measure(0.0, NOW + step * DECAY_SECONDS / 100)
    once.measure(0.0, NOW + DECAY_SECONDS)
    assert often.latency == pytest.approx(once.latency)
    assert once.latency == pytest.approx(0.3679, abs=0.001)


def test_after_a_long_time_only_the_new_measurement_counts() -> None:
    load = Load()
    load.measure(1.0, NOW)
    load.measure(0.002, NOW + 20 * DECAY_SECONDS)
    assert load.latency == pytest.approx(0.002, rel=0.01)


def test_load_follows_a_server_that_becomes_slow_and_recovers() -> None:
    """Ten clients in a closed loop, two servers, one of them slow for a while."""
    random = Random(2)
    balancer: Balancer[str] = Balancer(ban_time=5.0)
    under_way: list[tuple[float, float, str]] = []
    taken: dict[str, Counter[str]] = {phase: Counter() for phase in ("before", "slow", "after")}
    now = 0.0
    while now < 30:
        if len(under_way) == 10:
            under_way.sort()
            now, began, server = under_way.pop(0)
            balancer.finished(server, now - began, now)
        phase = "before" if now < 2 else "slow" if now < 4 else "after" if now > 20 else ""
        seconds = 0.1 if phase == "slow" else 0.005
        server = balancer.choose(["a", "b"], random.random()) or ""
        balancer.started(server)
        under_way.append((now + (seconds if server == "a" else 0.005), now, server))
        if phase:
            taken[phase][server] += 1
    assert 0.4 < taken["before"]["a"] / taken["before"].total() < 0.6
    assert taken["slow"]["a"] / taken["slow"].total() < 0.05
    assert 0.3 < taken["after"]["a"] / taken["after"].total() < 0.7
