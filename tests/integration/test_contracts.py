"""How PostgreSQL's clients ask for a weaker contract.

What comes of it is tested for every engine (`test_every_engine`).
"""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from proxy.demo.local_postgres import PostgresCluster
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest

Client = psycopg.Connection[Any]


@pytest.fixture(scope="module", autouse=True)
def _table(direct: Application, shared_cluster: PostgresCluster) -> None:
    with direct.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS clock; CREATE TABLE clock AS SELECT 0 AS at")
        connection.execute("DROP TABLE IF EXISTS other; CREATE TABLE other (at int)")
    shared_cluster.wait_replayed()


@pytest.fixture(scope="module")
def proxy(start_module_proxy: StartProxy) -> ProxyUnderTest:
    return start_module_proxy(out_of_band="none")


def client(direct: Application, proxy: ProxyUnderTest, **settings: str) -> Client:
    options = " ".join(f"-c tidegate.{name}={value}" for name, value in settings.items())
    return direct.at(proxy.port).connect(options=options)


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
        position = shown("position")
    with client(direct, proxy, position=position, consistency="eventual") as connection:
        assert connection.execute("SELECT count(*) FROM other").fetchone() == (1,)
        with connection.transaction():
            connection.execute("INSERT INTO other VALUES (2)")
            assert shown("position") != position
    with pytest.raises(psycopg.OperationalError, match=r'"tidegate\.position": "over/there"'):
        client(direct, proxy, position="over/there")
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
        position = await connection.fetchval("SHOW tidegate.position")
        async with connection.transaction():
            await connection.execute("SELECT at FROM clock FOR UPDATE")
            await connection.execute(f"SET LOCAL tidegate.position = '{position}'")
            assert await connection.fetchval("SHOW tidegate.position")


def test_a_hint_that_is_not_understood_is_counted_and_logged_once(
    direct: Application, cluster: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    with client(direct, proxy, consistency="eventual") as loose, client(direct, proxy) as writer:
        for replica in cluster.replicas:
            replica.pause_replay()
        writer.execute("UPDATE clock SET at = 7")
        for _ in range(3):
            misread = "/* tidegate: consistency=evental */ SELECT at FROM clock"
            assert loose.execute(misread).fetchone() == (7,)
    assert proxy.metric("tidegate_hints_misread_total") == 3
    log = proxy.log.read_text()
    assert log.count("a hint is not understood") == 1
    assert "word=consistency=evental" in log.replace('"', "")
