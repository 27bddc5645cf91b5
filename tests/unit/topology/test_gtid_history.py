"""Who leads, who follows and how far they are, by what servers say of transaction ids."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.topology.group import Epoch, Server, Turn
from proxy.topology.gtid import GtidSet, parse_executed
from proxy.topology.gtid_history import GENERATIONS, STRANGE, Finding, Report, Source
from proxy.types import Position, Role
from tests.unit.topology.three_servers import ThreeServers


def uuid(name: str) -> str:
    return f"00000000-0000-0000-0000-00000000000{name}"


def gtids(text: str) -> GtidSet:
    """Read a set in which one letter stands for a uuid."""
    parts = [part.partition(":") for part in text.split(",") if part]
    return parse_executed(",".join(f"{uuid(name)}:{rest}" for name, _, rest in parts))


class Servers(ThreeServers):
    """What they say."""

    def report(
        self, server: Server, executed: str, *, writes: bool = False, follows: Server | None = None
    ) -> Report:
        name = server.host
        source = [Source(uuid(follows.host), follows.name)] if follows else []
        executed_set = gtids(executed)
        return Report(
            uuid(name), writes, True, source, uuid(name), uuid(name), executed_set, executed_set
        )

    def saw(
        self,
        server: Server,
        executed: str,
        *,
        writes: bool = False,
        follows: Server | None = None,
    ) -> Turn:
        return self.take(server, self.report(server, executed, writes=writes, follows=follows))

    def begin(self) -> None:
        """A leads with 1 to 10 of its own, and everybody has all of them."""
        assert self.saw(self.b, "a:1-10", follows=self.a) is Turn.NOTHING
        assert self.saw(self.c, "a:1-10", follows=self.a) is Turn.NOTHING
        assert self.saw(self.a, "a:1-10", writes=True) is Turn.NEW_EPOCH
        assert self.saw(self.b, "a:1-10", follows=self.a) is Turn.REPLICA_JOINED
        assert self.saw(self.c, "a:1-10", follows=self.a) is Turn.REPLICA_JOINED


@pytest.fixture
def servers() -> Servers:
    them = Servers()
    them.begin()
    return them


def test_positions_are_the_numbers_of_the_primary(servers: Servers) -> None:
    servers.saw(servers.a, "a:1-12", writes=True)
    assert servers.finding == Finding(Role.PRIMARY, 1, Position(12))
    servers.saw(servers.b, "a:1-11", follows=servers.a)
    assert servers.finding == Finding(Role.REPLICA, 1, Position(11))


def test_replica_is_where_its_first_gap_is(servers: Servers) -> None:
    servers.saw(servers.b, "a:1-11:13-15", follows=servers.a)
    assert servers.finding.position == 11


def test_gap_that_the_primary_has_too_holds_nobody_back() -> None:
    servers = Servers()
    servers.saw(servers.b, "", follows=servers.a)
    servers.saw(servers.c, "", follows=servers.a)
    servers.saw(servers.a, "a:1-5:7-10", writes=True)
    servers.saw(servers.b, "a:1-5:7-12", follows=servers.a)
    assert servers.finding.position == 12


def test_replica_without_all_of_the_beginning_does_not_follow(servers: Servers) -> None:
    assert servers.saw(servers.b, "a:1-9", follows=servers.a) is Turn.REPLICA_LOST
    assert servers.saw(servers.b, "a:1-10", follows=servers.a) is Turn.REPLICA_JOINED


def test_writable_replica_is_a_replica(servers: Servers) -> None:
    assert servers.saw(servers.b, "a:1-10", writes=True, follows=servers.a) is Turn.NOTHING
    assert servers.group.follows(servers.b)
    # Also behind another one, and when its primary is gone.
    assert servers.saw(servers.c, "a:1-10", writes=True, follows=servers.b) is Turn.NOTHING
    servers.lost(servers.a)
    assert servers.saw(servers.b, "a:1-10", writes=True, follows=servers.a) is Turn.NOTHING


def test_of_two_that_follow_each_other_the_writable_one_leads(servers: Servers) -> None:
    assert servers.saw(servers.a, "a:1-11", writes=True, follows=servers.b) is Turn.NOTHING
    assert servers.group.primary is servers.a


def test_writable_server_is_no_primary_while_its_source_is_unknown() -> None:
    servers = Servers()
    servers.saw(servers.b, "a:1-10", writes=True, follows=servers.a)
    assert servers.group.primary is None
    servers.saw(servers.a, "a:1-10", writes=True)
    assert servers.group.primary is servers.a


def test_source_outside_of_the_group_does_not_matter() -> None:
    servers = Servers()
    outside = Server("9", 3306)
    servers.saw(servers.b, "9:1-3,a:1", follows=servers.a)
    servers.saw(servers.c, "9:1-3,a:1", follows=servers.a)
    assert servers.saw(servers.a, "9:1-3,a:1", writes=True, follows=outside) is Turn.NEW_EPOCH


def test_commits_of_others_begin_generations(servers: Servers) -> None:
    servers.saw(servers.a, "a:1-12", writes=True)
    before = servers.finding.position
    servers.saw(servers.a, "a:1-12,9:1", writes=True)
    after = servers.finding.position
    assert after > before
    servers.saw(servers.b, "a:1-15", follows=servers.a)
    assert before < servers.finding.position < after
    servers.saw(servers.b, "a:1-11,9:1", follows=servers.a)
    assert servers.finding.position < before
    servers.saw(servers.b, "a:1-12,9:1", follows=servers.a)
    assert servers.finding.position == after


def test_acknowledged_commit_needs_no_question(servers: Servers) -> None:
    assert servers.history.told(f"{uuid('a')}:13") == 13
    for gtids in (f"{uuid('9')}:13", f"{uuid('a')}:tag:13", f"{uuid('a')}:13,{uuid('9')}:1", ""):
        assert servers.history.told(gtids) is None
    # A look that began before that commit, and shows what others did meanwhile.
    servers.saw(servers.a, "a:1-12,9:1", writes=True)
    servers.saw(servers.b, "a:1-12,9:1", follows=servers.a)
    assert servers.finding.position < 13
    servers.saw(servers.b, "a:1-13,9:1", follows=servers.a)
    assert servers.finding.position > 13


def test_contents_of_a_position_are_what_a_server_must_have(servers: Servers) -> None:
    servers.saw(servers.a, "a:1-12,9:1-3", writes=True)
    contents = servers.history.contents(servers.finding.position)
    assert contents == gtids("a:1-12,9:1-3")
    assert servers.history.contents(Position(11)) == gtids("a:1-11")
    for number in range(GENERATIONS):
        servers.saw(servers.a, f"a:1-12,9:1-{number + 4}", writes=True)
    assert servers.history.contents(Position(11)) is None


def test_errant_transaction_keeps_a_replica_out_and_is_told_once(servers: Servers) -> None:
    assert servers.saw(servers.b, "a:1-10,b:1", follows=servers.a) is Turn.REPLICA_LOST
    assert servers.finding.complaint == ""  # the primary may have it by now
    servers.saw(servers.a, "a:1-10", writes=True)
    servers.saw(servers.b, "a:1-10,b:1", follows=servers.a)
    assert f"{uuid('b')}:1" in servers.finding.complaint
    servers.saw(servers.b, "a:1-10,b:1", follows=servers.a)
    assert servers.finding.complaint == ""
    # It was injected at the primary as well.
    servers.saw(servers.a, "a:1-10,b:1", writes=True)
    assert servers.saw(servers.b, "a:1-10,b:1", follows=servers.a) is Turn.REPLICA_JOINED


def test_follower_succeeds_even_if_commits_are_lost(servers: Servers) -> None:
    servers.saw(servers.a, "a:1-15", writes=True)
    assert servers.lost(servers.a) is Turn.PRIMARY_LOST
    assert servers.saw(servers.b, "a:1-12,b:1", writes=True) is Turn.NEW_EPOCH
    assert servers.finding.timeline == 2
    assert not servers.group.follows(servers.c)
    assert servers.saw(servers.c, "a:1-12,b:1-2", follows=servers.b) is Turn.REPLICA_JOINED
    assert servers.finding.position == 2


def test_former_primary_that_lacks_something_may_not_come_back(servers: Servers) -> None:
    servers.lost(servers.a)
    servers.saw(servers.b, "a:1-10,b:1-5", writes=True)
    assert servers.saw(servers.a, "a:1-11", writes=True) is Turn.SPLIT
    servers.lost(servers.b)
    assert servers.saw(servers.a, "a:1-11", writes=True) is Turn.SPLIT
    assert servers.group.primary is None


def test_former_primary_with_commits_of_its_own_is_kept_out(servers: Servers) -> None:
    servers.lost(servers.a)
    servers.saw(servers.b, "a:1-10,b:1-5", writes=True)
    servers.saw(servers.a, "a:1-11,b:1-5", follows=servers.b)
    servers.saw(servers.b, "a:1-10,b:1-6", writes=True)
    servers.saw(servers.a, "a:1-11,b:1-6", follows=servers.b)
    assert f"{uuid('a')}:11" in servers.finding.complaint


def test_second_claim_is_a_split_while_the_first_holds(servers: Servers) -> None:
    assert servers.saw(servers.b, "a:1-10,b:1", writes=True) is Turn.SPLIT
    assert servers.saw(servers.a, "a:1-10", follows=servers.b) is Turn.PRIMARY_LOST
    assert servers.saw(servers.b, "a:1-10,b:1", writes=True) is Turn.NEW_EPOCH


def test_restarted_primary_begins_an_epoch(servers: Servers) -> None:
    servers.lost(servers.a)
    assert servers.saw(servers.a, "a:1-12", writes=True) is Turn.NEW_EPOCH
    assert servers.group.epoch == Epoch(1, 2, servers.a.name, 2)
    assert not servers.group.follows(servers.b)
    assert servers.saw(servers.b, "a:1-11", follows=servers.a) is Turn.NOTHING
    assert servers.saw(servers.b, "a:1-12", follows=servers.a) is Turn.REPLICA_JOINED


def test_replica_that_has_what_a_crash_lost_is_kept_out_until_it_is_made_anew(
    servers: Servers,
) -> None:
    servers.saw(servers.b, "a:1-14", follows=servers.a)
    servers.lost(servers.a)
    servers.saw(servers.a, "a:1-12", writes=True)
    servers.saw(servers.a, "a:1-20", writes=True)
    servers.saw(servers.b, "a:1-20", follows=servers.a)
    assert servers.finding.timeline == STRANGE
    assert "lost in its crash" in servers.finding.complaint
    servers.saw(servers.b, "a:1-5", follows=servers.a)
    assert servers.saw(servers.b, "a:1-20", follows=servers.a) is Turn.REPLICA_JOINED


def test_log_begun_anew_begins_an_epoch(servers: Servers) -> None:
    assert servers.saw(servers.a, "a:1", writes=True) is Turn.NEW_EPOCH
    assert servers.saw(servers.b, "a:1-10", follows=servers.a) is Turn.NOTHING
    assert not servers.group.follows(servers.b)


def test_nothing_is_told_before_there_is_a_primary_or_by_one_without_numbers() -> None:
    servers = Servers()
    assert servers.history.told(f"{uuid('a')}:13") is None
    servers.begin()
    report = replace(servers.report(servers.a, "a:1-10", writes=True), numbers_commits=False)
    servers.take(servers.a, report)
    assert servers.history.told(f"{uuid('a')}:13") is None


def test_former_primary_tells_nothing(servers: Servers) -> None:
    servers.lost(servers.a)
    assert servers.saw(servers.b, "a:1-10", writes=True) is Turn.NEW_EPOCH
    assert servers.history.told(f"{uuid('a')}:13") is None
    assert servers.history.told(f"{uuid('b')}:1") is not None


def test_number_that_is_no_position_is_asked_about(servers: Servers) -> None:
    assert servers.history.told(f"{uuid('a')}:{2**48}") is None
    assert servers.history.told(f"{uuid('a')}:{2**48 - 1}") == 2**48 - 1


def test_nobody_is_read_when_commits_have_no_numbers() -> None:
    servers = Servers()
    servers.take(
        servers.a, replace(servers.report(servers.a, "", writes=True), numbers_commits=False)
    )
    assert servers.group.primary is servers.a
    servers.saw(servers.b, "", follows=servers.a)
    assert servers.finding.timeline == STRANGE
    assert "neither GTIDs nor a log" in servers.finding.complaint


def test_switching_the_numbers_off_begins_an_epoch_without_replicas(servers: Servers) -> None:
    report = replace(servers.report(servers.a, "a:1-10", writes=True), numbers_commits=False)
    assert servers.take(servers.a, report) is Turn.NEW_EPOCH
    servers.saw(servers.b, "a:1-10", follows=servers.a)
    assert not servers.group.follows(servers.b)


commits = st.lists(st.sampled_from("aa98"), max_size=12)


@settings(max_examples=300)
@given(commits, st.data())
def test_replica_at_a_position_has_everything_that_was_there(
    made: list[str], data: st.DataObject
) -> None:
    """The one rule that positions are for, whoever commits and in whatever order it is replayed."""
    servers = Servers()
    servers.begin()
    everything = [("a", number) for number in range(1, 11)]
    seen = len(everything)
    needs: list[tuple[Position, GtidSet]] = []
    for name in made:
        number = sum(key == name for key, _ in everything) + 1
        everything.append((name, number))
        if name == "a" and data.draw(st.booleans()):
            need = servers.history.told(f"{uuid('a')}:{number}")
            assert need is not None
            needs.append((need, gtids(f"a:{number}")))
        if data.draw(st.booleans()):
            # Asked some time ago, perhaps.
            seen = data.draw(st.integers(seen, len(everything)))
            servers.saw(servers.a, written(everything[:seen]), writes=True)
            needs.append((servers.finding.position, gtids(written(everything[:seen]))))
    whole = data.draw(st.integers(10, len(everything)))
    replayed = everything[:whole] + data.draw(st.lists(st.sampled_from(everything), max_size=3))
    servers.saw(servers.b, written(replayed), follows=servers.a)
    for need, contents in needs:
        if servers.finding.timeline != STRANGE and servers.finding.position >= need:
            assert gtids(written(replayed)).covers(contents)
        exact = servers.history.contents(need)
        assert exact is not None
        assert exact.covers(contents)


@settings(max_examples=300)
@given(commits, st.data())
def test_replica_at_the_position_of_something_has_it(made: list[str], data: st.DataObject) -> None:
    """Whatever another member has seen of the primary, be it between two looks of ours."""
    servers = Servers()
    servers.begin()
    everything = [("a", number) for number in range(1, 11)]
    for name in made:
        everything.append((name, sum(key == name for key, _ in everything) + 1))
        if data.draw(st.booleans()):
            servers.saw(servers.a, written(everything), writes=True)
    executed = servers.history.executed
    assert executed is not None
    replayed = everything[: data.draw(st.integers(10, len(everything)))]
    servers.saw(servers.b, written(replayed), follows=servers.a)
    for size in range(10, len(everything) + 1):
        contents = gtids(written(everything[:size]))
        need = servers.history.position_of(contents)
        assert (need is not None) == executed.covers(contents)
        if need is None:
            continue
        exact = servers.history.contents(need)
        assert exact is not None
        assert exact.covers(contents)
        if servers.finding.timeline != STRANGE and servers.finding.position >= need:
            assert gtids(written(replayed)).covers(contents)


def test_position_of_something_asks_for_no_more_than_is_needed(servers: Servers) -> None:
    servers.saw(servers.a, "a:1-12", writes=True)
    servers.saw(servers.a, "a:1-14,9:1-3", writes=True)
    servers.saw(servers.a, "a:1-20,9:1-3", writes=True)
    of = servers.history.position_of
    assert of(gtids("a:1-11")) == 11
    beside = of(gtids("a:1-13,9:1-2"))
    assert beside is not None
    assert servers.history.contents(beside) == gtids("a:1-13,9:1-3")
    assert of(gtids("a:1-16")) == of(gtids("a:1-16,9:1-3"))
    assert of(gtids("a:1-21")) is None
    assert of(gtids("a:1-10,8:1")) is None


def test_nothing_has_a_position_without_a_primary(servers: Servers) -> None:
    assert servers.history.executed == gtids("a:1-10")
    servers.lost(servers.a)
    assert servers.history.executed is None
    assert servers.history.position_of(gtids("a:1-5")) is None


def test_what_has_no_numbers_can_not_be_told_by_them(servers: Servers) -> None:
    report = replace(servers.report(servers.a, "a:1-10", writes=True), numbers_commits=False)
    servers.take(servers.a, report)
    assert servers.history.executed == GtidSet()
    assert servers.history.position_of(gtids("a:1-5")) is None


def written(commits: list[tuple[str, int]]) -> str:
    return ",".join(f"{key}:{number}" for key, number in commits)
