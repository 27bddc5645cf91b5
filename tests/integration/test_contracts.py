"""Weaker contracts, on real servers with replicas that stand still."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest

BOUND = 2.0

Client = psycopg.Connection[Any]


@pytest.fixture(scope="module", autouse=True)
def _table(direct: Application, shared_cluster: PostgresCluster) -> None:
    with direct.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS clock; CREATE TABLE clock (at int)")
        connection.execute("DROP TABLE IF EXISTS other; CREATE TABLE other (at int)")
    shared_cluster.wait_replayed()


@pytest.fixture(params=[False, True], ids=["uncached", "cached"])
def proxy(
    request: pytest.FixtureRequest, start_proxy: StartProxy, direct: Application
) -> Iterator[ProxyUnderTest]:
    with direct.connect() as connection:
        connection.execute("TRUNCATE clock, other; INSERT INTO clock VALUES (0)")
        connection.execute("INSERT INTO other VALUES (0)")
    proxy = start_proxy(cache=request.param, out_of_band="none")
    with direct.at(proxy.port).connect() as connection:
        explained = b"EXPLAIN ROUTE SELECT at FROM clock"
        wait_until(
            lambda: dict(connection.execute(explained).fetchall())["reason"] == "replica",
            "reads to leave the primary",
        )
    return proxy


def client(direct: Application, proxy: ProxyUnderTest, **settings: str) -> Client:
    options = " ".join(f"-c tidegate.{name}={value}" for name, value in settings.items())
    return direct.at(proxy.port).connect(options=options)


def read(connection: Client, table: str = "clock", hint: str = "") -> int:
    sql = f"{hint and f'/* tidegate: {hint} */ '}SELECT at FROM {table}"
    row = connection.execute(sql.encode()).fetchone()
    assert row is not None
    return int(row[0])


def write(connection: Client, value: int, table: str = "clock") -> None:
    connection.execute(f"UPDATE {table} SET at = {value}".encode())


def test_strong_is_never_stale_while_others_may_be(
    direct: Application, cluster: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    with client(direct, proxy) as strong, client(direct, proxy, consistency="eventual") as loose:
        assert (read(strong), read(loose)) == (0, 0)
        for replica in cluster.replicas:
            replica.pause_replay()
        for value in range(1, 20):
            write(strong, value)
            assert read(strong) == value
            # What a strong read has fetched and left in the cache is good enough as well.
            assert read(loose) in (0, value)
            assert read(strong, hint="consistency=eventual") in (0, value)
            assert read(loose, hint="consistency=strong") == value
        write(strong, 20)
        assert read(loose, hint="consistency=eventual cache=never") == 0


def test_bounded_is_as_old_as_it_may_be_and_then_asks_the_primary(
    direct: Application, cluster: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    with (
        client(direct, proxy) as writer,
        client(direct, proxy, consistency="bounded", max_staleness=f"{BOUND}s") as bounded,
    ):
        for _ in range(20):  # positions are read more often from here on
            read(bounded)
            time.sleep(0.02)
        for replica in cluster.replicas:
            replica.pause_replay()
        written: list[float] = []
        old = fresh = 0
        began = time.monotonic()
        while time.monotonic() - began < 2 * BOUND:
            write(writer, len(written) + 1)
            written.append(time.monotonic())
            asked = time.monotonic()
            shown = read(bounded)
            must = sum(when <= asked - BOUND for when in written)
            assert must <= shown <= len(written), "older than it may be"
            old += shown < len(written)
            fresh += shown == len(written)
            time.sleep(0.01)
        assert old > 10, "nothing was served by a replica"
        assert fresh > 0, "the primary was never asked"


def test_a_session_sees_what_it_wrote_and_never_goes_back(
    direct: Application, cluster: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    """Replicas stand still by turns, so that they differ; somebody else writes all the while."""
    with (
        client(direct, proxy, consistency="session", max_staleness=f"{BOUND}s") as session,
        client(direct, proxy) as writer,
    ):
        seen = mine = 0
        began = time.monotonic()
        turn = 0
        while time.monotonic() - began < 4.0:
            turn += 1
            if turn % 25 == 0:
                standing, going = cluster.replicas[:: 1 if turn % 50 else -1]
                going.resume_replay()
                standing.pause_replay()
            write(writer, turn)
            if turn % 10 == 0:
                mine += 1
                write(session, mine, "other")
            assert read(session, "other") == mine
            for _ in range(3):
                shown = read(session)
                assert seen <= shown <= turn, "it went back in time"
                seen = shown
                time.sleep(0.003)


def test_a_session_stays_with_the_replica_it_reads_from(
    direct: Application, cluster: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    """What others write it need not see at once: nobody asks the primary for that."""
    with (
        client(direct, proxy, consistency="session", max_staleness="30s") as session,
        client(direct, proxy) as writer,
    ):
        turn = 0

        def is_behind() -> bool:
            nonlocal turn
            for replica in cluster.replicas:
                replica.resume_replay()
            cluster.wait_replayed()
            for _ in range(10):
                assert read(session, hint="cache=never") == turn
                time.sleep(0.03)
            for replica in cluster.replicas:
                replica.pause_replay()
            turn += 1
            write(writer, turn)
            return read(session, hint="cache=never") < turn

        wait_until(is_behind, "a read that is not the newest")
        write(session, 1, "other")
        assert read(session, "other") == 1


def test_settings_of_our_own_reach_no_server(direct: Application, proxy: ProxyUnderTest) -> None:
    with client(direct, proxy, consistency="bounded") as connection:

        def shown(name: str = "consistency") -> str:
            row = connection.execute(f"SHOW tidegate.{name}".encode()).fetchone()
            assert row is not None
            return str(row[0])

        assert (shown(), shown("max_staleness")) == ("bounded", "1s")
        connection.execute("SET tidegate.max_staleness = '250ms'")
        connection.execute("SET SESSION tidegate.consistency TO 'eventual'")
        assert (shown(), shown("max_staleness")) == ("eventual", "250ms")
        with connection.transaction():
            connection.execute("SET LOCAL tidegate.consistency = strong")
            connection.execute("INSERT INTO other VALUES (1)")
            assert shown() == "strong"
        assert shown() == "eventual"
        with connection.transaction(force_rollback=True):
            connection.execute("SET tidegate.consistency = session")
            connection.execute("SELECT at FROM clock FOR UPDATE")
            assert shown() == "session"
            with connection.transaction():
                connection.execute("RESET tidegate.consistency")
                assert shown() == "bounded"
        assert shown() == "eventual"
        connection.execute("BEGIN")
        connection.execute("SELECT at FROM clock FOR UPDATE")
        connection.execute("SAVEPOINT a")
        connection.execute("SET tidegate.consistency = session")
        connection.execute("ROLLBACK TO a")
        assert shown() == "eventual"
        connection.execute("COMMIT")
        sql = "SELECT current_setting('tidegate.consistency', true)"
        assert connection.execute(sql).fetchone() in ((None,), ("",))
        connection.execute("DISCARD ALL")
        assert (shown(), shown("max_staleness")) == ("bounded", "1s")
        connection.execute("RESET ALL")
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="weak"):
            connection.execute("SET tidegate.consistency = 'weak'")
        for sql in ("SET tidegate.nothing = 1", "SHOW tidegate.nothing", "RESET tidegate.nothing"):
            with pytest.raises(psycopg.errors.UndefinedObject, match=r"tidegate\.nothing"):
                connection.execute(sql)
    with pytest.raises(psycopg.OperationalError, match=r'parameter "tidegate\.colour"'):
        client(direct, proxy, colour="blue")
    with pytest.raises(psycopg.OperationalError, match=r'"tidegate\.consistency": "weak"'):
        client(direct, proxy, consistency="weak")


async def test_drivers_that_prepare_set_it_too(direct: Application, proxy: ProxyUnderTest) -> None:
    async with direct.at(proxy.port).asyncpg() as connection:
        statement = await connection.prepare("SET tidegate.consistency = 'eventual'")
        assert await connection.fetchval("SHOW tidegate.consistency") == "strong"
        await statement.fetch()
        assert await connection.fetchval("SHOW tidegate.consistency") == "eventual"
        async with connection.transaction():
            await connection.execute("SET LOCAL tidegate.consistency = 'strong'")
            assert await connection.fetchval("SHOW tidegate.consistency") == "strong"
        assert await connection.fetchval("SHOW tidegate.consistency") == "eventual"


def test_a_hint_that_is_not_understood_is_counted_and_logged_once(
    direct: Application, cluster: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    with client(direct, proxy, consistency="eventual") as loose, client(direct, proxy) as writer:
        for replica in cluster.replicas:
            replica.pause_replay()
        write(writer, 7)
        for _ in range(3):
            assert read(loose, hint="consistency=evental") == 7
    assert proxy.metric("tidegate_hints_misread_total") == 3
    log = proxy.log.read_text()
    assert log.count("a hint is not understood") == 1
    assert "word=consistency=evental" in log.replace('"', "")
