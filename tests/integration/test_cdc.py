"""What is written past the proxy is read in the primary's log (`out_of_band = "cdc"`).

Counters are compared once a minute here, so that it is the log that tells, and nothing else.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from proxy.demo.local_postgres import SUPERUSER, PostgresCluster, temporary_cluster
from proxy.demo.processes import wait_until
from tests.integration.application import Application
from tests.integration.conftest import StartProxy, heal
from tests.integration.proxy_under_test import ProxyUnderTest, Setting

Client = psycopg.Connection[Any]

CDC: dict[str, Setting] = {"out_of_band": "cdc", "out_of_band_interval": "60s"}
IS_SOAK = "TIDEGATE_SOAK_SECONDS" in os.environ
WRITES = 200 if IS_SOAK else 40
BOUND = 1.0
"""Seconds by which all is seen, on a machine that is busy with other tests; it is milliseconds."""

ODD_SCHEMA = '"Odd: ""INSERT:"""'
ODD = f'{ODD_SCHEMA}."T, public.plain: UPDATE:"'
SCHEMA = """
CREATE TABLE plain (id int PRIMARY KEY, v int);
CREATE TABLE keyless (id int, v int);
CREATE SCHEMA ODD_SCHEMA;
CREATE TABLE ODD (id int PRIMARY KEY, v int);
CREATE TABLE parts (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (100);
CREATE TABLE parent (id int PRIMARY KEY, v int);
CREATE TABLE child (id int REFERENCES parent ON DELETE CASCADE);
CREATE TABLE fired (v int);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN UPDATE fired SET v = v + 1; RETURN NEW; END $$;
CREATE TRIGGER fires AFTER UPDATE ON keyless FOR EACH ROW EXECUTE FUNCTION fire();
CREATE TABLE emptied (v int);
INSERT INTO plain SELECT n, 0 FROM generate_series(1, 9) n;
INSERT INTO keyless VALUES (1, 0);
INSERT INTO ODD VALUES (1, 0);
INSERT INTO parts VALUES (1, 0);
INSERT INTO parent VALUES (1, 0);
INSERT INTO child VALUES (1);
INSERT INTO fired VALUES (0);
INSERT INTO emptied VALUES (1);
""".replace("ODD_SCHEMA", ODD_SCHEMA).replace("ODD ", f"{ODD} ")

FOREIGN = {
    "plain": ("UPDATE plain SET v = 1 WHERE id = 1", "SELECT v FROM plain WHERE id = 1"),
    "names": (
        f"UPDATE {ODD} SET v = 1",
        f"SELECT v FROM {ODD}",
    ),
    "partition": ("UPDATE parts_low SET v = 1", "SELECT v FROM parts WHERE id = 1"),
    "cascade": ("DELETE FROM parent", "SELECT count(*) FROM child"),
    "trigger": ("UPDATE keyless SET v = 1", "SELECT v FROM fired"),
    "truncate": ("TRUNCATE emptied", "SELECT count(*) FROM emptied"),
    "copy": ("INSERT INTO emptied SELECT 5", "SELECT v FROM emptied"),
}


@pytest.fixture(scope="module")
def shop(direct: Application, shared_cluster: PostgresCluster) -> Iterator[Application]:
    """An application whose database is not the other tests': a slot keeps it from being dropped."""
    name = "followed"
    shared_cluster.primary.execute(f"CREATE DATABASE {name} OWNER {direct.user}")
    application = direct.like(database=name)
    with application.connect() as connection:
        connection.execute(SCHEMA)
    shared_cluster.wait_replayed()
    yield application
    shared_cluster.primary.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="module")
def standing(shop: Application, start_module_proxy: StartProxy) -> ProxyUnderTest:
    return start_module_proxy(**CDC)


@pytest.fixture(scope="module")
def strict(shop: Application, start_module_proxy: StartProxy) -> ProxyUnderTest:
    """Another one, strict, which may make the primary keep little of its log."""
    return start_module_proxy(**CDC | {"out_of_band": "strict", "out_of_band_log_bytes": "1MB"})


@pytest.fixture
def proxy(standing: ProxyUnderTest, cluster: PostgresCluster) -> ProxyUnderTest:
    return standing


@pytest.fixture
def client(shop: Application, proxy: ProxyUnderTest) -> Iterator[Client]:
    with shop.at(proxy.port).connect() as connection:
        connection.execute("SELECT 1")
        wait_followed(proxy)
        yield connection


@pytest.fixture
def other(shop: Application) -> Iterator[Client]:
    """Somebody who writes past the proxy."""
    with shop.connect() as connection:
        yield connection


def wait_followed(proxy: ProxyUnderTest, state: int = 1) -> None:
    def is_so() -> bool:
        return proxy.metric("tidegate_changes_followed", database="followed") == state

    wait_until(is_so, "the log to be read" if state else "the log to be lost", timeout=30.0)


def rows(client: Client, sql: str) -> list[Any]:
    return client.execute(sql.encode()).fetchall()


def cache(client: Client, sql: str) -> list[Any]:
    """Read until it is a hit."""

    def is_hit() -> bool:
        rows(client, sql)
        told = dict(rows(client, f"EXPLAIN ROUTE {sql}"))
        return bool(told["cache"].startswith("hit"))

    wait_until(is_hit, f"a hit of {sql}")
    return rows(client, sql)


def seconds_until(client: Client, sql: str, expected: list[Any]) -> float:
    since = time.perf_counter()
    while rows(client, sql) != expected:
        assert time.perf_counter() - since < 10 * BOUND, "not seen"
    return time.perf_counter() - since


@pytest.mark.parametrize("what", FOREIGN)
def test_foreign_writes_are_seen(what: str, client: Client, other: Client) -> None:
    write, read = FOREIGN[what]
    before = cache(client, read)
    other.execute(write.encode())
    now = rows(other, read)
    assert now != before
    assert seconds_until(client, read, now) < BOUND


def test_foreign_writes_are_seen_within_milliseconds(client: Client, other: Client) -> None:
    read = "SELECT v FROM plain WHERE id = 2"
    taken = []
    for number in range(1, WRITES + 1):
        cache(client, read)
        other.execute(b"UPDATE plain SET v = %d WHERE id = 2" % number)
        taken.append(seconds_until(client, read, [(number,)]))
    taken.sort()
    print(*(f"{1000 * taken[len(taken) * part // 100]:.1f} ms" for part in (50, 90, 99)))
    assert taken[len(taken) // 2] < 0.2


def test_our_own_writes_are_not_foreign(client: Client, proxy: ProxyUnderTest) -> None:
    client.execute("CREATE TABLE ours (id int, v int)")
    client.execute("INSERT INTO ours VALUES (1, 0), (2, 0)")
    read = "SELECT v FROM ours WHERE id = 1"
    cache(client, read)
    time.sleep(0.1)
    before = proxy.metric("tidegate_foreign_writes_total", table="public.ours")
    for number in range(30):
        client.execute(b"UPDATE ours SET v = %d" % number)
        with client.transaction():
            client.execute("DELETE FROM ours WHERE id = 2")
            client.execute(b"INSERT INTO ours VALUES (2, %d)" % number)
        assert rows(client, read) == [(number,)]
    hits = proxy.metric("tidegate_cache_hits_total")
    cache(client, read)
    time.sleep(1.5)  # by then what was not credited would have been found
    rows(client, read)
    assert proxy.metric("tidegate_cache_hits_total") >= hits + 2
    assert proxy.metric("tidegate_foreign_writes_total", table="public.ours") == before


def test_strict_reads_miss_nothing(
    shop: Application, strict: ProxyUnderTest, other: Client
) -> None:
    proxy = strict
    read = "SELECT v FROM plain WHERE id = 7"
    taken = []
    with shop.at(proxy.port).connect() as client:
        client.execute("SELECT 1")
        wait_followed(proxy)
        cache(client, read)
        for number in range(1, 2 * WRITES):
            if number % 4 == 0:
                rows(client, read)
            other.execute(b"UPDATE plain SET v = %d WHERE id = 7" % number)
            since = time.perf_counter()
            assert rows(client, read) == [(number,)]
            taken.append(time.perf_counter() - since)
        hits = proxy.metric("tidegate_cache_hits_total")
        cache(client, read)
        since = time.perf_counter()
        for _ in range(100):
            rows(client, read)
        print(f"{1000 * (time.perf_counter() - since) / 100:.2f} ms for a hit")
        assert proxy.metric("tidegate_cache_hits_total") > hits + 50
    taken.sort()
    print(*(f"{1000 * taken[len(taken) * part // 100]:.1f} ms" for part in (50, 90, 99)))
    print(proxy.metric("tidegate_reads_total", reason="unconfirmed"), len(taken))


def waits(cluster: PostgresCluster) -> bool:
    """Whether any commit waits for a replica."""
    found = cluster.primary.fetch_value(
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep')"
    )
    return bool(found)


def test_what_waits_for_a_replica_is_not_taken_for_visible(
    client: Client, other: Client, proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    read = "SELECT v FROM plain WHERE id = 3"
    before = cache(client, read)
    for replica in cluster.replicas:
        replica.pause_replay()
    cluster.primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
    cluster.primary.execute("SELECT pg_reload_conf()")
    try:
        other.execute("SET synchronous_commit = remote_apply")
        wait_until(lambda: rows(other, "SHOW synchronous_standby_names") == [("*",)], "the setting")
        # One process of the server tells the others of the setting, perhaps later than it is shown.
        for value in itertools.count(1):
            write = f"UPDATE plain SET v = {value} WHERE id = 3"
            writer = threading.Thread(target=other.execute, args=(write.encode(),))
            writer.start()
            wait_until(lambda: not writer.is_alive() or waits(cluster), "a commit to wait")  # noqa: B023
            if writer.is_alive():
                break
            before = [(value,)]
            seconds_until(client, read, before)
        wait_until(lambda: proxy.metric("tidegate_ledger_pending") > 0, "it to be told of")
        for _ in range(20):
            assert rows(client, read) == before
        told = dict(rows(client, f"EXPLAIN ROUTE {read}"))
        assert not told["cache"].startswith("hit")
        for replica in cluster.replicas:
            replica.resume_replay()
        writer.join()
        assert seconds_until(client, read, [(value,)]) < BOUND
    finally:
        cluster.primary.execute("ALTER SYSTEM RESET synchronous_standby_names")
        cluster.primary.execute("SELECT pg_reload_conf()")
        heal(cluster)


def test_what_was_written_in_a_gap_is_seen_behind_it(
    client: Client, other: Client, proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    read = "SELECT v FROM plain WHERE id = 4"
    cache(client, read)
    with other.transaction():  # who writes keeps a slot from being made
        other.execute("UPDATE plain SET v = 1 WHERE id = 4")
        cluster.primary.execute(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots"
            " WHERE slot_name LIKE 'tidegate%'"
        )
        wait_followed(proxy, 0)
    wait_followed(proxy)
    assert seconds_until(client, read, [(1,)]) < BOUND
    assert "changes not followed" in proxy.log.read_text()


def test_who_keeps_too_much_log_is_followed_no_more(
    shop: Application, strict: ProxyUnderTest, other: Client, cluster: PostgresCluster
) -> None:
    proxy = strict
    slots = "SELECT count(*) FROM pg_replication_slots WHERE plugin = 'test_decoding'"
    with shop.at(proxy.port).connect() as connection:
        connection.execute("SELECT 1")
        wait_followed(proxy)
        before = cluster.primary.fetch_value(slots)
        with other.transaction():
            other.execute("UPDATE plain SET v = 1 WHERE id = 5")
            cluster.primary.execute(
                "SELECT count(pg_logical_emit_message(false, 'much', repeat('x', 100000)))"
                " FROM generate_series(1, 30)"
            )
            proxy.wait_logged("bytes of log are kept")
            wait_followed(proxy, 0)
        wait_followed(proxy)
        proxy.kill()  # leaves nothing behind either
    wait_until(lambda: cluster.primary.fetch_value(slots) == before - 1, "the slot to be gone")


def test_a_primary_may_restart(
    client: Client, shop: Application, proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    seen = proxy.metric("tidegate_foreign_writes_total", table="public.plain")
    cluster.primary.restart()
    wait_followed(proxy, 0)
    wait_followed(proxy)
    with shop.connect() as writer:
        writer.execute("UPDATE plain SET v = 1 WHERE id = 6")
    wait_until(
        lambda: proxy.metric("tidegate_foreign_writes_total", table="public.plain") > seen,
        "a write to be told of",
    )


def test_a_proxy_that_stops_leaves_no_slot(
    client: Client, proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    slots = "SELECT count(*) FROM pg_replication_slots WHERE plugin = 'test_decoding'"
    assert cluster.primary.fetch_value(slots) == 1
    proxy.stop()
    assert cluster.primary.fetch_value(slots) == 0


@pytest.mark.skipif(not IS_SOAK, reason="a cluster of its own: make soak")
def test_without_logical_decoding_the_log_says_why(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    with temporary_cluster(replicas=0, settings={"wal_level": "replica"}) as cluster:
        cluster.primary.execute("CREATE DATABASE followed")
        proxy = ProxyUnderTest(
            tmp_path_factory.mktemp("proxy"),
            [cluster.primary.address],
            auth_user=SUPERUSER,
            auth_password=cluster.password,
            group=CDC,
        )
        with proxy:
            through = proxy.dsn("followed", user=SUPERUSER, password=cluster.password)
            with psycopg.connect(through, autocommit=True) as reader:
                reader.execute("CREATE TABLE t AS SELECT 0 AS v")
                proxy.wait_logged("wal_level")
                wait_followed(proxy, 0)
                cache(reader, "SELECT v FROM t")
