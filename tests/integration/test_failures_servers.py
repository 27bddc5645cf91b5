"""Servers that stop, crash and come back; and a proxy that is killed."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from proxy.demo.local_postgres import PostgresCluster, Server
from proxy.demo.processes import freeze, wait_until
from proxy.wire.postgres.errors import LoginRefused
from proxy.wire.postgres.frontend import query
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import RawClient, errors, rows, sqlstates
from tests.integration.relay import Relay

WRITES = "UPDATE account SET balance = balance + 1 RETURNING balance"
READS = "SELECT balance FROM account"
LOST = {"08006", "08007", "57P01", "57P02"}
"""What a client may hear whose server goes away: its last words, ours, or both."""


@pytest.fixture(autouse=True)
def _tables(direct: Application, cluster: PostgresCluster) -> None:
    with direct.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS account")
        connection.execute("CREATE TABLE account AS SELECT 0 AS balance")
    cluster.wait_replayed()


@pytest.fixture
def hasty(direct: Application, start_proxy: StartProxy) -> tuple[Application, ProxyUnderTest]:
    """Through a proxy that gives up soon and looks often."""
    proxy = start_proxy(
        query_wait_timeout="0.5s",
        health_check_interval="0.1s",
        server_login_retry="0.1s",
        cache=False,
    )
    return direct.at(proxy.port), proxy


@pytest.fixture
def patient(direct: Application, start_proxy: StartProxy) -> tuple[Application, ProxyUnderTest]:
    """Through a proxy that waits for as long as a restart takes."""
    proxy = start_proxy(
        health_check_interval="0.1s", server_login_retry="0.1s", ban_time="0.1s", cache=False
    )
    return direct.at(proxy.port), proxy


def works(application: Application, text: str) -> bool:
    try:
        with application.connect() as connection:
            connection.execute(text.encode())
    except psycopg.Error:
        return False
    return True


# ---- the primary ---------------------------------------------------------------------------


def test_without_a_primary_an_error_names_the_group(
    hasty: tuple[Application, ProxyUnderTest], cluster: PostgresCluster
) -> None:
    through, proxy = hasty
    with through.raw() as client:
        client.query(WRITES)
        cluster.primary.stop("immediate")
        wait_until(lambda: proxy.get("/readyz")[0] == 503, "the loss to be noticed")
        started = time.monotonic()
        heard = client.query(WRITES)
        assert sqlstates(heard) == ["08006"]
        assert b'"app"' in errors(heard)[0][b"M"]
        assert time.monotonic() - started < 3
        cluster.primary.start()
        wait_until(lambda: proxy.get("/readyz")[0] == 200, "the primary to be found")
        assert rows(client.query(WRITES)) == [["2"]]


def test_a_login_waits_for_a_server_that_can_be_asked(
    patient: tuple[Application, ProxyUnderTest], cluster: PostgresCluster
) -> None:
    through, proxy = patient
    cluster.stop("immediate")
    wait_until(lambda: proxy.get("/readyz")[0] == 503, "the loss to be noticed")
    restart = threading.Thread(target=cluster.primary.start)
    restart.start()
    with through.connect() as connection:
        assert connection.execute(READS.encode()).fetchone() == (0,)
    restart.join()


def test_a_login_without_any_server_is_an_error_that_names_the_group(
    hasty: tuple[Application, ProxyUnderTest], cluster: PostgresCluster
) -> None:
    through, proxy = hasty
    cluster.stop("immediate")
    wait_until(lambda: proxy.get("/readyz")[0] == 503, "the loss to be noticed")
    started = time.monotonic()
    client = RawClient(through.port)
    with client, pytest.raises(LoginRefused, match='"app"') as refused:
        through.log_in(client)
    assert refused.value.sqlstate == b"08006"
    assert 0.5 <= time.monotonic() - started < 5


def test_statements_wait_for_a_primary_that_restarts(
    patient: tuple[Application, ProxyUnderTest], cluster: PostgresCluster
) -> None:
    through, proxy = patient
    with through.connect() as connection:
        connection.execute(WRITES.encode())
        cluster.primary.stop("fast")
        wait_until(lambda: proxy.get("/readyz")[0] == 503, "the loss to be noticed")
        restart = threading.Thread(target=cluster.primary.start)
        restart.start()
        assert connection.execute(WRITES.encode()).fetchone() == (2,)
        restart.join()
        assert connection.execute(READS.encode()).fetchone() == (2,)


@pytest.mark.parametrize("how", ["fast", "immediate", "crash", "backend"])
def test_a_primary_that_restarts_is_used_again_by_itself(
    patient: tuple[Application, ProxyUnderTest], cluster: PostgresCluster, how: str
) -> None:
    through, _ = patient
    for _ in range(3):
        assert works(through, WRITES)
    if how == "crash":
        cluster.primary.kill()
        cluster.primary.start()
    elif how == "backend":
        cluster.primary.crash_backend()
    else:
        cluster.primary.restart("fast" if how == "fast" else "immediate")
    wait_until(lambda: works(through, WRITES), "writes to work again", timeout=15)
    for _ in range(5):
        assert works(through, WRITES)
        assert works(through, READS)


def test_a_statement_that_the_crash_hits_is_told(
    patient: tuple[Application, ProxyUnderTest], cluster: PostgresCluster
) -> None:
    through, _ = patient
    with through.raw() as in_statement, through.raw() as in_transaction, through.raw() as idle:
        idle.query("SELECT 1")
        in_transaction.query("BEGIN; UPDATE account SET balance = 77")
        in_statement.send(query(b"SELECT pg_sleep(30)"))
        running = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
        wait_until(lambda: cluster.primary.fetch_value(running) == 1, "it to run")
        cluster.primary.stop("immediate")
        cluster.primary.start()
        for client in (in_statement, in_transaction):
            states = sqlstates(client.hear_out())
            assert states
            assert set(states) <= LOST
        assert rows(idle.query(READS)) == [["0"]]


def test_a_session_that_lived_on_the_primary_ends_with_it(
    patient: tuple[Application, ProxyUnderTest], cluster: PostgresCluster
) -> None:
    through, _ = patient
    with through.raw() as pinned:
        pinned.query("CREATE TEMP TABLE mine (a int)")
        cluster.primary.restart("immediate")
        states = sqlstates(pinned.hear_out())
        assert set(states) <= LOST


def test_settings_and_statements_survive_a_restart(
    patient: tuple[Application, ProxyUnderTest], cluster: PostgresCluster
) -> None:
    through, _ = patient
    with through.connect(prepare_threshold=0) as connection:
        connection.execute("SET work_mem = '9MB'")
        for i in range(3):
            connection.execute("SELECT %s::int + balance FROM account FOR SHARE", [i])
        cluster.primary.restart("fast")
        assert connection.execute("SELECT %s::int + balance FROM account FOR SHARE", [7]).fetchone()
        assert connection.execute("SHOW work_mem").fetchone() == ("9MB",)


def test_a_terminated_session_is_told_and_others_go_on(
    patient: tuple[Application, ProxyUnderTest], cluster: PostgresCluster
) -> None:
    through, _ = patient
    with through.raw() as client, through.raw() as other:
        client.query("BEGIN; UPDATE account SET balance = 77")
        cluster.primary.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'app'"
        )
        # What the server said, as directly; a second error would be all that some drivers tell.
        assert sqlstates(client.hear_out()) == ["57P01"]
        assert rows(other.query(WRITES)) == [["1"]]


# ---- replicas ------------------------------------------------------------------------------


def test_a_read_on_a_replica_that_dies_is_repeated(
    direct: Application, start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    """Nothing of its answer has come, so nobody can tell."""
    proxy = start_proxy(cache=False, health_check_interval="0.1s")
    text = (
        "SELECT count(*) FROM generate_series(1, 2500) a, account, generate_series(1, 2500) b"
        " WHERE a.a + b.b < 0"
    )
    with direct.at(proxy.port).raw() as client:
        wait_until(
            lambda: is_for_replica(client, text),
            "the read to be one for a replica",
        )
        client.send(query(text.encode()))
        reading: list[Server] = []

        def is_seen() -> bool:
            if select.select([client.socket], [], [], 0)[0]:
                client.hear()  # done before anybody has looked
                client.send(query(text.encode()))
            reading[:] = readers(cluster)
            return bool(reading)

        wait_until(is_seen, "a replica to read")
        for replica in reading:
            replica.kill()
        assert rows(client.hear()) == [["0"]]


async def test_a_read_on_a_replica_that_falls_silent_is_repeated(
    direct: Application, start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    """The host is gone, or the network to it: no connection says so."""
    async with Relay(cluster.replicas[0].port) as relay:
        proxy = await asyncio.to_thread(
            start_proxy,
            cluster.primary.address,
            relay.address,
            cache=False,
            health_check_interval="0.1s",
            server_connect_timeout="1s",
        )
        through = direct.at(proxy.port)
        await asyncio.to_thread(wait_for_replica, through)
        async with through.asyncpg() as connection:
            assert await connection.fetchval(READS) == 0
            relay.to_client.pause()
            async with asyncio.timeout(20):
                assert await connection.fetchval(READS) == 0
        relay.to_client.resume()


async def test_a_replica_that_failed_is_left_alone_for_its_time(
    direct: Application, start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    """However soon it is found well."""
    ban_time = 1.0
    async with Relay(cluster.replicas[0].port) as relay:
        proxy = await asyncio.to_thread(
            start_proxy,
            cluster.primary.address,
            relay.address,
            cache=False,
            health_check_interval="0.1s",
            ban_time=f"{ban_time}s",
        )
        through = direct.at(proxy.port)
        await asyncio.to_thread(wait_for_replica, through)
        began = time.monotonic()
        await relay.cut()
        server = relay.address

        def is_banned() -> bool:
            return proxy.metric("tidegate_server_banned", server=server) == 1

        await asyncio.to_thread(wait_until, is_banned, "it to be banned")
        await asyncio.to_thread(wait_for_replica, through)
        assert time.monotonic() - began >= ban_time


def wait_for_replica(through: Application) -> None:
    with through.raw() as client:
        wait_until(lambda: is_for_replica(client, READS), "a read to leave the primary")


def is_for_replica(client: RawClient, text: str) -> bool:
    facts = {str(fact): str(value) for fact, value in rows(client.query(f"EXPLAIN ROUTE {text}"))}
    return facts["goes to"].startswith("replica")


def readers(cluster: PostgresCluster) -> list[Server]:
    """The replicas that run the long read."""
    running = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND usename = 'app'"
        " AND query LIKE 'SELECT count(*) FROM generate_series%'"
    )
    return [replica for replica in cluster.replicas if replica.fetch_value(running)]


def test_replicas_that_go_and_come_are_nobodys_trouble(
    patient: tuple[Application, ProxyUnderTest], cluster: PostgresCluster
) -> None:
    through, proxy = patient
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        with through.connect() as connection:
            while not stop.is_set():
                try:
                    assert connection.execute(READS.encode()).fetchone() == (0,)
                except BaseException as error:
                    failures.append(error)
                    return

    readers = [threading.Thread(target=read) for _ in range(4)]
    for thread in readers:
        thread.start()
    for replica in cluster.replicas:
        replica.stop("immediate")
    before = proxy.metric("tidegate_reads_total", reason="replica")
    for replica in cluster.replicas:
        replica.start()
    wait_until(
        lambda: bool(failures) or proxy.metric("tidegate_reads_total", reason="replica") > before,
        "replicas to serve again",
    )
    stop.set()
    for thread in readers:
        thread.join()
    assert not failures


# ---- connections that break in between -----------------------------------------------------


async def test_a_commit_whose_answer_is_lost_is_told_as_unknown(
    direct: Application, start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    async with Relay(cluster.primary.port) as relay:
        proxy = await asyncio.to_thread(start_proxy, relay.address, cache=False)
        through = direct.at(proxy.port)
        async with await through.connect_async() as connection:
            await connection.execute("BEGIN")
            await connection.execute("UPDATE account SET balance = 5")
            relay.to_client.pause()
            work = asyncio.create_task(connection.execute("COMMIT"))

            def committed() -> bool:
                return cluster.primary.fetch_value(READS, database="app") == 5

            await asyncio.to_thread(wait_until, committed, "the commit to be done")
            relay.to_client.loses = True
            relay.to_client.resume()
            await relay.cut()
            relay.to_client.loses = False
            with pytest.raises(psycopg.OperationalError, match="unknown"):
                await work
        async with await through.connect_async() as connection:
            cursor = await connection.execute(READS.encode())
            assert await cursor.fetchone() == (5,)


async def test_a_commit_that_its_servers_farewell_came_with_is_seen(
    direct: Application, start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    """The server process ends right behind its answer: both come in one segment."""
    primary = cluster.primary
    async with Relay(primary.port) as relay:
        proxy = await asyncio.to_thread(start_proxy, relay.address)
        through = direct.at(proxy.port)
        async with through.asyncpg() as reader, await through.connect_async() as writer:
            async with asyncio.timeout(20):
                while not await asyncio.to_thread(proxy.metric, "tidegate_cache_hits_total"):
                    assert await reader.fetch(READS) == [(0,)]
            # A connection is there, with the writer's settings.
            await writer.execute("SELECT pg_advisory_xact_lock(1)")
            relay.to_client.pause()
            work = asyncio.create_task(writer.execute("UPDATE account SET balance = 5"))
            ended = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity"
            idle = f"{ended} WHERE state = 'idle' AND query LIKE '%balance = 5'"
            there = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%balance = 5'"

            def has_ended() -> bool:
                primary.execute(idle)
                is_done = primary.fetch_value(READS, database="app") == 5
                return is_done and not primary.fetch_value(there)

            await asyncio.to_thread(wait_until, has_ended, "the server process to end")
            freeze(proxy.process.pid)
            relay.to_client.resume()
            await asyncio.sleep(0.2)  # all that was held back is on its way
            os.kill(proxy.process.pid, signal.SIGCONT)
            await work
            assert await reader.fetch(READS) == [(5,)]


# ---- the proxy -----------------------------------------------------------------------------


def test_a_proxy_that_is_killed_leaves_nothing_to_repair(
    direct: Application, start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    proxy = start_proxy()
    through = direct.at(proxy.port)
    client = through.raw()
    client.query("SET work_mem = '9MB'; BEGIN; UPDATE account SET balance = 77")
    busy = through.raw()
    busy.send(query(b"SELECT pg_sleep(30)"))
    proxy.kill()
    assert client.hear_out() == []
    client.close()
    busy.close()
    proxy.start()
    with through.connect() as connection:
        assert connection.execute(WRITES.encode()).fetchone() == (1,)
        assert connection.execute(READS.encode()).fetchone() == (1,)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_proxy_that_is_told_to_stop_says_so(
    direct: Application, start_proxy: StartProxy, number: signal.Signals
) -> None:
    proxy = start_proxy()
    with direct.at(proxy.port).raw() as idle, direct.at(proxy.port).raw() as busy:
        busy.send(query(b"SELECT pg_sleep(30)"))
        idle.query("SELECT 1")
        started = time.monotonic()
        proxy.process.send_signal(number)
        assert sqlstates(idle.hear_out()) == ["57P01"]
        assert sqlstates(busy.hear_out()) == ["57P01"]
        assert proxy.process.wait(10) == 0
        assert time.monotonic() - started < 8
    wait_until(lambda: not sleeping(direct), "the statement to be stopped")


def sleeping(direct: Application) -> bool:
    with direct.connect() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%%'"
            " AND state = 'active'"
        ).fetchone()
    return found != (0,)


@pytest.fixture(autouse=True)
def _no_sleepers(direct: Application) -> Iterator[None]:
    yield
    with direct.connect() as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'app' AND query LIKE 'SELECT pg_sleep%%' AND state = 'active'"
        )
