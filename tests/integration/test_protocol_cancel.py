"""A cancel request stops the statement of its own client, now, and nobody else's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from proxy.wire.postgres.frontend import SYNC, bind, execute, parse, query
from proxy.wire.postgres.packets import V3_2, cancel_request
from tests.integration.application import Application
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import RawClient, rows, shape, sqlstates

CANCELLED = "57014"
SLEEP = "SELECT pg_sleep(30)"


def cancel(client: RawClient, port: int, *, secret: bytes | None = None) -> None:
    """Ask on another connection that a client's statement be stopped; wait until that is heard."""
    with RawClient(port) as other:
        other.send(cancel_request(client.welcome.pid, secret or client.welcome.secret))
        assert other.hear_out() == []


def running(direct: Application, mark: str) -> int:
    """How many statements that hold a mark are running."""
    with direct.connect() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'"
            " AND query LIKE '%%' || %s AND pid <> pg_backend_pid()",
            [mark],
        ).fetchone()
    assert found is not None
    return int(found[0])


def wait_running(direct: Application, mark: str, count: int) -> None:
    wait_until(lambda: running(direct, mark) == count, f"{count} statements {mark!r} to run")


def test_the_statement_that_runs_is_stopped(app: Application, direct: Application) -> None:
    with app.raw() as client:
        client.send(query(f"{SLEEP} /* plain */".encode()))
        wait_running(direct, "plain */", 1)
        cancel(client, app.port)
        assert sqlstates(client.hear()) == [CANCELLED]
        assert rows(client.query("SELECT 1")) == [["1"]]


def test_the_extended_protocol_too(app: Application, direct: Application) -> None:
    with app.raw() as client:
        text = f"{SLEEP} /* extended */".encode()
        client.send(parse(b"s", text), bind(b"", b"s"), execute(b""), SYNC)
        wait_running(direct, "extended */", 1)
        cancel(client, app.port)
        heard = client.hear()
        assert sqlstates(heard) == [CANCELLED]
        assert shape(heard)[-1] == "Z"
        assert rows(client.query("SELECT 1")) == [["1"]]


def test_in_a_transaction_it_fails_the_transaction(app: Application, direct: Application) -> None:
    with app.raw() as client:
        client.query("BEGIN")
        client.send(query(f"{SLEEP} /* inside */".encode()))
        wait_running(direct, "inside */", 1)
        cancel(client, app.port)
        assert sqlstates(client.hear()) == [CANCELLED]
        assert sqlstates(client.query("SELECT 1")) == ["25P02"]
        client.query("ROLLBACK")
        assert rows(client.query("SELECT 1")) == [["1"]]


def test_a_long_key_cancels_too(app: Application, direct: Application) -> None:
    with RawClient(app.port) as client:
        client.log_in(app.user, app.password, app.database, version=V3_2)
        client.send(query(f"{SLEEP} /* long key */".encode()))
        wait_running(direct, "long key */", 1)
        cancel(client, app.port)
        assert sqlstates(client.hear()) == [CANCELLED]


@pytest.fixture
def sleepers(app: Application, direct: Application) -> Iterator[list[RawClient]]:
    with ExitStack() as stack:
        clients = [stack.enter_context(app.raw()) for _ in range(3)]
        for client in clients:
            client.send(query(f"{SLEEP} /* sleeper */".encode()))
        wait_running(direct, "sleeper */", 3)
        yield clients
    wait_running(direct, "sleeper */", 0)


def test_nobody_elses_statement_is_stopped(
    app: Application, direct: Application, sleepers: list[RawClient]
) -> None:
    for count, client in zip((2, 1, 0), sleepers, strict=True):
        cancel(client, app.port)
        assert sqlstates(client.hear()) == [CANCELLED]
        assert running(direct, "sleeper */") == count


def test_a_wrong_key_stops_nothing(
    app: Application, direct: Application, sleepers: list[RawClient]
) -> None:
    for secret in (b"\0\0\0\0", b"x" * 32, sleepers[1].welcome.secret):
        cancel(sleepers[0], app.port, secret=secret)
    assert running(direct, "sleeper */") == 3


def test_a_client_that_is_idle_is_not_harmed(app: Application) -> None:
    with app.raw() as client:
        for _ in range(5):
            cancel(client, app.port)
            assert rows(client.query("SELECT 1")) == [["1"]]


def test_a_late_cancel_does_not_hit_the_next_client(narrow: Application) -> None:
    """All clients share one connection: what comes too late must not stop who has it then."""
    with ExitStack() as stack:
        clients = [stack.enter_context(narrow.raw()) for _ in range(4)]
        for turn in range(60):
            client, other = clients[turn % 4], clients[(turn + 1) % 4]
            client.send(query(b"SELECT pg_backend_pid() + 0 * txid_current()"))
            with RawClient(narrow.port) as canceller:
                canceller.send(cancel_request(client.welcome.pid, client.welcome.secret))
                other.send(query(b"SELECT 1, pg_sleep(0.001), txid_current()"))
                assert sqlstates(client.hear()) in ([], [CANCELLED])
                assert sqlstates(other.hear()) == []


def test_a_client_in_line_for_a_connection(
    narrow: Application, narrow_proxy: ProxyUnderTest, direct: Application
) -> None:
    with narrow.raw() as holder, narrow.raw() as client:
        holder.query("BEGIN; SELECT txid_current()")
        client.send(query(b"SELECT txid_current()"))
        wait_until(lambda: narrow_proxy.metric("tidegate_pool_cl_waiting") == 1, "a client in line")
        cancel(client, narrow.port)
        assert sqlstates(client.hear()) == [CANCELLED]
        holder.query("COMMIT")
        assert shape(client.query("SELECT txid_current()")) == "TDCZ"


def test_a_statement_on_a_replica(
    app: Application, direct: Application, shared_cluster: PostgresCluster
) -> None:
    everywhere = [direct.at(server.port) for server in shared_cluster.servers]
    with app.raw() as client:
        client.query("DROP TABLE IF EXISTS wide")
        client.query("CREATE TABLE wide AS SELECT generate_series(1, 3000) AS a")
        text = "SELECT count(*) FROM wide x, wide y, wide z WHERE x.a + y.a + z.a < 0 /* read */"
        client.send(query(text.encode()))
        wait_until(
            lambda: sum(running(server, "read */") for server in everywhere) == 1,
            "a read to run somewhere",
        )
        started = time.monotonic()
        cancel(client, app.port)
        assert sqlstates(client.hear()) == [CANCELLED]
        assert time.monotonic() - started < 3
        assert rows(client.query("SELECT 1")) == [["1"]]


async def test_many_cancels_at_once(app: Application) -> None:
    async def work(number: int) -> None:
        async with app.asyncpg() as connection:
            for _ in range(4):
                with pytest.raises(TimeoutError):
                    await connection.fetchval(SLEEP, timeout=0.02 + 0.001 * number)
                assert await connection.fetchval("SELECT $1::int", number) == number

    await asyncio.gather(*(work(number) for number in range(15)))
