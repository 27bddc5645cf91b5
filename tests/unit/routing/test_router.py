"""Which server a read goes to, and why."""

from __future__ import annotations

from itertools import count

import pytest

from proxy.freshness.ledger import Ledger
from proxy.freshness.tables import ReadSet
from proxy.routing.balancer import Balancer
from proxy.routing.router import Router
from proxy.topology.group import DISTANCE_WINDOW, Group, Server, Sighting
from proxy.types import Position, Reason, Role, Table, Token

NOW = 100.0
ORDERS = Table("shop", 16384)
ITEMS = Table("shop", 16385)


class Fleet:
    """A primary, two replicas, and what the router wishes for."""

    def __init__(self, *, share: bool = False, waits: bool = False) -> None:
        tokens = count(1)
        self.tokens = lambda: Token(next(tokens))
        self.servers = [Server(name, 5432) for name in ("p", "a", "b")]
        self.primary, self.a, self.b = self.servers
        self.group = Group("app", self.servers)
        self.ledger = Ledger(self.tokens())
        self.balancer: Balancer[Server] = Balancer(ban_time=5.0)
        self.draw = 0.5
        self.router = Router(
            self.group,
            self.ledger,
            self.balancer,
            self,
            lambda: self.draw,
            share=share,
            waits=lambda: waits,
        )
        self.positions_wanted = 0
        self.samplings: list[float] = []
        self.replays_wanted: list[tuple[Server, int]] = []
        for server in self.servers:
            self.group.met(server)
        self.sees(self.primary, Role.PRIMARY)
        self.ledger.new_epoch(self.tokens(), Position(100))
        for replica in (self.a, self.b):
            self.sees(replica, Role.REPLICA)
            self.replays(replica, 100)
        self.read_set = self.ledger.read_set("shop", [ORDERS])

    def sees(self, server: Server, role: Role, timeline: int = 1, position: int = 100) -> None:
        self.group.saw(server, Sighting(role, 7, timeline, Position(position), NOW, NOW))

    def replays(self, server: Server, position: int) -> None:
        mark = self.router.watermark(server)
        mark.arrived(mark.ask(self.ledger.epoch, NOW), Position(position))

    def writes(self, position: int | None = None) -> None:
        """A commit on `orders`, and the primary's position after it."""
        self.ledger.commit(self.ledger.mark([ORDERS], self.tokens()))
        if position is not None:
            self.ledger.position_arrived(self.ledger.ask_position(), Position(position))

    def choose(self, read_set: ReadSet | None = None) -> tuple[Server | None, Reason]:
        return self.router.choose(read_set or self.read_set, NOW)

    # Wishes

    def want_position(self) -> None:
        self.positions_wanted += 1

    def want_sample(self, interval: float) -> None:
        self.samplings.append(interval)

    def want_replay(self, server: Server, need: Position) -> None:
        self.replays_wanted.append((server, need))


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()


def test_a_replica_serves(fleet: Fleet) -> None:
    server, reason = fleet.choose()
    assert server in (fleet.a, fleet.b)
    assert reason is Reason.REPLICA


def test_the_faster_replica_is_taken(fleet: Fleet) -> None:
    fleet.balancer.probed(fleet.a, 0.5, NOW)
    fleet.balancer.probed(fleet.b, 0.001, NOW)
    assert fleet.choose() == (fleet.b, Reason.REPLICA)


def test_a_table_with_a_commit_on_its_way_is_the_primarys(fleet: Fleet) -> None:
    mark = fleet.ledger.mark([ORDERS], fleet.tokens())
    assert fleet.choose() == (None, Reason.PENDING)
    other = fleet.ledger.read_set("shop", [ITEMS])
    assert fleet.choose(other)[0] is not None
    fleet.ledger.rollback(mark)
    assert fleet.choose()[0] is not None


def test_without_its_position_a_commit_keeps_its_table_at_the_primary(fleet: Fleet) -> None:
    fleet.writes()
    assert fleet.choose() == (None, Reason.BEHIND)
    assert fleet.positions_wanted == 1


def test_replicas_that_are_behind_are_watched(fleet: Fleet) -> None:
    fleet.writes(position=200)
    assert fleet.choose() == (None, Reason.BEHIND)
    assert fleet.replays_wanted == [(fleet.a, 200), (fleet.b, 200)]


def test_a_table_that_was_found_to_be_wrong_is_the_primarys(fleet: Fleet) -> None:
    fleet.ledger.quarantine([ORDERS], fleet.tokens())
    assert fleet.choose()[0] is None
    kept_from = [standing.why_not for standing in fleet.router.standings(fleet.read_set, NOW)]
    assert kept_from[1:] == ["a read of its tables was found to be wrong"] * 2


def test_a_replica_that_has_caught_up_serves(fleet: Fleet) -> None:
    fleet.writes(position=200)
    fleet.replays(fleet.b, 200)
    assert fleet.choose() == (fleet.b, Reason.REPLICA)
    assert fleet.replays_wanted == [(fleet.a, 200)]


def test_a_replica_that_is_behind_serves_other_tables(fleet: Fleet) -> None:
    fleet.writes(position=200)
    assert fleet.choose(fleet.ledger.read_set("shop", [ITEMS]))[0] is not None


def test_a_position_of_another_epoch_is_none(fleet: Fleet) -> None:
    fleet.ledger.new_epoch(fleet.tokens(), Position(50))
    assert fleet.choose() == (None, Reason.BEHIND)
    fleet.replays(fleet.a, 60)
    assert fleet.choose() == (fleet.a, Reason.REPLICA)


def test_a_replica_on_another_timeline_does_not_count(fleet: Fleet) -> None:
    fleet.sees(fleet.a, Role.REPLICA, timeline=2)
    fleet.sees(fleet.b, Role.REPLICA, timeline=2)
    assert fleet.choose() == (None, Reason.NO_REPLICA)


def test_a_banned_replica_is_left_alone(fleet: Fleet) -> None:
    fleet.balancer.bans.ban(fleet.a, NOW)
    assert fleet.choose() == (fleet.b, Reason.REPLICA)
    fleet.balancer.bans.ban(fleet.b, NOW)
    assert fleet.choose() == (None, Reason.NO_REPLICA)


def test_a_ban_is_never_lifted_for_a_replica_that_is_behind(fleet: Fleet) -> None:
    fleet.writes(position=200)
    fleet.replays(fleet.a, 200)
    fleet.balancer.bans.ban(fleet.a, NOW)
    assert fleet.choose() == (None, Reason.BEHIND)
    assert fleet.replays_wanted == [(fleet.b, 200)]


def test_replicas_that_are_lost_do_not_count(fleet: Fleet) -> None:
    fleet.group.lost(fleet.a, "refused")
    fleet.group.lost(fleet.b, "refused")
    assert fleet.choose() == (None, Reason.NO_REPLICA)


def test_the_primary_may_share_the_reads() -> None:
    fleet = Fleet(share=True)
    for replica in (fleet.a, fleet.b):
        fleet.balancer.probed(replica, 0.5, NOW)
    fleet.balancer.probed(fleet.primary, 0.001, NOW)
    chosen = set()
    for number in range(100):
        fleet.draw = number / 100
        chosen.add(fleet.choose()[0])
    assert None in chosen


def test_replicas_serve_while_there_is_no_primary() -> None:
    fleet = Fleet(share=True)
    fleet.group.lost(fleet.primary, "refused")
    assert fleet.router.primary is None
    assert fleet.choose()[0] in (fleet.a, fleet.b)


def test_every_server_is_listed_with_what_keeps_it_from_a_read(fleet: Fleet) -> None:
    fleet.sees(fleet.b, Role.REPLICA, timeline=2)
    standings = fleet.router.standings(fleet.read_set, NOW)
    assert {standing.server.name: standing.why_not for standing in standings} == {
        fleet.primary.name: "only when no replica can",
        fleet.a.name: "",
        fleet.b.name: "not a replica of this primary",
    }
    assert {standing.lag for standing in standings} == {0}


def test_a_replica_is_behind_by_so_many_bytes(fleet: Fleet) -> None:
    fleet.writes(position=130)
    standings = {s.server: s for s in fleet.router.standings(fleet.read_set, NOW)}
    assert standings[fleet.a].why_not == "behind"
    fleet.sees(fleet.primary, Role.PRIMARY, position=130)
    standings = {s.server: s for s in fleet.router.standings(None, NOW)}
    assert standings[fleet.a].lag == 30
    assert standings[fleet.a].why_not == "it is for the primary"
    assert standings[fleet.primary].why_not == ""


def test_a_banned_replica_says_so(fleet: Fleet) -> None:
    fleet.balancer.bans.ban(fleet.a, NOW)
    standings = {s.server: s for s in fleet.router.standings(fleet.read_set, NOW)}
    assert standings[fleet.a].why_not == "banned"


# Where waiting beats travelling.


def far_off(*, primary: float = 0.08, waits: bool = True) -> Fleet:
    """A fleet whose replicas are near, and lack a commit whose position is known."""
    fleet = Fleet(waits=waits)
    for server, seconds in ((fleet.primary, primary), (fleet.a, 0.003), (fleet.b, 0.001)):
        for now in (NOW + DISTANCE_WINDOW, NOW + 2 * DISTANCE_WINDOW):
            server.answered(seconds, now)
    fleet.writes(position=200)
    return fleet


def test_nearest_replica_is_waited_for_where_the_primary_is_far_away() -> None:
    fleet = far_off()
    assert fleet.choose() == (fleet.b, Reason.REPLICA)
    assert fleet.router.patience(fleet.b, Position(200)) == pytest.approx(0.079)
    fleet.balancer.bans.ban(fleet.b, NOW)
    assert fleet.choose() == (fleet.a, Reason.REPLICA)


def test_nobody_is_waited_for_who_has_what_is_needed() -> None:
    fleet = far_off()
    fleet.replays(fleet.a, 200)
    assert fleet.choose() == (fleet.a, Reason.REPLICA)
    assert fleet.router.patience(fleet.a, Position(200)) == 0.0


def test_nobody_is_waited_for_where_servers_can_not_wait_or_the_primary_is_near() -> None:
    assert far_off(waits=False).choose() == (None, Reason.BEHIND)
    assert far_off(primary=0.004).choose() == (None, Reason.BEHIND)


def test_nobody_is_waited_for_while_a_commit_is_under_way_or_its_position_unknown() -> None:
    fleet = far_off()
    fleet.writes()
    assert fleet.choose() == (None, Reason.BEHIND)
    fleet.ledger.mark([ORDERS], fleet.tokens())
    assert fleet.choose() == (None, Reason.PENDING)


def test_replica_that_stays_behind_is_not_waited_for() -> None:
    fleet = far_off()
    fleet.a.lag = fleet.b.lag = 0.2
    assert fleet.choose() == (None, Reason.BEHIND)
    fleet.b.lag = 0.01
    assert fleet.choose() == (fleet.b, Reason.REPLICA)


def test_replica_of_which_nothing_is_known_is_not_waited_for() -> None:
    fleet = far_off()
    fleet.router.watermark(fleet.a).void()
    fleet.router.watermark(fleet.b).void()
    assert fleet.choose() == (None, Reason.BEHIND)
