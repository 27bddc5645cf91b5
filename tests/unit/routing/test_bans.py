"""A server that failed comes back when it is found well after its time, and not before."""

from __future__ import annotations

import pytest

from proxy.routing.bans import Bans

NOW = 100.0
SECONDS = 5.0


@pytest.fixture
def bans() -> Bans[str]:
    bans: Bans[str] = Bans(SECONDS)
    assert bans.ban("a", NOW)
    return bans


def test_a_server_is_banned_at_once(bans: Bans[str]) -> None:
    assert "a" in bans
    assert "b" not in bans


def test_being_found_well_lifts_no_ban_before_its_time(bans: Bans[str]) -> None:
    assert not bans.found_well("a", NOW + SECONDS - 0.1)
    assert "a" in bans


def test_being_found_well_lifts_a_ban_after_its_time(bans: Bans[str]) -> None:
    assert bans.found_well("a", NOW + SECONDS)
    assert "a" not in bans
    assert not bans.found_well("a", NOW + SECONDS)


def test_a_ban_stands_when_every_server_is_banned(bans: Bans[str]) -> None:
    bans.ban("b", NOW)
    assert "a" in bans
    assert "b" in bans


def test_statements_that_fail_during_a_ban_do_not_lengthen_it(bans: Bans[str]) -> None:
    for _ in range(10):
        assert not bans.ban("a", NOW + 0.5)
    assert bans.found_well("a", NOW + SECONDS)


def test_a_server_that_fails_again_is_banned_for_as_long(bans: Bans[str]) -> None:
    bans.found_well("a", NOW + SECONDS)
    assert bans.ban("a", NOW + 2 * SECONDS)
    assert not bans.found_well("a", NOW + 2 * SECONDS + 0.1)


def test_a_server_that_is_not_banned_stays_so(bans: Bans[str]) -> None:
    assert not bans.found_well("b", NOW)
    assert "b" not in bans
