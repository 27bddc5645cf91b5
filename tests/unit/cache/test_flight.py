"""One goes, the others wait, and nobody waits for nothing."""

from __future__ import annotations

from proxy.cache.flight import Flights


def test_the_first_to_miss_leads_and_the_others_wait() -> None:
    flights: Flights[str] = Flights()
    assert flights.board("key", "ann")
    assert not flights.board("key", "bob")
    assert not flights.board("key", "eve")
    assert flights.land("key") == ["bob", "eve"]


def test_another_miss_is_another_flight() -> None:
    flights: Flights[str] = Flights()
    assert flights.board("key", "ann")
    assert flights.board("other", "bob")


def test_a_landing_releases_everybody() -> None:
    flights: Flights[str] = Flights()
    for who in ("ann", "bob", "eve"):
        flights.board("key", who)
    assert flights.land("key") == ["bob", "eve"]
    assert len(flights) == 0


def test_after_a_landing_the_next_miss_leads() -> None:
    flights: Flights[str] = Flights()
    flights.board("key", "ann")
    flights.land("key")
    assert flights.board("key", "bob")


def test_after_a_failure_one_of_the_followers_leads_the_others() -> None:
    flights: Flights[str] = Flights()
    for who in ("ann", "bob", "eve"):
        flights.board("key", who)
    boarding = [flights.board("key", who) for who in flights.land("key")]
    assert boarding == [True, False]
    assert flights.land("key") == ["eve"]


def test_landing_twice_tells_nobody_twice() -> None:
    flights: Flights[str] = Flights()
    flights.board("key", "ann")
    flights.board("key", "bob")
    assert flights.land("key") == ["bob"]
    assert flights.land("key") == []


def test_whoever_leaves_is_not_told() -> None:
    flights: Flights[str] = Flights()
    for who in ("ann", "bob", "eve"):
        flights.board("key", who)
    flights.leave("key", "bob")
    flights.leave("other", "bob")
    assert flights.land("key") == ["eve"]
