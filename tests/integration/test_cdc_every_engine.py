"""What is written past the proxy is read in the primary's log, whatever that is called.

Counters are compared once a minute here, so that it is the log that tells, and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.demo.local_mysql import (
    CONTROL_USER,
    LOG_RIGHTS,
    MySQLCluster,
    temporary_mysql,
)
from proxy.demo.mysql_programs import Flavour
from proxy.demo.processes import wait_until
from tests.integration.grounds import Client, Ground, on_ground
from tests.integration.mysql_under_test import MySQLApplication, mysql_proxy
from tests.integration.proxy_under_test import ProxyUnderTest

IS_SOAK = "TIDEGATE_SOAK_SECONDS" in os.environ
ENGINES = ["mariadb", "mysql"] if IS_SOAK else ["mariadb"]
WRITES = 200 if IS_SOAK else 40
BOUND = 1.0
"""Seconds by which all is seen, on a machine that is busy with other tests; it is milliseconds."""

SCHEMA = (
    "CREATE TABLE plain (id int PRIMARY KEY, v int)",
    "CREATE TABLE `odd .name` (id int PRIMARY KEY, v int)",
    "CREATE TABLE parts (id int PRIMARY KEY, v int) PARTITION BY HASH (id) PARTITIONS 3",
    "CREATE TABLE parent (id int PRIMARY KEY)",
    "CREATE TABLE child (id int, FOREIGN KEY (id) REFERENCES parent (id) ON DELETE CASCADE)",
    "CREATE TABLE fired (v int)",
    "CREATE TABLE firing (v int)",
    "CREATE TRIGGER fires AFTER INSERT ON firing FOR EACH ROW UPDATE fired SET v = v + 1",
    "CREATE TABLE emptied (v int)",
    "CREATE TABLE altered (v int)",
    *(f"INSERT INTO plain VALUES ({number}, 0)" for number in range(1, 9)),
    "INSERT INTO `odd .name` VALUES (1, 0)",
    "INSERT INTO parts VALUES (1, 0)",
    "INSERT INTO parent VALUES (1)",
    "INSERT INTO child VALUES (1)",
    "INSERT INTO fired VALUES (0)",
    "INSERT INTO emptied VALUES (1)",
    "INSERT INTO altered VALUES (0)",
)
FOREIGN = {
    "plain": (("UPDATE plain SET v = 1 WHERE id = 1",), "SELECT v FROM plain WHERE id = 1"),
    "names": (("UPDATE `odd .name` SET v = 1",), "SELECT v FROM `odd .name`"),
    "partition": (("UPDATE parts SET v = 1",), "SELECT v FROM parts"),
    "cascade": (("DELETE FROM parent",), "SELECT count(*) FROM child"),
    "trigger": (("INSERT INTO firing VALUES (1)",), "SELECT v FROM fired"),
    "truncate": (("TRUNCATE TABLE emptied",), "SELECT count(*) FROM emptied"),
    "definition": (("ALTER TABLE altered ADD COLUMN w int DEFAULT 7",), "SELECT * FROM altered"),
    "transaction": (
        ("BEGIN", "UPDATE plain SET v = 2 WHERE id = 1", "SAVEPOINT a", "ROLLBACK TO a", "COMMIT"),
        "SELECT v FROM plain WHERE id = 1",
    ),
    "xa": (
        (
            *("XA START 'x'", "UPDATE plain SET v = 3 WHERE id = 1", "XA END 'x'"),
            *("XA PREPARE 'x'", "XA COMMIT 'x'"),
        ),
        "SELECT v FROM plain WHERE id = 1",
    ),
    "statement": (
        (
            "SET binlog_format = 'STATEMENT'",
            "UPDATE plain SET v = 4 WHERE id = 1",
            "SET binlog_format = 'ROW'",
        ),
        "SELECT v FROM plain WHERE id = 1",
    ),
    "compressed": (
        ("{compress}", "UPDATE plain SET v = 5 WHERE id = 1"),
        "SELECT v FROM plain WHERE id = 1",
    ),
}
REFUSED = {
    "right": (
        "REPLICATION SLAVE",
        "REVOKE REPLICATION SLAVE ON *.* FROM '{user}'@'%'",
        "GRANT {rights} ON *.* TO '{user}'@'%'",
    ),
    "format": (
        "binlog_format is MIXED: ROW is needed",
        "SET GLOBAL binlog_format = 'MIXED'",
        "SET GLOBAL binlog_format = 'ROW'",
    ),
}
"""What is complained of, why, and what ends that."""
COMPRESS = {
    "mysql": "SET binlog_transaction_compression = ON",
    "mariadb": "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10",
}


@pytest.fixture(scope="module", params=ENGINES)
def ground(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ground]:
    with on_ground(request.param, tmp_path_factory.mktemp("ground"), request) as ground:
        cluster = ground.cluster
        assert isinstance(cluster, MySQLCluster)
        with ground.connect() as client:
            for statement in SCHEMA:
                client.ask(statement)
        rights = LOG_RIGHTS[cluster.flavour]
        cluster.primary.execute(f"GRANT {rights} ON *.* TO {CONTROL_USER}")
        cluster.wait_replayed()
        yield ground
        cluster.primary.execute(f"REVOKE {rights} ON *.* FROM {CONTROL_USER}")


@pytest.fixture(scope="module")
def proxy(ground: Ground) -> ProxyUnderTest:
    return ground.start(out_of_band="cdc", out_of_band_interval="60s")


@pytest.fixture
def client(ground: Ground, proxy: ProxyUnderTest) -> Iterator[Client]:
    with ground.connect(proxy) as client:
        client.ask("SELECT 1")
        wait_followed(proxy)
        yield client


@pytest.fixture
def other(ground: Ground) -> Iterator[Client]:
    """Somebody who writes past the proxy."""
    with ground.connect() as client:
        yield client


def wait_followed(proxy: ProxyUnderTest, state: int = 1) -> None:
    def is_so() -> bool:
        return proxy.metric("tidegate_changes_followed", database="def") == state

    wait_until(is_so, "the log to be read" if state else "the log to be lost", timeout=30.0)


def cache(client: Client, sql: str) -> list[tuple[object, ...]]:
    """Read until it is a hit."""

    def is_hit() -> bool:
        client.ask(sql)
        return client.explain(sql)["cache"].startswith("hit")

    wait_until(is_hit, f"a hit of {sql}")
    return list(client.ask(sql))


def seconds_until(client: Client, sql: str, expected: list[tuple[object, ...]]) -> float:
    since = time.perf_counter()
    while list(client.ask(sql)) != expected:
        assert time.perf_counter() - since < 10 * BOUND, "not seen"
    return time.perf_counter() - since


def dumps(client: Client) -> list[int]:
    """Who reads the primary's log in the control user's name."""
    found = client.ask(
        "SELECT ID FROM information_schema.PROCESSLIST"
        f" WHERE USER = '{CONTROL_USER}' AND COMMAND LIKE 'Binlog Dump%'"
    )
    return [pid for (pid,) in found]


def end_dumps(client: Client) -> None:
    for pid in dumps(client):
        client.ask(f"KILL {pid}")


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_writes_are_seen(what: str, ground: Ground, client: Client, other: Client) -> None:
    writes, read = FOREIGN[what]
    before = cache(client, read)
    try:
        for write in writes:
            other.ask(write.format(compress=COMPRESS[ground.engine]))
        now = list(other.ask(read))
        assert now != before
        assert seconds_until(client, read, now) < BOUND
    finally:
        if what == "compressed" and ground.engine == "mariadb":
            other.ask("SET GLOBAL log_bin_compress = OFF")


def test_foreign_writes_are_seen_within_milliseconds(client: Client, other: Client) -> None:
    read = "SELECT v FROM plain WHERE id = 2"
    taken = []
    for number in range(1, WRITES + 1):
        cache(client, read)
        other.ask(f"UPDATE plain SET v = {number} WHERE id = 2")
        taken.append(seconds_until(client, read, [(number,)]))
    taken.sort()
    print(*(f"{1000 * taken[len(taken) * part // 100]:.1f} ms" for part in (50, 90, 99)))
    assert taken[len(taken) // 2] < 0.2


def test_our_own_writes_are_not_foreign(
    ground: Ground, client: Client, proxy: ProxyUnderTest
) -> None:
    client.ask("CREATE TABLE ours (id int, v int)")
    client.ask("INSERT INTO ours VALUES (1, 0), (2, 0)")
    read = "SELECT v FROM ours WHERE id = 1"
    cache(client, read)
    name = f"{ground.schema}.ours"
    before = proxy.metric("tidegate_foreign_writes_total", table=name)
    for number in range(30):
        client.ask(f"UPDATE ours SET v = {number + 1} WHERE id = 1")
        client.ask("BEGIN")
        client.ask("DELETE FROM ours WHERE id = 2")
        client.ask(f"INSERT INTO ours VALUES (2, {number})")
        client.ask("COMMIT")
        assert client.value(read) == number + 1
    cache(client, read)
    hits = proxy.metric("tidegate_cache_hits_total")
    time.sleep(1.5)  # by then what was not recognized would have been found
    client.ask(read)
    assert proxy.metric("tidegate_cache_hits_total") == hits + 1
    assert proxy.metric("tidegate_foreign_writes_total", table=name) == before


def test_what_was_written_in_a_gap_is_seen_behind_it(
    ground: Ground, client: Client, other: Client, proxy: ProxyUnderTest
) -> None:
    read = "SELECT v FROM plain WHERE id = 4"
    cache(client, read)
    ground.cluster.primary.execute(f"ALTER USER '{CONTROL_USER}'@'%' ACCOUNT LOCK")
    try:
        end_dumps(other)
        wait_followed(proxy, 0)
        other.ask("UPDATE plain SET v = 1 WHERE id = 4")
    finally:
        ground.cluster.primary.execute(f"ALTER USER '{CONTROL_USER}'@'%' ACCOUNT UNLOCK")
    wait_followed(proxy)
    assert seconds_until(client, read, [(1,)]) < BOUND
    proxy.wait_logged("changes not followed")


def test_strict_reads_miss_nothing(ground: Ground, other: Client) -> None:
    proxy = ground.start(out_of_band="strict", out_of_band_interval="60s")
    read = "SELECT v FROM plain WHERE id = 7"
    taken = []
    with ground.connect(proxy) as client:
        client.ask("SELECT 1")
        wait_followed(proxy)
        cache(client, read)
        for number in range(1, 2 * WRITES):
            if number % 4 == 0:
                client.ask(read)
            other.ask(f"UPDATE plain SET v = {number} WHERE id = 7")
            since = time.perf_counter()
            assert client.value(read) == number
            taken.append(time.perf_counter() - since)
        hits = proxy.metric("tidegate_cache_hits_total")
        cache(client, read)
        since = time.perf_counter()
        for _ in range(100):
            client.ask(read)
        print(f"{1000 * (time.perf_counter() - since) / 100:.2f} ms for a hit")
        assert proxy.metric("tidegate_cache_hits_total") > hits + 50
    taken.sort()
    print(*(f"{1000 * taken[len(taken) * part // 100]:.1f} ms" for part in (50, 90, 99)))
    print(proxy.metric("tidegate_reads_total", reason="unconfirmed"), len(taken))
    before = len(dumps(other))
    assert proxy.stop() == 0
    wait_until(lambda: len(dumps(other)) == before - 1, "the dump to end", timeout=2.0)


@pytest.mark.parametrize("why", REFUSED)
def test_a_log_that_can_not_be_read_is_complained_of(
    why: str, ground: Ground, client: Client, other: Client, proxy: ProxyUnderTest
) -> None:
    """And with nothing read, what all of the above is for goes unnoticed."""
    cluster = ground.cluster
    assert isinstance(cluster, MySQLCluster)
    read = "SELECT v FROM plain WHERE id = 5"
    words, refuse, allow = REFUSED[why]
    cluster.primary.execute(refuse.format(user=CONTROL_USER))
    try:
        end_dumps(other)
        proxy.wait_logged(words)
        wait_followed(proxy, 0)
        before = cache(client, read)
        other.ask("UPDATE plain SET v = v + 1 WHERE id = 5")
        assert list(client.ask(read)) == before
    finally:
        rights = LOG_RIGHTS[cluster.flavour]
        cluster.primary.execute(allow.format(user=CONTROL_USER, rights=rights))
    wait_followed(proxy)
    assert seconds_until(client, read, list(other.ask(read))) < BOUND


@pytest.mark.skipif(not IS_SOAK, reason="a cluster of its own: make soak")
@pytest.mark.parametrize("flavour", ENGINES)
def test_a_new_primary_is_followed(flavour: Flavour, tmp_path: Path) -> None:
    write = "UPDATE t SET a = a + 1"
    read = "SELECT a FROM t"
    with temporary_mysql(flavour, replicas=1) as cluster:
        run = cluster.primary.execute
        run("CREATE DATABASE shop; CREATE USER app IDENTIFIED BY 'app'; GRANT ALL ON *.* TO app")
        run("CREATE TABLE shop.t (a int); INSERT INTO shop.t VALUES (0)")
        run(f"GRANT {LOG_RIGHTS[flavour]} ON *.* TO {CONTROL_USER}")
        cluster.wait_replayed()
        direct = MySQLApplication(cluster.primary.port, "shop", flavour, "app", "app")
        with mysql_proxy(tmp_path, cluster, out_of_band="cdc", out_of_band_interval="5s") as proxy:
            with Client(direct.at(proxy.port).connect()) as client:
                cache(client, read)
            wait_followed(proxy)
            cluster.primary.kill()
            cluster.fail_over(cluster.replicas[0])
            wait_followed(proxy, 0)
            wait_followed(proxy)
            with (
                Client(direct.at(proxy.port).connect()) as client,
                Client(direct.at(cluster.primary.port).connect()) as other,
            ):
                cache(client, read)
                other.ask(write)
                assert seconds_until(client, read, [(1,)]) < BOUND
