"""The second level of the cache behind a proxy, over a real Redis that is paused and killed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from proxy.demo.processes import wait_until
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.redis_under_test import PASSWORD, Redis

TIMEOUT = 0.1
SLACK = 0.4  # for a machine that has much to do
RESULTS = 24


@pytest.fixture
def proxy(start_proxy: StartProxy, redis: Redis) -> ProxyUnderTest:
    """With room for some ten results in memory."""
    proxy = start_proxy(
        out_of_band="none",
        cache_url=redis.url,
        cache_size_bytes=16 * 2**10,
        max_entry_bytes=2**10,
        l2_timeout=TIMEOUT,
    )
    is_asked(proxy, 1)
    return proxy


@pytest.fixture
def connection(
    direct: Application, proxy: ProxyUnderTest
) -> Iterator[psycopg.Connection[tuple[int]]]:
    """With a table whose sums take the server some milliseconds."""
    with direct.connect() as maker:
        maker.execute("CREATE TABLE numbers AS SELECT n FROM generate_series(1, 200) n")
    try:
        with direct.at(proxy.port).connect() as connection:
            wait_until(lambda: leaves_the_primary(connection), "the table to be known")
            yield connection
    finally:
        with direct.connect() as maker:
            maker.execute("DROP TABLE numbers")


def leaves_the_primary(connection: psycopg.Connection[tuple[int]]) -> bool:
    said = dict(connection.execute(b"EXPLAIN ROUTE " + sql(0).encode()).fetchall())
    return said["reason"] in ("replica", "hit", "behind")


def is_asked(proxy: ProxyUnderTest, value: int) -> None:
    wait_until(lambda: proxy.metric("tidegate_cache_l2_asked") == value, f"L2 to be at {value}")


def sql(number: int) -> str:
    return f"SELECT sum(a.n * b.n) FROM numbers a, numbers b WHERE a.n <> {number}"


def reads_all(connection: psycopg.Connection[tuple[int]], total: int) -> float:
    """Read everything, compare it with what it should be; returns what the slowest one took."""
    slowest = 0.0
    for number in range(1, RESULTS + 1):
        began = time.monotonic()
        ((found,),) = connection.execute(sql(number).encode()).fetchall()
        slowest = max(slowest, time.monotonic() - began)
        assert found == total * (total - number)
    return slowest


def read_from(proxy: ProxyUnderTest, outcome: str) -> float:
    return proxy.metric("tidegate_cache_l2_reads_total", outcome=outcome)


def test_redis_has_what_memory_has_no_room_for_and_is_skipped_while_it_fails(
    redis: Redis, proxy: ProxyUnderTest, connection: psycopg.Connection[tuple[int]]
) -> None:
    total = 200 * 201 // 2
    reads_all(connection, total)
    reads_all(connection, total)
    hits = read_from(proxy, "hit")
    assert hits > RESULTS / 2
    assert proxy.metric("tidegate_reads_total", server="cache_l2", reason="hit") == hits

    redis.pause()
    try:
        slowest = reads_all(connection, total)
        assert slowest < TIMEOUT + SLACK
        assert 1 <= read_from(proxy, "late") <= 4
        assert proxy.metric("tidegate_cache_l2_asked") == 0
    finally:
        redis.resume()
    is_asked(proxy, 1)
    wait_until(lambda: reads_all(connection, total) > 0 and read_from(proxy, "hit") > hits, "hits")

    redis.kill()
    try:
        assert reads_all(connection, total) < TIMEOUT + SLACK
        is_asked(proxy, 0)
    finally:
        redis.start()
    is_asked(proxy, 1)

    reads_all(connection, total)
    connection.execute("INSERT INTO numbers VALUES (1000)")
    wait_until(
        lambda: reads_all(connection, total + 1000) > 0 and read_from(proxy, "stale") > 0, "misses"
    )
    log = proxy.log.read_text()
    assert "the second level of the cache is skipped" in log
    assert PASSWORD not in log
    assert PASSWORD.replace(" ", "%20") not in log
