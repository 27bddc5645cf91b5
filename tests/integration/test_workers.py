"""Several workers on one host, as one: what kills one, and what is asked of all."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from proxy.demo.console import SUPERUSER
from proxy.demo.local_mysql import MySQLCluster
from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import children, freeze, is_alive, wait_until
from proxy.wire.postgres.frontend import query
from proxy.wire.postgres.packets import cancel_request
from tests.integration.application import Application
from tests.integration.grounds import Client
from tests.integration.mysql_under_test import application, mysql_proxy
from tests.integration.proxy_under_test import ProxyUnderTest, Setting
from tests.integration.raw_client import RawClient, sqlstates

WORKERS = 3
COMMAND = (sys.executable, "-m", "tests.integration.serve_workers")

Connection = psycopg.Connection[tuple[object, ...]]


def several(
    folder: Path, cluster: PostgresCluster, workers: int = 2, **group: Setting
) -> ProxyUnderTest:
    """Make a proxy of several workers."""
    return ProxyUnderTest(
        folder,
        [cluster.primary.address],
        auth_user=SUPERUSER,
        auth_password=cluster.password,
        group=group,
        workers=workers,
        command=COMMAND,
    )


@pytest.fixture(scope="module")
def shared(
    shared_cluster: PostgresCluster,
    direct: Application,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ProxyUnderTest]:
    folder = tmp_path_factory.mktemp("workers")
    with several(folder, shared_cluster, WORKERS, unix_socket_dir=str(folder)) as proxy:
        yield proxy


@pytest.fixture
def proxy(shared: ProxyUnderTest) -> ProxyUnderTest:
    """Three workers that are all up."""
    wait_up(shared)
    return shared


def private_folder(proxy: ProxyUnderTest) -> str:
    """Where the workers of a proxy meet."""
    return next(
        word.partition("=")[2]
        for line in proxy.log.read_text().splitlines()
        for word in line.split()
        if word.startswith("folder=")
    )


def up(proxy: ProxyUnderTest) -> float:
    return proxy.metric("tidegate_workers", state="up")


def wait_up(proxy: ProxyUnderTest, workers: int = WORKERS) -> None:
    wait_until(lambda: up(proxy) == workers, "all workers to be up")


def who_serves(client: Connection) -> int:
    """Which process a client is connected to, of those that are children of a proxy."""
    port = client.info.pgconn.socket
    with socket.socket(fileno=os.dup(port)) as ours:
        mine = ours.getsockname()[1]
    inodes = {
        line.split()[9]: int(line.split()[2].rpartition(":")[2], 16)
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
    }
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            target = os.readlink(entry)
        except OSError:
            continue
        inode = target.removeprefix("socket:[").removesuffix("]")
        if inodes.get(inode) == mine:
            return int(entry.parts[2])
    raise AssertionError("nobody serves it")


class Clients:
    """Clients of a proxy, by the worker that they have come to."""

    def __init__(self, through: Application, stack: ExitStack, workers: int = WORKERS) -> None:
        self.by_worker: dict[int, list[Connection]] = {}
        deadline = time.monotonic() + 20
        while len(self.by_worker) < workers:
            assert time.monotonic() < deadline, "a worker gets no clients"
            client = stack.enter_context(through.connect())
            self.by_worker.setdefault(who_serves(client), []).append(client)


def test_all_workers_get_clients_and_are_told_as_one(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    accepted = proxy.metric("tidegate_client_connections_total")
    with ExitStack() as stack:
        clients = Clients(direct.at(proxy.port), stack)
        assert sorted(clients.by_worker) == sorted(children(proxy.process.pid))
        every = [client for own in clients.by_worker.values() for client in own]
        assert proxy.metric("tidegate_clients") == len(every)
        assert proxy.metric("tidegate_client_connections_total") == accepted + len(every)
        before = proxy.metric("tidegate_statement_seconds_count")
        writes = proxy.metric("tidegate_writes_total")
        every[0].execute("CREATE TABLE IF NOT EXISTS counted (a int)")
        for number in range(300):
            every[number % len(every)].execute("INSERT INTO counted VALUES (1)")
        assert proxy.metric("tidegate_writes_total") == writes + 301
        assert proxy.metric("tidegate_statement_seconds_count") >= before + 301
    status, _ = proxy.get("/healthz")
    assert status == 200
    status, text = proxy.get("/readyz")
    assert status == 200
    assert '"workers":{"1":"up","2":"up","3":"up"}' in text


def test_a_cancel_request_finds_its_client_wherever_it_comes(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    through = direct.at(proxy.port)
    for _ in range(4):
        with through.raw() as client:
            client.send(query(b"SELECT pg_sleep(30)"))
            wait_until(lambda: is_asleep(direct), "the statement to run")
            with RawClient(proxy.port) as other:
                other.send(cancel_request(client.welcome.pid, client.welcome.secret))
                assert other.hear_out() == []
            assert sqlstates(client.hear()) == ["57014"]


def is_asleep(direct: Application) -> bool:
    with direct.connect() as connection:
        found = connection.execute(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%%pg_sleep(30)' AND state = 'active'"
        ).fetchone()
    return found is not None


def test_a_unix_socket_is_every_workers(
    direct: Application, proxy: ProxyUnderTest, shared_cluster: PostgresCluster
) -> None:
    folder = str(proxy.file.parent)
    for _ in range(6):
        with psycopg.connect(direct.at(proxy.port).dsn(), host=folder) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_one_that_is_killed_takes_its_own_clients_and_is_replaced(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    with ExitStack() as stack:
        clients = Clients(direct.at(proxy.port), stack)
        writes = proxy.metric("tidegate_writes_total")
        victim, *others = clients.by_worker
        os.kill(victim, signal.SIGKILL)
        for client in clients.by_worker[victim]:
            with pytest.raises(psycopg.OperationalError):
                client.execute("SELECT 1")
        for other in others:
            for client in clients.by_worker[other]:
                assert client.execute("SELECT 1").fetchone() == (1,)
        assert proxy.metric("tidegate_writes_total") == writes, "what it counted is not forgotten"
        assert proxy.metric("tidegate_worker_ends_total") >= 1
        wait_up(proxy)
        later = Clients(direct.at(proxy.port), stack)
        assert victim not in later.by_worker
    assert "why=SIGKILL" in proxy.log.read_text()


def test_nobody_waits_for_one_that_is_killed(direct: Application, proxy: ProxyUnderTest) -> None:
    """Its supervisor knows that it is dead: no grant of its need run out, nor any silence last."""
    with ExitStack() as stack:
        clients = Clients(direct.at(proxy.port), stack)
        victim, survivor, *_ = clients.by_worker
        client = Client(clients.by_worker[survivor][0])
        client.ask("DROP TABLE IF EXISTS kept")
        client.ask("CREATE TABLE kept (a int)")
        client.ask("INSERT INTO kept VALUES (1)")
        until_kept(client)
        given_up = said(proxy, "a member is gone")
        began = time.monotonic()
        os.kill(victim, signal.SIGKILL)
        client.ask("UPDATE kept SET a = 2")
        committed = time.monotonic() - began
        wait_until(lambda: said(proxy, "a member is gone") >= given_up + WORKERS - 1, "its end")
        without = time.monotonic() - began
        until_kept(client)
        assert client.value("SELECT a FROM kept") == 2
    assert committed < 1.0  # some 2 s, if a grant must run out
    assert without < 2.5  # 5 s and more, if it must have been silent and a lease must pass
    wait_up(proxy)


def said(proxy: ProxyUnderTest, text: str) -> int:
    """How often it has."""
    return proxy.log.read_text().count(text)


def until_kept(client: Client) -> None:
    """Read until it is answered from the cache."""
    sql = "SELECT a FROM kept"
    wait_until(lambda: client.explain(sql)["cache"] == "hit now" or not client.ask(sql), "a hit")


def test_one_that_hangs_is_replaced_and_who_is_new_follows_as_all_do(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    text = proxy.file.read_text()
    rule = '[[server_groups.app.rules]]\nname = "no"\nregex = "forbidden"\nreject = "not here"\n'
    proxy.file.write_text(text + rule)
    victim, *others = children(proxy.process.pid)
    freeze(victim)
    wait_until(lambda: proxy.metric("tidegate_workers", state="silent") == 1, "it to be missed")
    assert proxy.get("/readyz")[0] == 200
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: said_by_workers(proxy) == len(others), "the others to follow")
    wait_until(lambda: not is_alive(victim), "it to be killed")
    proxy.wait_logged("a worker hangs, and is killed")
    wait_up(proxy)
    with ExitStack() as stack:
        clients = Clients(direct.at(proxy.port), stack)
        assert victim not in clients.by_worker
        for own in clients.by_worker.values():
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="not here"):
                own[0].execute("SELECT 'forbidden' AS forbidden")
    proxy.file.write_text("workers = []")
    proxy.process.send_signal(signal.SIGHUP)
    proxy.wait_logged("SIGHUP: the configuration is wrong, and changes nothing")
    assert said_by_workers(proxy) == len(others)
    proxy.file.write_text(text)
    proxy.process.send_signal(signal.SIGHUP)
    wait_until(lambda: said_by_workers(proxy) == len(others) + WORKERS, "all to follow")


def said_by_workers(proxy: ProxyUnderTest) -> int:
    """How often workers have said that they follow a configuration."""
    return said(proxy, "the configuration was read again logger=worker")


def has_ended(client: Connection) -> bool:
    try:
        client.execute("SELECT 1")
    except psycopg.OperationalError:
        return True
    return False


def test_clients_are_told_that_it_stops_and_nothing_is_left(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    workers = children(proxy.process.pid)
    with ExitStack() as stack:
        clients = Clients(direct.at(proxy.port), stack)
        assert proxy.stop() == 0
        for own in clients.by_worker.values():
            for client in own:
                with pytest.raises(psycopg.errors.AdminShutdown):
                    client.execute("SELECT 1")
    assert not any(map(is_alive, workers))
    assert not list(proxy.file.parent.glob(".s.PGSQL.*"))
    assert not Path(private_folder(proxy)).exists()


def test_when_the_supervisor_is_killed_all_end(
    direct: Application, cluster: PostgresCluster, tmp_path: Path
) -> None:
    proxy = several(tmp_path, cluster)
    with proxy:
        wait_up(proxy, 2)
        workers = children(proxy.process.pid)
        assert len(workers) == 2
        with direct.at(proxy.port).connect() as client:
            proxy.kill()
            wait_until(lambda: has_ended(client), "the client to hear of it")
        wait_until(lambda: not any(map(is_alive, workers)), "the workers to end")
        assert not Path(private_folder(proxy)).exists()


def test_a_port_that_another_program_has_is_named(cluster: PostgresCluster, tmp_path: Path) -> None:
    proxy = several(tmp_path, cluster)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as ours
        other.bind(("127.0.0.1", proxy.port))
        other.listen()
        proxy.launch()
        assert proxy.process.wait(20) == 1
    text = proxy.log.read_text()
    assert f"server_groups.app.listen: can't listen on 127.0.0.1:{proxy.port}: " in text
    assert "worker=" not in text, "none was started"


def test_kill_finds_its_connection_whatever_worker_has_it(
    shared_mariadb: MySQLCluster, tmp_path: Path
) -> None:
    proxy = mysql_proxy(tmp_path, shared_mariadb, command=COMMAND, workers=2)
    with proxy, application(shared_mariadb) as direct, ExitStack() as stack:
        wait_up(proxy, 2)
        through = direct.at(proxy.port)
        here: dict[int, list[pymysql.Connection[Any]]] = {0: [], 1: []}
        while not all(here.values()):
            client = stack.enter_context(closing(through.connect()))
            here[client.thread_id() % 2].append(client)
        (one, *_), (other, *_) = here.values()
        other.kill(one.thread_id())
        wait_until(lambda: is_killed(one), "the other worker to hear of it")
        with pytest.raises(pymysql.err.OperationalError, match="Unknown thread id"):
            other.kill(2 * 10**9 + other.thread_id() % 2)
        assert not is_killed(other)


def is_killed(client: pymysql.Connection[Any]) -> bool:
    try:
        client.ping(reconnect=False)
    except pymysql.err.Error:
        return True
    return False
