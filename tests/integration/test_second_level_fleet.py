"""What many miss at once in several members, one of them asks a server for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from proxy.demo.processes import wait_until
from tests.integration.grounds import Client, Ground, standing_on
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.redis_under_test import Redis

ROWS = 1400
ROUNDS = 3
MOST_ROUNDS = 20
CLIENTS = 3  # of each member
STORES = ("cache", "cache_l2")

standing = standing_on("postgres")


@pytest.fixture(scope="module")
def ground(standing: Ground) -> Iterator[Ground]:
    standing.drop_view()
    with standing.connect() as client:
        client.ask(f"CREATE TABLE numbers AS SELECT n FROM generate_series(1, {ROWS}) n")
        standing.cluster.wait_replayed()
        yield standing
        client.ask("DROP TABLE numbers")
    standing.drop_view()


@pytest.fixture(scope="module")
def members(
    ground: Ground, shared_redis: Redis, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[ProxyUnderTest]]:
    """Two, which know what both statements take a server. The last test of this file kills one."""
    folder = tmp_path_factory.mktemp("fleet")
    members = [
        ground.start(
            bus_url=f"unix://{folder}/bus",
            out_of_band="none",
            cache_url=shared_redis.url,
            l2_timeout=0.2,
        )
        for _ in range(2)
    ]
    for number, member in enumerate(members, 1):
        wait_until(lambda it=member: it.metric("tidegate_cache_l2_asked") == 1, "L2")  # type: ignore[misc]
        ground.wait_for_replicas(member, total(0))
        with ground.connect(member) as client:
            for sql in (total(number), slow(number)):
                client.ask(sql)
    yield members
    for member in members:
        member.kill()


def total(number: int) -> str:
    """Some 0.2 s of a server's time."""
    return f"SELECT sum(a.n + b.n - b.n) FROM numbers a, numbers b WHERE a.n <> -{number}"


def slow(number: int) -> str:
    return (
        "SELECT count(a.n * b.n * c) FROM numbers a, numbers b, generate_series(1, 4) c"
        f" WHERE a.n <> -{number}"
    )


def runs(members: list[ProxyUnderTest]) -> float:
    """How many reads went to servers."""
    reads = [
        member.metric("tidegate_reads_total") - stored
        for member in members
        for stored in [sum(member.metric("tidegate_reads_total", server=it) for it in STORES)]
    ]
    return sum(reads)


def turns(member: ProxyUnderTest, outcome: str) -> float:
    return member.metric("tidegate_cache_l2_turns_total", outcome=outcome)


def all_at_once(clients: list[Client], sql: str) -> set[int]:
    """Have all of them ask the same; returns what they were told."""
    ready = threading.Barrier(len(clients))

    def ask(client: Client) -> int:
        ready.wait()
        return int(client.value(sql))

    with ThreadPoolExecutor(len(clients)) as pool:
        return set(pool.map(ask, clients))


def test_one_member_asks_for_all(ground: Ground, members: list[ProxyUnderTest]) -> None:
    with ExitStack() as leaving:
        clients = [
            leaving.enter_context(ground.connect(member))
            for member in members
            for _ in range(CLIENTS)
        ]
        asks_in_rounds(ground, members, clients)


def asks_in_rounds(ground: Ground, members: list[ProxyUnderTest], clients: list[Client]) -> None:
    """On a machine that is busy a fetch may take too long for a wait to pay, now and then."""
    expected = ROWS * ROWS * (ROWS + 1) // 2
    assert all_at_once(clients, total(0)) == {expected}
    shared = 0
    for _ in range(MOST_ROUNDS):
        clients[0].ask("UPDATE numbers SET n = n + 1")
        expected += ROWS * ROWS
        for member in members:
            ground.wait_for_replicas(member, total(0))
        before = runs(members), sum(turns(member, "found") for member in members)
        assert all_at_once(clients, total(0)) == {expected}
        after = runs(members), sum(turns(member, "found") for member in members)
        shared += (after[0] - before[0], after[1] - before[1]) == (1, 1)
        if shared == ROUNDS:
            return
    raise AssertionError(f"both asked a server, all but {shared} times")


def test_one_that_is_killed_while_it_asks_costs_the_others_a_moment(
    ground: Ground, shared_redis: Redis, members: list[ProxyUnderTest]
) -> None:
    dies, waits = members
    led = turns(dies, "led")
    with (
        ground.connect(dies) as first,
        ground.connect(waits) as second,
        ThreadPoolExecutor(2) as pool,
        shared_redis.client() as store,
    ):
        lost = pool.submit(first.code, slow(0))
        wait_until(lambda: turns(dies, "led") > led, "it to ask a server")
        store.config_resetstat()
        answer = pool.submit(second.value, slow(0))
        wait_until(
            lambda: store.info("commandstats").get("cmdstat_mget", {"calls": 0})["calls"] > 3,
            "the other one to wait",
        )
        dies.kill()
        assert lost.result()
        assert answer.result() == ROWS * ROWS * 4
    assert turns(waits, "gone") == 1
