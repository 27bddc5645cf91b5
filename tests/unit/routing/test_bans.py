"""A server that failed comes back when a probe says so, and not before."""

from __future__ import annotations

import pytest

from proxy.routing.bans import FIRST_WAIT, LONGEST_WAIT, BanReason, Bans

NOW = 100.0
REFUSED = BanReason.REFUSED


@pytest.fixture
def bans() -> Bans[str]:
    bans: Bans[str] = Bans()
    assert bans.ban("a", NOW, REFUSED)
    return bans


def reason_of(bans: Bans[str], server: str) -> BanReason:
    return dict(bans)[server].reason


def test_a_server_is_banned_at_once(bans: Bans[str]) -> None:
    assert "a" in bans
    assert "b" not in bans


def test_time_alone_lifts_no_ban(bans: Bans[str]) -> None:
    bans.due(NOW + 1e6)
    assert "a" in bans


def test_a_ban_stands_when_every_server_is_banned(bans: Bans[str]) -> None:
    bans.ban("b", NOW, REFUSED)
    assert sorted(server for server, _ in bans) == ["a", "b"]


def test_a_probe_is_due_after_the_first_wait(bans: Bans[str]) -> None:
    assert bans.due(NOW + FIRST_WAIT - 0.01) == []
    assert bans.due(NOW + FIRST_WAIT) == ["a"]


def test_a_probe_under_way_is_not_due_again(bans: Bans[str]) -> None:
    bans.due(NOW + FIRST_WAIT)
    assert bans.due(NOW + FIRST_WAIT) == []


def test_a_probe_that_is_never_heard_of_is_repeated(bans: Bans[str]) -> None:
    bans.due(NOW + FIRST_WAIT)
    assert bans.due(NOW + 2 * FIRST_WAIT) == ["a"]


def test_a_probe_that_succeeds_lifts_the_ban(bans: Bans[str]) -> None:
    assert bans.probe_succeeded("a", NOW + 1)
    assert "a" not in bans
    assert not bans.probe_succeeded("a", NOW + 1)


def test_waits_double_up_to_a_limit(bans: Bans[str]) -> None:
    now, waits = NOW, []
    for _ in range(9):
        waits.append(dict(bans)["a"].probe_at - now)
        now += waits[-1]
        assert bans.due(now) == ["a"]
        bans.probe_failed("a", now, BanReason.TIMED_OUT)
    assert waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    assert reason_of(bans, "a") is BanReason.TIMED_OUT


def test_waits_stay_finite_however_often_a_server_fails(bans: Bans[str]) -> None:
    for _ in range(5000):
        bans.probe_failed("a", NOW, REFUSED)
    assert dict(bans)["a"].probe_at == NOW + LONGEST_WAIT


def test_statements_that_fail_during_a_ban_do_not_lengthen_it(bans: Bans[str]) -> None:
    for _ in range(10):
        assert not bans.ban("a", NOW + 0.5, BanReason.BROKE)
    assert bans.due(NOW + FIRST_WAIT) == ["a"]
    assert reason_of(bans, "a") is REFUSED


def test_a_server_that_fails_again_soon_waits_longer(bans: Bans[str]) -> None:
    bans.probe_succeeded("a", NOW + 1)
    bans.ban("a", NOW + 2, REFUSED)
    assert bans.due(NOW + 2 + FIRST_WAIT) == []
    assert bans.due(NOW + 2 + 2 * FIRST_WAIT) == ["a"]


def test_a_server_that_did_well_for_long_starts_anew(bans: Bans[str]) -> None:
    bans.probe_succeeded("a", NOW + 1)
    now = NOW + 2 + LONGEST_WAIT
    bans.ban("a", now, REFUSED)
    assert bans.due(now + FIRST_WAIT) == ["a"]


def test_no_probe_overrules_an_operator(bans: Bans[str]) -> None:
    bans.ban("b", NOW, BanReason.OPERATOR)
    assert bans.due(NOW + 1e6) == ["a"]
    assert not bans.probe_succeeded("b", NOW)
    bans.probe_failed("b", NOW, REFUSED)
    assert reason_of(bans, "b") is BanReason.OPERATOR
    assert bans.unban("b")
    assert "b" not in bans


def test_an_operator_may_take_over_a_ban(bans: Bans[str]) -> None:
    bans.ban("a", NOW, BanReason.OPERATOR)
    assert not bans.probe_succeeded("a", NOW + 1)
    assert "a" in bans


def test_an_operators_unban_forgets_the_past(bans: Bans[str]) -> None:
    for _ in range(5):
        bans.probe_failed("a", NOW, REFUSED)
    assert bans.unban("a")
    assert not bans.unban("a")
    bans.ban("a", NOW, REFUSED)
    assert bans.due(NOW + FIRST_WAIT) == ["a"]


def test_a_server_that_is_no_longer_configured_has_no_past(bans: Bans[str]) -> None:
    bans.probe_succeeded("a", NOW + 1)
    bans.forget("a")
    bans.ban("a", NOW + 2, REFUSED)
    assert bans.due(NOW + 2 + FIRST_WAIT) == ["a"]


def test_a_probe_of_a_server_that_is_not_banned_says_nothing(bans: Bans[str]) -> None:
    bans.probe_failed("b", NOW, REFUSED)
    assert "b" not in bans
