"""Who leads, who follows and how far they are, where commits have no GTIDs: by places in logs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.topology.binlog import parse_files, parse_log
from proxy.topology.group import Server, Turn
from proxy.topology.gtid import GtidSet
from proxy.topology.gtid_history import STRANGE, Finding, Report, Source
from proxy.types import Position, Role
from tests.unit.topology.test_gtid_history import gtids, uuid
from tests.unit.topology.three_servers import ThreeServers

NOTHING = GtidSet()


def place(offset: int, file: int = 1) -> Position:
    return Position(file << 32 | offset)


class Servers(ThreeServers):
    """What they say."""

    def primary(self, server: Server, offset: int, file: int = 1, base: str = "log") -> Report:
        """What a primary says that is so far."""
        name = uuid(server.host)
        log = parse_log(name, f"{base}.{file:06d}", offset)
        (own,) = log.intervals
        return Report(name, True, True, [], own, own, NOTHING, NOTHING, by_log=True, log=log)

    def replica(
        self, server: Server, source: Server, offset: int, file: int = 1, *, receives: bool = True
    ) -> Report:
        """What a replica says that has replayed so much of its source."""
        name = uuid(server.host)
        return Report(
            name,
            False,
            False,
            [Source(uuid(source.host), source.name)],
            name,
            name,
            NOTHING,
            NOTHING,
            places=parse_log(uuid(source.host), f"log.{file:06d}", offset),
            receives=receives,
        )

    def leads(self, server: Server, offset: int, file: int = 1) -> Turn:
        return self.take(server, self.primary(server, offset, file))

    def follows(self, server: Server, source: Server, offset: int, file: int = 1) -> Turn:
        return self.take(server, self.replica(server, source, offset, file))

    def stands(self, server: Server, *, end: int = 0) -> Turn:
        """It follows nobody, and takes no writes."""
        said = replace(self.primary(server, end or 1), takes_writes=False)
        return self.take(server, said if end else replace(said, log=NOTHING, by_log=False))


@pytest.fixture
def servers() -> Servers:
    """A leads, is at 1000, and everybody has all of it."""
    them = Servers()
    assert them.leads(them.a, 1000) is Turn.NEW_EPOCH
    assert them.follows(them.b, them.a, 1000) is Turn.REPLICA_JOINED
    assert them.follows(them.c, them.a, 1000) is Turn.REPLICA_JOINED
    return them


def test_positions_are_places_in_the_log_of_the_primary(servers: Servers) -> None:
    servers.leads(servers.a, 1200)
    assert servers.finding == Finding(Role.PRIMARY, 1, place(1200))
    servers.follows(servers.b, servers.a, 1100)
    assert servers.finding == Finding(Role.REPLICA, 1, place(1100))
    servers.leads(servers.a, 158, file=2)
    assert servers.finding == Finding(Role.PRIMARY, 1, place(158, file=2))
    assert servers.history.shown(servers.finding.position) == "log.000002:158"
    assert servers.history.behind(100) == "100 bytes behind"


def test_nobody_can_be_asked_for_a_place_and_gtids_tell_none(servers: Servers) -> None:
    assert servers.history.by_log
    assert servers.history.contents(place(1000)) is None
    assert servers.history.told(f"{uuid('a')}:13") is None


def test_a_place_in_the_log_is_found_in_that_log_only(servers: Servers) -> None:
    servers.leads(servers.a, 1200)
    executed = servers.history.executed
    assert executed is not None
    servers.leads(servers.a, 158, file=2)
    assert servers.history.position_of(executed) == place(1200)
    other = parse_log(uuid("b"), "log.000001", 1200)
    assert servers.history.position_of(other) is None


def test_replica_joins_when_it_has_everything_from_before() -> None:
    servers = Servers()
    servers.leads(servers.a, 1000)
    assert servers.follows(servers.b, servers.a, 999) is Turn.NOTHING
    assert servers.finding.timeline == STRANGE
    assert servers.follows(servers.b, servers.a, 1000) is Turn.REPLICA_JOINED


def test_who_is_not_connected_to_the_primary_is_not_believed(servers: Servers) -> None:
    cut_off = servers.replica(servers.b, servers.a, 1000, receives=False)
    assert servers.take(servers.b, cut_off) is Turn.REPLICA_LOST
    assert servers.finding.complaint == ""
    assert servers.follows(servers.b, servers.a, 1000) is Turn.REPLICA_JOINED


def test_replica_of_a_replica_is_kept_out_and_that_is_told_once(servers: Servers) -> None:
    assert servers.follows(servers.c, servers.b, 9000) is Turn.REPLICA_LOST
    assert "must follow the primary" in servers.finding.complaint
    servers.follows(servers.c, servers.b, 9000)
    assert servers.finding.complaint == ""
    # B's log was never a primary's: what C had of it is the primary's own.
    assert servers.follows(servers.c, servers.a, 1000) is Turn.REPLICA_JOINED


def test_replica_of_two_is_nowhere(servers: Servers) -> None:
    both = replace(servers.replica(servers.c, servers.a, 1000), places=NOTHING)
    assert servers.take(servers.c, both) is Turn.REPLICA_LOST


def test_primary_without_a_log_has_no_replicas(servers: Servers) -> None:
    name = uuid("a")
    said = Report(name, True, False, [], name, name, NOTHING, NOTHING)
    assert servers.take(servers.a, said) is Turn.NEW_EPOCH
    servers.follows(servers.b, servers.a, 1000)
    assert servers.finding.timeline == STRANGE
    assert "neither GTIDs nor a log" in servers.finding.complaint


def test_restarted_primary_begins_a_file_and_an_epoch(servers: Servers) -> None:
    servers.lost(servers.a)
    assert servers.leads(servers.a, 158, file=2) is Turn.NEW_EPOCH
    assert servers.follows(servers.b, servers.a, 1000) is Turn.NOTHING
    assert not servers.group.follows(servers.b)
    assert servers.follows(servers.b, servers.a, 158, file=2) is Turn.REPLICA_JOINED


def test_who_followed_a_primary_that_restarted_may_succeed_it(servers: Servers) -> None:
    servers.lost(servers.a)
    servers.leads(servers.a, 158, file=2)
    servers.follows(servers.b, servers.a, 1000)  # connected, and not yet there
    servers.stands(servers.a, end=200)
    servers.stands(servers.b)
    assert servers.leads(servers.b, 700) is Turn.NEW_EPOCH


def test_who_followed_a_log_that_was_begun_anew_may_not_succeed(servers: Servers) -> None:
    servers.leads(servers.a, 158)
    servers.follows(servers.b, servers.a, 1000)
    servers.stands(servers.a, end=200)
    assert servers.leads(servers.b, 700) is Turn.SPLIT


def test_log_begun_anew_says_nothing_of_who_followed_it(servers: Servers) -> None:
    servers.leads(servers.a, 2000)
    servers.follows(servers.b, servers.a, 2000)
    servers.follows(servers.c, servers.a, 1500)
    assert servers.leads(servers.a, 158) is Turn.NEW_EPOCH
    servers.follows(servers.b, servers.a, 2000)
    assert "no more in its primary's log" in servers.finding.complaint
    servers.follows(servers.b, servers.a, 2100)
    assert servers.finding.timeline == STRANGE
    # C replays what it had received of the old one.
    for offset in (1500, 2000):
        servers.follows(servers.c, servers.a, offset)
        assert servers.finding.timeline == STRANGE
    assert servers.finding.complaint == ""  # it was said before
    servers.leads(servers.a, 900)
    # It was told where to begin.
    assert servers.follows(servers.b, servers.a, 600) is Turn.REPLICA_JOINED
    assert servers.follows(servers.b, servers.a, 2100) is Turn.NOTHING
    assert servers.group.follows(servers.b)


def test_replica_that_is_past_what_a_crash_has_left_of_a_file_is_kept_out(
    servers: Servers,
) -> None:
    servers.lost(servers.a)
    files = parse_files(uuid("a"), [("log.000001", 1200), ("log.000002", 158)])
    servers.take(servers.a, replace(servers.primary(servers.a, 158, file=2), files=files))
    servers.follows(servers.b, servers.a, 1200)
    assert servers.finding.complaint == ""
    assert servers.follows(servers.b, servers.a, 158, file=2) is Turn.REPLICA_JOINED
    # It is refused by the primary, and told to go on behind that.
    servers.take(servers.c, servers.replica(servers.c, servers.a, 1201, receives=False))
    servers.stands(servers.c)
    servers.follows(servers.c, servers.a, 158, file=2)
    assert "no more in its primary's log" in servers.finding.complaint


def test_what_a_crash_took_counts_for_who_was_not_seen_since(servers: Servers) -> None:
    servers.follows(servers.c, servers.a, 1201)
    servers.lost(servers.a)
    files = parse_files(uuid("a"), [("log.000001", 1200), ("log.000002", 158)])
    servers.take(servers.a, replace(servers.primary(servers.a, 158, file=2), files=files))
    servers.follows(servers.c, servers.a, 158, file=2)
    assert "no more in its primary's log" in servers.finding.complaint


def test_log_of_another_name_is_another_log(servers: Servers) -> None:
    servers.lost(servers.a)
    servers.take(servers.a, servers.primary(servers.a, 500, base="other"))
    servers.follows(servers.b, servers.a, 9000, file=9)
    assert servers.finding.timeline == STRANGE


def fail_over(servers: Servers) -> None:
    """B has everything and takes A's place; its own log is at 700."""
    assert servers.lost(servers.a) is Turn.PRIMARY_LOST
    servers.take(servers.b, servers.replica(servers.b, servers.a, 1000, receives=False))
    assert servers.group.follows(servers.b)  # and is read from
    servers.stands(servers.b)
    assert servers.leads(servers.b, 700) is Turn.NEW_EPOCH


def test_follower_succeeds_and_is_followed_by_its_own_log(servers: Servers) -> None:
    fail_over(servers)
    assert servers.finding == Finding(Role.PRIMARY, 2, place(700))
    # What C has of A's log, however much, is nothing of B's.
    servers.follows(servers.c, servers.a, 1000)
    assert servers.finding.timeline == STRANGE
    assert servers.follows(servers.c, servers.b, 700) is Turn.REPLICA_JOINED


def test_replica_that_had_more_of_the_lost_primary_is_kept_out_until_it_is_made_anew(
    servers: Servers,
) -> None:
    fail_over(servers)
    servers.follows(servers.c, servers.a, 1001)
    servers.follows(servers.c, servers.b, 800)
    assert servers.finding.timeline == STRANGE
    assert "log.000001:1001" in servers.finding.complaint
    anew = replace(servers.replica(servers.c, servers.b, 800), identity=uuid("d"))
    assert servers.take(servers.c, anew) is Turn.REPLICA_JOINED


def test_successor_is_believed_what_it_still_says_of_its_source(servers: Servers) -> None:
    servers.lost(servers.a)
    servers.follows(servers.c, servers.a, 1500)
    said = replace(
        servers.primary(servers.b, 700), places=servers.replica(servers.b, servers.a, 1500).places
    )
    assert servers.take(servers.b, said) is Turn.NEW_EPOCH
    assert servers.follows(servers.c, servers.b, 700) is Turn.REPLICA_JOINED


def test_primary_that_was_lost_may_have_anything(servers: Servers) -> None:
    fail_over(servers)
    assert servers.leads(servers.a, 158, file=2) is Turn.SPLIT
    servers.follows(servers.a, servers.b, 800)
    assert servers.finding.timeline == STRANGE
    assert "nobody knows where" in servers.finding.complaint


def test_primary_that_was_seen_to_end_where_its_successor_was_may_follow(
    servers: Servers,
) -> None:
    assert servers.stands(servers.a, end=1400) is Turn.PRIMARY_LOST
    servers.follows(servers.b, servers.a, 1400)
    servers.leads(servers.b, 700)
    assert servers.follows(servers.a, servers.b, 700) is Turn.REPLICA_JOINED
    # And back again.
    servers.stands(servers.b, end=900)
    servers.follows(servers.a, servers.b, 900)
    assert servers.leads(servers.a, 1900) is Turn.NEW_EPOCH
    assert servers.follows(servers.b, servers.a, 1900) is Turn.REPLICA_JOINED


def test_primary_that_ended_behind_its_successor_may_not_follow(servers: Servers) -> None:
    servers.stands(servers.a, end=1400)
    servers.follows(servers.b, servers.a, 1399)
    servers.leads(servers.b, 700)
    servers.follows(servers.a, servers.b, 700)
    assert servers.finding.timeline == STRANGE
    assert "log.000001:1400" in servers.finding.complaint


def test_who_never_followed_may_not_succeed() -> None:
    servers = Servers()
    servers.leads(servers.a, 1000)
    servers.follows(servers.b, servers.a, 900)
    servers.stands(servers.a, end=1000)
    assert servers.leads(servers.b, 9000) is Turn.SPLIT
    assert servers.leads(servers.a, 1000) is Turn.NEW_EPOCH


def with_gtids(servers: Servers, executed: str, offset: int) -> Report:
    """What A says once it has been told to give its commits GTIDs."""
    name, done = uuid("a"), gtids(executed)
    log = servers.primary(servers.a, offset).log
    return Report(name, True, True, [], name, name, done, done, log=log)


def test_gtids_switched_on_say_nothing_of_what_was_committed_without(servers: Servers) -> None:
    assert servers.take(servers.a, with_gtids(servers, "", 1300)) is Turn.NEW_EPOCH
    assert servers.history.by_log  # still asked
    servers.follows(servers.b, servers.a, 1299)
    assert servers.finding.timeline == STRANGE
    assert servers.follows(servers.b, servers.a, 1300) is Turn.REPLICA_JOINED
    servers.take(servers.a, with_gtids(servers, "a:1", 1400))
    assert servers.finding.position == 1
    servers.take(
        servers.b, replace(servers.replica(servers.b, servers.a, 1400), executed=gtids("a:1"))
    )
    assert servers.finding.position == 1


def test_gtids_switched_off_begin_an_epoch_by_the_log() -> None:
    servers = Servers()
    servers.take(servers.a, with_gtids(servers, "a:1-5", 1300))
    assert not servers.history.by_log
    assert servers.leads(servers.a, 1400) is Turn.NEW_EPOCH
    servers.take(
        servers.b, replace(servers.replica(servers.b, servers.a, 1399), executed=gtids("a:1-5"))
    )
    assert servers.finding.timeline == STRANGE
    assert servers.follows(servers.b, servers.a, 1400) is Turn.REPLICA_JOINED


def test_commit_with_a_gtid_of_another_is_seen_beside_a_log(servers: Servers) -> None:
    servers.take(servers.a, replace(servers.primary(servers.a, 1100), written=gtids("a:1-2")))
    fine = replace(servers.replica(servers.b, servers.a, 1100), written=gtids("a:1-3"))
    servers.take(servers.b, fine)
    assert servers.group.follows(servers.b)
    strayed = replace(fine, written=gtids("a:1-3,b:1"))
    assert servers.take(servers.b, strayed) is Turn.REPLICA_LOST


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400)), max_size=12), st.data())
def test_replica_at_a_position_has_everything_that_was_there(
    commits: list[tuple[int, int]], data: st.DataObject
) -> None:
    """Whatever is committed, wherever files end, whenever somebody looks."""
    servers = Servers()
    file, offset = 1, 158
    log = [(file, offset)]
    servers.leads(servers.a, offset, file)
    needs = [(servers.finding.position, len(log))]
    for ends, size in commits:
        file, offset = (file + 1, 158 + size) if ends == 0 else (file, offset + size)
        log.append((file, offset))
        if data.draw(st.booleans()):
            servers.leads(servers.a, offset, file)
            needs.append((servers.finding.position, len(log)))
    replayed = data.draw(st.integers(1, len(log)))
    at, behind = log[replayed - 1][1], log[replayed - 1][0]
    servers.follows(servers.b, servers.a, at, behind)
    for need, count in needs:
        reaches = servers.finding.timeline != STRANGE and servers.finding.position >= need
        assert reaches is (replayed >= count)
