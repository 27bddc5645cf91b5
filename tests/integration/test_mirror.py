"""Statements that are sent to another server group too, on real servers with real drivers."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from proxy.demo.local_postgres import SUPERUSER, PostgresCluster, temporary_cluster
from proxy.demo.processes import free_port, freeze, wait_until
from tests.integration.application import Application
from tests.integration.proxy_under_test import ProxyUnderTest

Client = psycopg.Connection[Any]

RULES: list[dict[str, Any]] = [
    {"name": "copied", "tables": ["public.copied", "public.large"], "mirror": "other"}
]


@pytest.fixture(scope="module")
def other() -> Iterator[PostgresCluster]:
    """The servers of the other group."""
    with temporary_cluster(replicas=0) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def there(other: PostgresCluster) -> Application:
    """The same application's database there."""
    application = Application(other.primary.port)
    application.create(other)
    return application


@pytest.fixture(autouse=True)
def _tables(direct: Application, there: Application, shared_cluster: PostgresCluster) -> None:
    for application in (direct, there):
        with application.connect() as connection:
            for name in ("copied", "plain", "large"):
                connection.execute(f"DROP TABLE IF EXISTS {name}".encode())
            connection.execute("CREATE TABLE copied (n serial, a int UNIQUE)")
            connection.execute("CREATE TABLE plain (a int)")
            connection.execute("CREATE TABLE large (a text)")
    shared_cluster.wait_replayed()


@contextmanager
def proxy_before(
    cluster: PostgresCluster, other: PostgresCluster, folder: Path
) -> Iterator[ProxyUnderTest]:
    to = {
        "listen": f"127.0.0.1:{free_port()}",
        "servers": [server.address for server in other.servers],
        "auth_user": SUPERUSER,
        "auth_password": other.password,
        "rules": [{"name": "back", "mirror": "app"}],
    }
    with ProxyUnderTest(
        folder,
        [server.address for server in cluster.servers],
        auth_user=SUPERUSER,
        auth_password=cluster.password,
        group={"rules": RULES},
        sections={"server_groups.other": to},
    ) as proxy:
        yield proxy


@pytest.fixture
def proxy(
    cluster: PostgresCluster, other: PostgresCluster, tmp_path: Path
) -> Iterator[ProxyUnderTest]:
    with proxy_before(cluster, other, tmp_path) as proxy:
        yield proxy


def mirrored(proxy: ProxyUnderTest, outcome: str) -> int:
    name = "tidegate_mirrored_total"
    return int(proxy.metric(name, group="app", rule="copied", outcome=outcome))


def wait_mirrored(proxy: ProxyUnderTest, number: int, outcome: str = "sent") -> None:
    try:
        wait_until(lambda: mirrored(proxy, outcome) == number, f"{number} {outcome}", timeout=40)
    except Exception:
        seen = {each: mirrored(proxy, each) for each in ("sent", "failed", "dropped")}
        raise AssertionError(f"{seen}, not {number} {outcome}") from None


def rows(application: Application, sql: str = "SELECT a FROM copied ORDER BY n") -> list[Any]:
    with application.connect() as connection:
        return [row[0] for row in connection.execute(sql.encode()).fetchall()]


def test_what_matches_runs_there_too_by_either_protocol(
    direct: Application, there: Application, proxy: ProxyUnderTest
) -> None:
    with direct.at(proxy.port).connect() as connection:
        shown = connection.execute("EXPLAIN ROUTE SELECT a FROM copied").fetchall()
        assert ("mirrored to", "other") in shown
        connection.execute("INSERT INTO copied (a) VALUES (1)")
        connection.execute("INSERT INTO copied (a) VALUES (%s)", (2,))
        connection.execute("INSERT INTO copied (a) VALUES (%b)", (3,), prepare=True)
        connection.execute("INSERT INTO copied (a) VALUES (4); INSERT INTO plain VALUES (1)")
        connection.execute("INSERT INTO plain VALUES (2)")
        wait_mirrored(proxy, 4)
    assert rows(there) == [1, 2, 3, 4]
    assert rows(there, "SELECT a FROM plain") == []
    assert mirrored(proxy, "failed") == mirrored(proxy, "dropped") == 0


def test_what_the_cache_answers_is_asked_there_all_the_same(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    with direct.at(proxy.port).connect() as connection:
        asked = 0

        def hits() -> float:
            nonlocal asked
            asked += 1
            connection.execute("SELECT a FROM copied", prepare=False)
            return proxy.metric("tidegate_reads_total", group="app", reason="hit")

        wait_until(lambda: hits() > 0, "an answer from the cache")
        before = hits()
        for _ in range(20):
            connection.execute("SELECT a FROM copied", prepare=False)
            connection.execute("SELECT a FROM copied WHERE a = %s", (1,), prepare=True)
        assert hits() >= before + 30
        wait_mirrored(proxy, asked + 40)


def test_what_fails_or_is_rolled_back_is_not_mirrored(
    direct: Application, there: Application, proxy: ProxyUnderTest
) -> None:
    with direct.at(proxy.port).connect() as connection:
        connection.execute("INSERT INTO copied (a) VALUES (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO copied (a) VALUES (1)")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO copied (a) VALUES (2)")
        connection.execute("ROLLBACK")
        connection.execute("BEGIN")
        connection.execute("SAVEPOINT early")
        connection.execute("INSERT INTO copied (a) VALUES (3)")
        connection.execute("ROLLBACK TO early")
        connection.execute("INSERT INTO copied (a) VALUES (4)")
        connection.execute("SAVEPOINT s")
        connection.execute("INSERT INTO copied (a) VALUES (5)")
        connection.execute("ROLLBACK TO s")
        connection.execute("INSERT INTO copied (a) VALUES (6)")
        wait_mirrored(proxy, 1)
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        connection.execute("INSERT INTO copied (a) VALUES (7)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            connection.execute("INSERT INTO copied (a) VALUES (1)")
        connection.execute("COMMIT")
        connection.execute("INSERT INTO copied (a) VALUES (8)")
        wait_mirrored(proxy, 4)
    assert rows(there) == [1, 4, 6, 8]


def test_what_comes_from_one_client_stays_in_its_order(
    direct: Application, there: Application, proxy: ProxyUnderTest
) -> None:
    clients = [direct.at(proxy.port).connect() for _ in range(5)]
    for number in range(100):
        for place, client in enumerate(clients):
            client.execute("INSERT INTO copied (a) VALUES (%s)", (place * 1000 + number,))
    wait_mirrored(proxy, 500)
    for client in clients:
        client.close()
    found = rows(there)
    for place in range(5):
        own = [value for value in found if value // 1000 == place]
        assert own == [place * 1000 + number for number in range(100)]


def test_what_fails_there_is_counted_and_its_values_are_in_no_log(
    direct: Application, there: Application, proxy: ProxyUnderTest
) -> None:
    with there.connect() as connection:
        connection.execute("DROP TABLE copied")
    with direct.at(proxy.port).connect() as connection:
        for number in range(424200, 424210):
            connection.execute(f"INSERT INTO copied (a) VALUES ({number})".encode())
    wait_mirrored(proxy, 10, "failed")
    assert "42420" not in proxy.log.read_text()


def test_a_database_that_is_not_there_is_counted_and_tried_again(
    cluster: PostgresCluster,
    other: PostgresCluster,
    database: str,
    proxy: ProxyUnderTest,
) -> None:
    with psycopg.connect(
        proxy.dsn(database, user=SUPERUSER, password=cluster.password), autocommit=True
    ) as connection:
        connection.execute("CREATE TABLE copied (n serial, a int)")
        connection.execute("INSERT INTO copied (a) VALUES (1)")
        wait_until(lambda: mirrored(proxy, "failed") >= 1, "it to fail")
        connection.execute("INSERT INTO copied (a) VALUES (2)")
        wait_until(lambda: mirrored(proxy, "dropped") >= 1, "the next to be dropped")
        other.primary.execute(f"CREATE DATABASE {database}")

        def is_there() -> bool:
            connection.execute("SELECT a FROM copied")
            return mirrored(proxy, "failed") >= 2  # by a server that has no such table

        wait_until(is_there, "the database to be tried again", timeout=30)
    proxy.wait_logged("lets nobody in")


def slowest(connection: Client, number: int, first: int) -> float:
    took = []
    for value in range(first, first + number):
        began = time.monotonic()
        connection.execute("INSERT INTO copied (a) VALUES (%s)", (value,))
        took.append(time.monotonic() - began)
    took.sort()
    return took[len(took) * 95 // 100]


def test_a_group_that_hangs_delays_nobody_and_gets_what_waits(
    direct: Application, there: Application, other: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    with direct.at(proxy.port).connect() as connection:
        before = slowest(connection, 100, 0)
        wait_mirrored(proxy, 100)
        backends = _processes(other)
        for pid in backends:
            freeze(pid)
        try:
            during = slowest(connection, 200, 1000)
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)
        assert during < before * 3 + 0.02, f"{before * 1000:.1f} ms, then {during * 1000:.1f} ms"
        wait_mirrored(proxy, 300)
    assert rows(there) == [*range(100), *range(1000, 1200)]


def test_a_group_that_is_down_delays_nobody(
    direct: Application, other: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    with direct.at(proxy.port).connect() as connection:
        before = slowest(connection, 100, 0)
        wait_mirrored(proxy, 100)
        other.primary.stop("immediate")
        try:
            during = slowest(connection, 200, 1000)
        finally:
            other.primary.start()
        assert during < before * 3 + 0.02, f"{before * 1000:.1f} ms, then {during * 1000:.1f} ms"
        wait_until(
            lambda: sum(mirrored(proxy, each) for each in ("sent", "failed", "dropped")) == 300,
            "everything to be counted",
            timeout=60,
        )


def test_a_flood_is_dropped_and_takes_no_memory(
    direct: Application, other: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    with direct.at(proxy.port).connect() as connection:
        connection.execute("INSERT INTO large VALUES ('a')")
        wait_mirrored(proxy, 1)
        before = _resident(proxy)
        backends = _processes(other)
        for pid in backends:
            freeze(pid)
        try:
            for _ in range(100):
                connection.execute("INSERT INTO large VALUES (%s)", ("x" * 1_000_000,))
        finally:
            for pid in backends:
                os.kill(pid, signal.SIGCONT)
        grown = _resident(proxy) - before
        assert mirrored(proxy, "dropped") >= 80
        assert grown < 64 * 1024 * 1024, f"{grown / 2**20:.0f} MiB for 100 MB of statements"
        wait_until(
            lambda: sum(mirrored(proxy, each) for each in ("sent", "failed", "dropped")) == 101,
            "what waited to be sent",
            timeout=60,
        )


def _processes(cluster: PostgresCluster) -> list[int]:
    """The server's process, and its children."""
    pid = cluster.primary.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [pid, *map(int, children.split())]


def _resident(proxy: ProxyUnderTest) -> int:
    lines = Path(f"/proc/{proxy.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))
