"""The local MariaDB and MySQL servers themselves: what stands on them must rely on them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiomysql
import pymysql
import pytest

from proxy.demo import mysql_programs, mysql_root
from proxy.demo.local_mysql import CONTROL_USER, MySQLCluster, temporary_mysql
from proxy.demo.mysql_console import SUPERUSER
from proxy.demo.mysql_programs import Flavour, find_mariadb
from proxy.demo.mysql_server import MySQLServer
from proxy.demo.processes import MissingProgram, ProgramFailed, is_alive, wait_until
from tests.integration.conftest import heal_mysql, require

DOOMED = """
import sys, time
from proxy.demo.local_mysql import temporary_mysql
with temporary_mysql(sys.argv[1], replicas=1) as cluster:
    print(cluster.root.parent, *(server.pid for server in cluster.servers), flush=True)
    time.sleep(600)
"""


@pytest.fixture(params=["mariadb", "mysql"])
def flavour(request: pytest.FixtureRequest) -> Flavour:
    name: Flavour = request.param
    require(name)
    return name


@pytest.fixture
def own(flavour: Flavour) -> Iterator[MySQLCluster]:
    """Servers that a test may do anything to."""
    with temporary_mysql(flavour) as cluster:
        yield cluster


def rows(cluster: MySQLCluster, table: str) -> list[object]:
    return [server.fetch_value(f"SELECT count(*) FROM {table}") for server in cluster.servers]


def test_replicas_follow_the_primary(either: MySQLCluster, either_database: str) -> None:
    table = f"{either_database}.t"
    either.primary.execute(
        f"CREATE TABLE {table} (a int PRIMARY KEY); INSERT INTO {table} VALUES (1)"
    )
    either.wait_replayed()
    assert rows(either, table) == [1, 1, 1]
    assert [server.is_replica for server in either.servers] == [False, True, True]


def test_paused_replica_stays_behind_until_resumed(
    either: MySQLCluster, either_database: str
) -> None:
    table = f"{either_database}.t"
    held, free = either.replicas
    either.primary.execute(f"CREATE TABLE {table} (a int PRIMARY KEY)")
    either.wait_replayed()
    held.pause_replay()
    either.primary.execute(f"INSERT INTO {table} VALUES (1)")
    either.wait_replayed(free)
    assert rows(either, table) == [1, 0, 1]
    held.resume_replay()
    either.wait_replayed()
    assert rows(either, table) == [1, 1, 1]


def test_delayed_replica_shows_a_commit_when_its_time_has_come(
    either: MySQLCluster, either_database: str
) -> None:
    table = f"{either_database}.t"
    late, prompt = either.replicas
    either.primary.execute(f"CREATE TABLE {table} (a int PRIMARY KEY)")
    either.wait_replayed()
    late.delay_replay(2)
    either.primary.execute(f"INSERT INTO {table} VALUES (1)")
    either.wait_replayed(prompt)
    assert rows(either, table) == [1, 0, 1]
    either.wait_replayed()
    late.delay_replay(0)


def test_replica_refuses_the_writes_of_ordinary_users(
    either: MySQLCluster, either_database: str
) -> None:
    either.primary.execute(
        f"CREATE USER writer_{either_database}@'%' IDENTIFIED BY 'x';"
        f" GRANT ALL ON {either_database}.* TO writer_{either_database}@'%'"
    )
    either.wait_replayed()
    connection = connect(either.replicas[0], f"writer_{either_database}", "x")
    with connection, pytest.raises(pymysql.OperationalError, match="read-only"):
        connection.cursor().execute(f"CREATE TABLE {either_database}.t (a int)")


def test_frozen_server_answers_nobody_until_it_is_thawed(either: MySQLCluster) -> None:
    victim = either.replicas[0]
    with connect(victim, CONTROL_USER, either.control_password, read_timeout=1) as connection:
        victim.freeze()
        with pytest.raises(pymysql.OperationalError, match="timed out"):
            connection.cursor().execute("SELECT 1")
    victim.thaw()
    assert victim.fetch_value("SELECT 1") == 1


def test_killed_replica_starts_again_and_catches_up(
    either: MySQLCluster, either_database: str
) -> None:
    table = f"{either_database}.t"
    victim = either.replicas[0]
    pid = victim.pid
    victim.kill()
    assert not is_alive(pid)
    either.primary.execute(
        f"CREATE TABLE {table} (a int PRIMARY KEY); INSERT INTO {table} VALUES (1)"
    )
    victim.start()
    either.wait_replayed(victim)
    assert rows(either, table) == [1, 1, 1]


def test_killed_primary_loses_nothing_and_is_followed_again(
    either: MySQLCluster, either_database: str
) -> None:
    table = f"{either_database}.t"
    either.primary.execute(
        f"CREATE TABLE {table} (a int PRIMARY KEY); INSERT INTO {table} VALUES (1)"
    )
    either.primary.kill()
    either.primary.start()
    either.primary.execute(f"INSERT INTO {table} VALUES (2)")
    heal_mysql(either)
    assert rows(either, table) == [2, 2, 2]


def test_fail_over_and_rebuild_keep_everyone_in_step(own: MySQLCluster) -> None:
    old, new = own.primary, own.replicas[0]
    old.execute("CREATE DATABASE d; CREATE TABLE d.t (a int PRIMARY KEY)")
    old.execute("INSERT INTO d.t VALUES (1)")
    own.wait_replayed()
    old.kill()
    own.fail_over(new)
    own.primary.execute("INSERT INTO d.t VALUES (2)")
    own.rebuild(old)
    own.wait_replayed()
    assert rows(own, "d.t") == [2, 2, 2]
    assert old in own.replicas


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_server_that_cannot_start_says_why(flavour: Flavour) -> None:
    require(flavour)
    with (
        pytest.raises(ProgramFailed, match="no-such-setting"),
        temporary_mysql(flavour, replicas=0, settings={"no_such_setting": "1"}),
    ):
        pass


@pytest.mark.parametrize("flavour", ["mariadb", "mysql"])
def test_tls_server_shows_a_certificate_of_the_authority(flavour: Flavour) -> None:
    require(flavour)
    with temporary_mysql(flavour, replicas=1, tls=True) as cluster:
        assert cluster.authority is not None
        verified = {"ssl_ca": str(cluster.authority.certificate), "ssl_verify_identity": True}
        for server in cluster.servers:
            with connect(server, CONTROL_USER, cluster.control_password, **verified) as connection:
                cursor = connection.cursor()
                cursor.execute("SHOW STATUS LIKE 'Ssl_cipher'")
                assert cursor.fetchone()[1]


def test_superuser_is_asked_for_a_password_over_tcp(either: MySQLCluster) -> None:
    connect(either.primary, SUPERUSER, either.password).close()
    with pytest.raises(pymysql.OperationalError, match="Access denied"):
        connect(either.primary, SUPERUSER, "")


async def test_control_user_may_see_what_it_needs(either: MySQLCluster) -> None:
    replica = either.replicas[0]
    async with aiomysql.connect(
        host="127.0.0.1",
        port=replica.port,
        user=CONTROL_USER,
        password=either.control_password,
    ) as connection:
        cursor = await connection.cursor()
        await cursor.execute("SHOW REPLICA STATUS")
        assert await cursor.fetchone()
        await cursor.execute("SELECT count(*) FROM mysql.user")


def test_nothing_is_left_when_the_maker_is_killed(flavour: Flavour) -> None:
    command = [sys.executable, "-c", DOOMED, flavour]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        folder, *pids = maker.stdout.readline().decode().split()
        os.kill(maker.pid, signal.SIGKILL)
    for pid in map(int, pids):
        wait_until(lambda pid=pid: not is_alive(pid), f"server {pid} to die")
    wait_until(lambda: not Path(folder).exists(), f"{folder} to be removed")


def test_nothing_is_left_after_an_ordinary_end(flavour: Flavour) -> None:
    with temporary_mysql(flavour, replicas=1) as cluster:
        pids = [server.pid for server in cluster.servers]
    assert not any(map(is_alive, pids))
    assert not cluster.root.parent.exists()


def test_missing_mariadb_is_one_line_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(mysql_programs, "_candidates", lambda _: iter(()))
    with pytest.raises(MissingProgram, match=r"^a MariaDB server .* `make setup-servers`.*$"):
        find_mariadb()


def test_mysql_that_cannot_be_fetched_says_why(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(mysql_root, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(mysql_root, "_mirror", lambda: "http://127.0.0.1:1/nowhere")
    with pytest.raises(MissingProgram, match="could not be fetched"):
        mysql_root.fetched_root("mysql")
    assert not (tmp_path / "mysql").exists()


def connect(
    server: MySQLServer, user: str, password: str, **options: object
) -> pymysql.connections.Connection:
    return pymysql.connect(
        host="127.0.0.1", port=server.port, user=user, password=password, **options
    )
