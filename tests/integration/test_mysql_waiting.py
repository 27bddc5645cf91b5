"""Reads that wait at a replica for what they must see, where the primary is farther away."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pymysql

from proxy.demo.local_mysql import MySQLCluster
from proxy.topology.gtid import parse_domains, parse_executed
from proxy.topology.mysql_witness import reached_in_mariadb, reached_in_mysql
from tests.integration.conftest import empty_database
from tests.integration.mysql_under_test import mysql_proxy
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.relay import Relay

FAR = 0.08
"""Seconds to the primary; the way back takes no time."""

ROUNDS = 10


async def test_read_behind_a_write_is_served_by_the_near_replica(
    mariadb: MySQLCluster, tmp_path: Path
) -> None:
    with empty_database(mariadb) as database:
        mariadb.primary.execute(f"CREATE TABLE {database}.t (a int PRIMARY KEY, n int)")
        mariadb.primary.execute(f"INSERT INTO {database}.t VALUES (1, 0)")
        mariadb.wait_replayed()
        async with Relay(mariadb.primary.port) as relay:
            relay.to_server.delay = FAR
            servers = [relay.address, *(replica.address for replica in mariadb.replicas)]
            await asyncio.to_thread(write_and_read, mariadb, database, tmp_path, servers)


def write_and_read(cluster: MySQLCluster, database: str, folder: Path, servers: list[str]) -> None:
    with (
        mysql_proxy(folder, cluster, servers, cache=False, out_of_band="none") as proxy,
        pymysql.connect(
            host="127.0.0.1",
            port=proxy.port,
            user="root",
            password=cluster.password,
            database=database,
            autocommit=True,
            read_timeout=20,
        ) as connection,
        connection.cursor() as cursor,
    ):

        def read() -> int:
            cursor.execute("SELECT n FROM t WHERE a = 1")
            ((number,),) = cursor.fetchall()
            return int(number)

        while not by_replicas(proxy, cluster):
            read()
        before = by_replicas(proxy, cluster)
        for number in range(ROUNDS):
            cursor.execute(f"UPDATE t SET n = {number} WHERE a = 1")
            assert read() == number
        assert by_replicas(proxy, cluster) - before >= ROUNDS / 2
        # Waited for in vain, and then not any more.
        for replica in cluster.replicas:
            replica.pause_replay()
        cursor.execute("UPDATE t SET n = -1 WHERE a = 1")
        before = by_replicas(proxy, cluster)
        for _ in range(5):
            assert read() == -1
        assert by_replicas(proxy, cluster) == before
        for replica in cluster.replicas:
            replica.resume_replay()


def by_replicas(proxy: ProxyUnderTest, cluster: MySQLCluster) -> float:
    """Reads that replicas have served."""
    return sum(
        proxy.metric("tidegate_reads_total", server=replica.address) for replica in cluster.replicas
    )


async def test_replica_answers_when_it_has_what_is_asked_for_or_when_the_time_is_up(
    either: MySQLCluster, either_database: str
) -> None:
    replica = either.replicas[0]
    replica.pause_replay()
    either.primary.execute(f"CREATE TABLE {either_database}.t (a int)")
    if either.flavour == "mysql":
        need = parse_executed(either.primary.mark_position())
        now, later = reached_in_mysql(need, 0.3), reached_in_mysql(need, 20.0)
    else:
        need = parse_domains(either.primary.mark_position())
        now, later = reached_in_mariadb(need, 0.3), reached_in_mariadb(need, 20.0)
    began = time.monotonic()
    assert not replica.fetch(now)
    assert time.monotonic() - began >= 0.3
    waiting = asyncio.create_task(asyncio.to_thread(replica.fetch, later))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await asyncio.to_thread(replica.resume_replay)
    assert await waiting
