"""What the witnesses find of real MariaDB and MySQL servers."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import aiomysql
import pytest

from proxy.demo.local_mysql import CONTROL_USER, WITHOUT_GTIDS, MySQLCluster, temporary_mysql
from proxy.demo.mysql_programs import Flavour
from proxy.demo.mysql_server import MySQLServer
from proxy.topology.group import Group, Server, Sighting, Turn
from proxy.topology.gtid import GtidSet
from proxy.topology.gtid_history import GtidHistory
from proxy.topology.mysql_witness import mysql_opener, reached_in_mariadb, reached_in_mysql
from proxy.topology.witness import Control, Witness
from proxy.types import Position, Role
from tests.integration.conftest import heal_mysql, require

INTERVAL = 0.05


class Lookout:
    """Witnesses of a cluster's servers, and what they found."""

    def __init__(
        self,
        cluster: MySQLCluster,
        *,
        user: str = CONTROL_USER,
        password: str = "",
        interval: float = INTERVAL,
    ) -> None:
        self.cluster = cluster
        self.servers = {s.name: Server("127.0.0.1", s.port) for s in cluster.servers}
        self.group = Group("app", list(self.servers.values()))
        self.history = GtidHistory(self.group.servers)
        self.turns: list[tuple[Turn, Server]] = []
        self.asked: dict[Server, int] = {}
        self._news = asyncio.Event()
        control = Control(
            user=user,
            password=password or cluster.control_password,
            database="",
            application_name="tidegate test",
            tls=False,
            interval=interval,
            timeout=2.0,
        )
        opener = mysql_opener(self.history)
        self.witnesses = {s: Witness(s, control, self, opener) for s in self.group.servers}
        self._tasks = [asyncio.create_task(w.run()) for w in self.witnesses.values()]

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # The witnesses' watcher.

    def met(self, server: Server) -> None:
        self.group.met(server)

    def asking(self, server: Server) -> None:
        self.asked[server] = self.asked.get(server, 0) + 1

    def saw(self, server: Server, sighting: Sighting) -> None:
        self._note(server, self.group.saw(server, sighting))

    def lost(self, server: Server, error: str) -> None:
        self._note(server, self.group.lost(server, error))

    def _note(self, server: Server, turn: Turn) -> None:
        self._news.set()
        if turn is not Turn.NOTHING:
            self.turns.append((turn, server))

    # What tests ask.

    def of(self, server: MySQLServer) -> Server:
        return self.servers[server.name]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20.0):
            while not condition():
                self._news.clear()
                await self._news.wait()

    async def until_all_follow(self) -> None:
        expected = len(self.group.servers) - 1
        await self.until(lambda: len(self.group.replicas) == expected)

    async def position(self) -> Position:
        """Have the primary asked, and return what it says."""
        primary = self.group.primary
        assert primary is not None
        await self.witnesses[primary].confirm()
        return primary.position

    def reached(self, position: Position) -> str:
        contents = self.history.contents(position)
        assert contents is not None
        return question(self.cluster, contents)


def question(cluster: MySQLCluster, contents: GtidSet) -> str:
    ask = reached_in_mysql if cluster.flavour == "mysql" else reached_in_mariadb
    return ask(contents)


@asynccontextmanager
async def looking(cluster: MySQLCluster) -> AsyncIterator[Lookout]:
    """Look at servers that all follow their primary."""
    it = Lookout(cluster)
    await it.until_all_follow()
    yield it
    await it.close()


@pytest.fixture
async def lookout(either: MySQLCluster) -> AsyncIterator[Lookout]:
    async with looking(either) as it:
        yield it


_ON_BOTH = "TIDEGATE_SOAK_SECONDS" in os.environ
"""MySQL's servers take long to start: in `make soak` only."""


@pytest.fixture(params=["mariadb", "mysql"] if _ON_BOTH else ["mariadb"])
def own(request: pytest.FixtureRequest) -> Iterator[MySQLCluster]:
    """Servers that a test may do anything to."""
    flavour: Flavour = request.param
    require(flavour)
    with temporary_mysql(flavour) as cluster:
        cluster.primary.execute("CREATE DATABASE d; CREATE TABLE d.t (a int PRIMARY KEY)")
        cluster.wait_replayed()
        yield cluster


@pytest.fixture
async def own_lookout(own: MySQLCluster) -> AsyncIterator[Lookout]:
    async with looking(own) as it:
        yield it


async def test_roles_are_found(lookout: Lookout, either: MySQLCluster) -> None:
    assert lookout.group.primary is lookout.of(either.primary)
    assert {s.role for s in lookout.group.replicas} == {Role.REPLICA}


async def test_positions_advance_and_replicas_reach_them(
    lookout: Lookout, either: MySQLCluster, either_database: str
) -> None:
    before = await lookout.position()
    either.primary.execute(f"CREATE TABLE {either_database}.t (a int PRIMARY KEY)")
    after = await lookout.position()
    assert after == before + 1
    await lookout.until(lambda: all(s.position == after for s in lookout.group.replicas))
    either.primary.execute(f"INSERT INTO {either_database}.t VALUES (1)")
    assert await lookout.position() == after + 1


async def test_lagging_replica_is_seen_and_says_so_itself(
    lookout: Lookout, either: MySQLCluster, either_database: str
) -> None:
    held, free = either.replicas
    held.pause_replay()
    either.primary.execute(f"CREATE TABLE {either_database}.t (a int PRIMARY KEY)")
    need = await lookout.position()
    await lookout.until(lambda: lookout.of(free).position >= need)
    await lookout.until(lambda: lookout.of(held).lag > 0)
    assert lookout.of(held).position < need
    assert not held.fetch(lookout.reached(need))
    assert free.fetch(lookout.reached(need))
    # It is behind, and still a replica.
    assert lookout.group.follows(lookout.of(held))
    held.resume_replay()
    await lookout.until(lambda: lookout.of(held).position >= need)
    assert held.fetch(lookout.reached(need))


async def test_reached_position_shows_its_commit_under_parallel_replay(
    lookout: Lookout, either: MySQLCluster, either_database: str
) -> None:
    """As sessions will ask: the position of a commit, then the replica, in one go."""
    table = f"{either_database}.t"
    either.primary.execute(f"CREATE TABLE {table} (a int PRIMARY KEY, n int)")
    for row in range(8):
        either.primary.execute(f"INSERT INTO {table} VALUES ({row}, 0)")
    either.wait_replayed()
    await asyncio.gather(*(write_and_read(lookout, table, row) for row in range(8)))


async def write_and_read(lookout: Lookout, table: str, row: int) -> None:
    """Write a row again and again, and read it from a replica as soon as it says that it may."""
    cluster = lookout.cluster
    primary = await login(cluster, cluster.primary)
    replica = await login(cluster, cluster.replicas[row % 2])
    for number in range(1, 60):
        await primary.execute(f"UPDATE {table} SET n = {number} WHERE a = {row}")
        sql = lookout.reached(await lookout.position())
        async with asyncio.timeout(20.0):
            while not await replica.execute(sql):
                continue
        await replica.execute(f"SELECT n FROM {table} WHERE a = {row}")
        assert await replica.fetchone() == (number,)
    for cursor in (primary, replica):
        cursor.connection.close()


async def login(cluster: MySQLCluster, server: MySQLServer) -> aiomysql.Cursor:
    connection = await aiomysql.connect(
        host="127.0.0.1", port=server.port, user="root", password=cluster.password, autocommit=True
    )
    return await connection.cursor()


async def test_restarted_primary_is_a_new_incarnation_and_epoch(
    lookout: Lookout, either: MySQLCluster
) -> None:
    primary = lookout.of(either.primary)
    before, epoch = primary.incarnation, lookout.group.epoch
    either.primary.kill()
    await lookout.until(lambda: lookout.group.primary is None)
    either.primary.start()
    await lookout.until(lambda: lookout.group.primary is primary)
    assert primary.incarnation > before
    assert lookout.group.epoch != epoch
    heal_mysql(either)
    await lookout.until_all_follow()


async def poke(lookout: Lookout) -> None:
    """Have all servers looked at, again and again."""
    while True:
        for witness in lookout.witnesses.values():
            witness.poke()
        await asyncio.sleep(0.1)


async def test_end_of_a_server_is_seen_between_two_looks(either: MySQLCluster) -> None:
    patient = Lookout(either, interval=600.0)
    await patient.until(lambda: len(patient.asked) == 3)
    poking = asyncio.create_task(poke(patient))  # a replica may have to connect to its primary yet
    await patient.until_all_follow()
    poking.cancel()
    either.replicas[0].kill()
    either.replicas[1].stop()
    await patient.until(lambda: not patient.group.replicas)
    await patient.close()


async def test_server_that_does_not_answer_is_lost(lookout: Lookout, either: MySQLCluster) -> None:
    victim = either.replicas[0]
    victim.freeze()
    try:
        await lookout.until(lambda: lookout.of(victim).role is Role.UNKNOWN)
    finally:
        victim.thaw()
    await lookout.until_all_follow()


async def test_fail_over_is_a_new_epoch_that_the_others_join(
    own_lookout: Lookout, own: MySQLCluster
) -> None:
    old, new = own.primary, own.replicas[0]
    old.kill()
    own.fail_over(new)
    await own_lookout.until(lambda: own_lookout.group.primary is own_lookout.of(new))
    own.primary.execute("INSERT INTO d.t VALUES (1)")
    own.wait_replayed()
    await own_lookout.until(lambda: len(own_lookout.group.replicas) == 1)
    # The old one comes back as if nothing had happened, and is not believed.
    old.start()
    old_server = own_lookout.of(old)
    await own_lookout.until(lambda: (Turn.SPLIT, old_server) in own_lookout.turns)
    assert own_lookout.group.primary is own_lookout.of(new)
    own.rebuild(old)
    own.wait_replayed()
    await own_lookout.until_all_follow()
    need = await own_lookout.position()
    await own_lookout.until(lambda: old_server.position >= need)


async def test_former_primary_rejoins_with_what_it_has(
    own_lookout: Lookout, own: MySQLCluster
) -> None:
    old, new = own.primary, own.replicas[0]
    own.wait_replayed()
    old.kill()
    own.fail_over(new)
    own.primary.execute("INSERT INTO d.t VALUES (1)")
    own.rejoin(old)
    await own_lookout.until(lambda: own_lookout.group.primary is own_lookout.of(new))
    need = await own_lookout.position()
    back = own_lookout.of(old)
    await own_lookout.until(lambda: own_lookout.group.follows(back) and back.position >= need)


async def test_former_primary_with_a_commit_of_its_own_is_kept_out(
    own_lookout: Lookout, own: MySQLCluster, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = own.primary, own.replicas[0]
    for replica in own.replicas:
        replica.execute("STOP REPLICA IO_THREAD")
    old.execute("INSERT INTO d.t VALUES (100)")
    await own_lookout.position()
    old.kill()
    own.fail_over(new)
    await own_lookout.until(lambda: own_lookout.group.primary is own_lookout.of(new))
    own.rejoin(old)
    own.primary.execute("INSERT INTO d.t VALUES (1); INSERT INTO d.t VALUES (2)")
    own.wait_replayed(own.replicas[0])
    await own_lookout.until(lambda: "replica kept out" in caplog.text)
    fields = [record.__dict__.get("fields", {}) for record in caplog.records]
    assert any("commits that the primary has not" in each.get("error", "") for each in fields)
    assert not own_lookout.group.follows(own_lookout.of(old))


async def test_switch_over_with_everybody_up(own_lookout: Lookout, own: MySQLCluster) -> None:
    old, new = own.primary, own.replicas[0]
    old.set_read_only(True)
    own.wait_replayed(new)
    await own_lookout.until(lambda: own_lookout.group.primary is None)
    own.fail_over(new)
    await own_lookout.until(lambda: own_lookout.group.primary is own_lookout.of(new))


async def test_writable_replica_is_no_primary(lookout: Lookout, either: MySQLCluster) -> None:
    forgotten = lookout.of(either.replicas[0])
    either.replicas[0].set_read_only(False)
    asked = lookout.asked[forgotten]
    await lookout.until(lambda: lookout.asked[forgotten] > asked + 3)
    assert lookout.group.follows(forgotten)
    assert Turn.SPLIT not in [turn for turn, _ in lookout.turns]
    either.replicas[0].set_read_only(True)


async def test_errant_transaction_keeps_a_replica_out(
    own_lookout: Lookout, own: MySQLCluster
) -> None:
    strayed = own_lookout.of(own.replicas[0])
    own.replicas[0].set_read_only(False)
    own.replicas[0].execute("CREATE DATABASE errant")
    await own_lookout.until(lambda: not own_lookout.group.follows(strayed))
    # Neither do later commits of the primary, which bear the same number in MariaDB, hide it.
    own.primary.execute("INSERT INTO d.t VALUES (1)")
    own.wait_replayed()
    asked = own_lookout.asked[strayed]
    await own_lookout.until(lambda: own_lookout.asked[strayed] > asked + 3)
    assert not own_lookout.group.follows(strayed)


async def test_commits_in_another_domain_or_tag_are_reached_too(
    lookout: Lookout, either: MySQLCluster, either_database: str
) -> None:
    other = {
        "mariadb": "SET SESSION gtid_domain_id = 7",
        "mysql": "SET SESSION gtid_next = 'AUTOMATIC:other'",
    }[either.flavour]
    before = await lookout.position()
    either.replicas[0].pause_replay()
    either.primary.execute(f"{other}; CREATE TABLE {either_database}.t (a int)")
    need = await lookout.position()
    assert need > before
    held, free = (lookout.of(replica) for replica in either.replicas)
    await lookout.until(lambda: free.position >= need)
    assert held.position < need
    assert not either.replicas[0].fetch(lookout.reached(need))
    assert either.replicas[1].fetch(lookout.reached(need))


async def test_fence_ends_a_session_and_sees_it_gone(
    lookout: Lookout, either: MySQLCluster, either_database: str
) -> None:
    witness = lookout.witnesses[lookout.of(either.primary)]
    name = f"user_{either_database}"
    either.primary.execute(f"CREATE USER {name}@'%' IDENTIFIED BY 'x'")
    connection = await aiomysql.connect(
        host="127.0.0.1", port=either.primary.port, user=name, password="x"
    )
    pid, start = connection.thread_id(), time.time()
    # A session of an earlier life of the server: whoever has its number now is another.
    assert await witness.fence(pid, start - 1e6)
    assert either.primary.fetch("SELECT 1 FROM information_schema.processlist WHERE id = %s", pid)
    async with asyncio.timeout(10.0):
        while not await witness.fence(pid, start):
            continue
    assert not either.primary.fetch(
        "SELECT 1 FROM information_schema.processlist WHERE id = %s", pid
    )
    connection.close()


async def test_user_without_rights_still_sees_roles_and_positions(
    either: MySQLCluster, either_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    name = f"plain_{either_database}"
    either.primary.execute(f"CREATE USER {name}@'%' IDENTIFIED BY 'x'")
    either.wait_replayed()
    plain = Lookout(either, user=name, password="x")
    await plain.until_all_follow()
    witness = plain.witnesses[plain.of(either.primary)]
    cursor = await login(either, either.primary)
    assert not await witness.fence(cursor.connection.thread_id(), time.time())
    cursor.connection.close()
    await plain.close()
    assert "cannot see whom this server follows" in caplog.text


async def test_wrong_password_is_a_loss_like_any_other(either: MySQLCluster) -> None:
    it = Lookout(either, password="wrong")
    server = it.of(either.primary)
    await it.until(lambda: "Access denied" in server.last_error)
    await it.close()


# MySQL without GTIDs.


@pytest.fixture(scope="module")
def shared_by_log() -> Iterator[MySQLCluster]:
    """Servers that are followed by their logs; tests leave them as they were."""
    if not _ON_BOTH:
        pytest.skip("in `make soak` only: what else there is of it is in tests/consistency")
    require("mysql")
    with temporary_mysql("mysql", settings=WITHOUT_GTIDS) as cluster:
        cluster.primary.execute("CREATE DATABASE d; CREATE TABLE d.t (a int PRIMARY KEY, n int)")
        cluster.primary.execute("INSERT INTO d.t VALUES (1, 0)")
        cluster.wait_replayed()
        yield cluster


@pytest.fixture
async def by_log(shared_by_log: MySQLCluster) -> AsyncIterator[Lookout]:
    async with looking(shared_by_log) as it:
        yield it


def write(lookout: Lookout) -> None:
    lookout.cluster.primary.execute("UPDATE d.t SET n = n + 1")


async def test_places_advance_and_replicas_reach_them(by_log: Lookout) -> None:
    held, free = (by_log.of(it) for it in by_log.cluster.replicas)
    by_log.cluster.replicas[0].pause_replay()
    write(by_log)
    by_log.cluster.primary.execute("FLUSH BINARY LOGS")
    need = await by_log.position()
    await by_log.until(lambda: free.position == need)
    assert held.position < need
    assert by_log.group.follows(held)
    by_log.cluster.replicas[0].resume_replay()
    await by_log.until(lambda: held.position == need)


async def test_place_is_not_believed_of_who_is_cut_off(by_log: Lookout) -> None:
    replica = by_log.cluster.replicas[0]
    replica.execute("STOP REPLICA IO_THREAD")
    await by_log.until(lambda: not by_log.group.follows(by_log.of(replica)))
    replica.execute("START REPLICA")
    await by_log.until_all_follow()


async def test_replica_of_a_replica_can_not_be_compared(
    by_log: Lookout, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = by_log.cluster.replicas
    place, own = second.replayed(), first.mark_position()
    second.follow(first, own)
    server = by_log.of(second)
    await by_log.until(lambda: server.timeline == 0 and not by_log.group.follows(server))
    await by_log.until(lambda: "replica kept out" in caplog.text)
    second.follow(by_log.cluster.primary, place)
    await by_log.until_all_follow()


async def test_restarted_primary_is_followed_into_its_next_file(by_log: Lookout) -> None:
    cluster = by_log.cluster
    write(by_log)
    epoch = by_log.group.epoch
    cluster.primary.kill()
    cluster.primary.start()
    await by_log.until(lambda: by_log.group.epoch != epoch)
    await by_log.until_all_follow()


async def test_gtids_are_switched_on_and_off_under_way(by_log: Lookout) -> None:
    cluster = by_log.cluster
    held = cluster.replicas[0]
    set_all(cluster, "enforce_gtid_consistency = ON", "gtid_mode = OFF_PERMISSIVE")
    set_all(cluster, "gtid_mode = ON_PERMISSIVE")
    cluster.wait_replayed()
    held.pause_replay()
    write(by_log)
    cluster.primary.execute("SET GLOBAL gtid_mode = ON")
    await by_log.until(lambda: counts_commits(by_log))
    free = by_log.of(cluster.replicas[1])
    await by_log.until(lambda: by_log.group.follows(free))
    assert not by_log.group.follows(by_log.of(held))
    held.resume_replay()
    await by_log.until_all_follow()
    write(by_log)
    need = await by_log.position()
    await by_log.until(lambda: free.position == need)
    for mode in ("ON_PERMISSIVE", "OFF_PERMISSIVE", "OFF"):
        set_all(cluster, f"gtid_mode = {mode}")
    write(by_log)
    await by_log.until(lambda: not counts_commits(by_log))
    await by_log.until_all_follow()


def counts_commits(lookout: Lookout) -> bool:
    return lookout.history.shown(Position(1)) == "commit 1"


def set_all(cluster: MySQLCluster, *settings: str) -> None:
    for server in cluster.servers:
        for setting in settings:
            server.execute(f"SET GLOBAL {setting}")


async def test_log_begun_anew_is_noticed(by_log: Lookout) -> None:
    cluster = by_log.cluster
    for replica in cluster.replicas:
        replica.wait_replayed(cluster.primary.mark_position())
    epoch = by_log.group.epoch
    cluster.primary.execute("RESET BINARY LOGS AND GTIDS")
    start = cluster.primary.mark_position()
    await by_log.until(lambda: by_log.group.epoch != epoch)
    write(by_log)
    assert not by_log.group.replicas
    for replica in cluster.replicas:
        replica.execute("STOP REPLICA")
        replica.follow(cluster.primary, start)
    await by_log.until_all_follow()


async def test_without_rights_nobody_is_read_from(
    by_log: Lookout, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = by_log.cluster
    cluster.primary.execute("CREATE USER plain@'%' IDENTIFIED BY 'x'")
    cluster.wait_replayed()
    plain = Lookout(cluster, user="plain", password="x")
    primary = plain.of(cluster.primary)
    await plain.until(lambda: plain.group.primary is primary)
    await plain.until(lambda: "replica kept out" in caplog.text)
    assert not plain.group.replicas
    await plain.close()
