"""One goes, the others wait, and nobody waits for nothing."""

from __future__ import annotations

from proxy.cache.flight import FAILED, NOT_STORED, STORED, Flights


def test_the_first_to_miss_leads_and_the_others_wait() -> None:
    flights: Flights[str] = Flights()
    assert flights.board("key", "ann")
    assert not flights.board("key", "bob")
    assert not flights.board("key", "eve")
    assert flights.land("key", STORED) == ["bob", "eve"]


def test_another_miss_is_another_flight() -> None:
    flights: Flights[str] = Flights()
    assert flights.board("key", "ann")
    assert flights.board("other", "bob")


def test_a_result_that_was_not_stored_releases_everybody() -> None:
    flights: Flights[str] = Flights()
    for who in ("ann", "bob", "eve"):
        flights.board("key", who)
    assert flights.land("key", NOT_STORED) == ["bob", "eve"]
    assert len(flights) == 0


def test_after_a_landing_the_next_miss_leads() -> None:
    flights: Flights[str] = Flights()
    flights.board("key", "ann")
    flights.land("key", STORED)
    assert flights.board("key", "bob")


def test_when_the_leader_fails_the_next_in_line_leads_and_the_others_go_on_waiting() -> None:
    flights: Flights[str] = Flights()
    for who in ("ann", "bob", "eve"):
        flights.board("key", who)
    assert flights.land("key", FAILED) == ["bob"]
    assert not flights.board("key", "joe")
    assert flights.land("key", STORED) == ["eve", "joe"]


def test_a_failure_that_nobody_waited_for_leaves_nothing() -> None:
    flights: Flights[str] = Flights()
    flights.board("key", "ann")
    assert flights.land("key", FAILED) == []
    assert len(flights) == 0


def test_whoever_leaves_is_not_told() -> None:
    flights: Flights[str] = Flights()
    for who in ("ann", "bob", "eve"):
        flights.board("key", who)
    flights.leave("key", "bob")
    flights.leave("other", "bob")
    assert flights.land("key", FAILED) == ["eve"]
