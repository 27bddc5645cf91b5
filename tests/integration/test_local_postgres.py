"""The local servers themselves: what stands on them must be able to rely on them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from proxy.demo import programs
from proxy.demo.local_postgres import (
    MissingProgram,
    PostgresCluster,
    ProgramFailed,
    temporary_cluster,
)
from proxy.demo.processes import children, is_alive, wait_until
from proxy.demo.programs import Postgres

DOOMED = """
import time
from proxy.demo.local_postgres import temporary_cluster
with temporary_cluster(replicas=1) as cluster:
    print(cluster.root.parent, *(server.pid for server in cluster.servers), flush=True)
    time.sleep(600)
"""


@pytest.fixture
def own_cluster() -> Iterator[PostgresCluster]:
    """A cluster that a test may do anything to."""
    with temporary_cluster() as cluster:
        yield cluster


def committed(cluster: PostgresCluster) -> list[object]:
    return [server.fetch_value("SELECT count(*) FROM t") for server in cluster.servers]


def test_replicas_stream_from_the_primary(own_cluster: PostgresCluster) -> None:
    own_cluster.primary.execute("CREATE TABLE t (); INSERT INTO t DEFAULT VALUES")
    own_cluster.wait_replayed()
    assert committed(own_cluster) == [1, 1, 1]
    assert [server.is_replica for server in own_cluster.servers] == [False, True, True]


def test_paused_replica_stays_behind_until_resumed(own_cluster: PostgresCluster) -> None:
    held, free = own_cluster.replicas
    own_cluster.primary.execute("CREATE TABLE t ()")
    own_cluster.wait_replayed()
    held.pause_replay()
    own_cluster.primary.execute("INSERT INTO t DEFAULT VALUES")
    own_cluster.wait_replayed(free)
    assert committed(own_cluster) == [1, 0, 1]
    held.resume_replay()
    own_cluster.wait_replayed()
    assert committed(own_cluster) == [1, 1, 1]


def test_killed_server_leaves_no_process_and_starts_again(own_cluster: PostgresCluster) -> None:
    victim = own_cluster.replicas[0]
    pids = [victim.pid, *children(victim.pid)]
    victim.kill()
    assert not any(map(is_alive, pids))
    victim.start()
    own_cluster.wait_replayed(victim)


def test_crashed_backend_restarts_the_server_in_place(own_cluster: PostgresCluster) -> None:
    primary = own_cluster.primary
    postmaster, before = primary.pid, set(children(primary.pid))
    primary.crash_backend()
    assert primary.pid == postmaster
    assert before.isdisjoint(children(postmaster))


def test_fail_over_and_rebuild_keep_everyone_in_step(own_cluster: PostgresCluster) -> None:
    old, new = own_cluster.primary, own_cluster.replicas[0]
    old.kill()
    own_cluster.fail_over(new)
    own_cluster.primary.execute("CREATE TABLE t (); INSERT INTO t DEFAULT VALUES")
    own_cluster.rebuild(old)
    own_cluster.wait_replayed()
    assert committed(own_cluster) == [1, 1, 1]
    assert old in own_cluster.replicas


def test_server_that_cannot_start_says_why() -> None:
    with (
        pytest.raises(ProgramFailed, match="no_such_setting"),
        temporary_cluster(replicas=0, settings={"no_such_setting": "1"}),
    ):
        pass


async def test_password_is_asked_over_tcp(own_cluster: PostgresCluster) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(own_cluster.primary.dsn(password="wrong"))
    connection = await asyncpg.connect(own_cluster.primary.dsn())
    await connection.close()


async def test_tls_server_shows_a_certificate_of_the_authority() -> None:
    with temporary_cluster(replicas=0, tls=True, auth="md5") as cluster:
        assert cluster.authority is not None
        dsn = f"{cluster.primary.dsn()}?sslmode=verify-full"
        dsn = f"{dsn}&sslrootcert={cluster.authority.certificate}"
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        await connection.close()


async def test_client_certificate_logs_its_user_in() -> None:
    with temporary_cluster(replicas=0, auth="cert") as cluster:
        assert cluster.authority is not None
        pair = cluster.authority.issue_client("postgres")
        dsn = f"{cluster.primary.dsn()}?sslmode=verify-full"
        dsn = f"{dsn}&sslrootcert={cluster.authority.certificate}"
        with pytest.raises(asyncpg.InvalidAuthorizationSpecificationError):
            await asyncpg.connect(dsn)
        connection = await asyncpg.connect(f"{dsn}&sslcert={pair.certificate}&sslkey={pair.key}")
        await connection.close()


def test_nothing_is_left_when_the_maker_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", DOOMED], stdout=subprocess.PIPE) as maker:
        assert maker.stdout is not None
        folder, *pids = maker.stdout.readline().decode().split()
        os.kill(maker.pid, signal.SIGKILL)
    for pid in map(int, pids):
        wait_until(lambda pid=pid: not is_alive(pid), f"server {pid} to die")
    wait_until(lambda: not Path(folder).exists(), f"{folder} to be removed")


def test_newest_postgres_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    majors = {Path("/a"): 14, Path("/b"): 16, Path("/c"): 15, Path("/d"): 0}
    monkeypatch.setattr(programs, "_candidates", lambda: iter(majors))
    monkeypatch.setattr(programs, "_major", majors.__getitem__)
    assert programs.find_postgres() == Postgres(Path("/b"), 16)


@pytest.mark.parametrize("installed", [{}, {Path("/old"): 12}])
def test_missing_postgres_is_one_line_that_says_how_to_get_it(
    installed: dict[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "_candidates", lambda: iter(installed))
    monkeypatch.setattr(programs, "_major", installed.__getitem__)
    with pytest.raises(MissingProgram, match=r"^a PostgreSQL server .* `make setup-servers`.*$"):
        programs.find_postgres()
