"""Sightings in, the primary and its epoch out."""

from __future__ import annotations

from math import inf

import pytest

from proxy.topology.group import DISTANCE_WINDOW, Epoch, Group, Server, Sighting, Turn
from proxy.types import Position, Role

PRIMARY, REPLICA = Role.PRIMARY, Role.REPLICA


class Servers:
    """Three servers, and a short way to say what is seen of them."""

    def __init__(self) -> None:
        self.a, self.b, self.c = (Server(name, 5432) for name in "abc")
        self.group = Group("app", [self.a, self.b, self.c])
        self.now = 0.0
        for server in (self.a, self.b, self.c):
            self.group.met(server)

    def saw(
        self, server: Server, role: Role, *, at: int = 100, timeline: int = 1, system: int = 7
    ) -> Turn:
        self.now += 1.0
        sighting = Sighting(role, system, timeline, Position(at), self.now - 0.1, self.now)
        return self.group.saw(server, sighting)

    def restarts(self, server: Server) -> Turn:
        turn = self.group.lost(server, "connection closed")
        self.group.met(server)
        return turn


@pytest.fixture
def servers() -> Servers:
    return Servers()


@pytest.fixture
def settled(servers: Servers) -> Servers:
    """`a` is the primary, `b` and `c` follow it."""
    assert servers.saw(servers.a, PRIMARY) is Turn.NEW_EPOCH
    assert servers.saw(servers.b, REPLICA) is Turn.REPLICA_JOINED
    assert servers.saw(servers.c, REPLICA) is Turn.REPLICA_JOINED
    return servers


def test_nothing_is_known_at_first(servers: Servers) -> None:
    assert servers.group.primary is None
    assert servers.group.epoch is None
    assert servers.group.replicas == []


def test_the_first_primary_begins_an_epoch(settled: Servers) -> None:
    group = settled.group
    assert group.primary is settled.a
    assert group.epoch == Epoch(7, 1, "a:5432", 1)
    assert group.replicas == [settled.b, settled.c]


def test_seeing_the_same_again_is_nothing(settled: Servers) -> None:
    assert settled.saw(settled.a, PRIMARY) is Turn.NOTHING
    assert settled.saw(settled.b, REPLICA) is Turn.NOTHING


def test_a_replica_seen_before_the_primary_joins_with_it(servers: Servers) -> None:
    assert servers.saw(servers.b, REPLICA) is Turn.NOTHING
    assert servers.group.replicas == []
    servers.saw(servers.a, PRIMARY)
    assert servers.group.replicas == [servers.b]


def test_a_replica_that_is_lost_is_no_replica(settled: Servers) -> None:
    assert settled.restarts(settled.b) is Turn.REPLICA_LOST
    assert settled.group.replicas == [settled.c]
    assert settled.group.lost(settled.b, "again") is Turn.NOTHING
    assert settled.saw(settled.b, REPLICA) is Turn.REPLICA_JOINED
    assert settled.b.incarnation == 2


def test_a_failover_begins_an_epoch_when_the_promoted_server_is_seen(settled: Servers) -> None:
    group = settled.group
    assert group.lost(settled.a, "refused") is Turn.PRIMARY_LOST
    assert group.primary is None
    assert settled.saw(settled.b, PRIMARY, timeline=2) is Turn.NEW_EPOCH
    assert group.primary is settled.b
    assert group.epoch == Epoch(7, 2, "b:5432", 1)


def test_a_replica_joins_an_epoch_when_it_has_followed(settled: Servers) -> None:
    settled.group.lost(settled.a, "refused")
    settled.saw(settled.b, PRIMARY, timeline=2)
    assert settled.group.replicas == []
    assert settled.saw(settled.c, REPLICA, timeline=1) is Turn.NOTHING
    assert settled.saw(settled.c, REPLICA, timeline=2) is Turn.REPLICA_JOINED
    assert settled.group.replicas == [settled.c]


def test_a_replica_that_followed_before_its_primary_is_seen_waits(settled: Servers) -> None:
    assert settled.saw(settled.c, REPLICA, timeline=2) is Turn.REPLICA_LOST
    assert settled.saw(settled.b, PRIMARY, timeline=2) is Turn.NEW_EPOCH
    assert settled.group.replicas == [settled.c]


def test_a_promotion_is_seen_while_the_old_primary_still_answers(settled: Servers) -> None:
    assert settled.saw(settled.b, PRIMARY, timeline=2) is Turn.NEW_EPOCH
    assert settled.group.primary is settled.b
    assert settled.saw(settled.a, PRIMARY, timeline=1) is Turn.SPLIT
    assert settled.group.primary is settled.b


def test_an_old_primary_that_comes_back_is_not_followed(settled: Servers) -> None:
    settled.group.lost(settled.a, "refused")
    settled.saw(settled.b, PRIMARY, timeline=2)
    settled.group.met(settled.a)
    assert settled.saw(settled.a, PRIMARY, timeline=1) is Turn.SPLIT
    settled.group.lost(settled.b, "refused")
    # Not even when the new one is out of sight: its writes would be lost.
    assert settled.saw(settled.a, PRIMARY, timeline=1) is Turn.SPLIT
    assert settled.group.primary is None
    settled.group.met(settled.b)
    assert settled.saw(settled.b, PRIMARY, timeline=2) is Turn.NEW_EPOCH


def test_an_old_primary_that_follows_is_a_replica(settled: Servers) -> None:
    settled.restarts(settled.a)
    settled.saw(settled.b, PRIMARY, timeline=2)
    assert settled.saw(settled.a, REPLICA, timeline=2) is Turn.REPLICA_JOINED


def test_a_crash_restart_begins_an_epoch(settled: Servers) -> None:
    """The same server on the same timeline: commits that were not flushed may be gone."""
    assert settled.restarts(settled.a) is Turn.PRIMARY_LOST
    assert settled.saw(settled.a, PRIMARY) is Turn.NEW_EPOCH
    assert settled.group.epoch == Epoch(7, 1, "a:5432", 2)
    assert settled.group.replicas == [settled.b, settled.c]


def test_a_primary_that_is_a_replica_now_is_lost(settled: Servers) -> None:
    assert settled.saw(settled.a, REPLICA) is Turn.PRIMARY_LOST
    assert settled.group.primary is None


def test_of_two_primaries_on_one_timeline_the_one_that_serves_stays(settled: Servers) -> None:
    assert settled.saw(settled.b, PRIMARY) is Turn.SPLIT
    assert settled.group.primary is settled.a
    settled.group.lost(settled.a, "refused")
    assert settled.saw(settled.b, PRIMARY) is Turn.NEW_EPOCH


def test_a_server_of_another_system_is_not_of_this_group(settled: Servers) -> None:
    """A wrong address in the list must not take the writes."""
    assert settled.saw(settled.c, PRIMARY, system=8) is Turn.SPLIT
    assert settled.group.primary is settled.a
    settled.group.lost(settled.a, "refused")
    assert settled.saw(settled.c, PRIMARY, system=8) is Turn.SPLIT
    assert settled.group.primary is None


def test_a_replica_of_another_system_does_not_follow(settled: Servers) -> None:
    assert settled.saw(settled.b, REPLICA, system=8) is Turn.REPLICA_LOST
    assert settled.group.replicas == [settled.c]


def test_a_primary_that_was_made_anew_begins_an_epoch(settled: Servers) -> None:
    """After an upgrade by pg_upgrade or from a dump: at its old address is another system."""
    settled.restarts(settled.a)
    assert settled.saw(settled.a, PRIMARY, system=8) is Turn.NEW_EPOCH
    assert settled.group.epoch == Epoch(8, 1, "a:5432", 2)
    assert settled.group.replicas == []


def test_what_a_server_said_is_kept(settled: Servers) -> None:
    assert settled.a.position == 100
    assert settled.a.seen_at == 1.0
    settled.group.lost(settled.a, "refused")
    assert settled.a.last_error == "refused"
    assert settled.a.role is Role.UNKNOWN
    settled.saw(settled.a, PRIMARY)
    assert settled.a.last_error == ""
    assert repr(settled.a) == "<Server a:5432 primary>"


def test_a_replica_that_stands_still_grows_older(settled: Servers) -> None:
    a, b = settled.a, settled.b
    for step in range(1, 4):
        settled.saw(a, PRIMARY, at=100 + step)
        settled.saw(b, REPLICA, at=100)
    assert b.lag == 5.0  # since the first sight of what it does not show: one second a sight
    settled.saw(b, REPLICA, at=103)
    assert b.lag == 0.0


def test_a_replica_that_follows_closely_has_no_lag(settled: Servers) -> None:
    a, b = settled.a, settled.b
    for step in range(1, 10):
        settled.saw(a, PRIMARY, at=100 + step)
        settled.saw(b, REPLICA, at=100 + step)
        assert b.lag == 0.0


def test_a_replica_that_moves_but_stays_behind_is_as_old_as_what_it_shows(
    settled: Servers,
) -> None:
    a, b = settled.a, settled.b
    for step in range(1, 20):
        settled.saw(a, PRIMARY, at=100 + step)
        settled.saw(b, REPLICA, at=100 + step - 5)
    assert 2.0 <= b.lag <= 12.0  # five sights of the primary, of two seconds each, are missing


def test_server_is_as_far_away_as_its_quickest_answer_of_late() -> None:
    server = Server("a", 1)
    assert server.distance == inf
    for now, seconds in enumerate((0.08, 0.2, 0.09)):
        server.answered(seconds, float(now))
    assert server.distance == 0.08
    server.answered(0.3, DISTANCE_WINDOW)
    assert server.distance == 0.08
    server.answered(0.3, 2 * DISTANCE_WINDOW)
    assert server.distance == 0.3
