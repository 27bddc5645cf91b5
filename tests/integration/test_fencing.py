"""Fleets whose control user may neither end others' server connections nor make the schema."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from proxy.demo.local_mysql import MySQLCluster
from proxy.demo.processes import freeze, wait_until
from proxy.topology.group import Server
from proxy.topology.gtid_history import GtidHistory
from proxy.topology.mysql_witness import mysql_opener
from proxy.topology.witness import Control, Link, open_postgres
from tests.integration.grounds import Ground, standing_on
from tests.integration.proxy_under_test import ROOT, ProxyUnderTest, Setting
from tests.integration.test_fleet import BOOK, members_of, until_fast, until_members

POOR = "poor_control"
PASSWORD = "poor but honest"
MARGIN = 0.5
RIGHTS = {
    "mariadb": "SELECT, SHOW VIEW, TRIGGER, PROCESS, SLAVE MONITOR",
    "mysql": "SELECT, SHOW VIEW, TRIGGER, SHOW_ROUTINE, PROCESS, REPLICATION CLIENT",
}
LACKS = {
    "postgres": "pg_signal_backend",
    "mariadb": "CONNECTION ADMIN",
    "mysql": "CONNECTION_ADMIN",
}
IS_SOAK = "TIDEGATE_SOAK_SECONDS" in os.environ

standing = standing_on("postgres", "mariadb", "mysql")


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    """Servers with a control user that may only look, and no schema."""
    primary = standing.cluster.primary
    if isinstance(standing.cluster, MySQLCluster):
        primary.execute(
            f"CREATE USER {POOR} IDENTIFIED BY '{PASSWORD}';"
            f" GRANT {RIGHTS[standing.engine]} ON *.* TO {POOR}"
        )
    else:
        primary.execute(
            f"CREATE ROLE {POOR} LOGIN PASSWORD '{PASSWORD}'; GRANT pg_monitor TO {POOR};"
            f" GRANT SELECT ON pg_catalog.pg_authid TO {POOR}"
        )
    with standing.lent(book=0, other=0):
        yield standing
    if isinstance(standing.cluster, MySQLCluster):
        primary.execute(f"DROP USER {POOR}")
    else:
        primary.execute(f"DROP OWNED BY {POOR}; DROP ROLE {POOR}")


def make(ground: Ground, folder: Path, **fleet: Setting) -> ProxyUnderTest:
    """Make a member with that control user."""
    fleet = {"bus_url": f"unix://{folder}/bus", **fleet}
    return ground.proxy(fleet, auth_user=POOR, auth_password=PASSWORD, out_of_band="none")


def init_db(ground: Ground, member: ProxyUnderTest) -> None:
    """Do what an administrator does."""
    command = [sys.executable, "-m", "proxy", "init-db", str(member.file)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    printed = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    ground.cluster.primary.execute(printed.stdout)


def test_a_member_says_what_it_may_not_and_runs_when_an_administrator_has_helped(
    ground: Ground, tmp_path: Path
) -> None:
    member = make(ground, tmp_path)
    member.launch()
    try:
        member.wait_logged("tidegate init-db")
        assert member.get("/readyz")[0] == 503
        init_db(ground, member)
        wait_until(lambda: member.get("/readyz")[0] == 200, "it to be a member")
        (note,) = json.loads(member.get("/readyz")[1])["notes"]["app"]
        assert LACKS[ground.engine] in note
        member.wait_logged("the control user lacks a right")
        with ground.connect(member) as client:
            client.ask("UPDATE book SET a = 1")
            until_fast(client)
            assert client.value(BOOK) == 1
    finally:
        member.stop()
    member.check_log()


@pytest.mark.parametrize("fencing", ["lease", "primary"])
def test_who_stands_still_is_given_up_and_its_late_commit_is_not_missed(
    ground: Ground, tmp_path: Path, fencing: str
) -> None:
    """By time alone where members fence themselves; else when its connections have ended."""
    if ground.engine == "mysql" or fencing == "primary":
        soaks()
    stays, stops = (
        make(ground, tmp_path, fencing=fencing, fencing_margin=f"{MARGIN}s") for _ in range(2)
    )
    init_db(ground, stays)
    with stays, stops, ground.connect(stays) as client, ground.connect(stops) as open_one:
        until_members(stays, 2)
        open_one.ask("BEGIN")
        open_one.ask("UPDATE other SET a = 5")
        with ground.connect() as blocks:
            blocks.ask("BEGIN")
            blocks.ask("SELECT a FROM book FOR UPDATE")
            writing = write_and_block(ground, stops)
            freeze(stops.process.pid)
            try:
                fence(ground, stops)
                # Longer than a lease and the margin: but the server is about its UPDATE yet.
                remains(stays, 2, 2.1 + 2 * MARGIN)
                stays.wait_logged("do not end")
                assert "do not end" in stays.get("/readyz")[1]
                blocks.ask("COMMIT")
                if fencing == "primary":
                    remains(stays, 2, 2.1 + 2 * MARGIN)
                else:
                    until_members(stays, 1)
                    until_fast(client)
                    assert client.value(BOOK) == 5
                    assert client.value("SELECT a FROM other") == 0
            finally:
                os.kill(stops.process.pid, signal.SIGCONT)
        outcome = open_one.code("COMMIT")
        writing.join()
        stops.wait_logged("this member was evicted")
        until_members(stays, 2)
        ground.wait_for_replicas(stays, BOOK)
        assert client.value(BOOK) == 5
        if fencing == "lease":  # otherwise it may come about: the others have waited for that
            assert outcome
            assert client.value("SELECT a FROM other") == 0


@pytest.mark.skipif(not IS_SOAK, reason="in make soak")
def test_who_is_killed_or_stands_still_for_long_is_given_up(ground: Ground, tmp_path: Path) -> None:
    """Without anybody's help."""
    fencing = {"fencing": "lease", "fencing_margin": "1s"}
    stays, dies, stops = (make(ground, tmp_path, **fencing) for _ in range(3))
    init_db(ground, stays)
    with stays, dies, stops, ground.connect(stays) as client, ground.connect(stops) as other:
        until_members(stays, 3)
        other.ask("UPDATE book SET a = 1")
        dies.kill()
        until_members(stays, 2)
        freeze(stops.process.pid)
        try:
            wait_until(lambda: members_of(stays) == 1, "it to be given up", timeout=45.0)
            client.ask("UPDATE book SET a = 2")
            until_fast(client)
        finally:
            os.kill(stops.process.pid, signal.SIGCONT)
        stops.wait_logged("this member was evicted")
        until_members(stays, 2)
        assert client.value(BOOK) == 2


def soaks() -> None:
    """Leave the rest of a test to `make soak`."""
    if not IS_SOAK:
        pytest.skip("in make soak")


def fence(ground: Ground, member: ProxyUnderTest) -> None:
    """Give a member up, as another would once it had said nothing for 30 s."""
    ground.cluster.primary.execute(
        f"UPDATE tidegate.member SET standing = 'fenced' WHERE label LIKE '%:{member.process.pid}'"
    )


def remains(member: ProxyUnderTest, number: int, seconds: float) -> None:
    """See that a fleet stays as it is for some time."""
    until = monotonic() + seconds
    while monotonic() < until:
        assert members_of(member) == number


def write_and_block(ground: Ground, member: ProxyUnderTest) -> threading.Thread:
    """Send an UPDATE that waits for a lock; returns who waits for its end, whatever that is."""
    client = ground.connect(member)

    def write() -> None:
        with client:
            client.code("UPDATE book SET a = 5")

    waiting = threading.Thread(target=write)
    waiting.start()
    wait_until(lambda: is_blocked(ground), "the UPDATE to wait for the lock")
    return waiting


def is_blocked(ground: Ground) -> bool:
    if isinstance(ground.cluster, MySQLCluster):
        asked = "SELECT 1 FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
        return bool(ground.cluster.primary.fetch(asked))
    return bool(ground.cluster.primary.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"))


async def test_a_control_connection_sees_whether_a_session_is_at_rest(ground: Ground) -> None:
    """And takes for busy what it may not see."""
    is_mysql = isinstance(ground.cluster, MySQLCluster)
    sleep = "SELECT SLEEP(600)" if is_mysql else "SELECT pg_sleep(600)"
    whoami = "SELECT CONNECTION_ID()" if is_mysql else "SELECT pg_backend_pid()"
    primary = ground.cluster.primary
    with ground.connect() as client:
        pid = int(client.value(whoami))
        link = await open_link(ground)
        assert not await link.is_busy(pid)
        client.ask("BEGIN")
        client.ask("UPDATE book SET a = 1")
        assert not await link.is_busy(pid)
        unseeing = await made_unseeing(ground)
        if ground.engine != "mysql":
            assert await unseeing.is_busy(pid)
        client.ask("COMMIT")
        assert await unseeing.is_busy(pid) == (ground.engine == "mariadb")
        sleeping = threading.Thread(target=client.code, args=(sleep,))
        sleeping.start()
        while not await link.is_busy(pid):  # noqa: ASYNC110 - a server is asked
            await asyncio.sleep(0.01)
        assert await unseeing.is_busy(pid)
        primary.execute(f"KILL {pid}" if is_mysql else f"SELECT pg_terminate_backend({pid})")
        sleeping.join()
    link.close()
    unseeing.close()


async def made_unseeing(ground: Ground) -> Link:
    """Take the right to see others' sessions away; on MySQL that is no right of its own."""
    revoked = "pg_monitor" if ground.engine == "postgres" else "PROCESS ON *.*"
    ground.cluster.primary.execute(f"REVOKE {revoked} FROM {POOR}")
    return await open_link(ground)


async def open_link(ground: Ground) -> Link:
    """Open a control connection to the primary, as who has few rights."""
    host, port = ground.cluster.primary.address.rsplit(":", 1)
    server = Server(host, int(port))
    is_mysql = isinstance(ground.cluster, MySQLCluster)
    database = "" if is_mysql else "postgres"
    control = Control(POOR, PASSWORD, database, "tidegate test", False, 1.0, 10.0)
    opener = mysql_opener(GtidHistory([server])) if is_mysql else open_postgres
    return await opener(control, server, lambda: None)
