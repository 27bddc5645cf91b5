"""Requests that are answered as they are received: by their bytes, and by nothing less."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from proxy.demo.processes import wait_until
from proxy.wire.postgres.frontend import SYNC, bind, execute, parse, query
from tests.integration.application import Application
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import RawClient, rows


@pytest.fixture(scope="module", autouse=True)
def _table(direct: Application) -> Iterator[None]:
    with direct.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS answered")
        connection.execute("CREATE TABLE answered AS SELECT 7 AS n")
        yield
        connection.execute("DROP TABLE answered")


def hits(proxy: ProxyUnderTest) -> float:
    return proxy.metric("tidegate_reads_total", server="cache")


def until_received(proxy: ProxyUnderTest, client: RawClient, data: bytes) -> None:
    def received() -> float:
        return proxy.metric("tidegate_client_bytes_total", direction="in")

    before = received()
    client.send(data)
    wait_until(lambda: received() > before, "a part of a request to be received")


def until_hit(proxy: ProxyUnderTest, client: RawClient, request: bytes) -> list[list[str | None]]:
    """Ask until the cache answers."""
    answer: list[list[str | None]] = []

    def is_hit() -> bool:
        before = hits(proxy)
        answer[:] = rows(client.ask(request))
        return hits(proxy) > before

    wait_until(is_hit, "an answer from the cache")
    return answer


def test_a_request_may_come_in_two_parts_cut_anywhere(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    with app.raw() as client:
        client.ask(parse(b"s", b"SELECT n FROM answered"), SYNC)
        request = bind(b"", b"s", []) + execute(b"") + SYNC
        expected = until_hit(module_proxy, client, request)
        for cut in range(1, len(request)):
            until_received(module_proxy, client, request[:cut])
            client.send(request[cut:])
            assert rows(client.hear()) == expected


def test_a_batch_that_names_a_statement_means_the_clients_own(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    texts = [b"SELECT 'one', n FROM answered", b"SELECT 'two', n FROM answered"]
    with app.raw() as one, app.raw() as two:
        for client, text in zip((one, two), texts, strict=True):
            client.ask(parse(b"s", text), SYNC)
        # What it brings, and does not use, happens to be the first client's.
        request = parse(b"", texts[0]) + bind(b"", b"s", []) + execute(b"") + SYNC
        assert until_hit(module_proxy, one, request) == [["one", "7"]]
        assert rows(two.ask(request)) == [["two", "7"]]


@pytest.mark.parametrize("in_one_batch", [False, True])
def test_what_a_fetch_writes_is_seen_by_everybody(
    app: Application, module_proxy: ProxyUnderTest, in_one_batch: bool
) -> None:
    """It runs a portal that an INSERT was bound to, and nothing has executed."""
    insert = parse(b"", b"INSERT INTO answered VALUES (8) RETURNING n") + bind(b"c", b"")
    fetch = parse(b"", b"FETCH ALL FROM c") + bind(b"", b"") + execute(b"")
    with app.raw() as one, app.raw() as two:
        request = query(b"SELECT count(*) FROM answered")
        (before,) = until_hit(module_proxy, two, request)
        if in_one_batch:
            one.ask(insert + fetch, SYNC)
        else:
            one.query("BEGIN")
            one.ask(insert, SYNC)
            assert rows(one.query("FETCH ALL FROM c")) == [["8"]]
            one.query("COMMIT")
        (after,) = rows(two.ask(request))
        assert int(after[0] or 0) == int(before[0] or 0) + 1


async def test_a_single_value_is_answered_from_memory_like_a_whole_result(
    app: Application, module_proxy: ProxyUnderTest
) -> None:
    """asyncpg's fetchval asks for one row, and is told that there may be more."""
    async with app.asyncpg() as connection, app.asyncpg() as writer:
        for value in (7, 8, 7):
            await writer.execute(f"UPDATE answered SET n = {value}")
            before = hits(module_proxy)
            async with asyncio.timeout(20):
                while hits(module_proxy) < before + 3:
                    assert await connection.fetchval("SELECT n FROM answered") == value
