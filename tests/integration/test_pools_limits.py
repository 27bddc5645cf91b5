"""How many server connections there are, how long they live, and who gets them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import psycopg
import pytest

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from proxy.wire.postgres.frontend import query
from tests.integration.application import PASSWORD, Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import rows, sqlstates

WRITES = "SELECT pg_backend_pid() + 0 * txid_current()"


def pids(direct: Application, proxy: ProxyUnderTest) -> set[int]:
    """The server processes on the primary that a proxy's clients of `direct` run on."""
    with direct.connect() as connection:
        found = connection.execute(
            "SELECT pid, client_port FROM pg_stat_activity WHERE usename = 'app'"
            " AND pid <> pg_backend_pid()"
        ).fetchall()
    mine = {local for local, _, _ in proxy.sockets()}
    return {pid for pid, port in found if port in mine}


@pytest.fixture(scope="module")
def small(start_module_proxy: StartProxy) -> ProxyUnderTest:
    """A proxy with two server connections, and little patience with those who wait."""
    return start_module_proxy(default_pool_size=2, query_wait_timeout="0.4s")


@pytest.fixture(scope="module")
def strict(start_module_proxy: StartProxy) -> ProxyUnderTest:
    """A proxy that bears nobody who does nothing."""
    return start_module_proxy(
        idle_transaction_timeout="0.3s", client_idle_timeout="0.8s", server_idle_timeout="0.3s"
    )


def test_connections_are_lent_again_and_again(
    direct: Application, module_proxy: ProxyUnderTest
) -> None:
    through = direct.at(module_proxy.port)
    used = set()
    for _ in range(20):
        with through.connect() as connection:
            used |= {row[0] for row in connection.execute(WRITES.encode()).fetchall()}
    # One, or another while the one before is still asked what its client left behind.
    assert len(used) <= 3


def test_no_more_than_its_size_and_first_come_first_served(
    direct: Application, module_proxy: ProxyUnderTest, narrow: Application
) -> None:
    with ExitStack() as stack:
        holder, *others = (stack.enter_context(narrow.raw()) for _ in range(6))
        holder.query("BEGIN")
        holder.query(WRITES)
        for other in others:
            other.send(query(b"SELECT clock_timestamp(), txid_current()"))
            # In line before the next one comes.
            holder.query("SELECT 1")
        holder.query("COMMIT")
        times = [rows(other.hear())[0][0] for other in others]
        assert times == sorted(times, key=str)


def test_a_wait_that_is_too_long_is_an_error_that_says_so(
    direct: Application, small: ProxyUnderTest
) -> None:
    through = direct.at(small.port)
    with ExitStack() as stack:
        holders = [stack.enter_context(through.connect()) for _ in range(2)]
        waiter = stack.enter_context(through.connect())
        for holder in holders:
            holder.execute("BEGIN")
            holder.execute(WRITES.encode())
        started = time.monotonic()
        with pytest.raises(psycopg.errors.TooManyConnections) as failed:
            waiter.execute(WRITES.encode())
        assert 0.3 < time.monotonic() - started < 3
        assert "no server connection came free in 0.4 s" in str(failed.value)
        assert "2 busy" in str(failed.value)
        assert len(pids(direct, small)) == 2
        for holder in holders:
            holder.execute("ROLLBACK")
        assert waiter.execute("SELECT 1").fetchone() == (1,)
        assert waiter.execute(WRITES.encode()).fetchone()


def test_a_batch_that_waits_too_long_is_an_error_up_to_its_sync(
    direct: Application, small: ProxyUnderTest
) -> None:
    through = direct.at(small.port)
    with ExitStack() as stack:
        for _ in range(2):
            holder = stack.enter_context(through.connect())
            holder.execute("BEGIN")
            holder.execute(WRITES.encode())
        waiter = stack.enter_context(through.connect())
        with waiter.pipeline() as pipeline:
            waiter.execute(WRITES.encode())
            waiter.execute("SELECT %s::int", [1])
            with pytest.raises(psycopg.errors.TooManyConnections):
                pipeline.sync()
        assert waiter.execute("SELECT %s::int", [2]).fetchone() == (2,)


def test_a_transaction_that_idles_is_ended(direct: Application, strict: ProxyUnderTest) -> None:
    with direct.at(strict.port).raw() as client, direct.connect() as other:
        client.query("DROP TABLE IF EXISTS forgotten; CREATE TABLE forgotten (a int)")
        client.query("BEGIN; INSERT INTO forgotten VALUES (1)")
        assert sqlstates(client.hear_out()) == ["25P03"]
        other.execute("DROP TABLE forgotten")  # nobody holds a lock on it any more


def test_a_client_that_idles_is_sent_away(direct: Application, strict: ProxyUnderTest) -> None:
    with direct.at(strict.port).raw() as client:
        started = time.monotonic()
        assert sqlstates(client.hear_out()) == ["57P05"]
        assert time.monotonic() - started > 0.7


def test_a_client_that_is_served_by_the_cache_does_not_idle(
    direct: Application, strict: ProxyUnderTest
) -> None:
    with direct.at(strict.port).raw() as client:
        client.query("CREATE TABLE IF NOT EXISTS cached (a int)")
        until = time.monotonic() + 2
        while time.monotonic() < until:
            assert rows(client.query("SELECT count(*) FROM cached")) == [["0"]]
        assert strict.metric("tidegate_cache_hits_total") > 100


def test_connections_that_nobody_needs_are_closed(
    direct: Application, strict: ProxyUnderTest
) -> None:
    with direct.at(strict.port).connect() as connection:
        connection.execute(WRITES.encode())
        assert pids(direct, strict)
    wait_until(lambda: not pids(direct, strict), "idle server connections to be closed", timeout=5)


def test_clients_beyond_the_limit_are_refused(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    through = direct.at(start_module_proxy(max_client_conn=2).port)
    with through.connect() as one, through.connect():
        with pytest.raises(psycopg.OperationalError, match="too many clients already"):
            through.connect()
        assert one.execute("SELECT 1").fetchone() == (1,)
        one.cancel_safe()  # is no client

    def gets_in() -> bool:
        try:
            through.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    wait_until(gets_in, "a place to be free")


def test_the_reserve_is_for_those_who_wait_too_long(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    proxy = start_module_proxy(
        default_pool_size=1, reserve_pool_size=1, reserve_pool_timeout="0.3s", min_pool_size=1
    )
    through = direct.at(proxy.port)
    with through.connect() as one, through.connect() as two:
        one.execute("BEGIN")
        one.execute(WRITES.encode())
        assert len(pids(direct, proxy)) == 1
        started = time.monotonic()
        two.execute(WRITES.encode())
        assert time.monotonic() - started >= 0.3
        one.execute("COMMIT")
    wait_until(lambda: len(pids(direct, proxy)) == 1, "the reserve to be given back", timeout=5)


def test_some_connections_are_kept_open(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    proxy = start_module_proxy(
        min_pool_size=3, server_idle_timeout="0.2s", server_lifetime="1s", cache=False
    )
    with direct.at(proxy.port).connect() as connection:
        connection.execute(WRITES.encode())
        wait_until(lambda: len(pids(direct, proxy)) == 3, "three connections", timeout=5)
        first = pids(direct, proxy)
        wait_until(lambda: not first & pids(direct, proxy), "old ones to be replaced", timeout=10)
        wait_until(lambda: len(pids(direct, proxy)) == 3, "three connections again", timeout=5)
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_users_and_databases_have_pools_of_their_own(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    proxy = start_module_proxy(default_pool_size=3, users={"app": {"default_pool_size": 1}})
    through = direct.at(proxy.port)
    elsewhere = through.like(database="postgres")
    with through.connect() as one, elsewhere.connect() as two:
        for connection in (one, two):
            connection.execute("BEGIN")
            connection.execute(WRITES.encode())
        assert len(pids(direct, proxy)) == 2


# ---- pool modes ----------------------------------------------------------------------------


def test_session_mode_keeps_a_connection_for_a_client(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    proxy = start_module_proxy(pool_mode="session", default_pool_size=2)
    through = direct.at(proxy.port)
    with through.connect() as one, through.connect() as two:
        mine: dict[object, set[object]] = {one: set(), two: set()}
        for _ in range(5):
            for connection in (one, two):
                mine[connection].add(connection.execute(WRITES.encode()).fetchone())
        assert [len(seen) for seen in mine.values()] == [1, 1]
        assert mine[one] != mine[two]
        one.execute("CREATE TEMP TABLE mine (a int)")
        one.execute("SET work_mem = '9MB'")
        one.execute("PREPARE mine AS SELECT 1")
    with through.connect() as three:
        assert three.execute("SHOW work_mem").fetchone() == ("4MB",)
        three.execute("CREATE TEMP TABLE mine (a int)")
        three.execute("PREPARE mine AS SELECT 2")
        assert three.execute("EXECUTE mine").fetchone() == (2,)


def test_statement_mode_has_no_transactions(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    through = direct.at(start_module_proxy(pool_mode="statement", default_pool_size=1).port)
    with through.connect() as one, through.connect() as two:
        for text in ("BEGIN", "START TRANSACTION", "SELECT 1; BEGIN", "DO $$BEGIN COMMIT; END$$"):
            with pytest.raises(psycopg.errors.FeatureNotSupported):
                one.execute(text.encode())
            assert two.execute(WRITES.encode()).fetchone()
        one.execute("DROP TABLE IF EXISTS single")
        one.execute("CREATE TABLE single AS SELECT 1 AS a")
        assert one.execute("SELECT a FROM single").fetchone() == (1,)
        assert two.execute("UPDATE single SET a = 2 RETURNING a").fetchone() == (2,)
        one.execute("SET work_mem = '9MB'")
        assert two.execute("SHOW work_mem").fetchone() == ("4MB",)


def test_a_user_may_have_a_mode_of_its_own(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    proxy = start_module_proxy(users={"app": {"pool_mode": "statement"}})
    with direct.at(proxy.port).connect() as one, pytest.raises(psycopg.errors.FeatureNotSupported):
        one.execute("BEGIN")


def test_idle_connections_are_watched_by_the_system(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    watching = start_module_proxy(tcp_keepidle="30s")
    plain = start_module_proxy(tcp_keepalive=False)

    def watched(proxy: ProxyUnderTest) -> set[bool]:
        return {timer for local, _, timer in proxy.sockets() if local == proxy.port}

    with direct.at(watching.port).connect() as one, direct.at(plain.port).connect() as two:
        for connection in (one, two):
            connection.execute(WRITES.encode())
        wait_until(lambda: watched(watching) == {True}, "a timer to run")
        servers = [timer for _, remote, timer in watching.sockets() if remote == direct.port]
        assert any(servers)
        assert watched(plain) == {False}


@pytest.fixture
def limited(direct: Application, cluster: PostgresCluster) -> Iterator[Application]:
    """A role that may have one connection to each server."""
    cluster.primary.execute(f"CREATE ROLE limited LOGIN CONNECTION LIMIT 1 PASSWORD '{PASSWORD}'")
    cluster.primary.execute(
        "CREATE TABLE crowded AS SELECT 1 AS a; GRANT SELECT ON crowded TO PUBLIC", database="app"
    )
    cluster.wait_replayed()
    yield direct.like(user="limited")
    cluster.primary.execute("DROP TABLE crowded", database="app")
    cluster.primary.execute("DROP ROLE limited")


def test_a_role_that_has_all_its_connections_bans_no_replica(
    limited: Application, start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    proxy = start_proxy(cache=False, single_flight=False)
    through = limited.at(proxy.port)

    def is_read_away() -> bool:
        with through.connect() as connection:
            found = dict(connection.execute("EXPLAIN ROUTE SELECT a FROM crowded").fetchall())
        return str(found["goes to"]).startswith("replica")

    wait_until(is_read_away, "a read to leave the primary")
    with ExitStack() as stack:
        clients = [stack.enter_context(through.raw()) for _ in range(12)]
        for client in clients:
            client.send(query(b"SELECT count(*) FROM crowded, generate_series(1, 300000)"))
        assert all(rows(client.hear()) for client in clients)
    assert proxy.metric("tidegate_bans_total") == 0


def test_a_wait_in_vain_tells_what_the_server_said(
    limited: Application, start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    proxy = start_proxy(query_wait_timeout="0.4s")
    with (
        limited.at(cluster.primary.port).connect(),
        pytest.raises(psycopg.OperationalError, match='too many connections for role "limited"'),
    ):
        limited.at(proxy.port).connect()
