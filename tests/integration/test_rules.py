"""Rules, on real servers with real drivers."""

from __future__ import annotations

import json
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import asyncpg
import psycopg
import pytest
from psycopg.pq import TransactionStatus

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest

Client = psycopg.Connection[Any]

RULES: list[dict[str, Any]] = [
    {"name": "secret", "tables": "public.secrets", "reject": "not for you"},
    {"name": "batch", "application_name": "batch*", "route": "primary"},
    {"name": "report", "application_name": "report", "consistency": "eventual"},
    {"name": "slow", "regex": r"pg_sleep", "timeout": "300ms"},
    {
        "name": "limited",
        "regex": "^select a from many$",
        "rewrite": r"\g<0> ORDER BY a LIMIT 2",
        "rewrite_regex": r"(?i)select a from many",
    },
    {"name": "few", "tables": "public.few", "throttle_rate": 20},
    {"name": "narrow", "tables": "public.narrow", "throttle_concurrency": 1},
]


@pytest.fixture(scope="module", autouse=True)
def _tables(direct: Application, shared_cluster: PostgresCluster) -> None:
    with direct.connect() as connection:
        for name in ("secrets", "plain", "few", "narrow"):
            connection.execute(f"DROP TABLE IF EXISTS {name} CASCADE".encode())
            connection.execute(f"CREATE TABLE {name} (a int)".encode())
            connection.execute(f"INSERT INTO {name} VALUES (1)".encode())
        connection.execute("CREATE VIEW behind AS SELECT a FROM secrets")
    shared_cluster.wait_replayed()


@pytest.fixture
def proxy(start_proxy: StartProxy, direct: Application) -> ProxyUnderTest:
    proxy = start_proxy(rules=RULES, out_of_band="none")
    with direct.at(proxy.port).connect() as connection:
        wait_until(
            lambda: explain(connection, "SELECT a FROM plain")["reason"] == "replica",
            "reads to leave the primary",
        )
    return proxy


def explain(connection: Client, sql: str) -> dict[str, str]:
    return dict(connection.execute(f"EXPLAIN ROUTE {sql}".encode()).fetchall())


def connect(direct: Application, proxy: ProxyUnderTest, name: str = "") -> Client:
    return direct.at(proxy.port).connect(application_name=name)


def matches(proxy: ProxyUnderTest, rule: str) -> float:
    return proxy.metric("tidegate_rule_matches_total", rule=rule)


def test_a_fingerprint_that_is_shown_can_be_used(
    direct: Application, proxy: ProxyUnderTest, start_proxy: StartProxy
) -> None:
    with connect(direct, proxy) as connection:
        shown = explain(connection, "SELECT a FROM plain WHERE a = 17")
    assert shown["statement"] == "select a from plain where a = ?"
    other = start_proxy(rules=[{"fingerprint": shown["fingerprint"], "reject": "no"}])
    with connect(direct, other) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select A from plain where a = %s", (2,))
        connection.execute("SELECT a FROM plain")


def test_what_a_client_calls_itself_counts(direct: Application, proxy: ProxyUnderTest) -> None:
    with connect(direct, proxy, "batch/7") as connection:
        assert explain(connection, "SELECT a FROM plain")["goes to"].startswith("primary")
        assert explain(connection, "SELECT a FROM plain")["rule"] == "batch"
        connection.execute("SET application_name = 'other'")
        assert explain(connection, "SELECT a FROM plain")["rule"] == "none"
        assert explain(connection, "SELECT a FROM plain")["goes to"].startswith("replica")
        connection.execute("SET application_name = 'report'")
        assert explain(connection, "SELECT a FROM plain")["consistency"].startswith("eventual")
        connection.execute("RESET application_name")
        assert explain(connection, "SELECT a FROM plain")["rule"] == "batch"


def test_a_refusal_fails_its_transaction(direct: Application, proxy: ProxyUnderTest) -> None:
    with connect(direct, proxy) as connection:
        for opening in ("SELECT 1", "INSERT INTO plain VALUES (2)"):
            connection.execute("BEGIN")
            connection.execute(opening.encode())
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("SELECT a FROM secrets")
            assert connection.info.transaction_status is TransactionStatus.INERROR
            with pytest.raises(psycopg.errors.InFailedSqlTransaction):
                connection.execute("SELECT a FROM plain")
            connection.execute("COMMIT")
            assert connection.info.transaction_status is TransactionStatus.IDLE
        connection.execute("BEGIN")
        connection.execute("INSERT INTO plain VALUES (2)")
        connection.execute("SAVEPOINT a")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT a FROM secrets")
        connection.execute("ROLLBACK TO a")
        assert connection.execute("SELECT count(*) FROM plain").fetchone() == (2,)
        connection.execute("ROLLBACK")
        assert connection.execute("SELECT count(*) FROM plain").fetchone() == (1,)


def test_a_refusal_in_a_pipeline_undoes_what_is_in_it(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    with connect(direct, proxy) as connection:
        with connection.pipeline() as pipeline:
            connection.execute("INSERT INTO plain VALUES (3)")
            connection.execute("SELECT a FROM secrets")
            with pytest.raises(psycopg.Error):
                pipeline.sync()
        assert connection.execute("SELECT count(*) FROM plain").fetchone() == (1,)


async def test_prepared_statements_are_judged_too(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    async with direct.at(proxy.port).asyncpg() as connection:
        statement = await connection.prepare("SELECT a FROM secrets WHERE a = $1")
        for _ in range(2):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await statement.fetch(1)
        assert await connection.fetchval("SELECT a FROM plain") == 1


def test_a_statement_that_takes_too_long_is_stopped(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    with connect(direct, proxy) as connection:
        began = time.monotonic()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")
        assert 0.25 < time.monotonic() - began < 10
        connection.execute("SELECT pg_sleep(0)")
        time.sleep(0.4)
        assert connection.execute("SELECT a FROM plain").fetchone() == (1,)
        connection.execute("BEGIN")
        connection.execute("INSERT INTO plain VALUES (4)")
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(20)")
        connection.execute("ROLLBACK")


def test_a_statement_is_rewritten_whatever_protocol_it_comes_by(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    with connect(direct, proxy) as connection:
        connection.execute("DROP TABLE IF EXISTS many")
        connection.execute("CREATE TABLE many AS SELECT generate_series(1, 9) AS a")
        for how in ({}, {"prepare": True}, {"binary": True}):
            for _ in range(3):
                rows = connection.execute(b"SELECT a FROM many", **how).fetchall()
                assert rows == [(1,), (2,)]
        assert len(connection.execute("SELECT a, a FROM many").fetchall()) == 9
        with connection.transaction():
            connection.execute("INSERT INTO many VALUES (0)")
            assert connection.execute("SELECT a FROM many").fetchall() == [(0,), (1,)]


def test_a_rule_lets_only_so_many_through(
    direct: Application, cluster: PostgresCluster, proxy: ProxyUnderTest
) -> None:
    with connect(direct, proxy) as one, connect(direct, proxy) as other:
        began = time.monotonic()
        for _ in range(10):
            for connection in (one, other):
                assert connection.execute("SELECT a FROM few").fetchone() == (1,)
        assert 0.8 < time.monotonic() - began < 10
        # One of these sleeps while the other waits for its turn.
        with ThreadPoolExecutor() as threads:
            began = time.monotonic()
            sql = "UPDATE narrow SET a = a + 1 WHERE pg_advisory_lock_shared(1) IS NOT NULL"
            with direct.connect() as holder:
                holder.execute("SELECT pg_advisory_lock(1)")
                first = threads.submit(one.execute, sql)
                wait_until(lambda: _waiting_for_locks(holder) == 1, "the first to be under way")
                second = threads.submit(other.execute, sql)
                time.sleep(0.2)
                assert _waiting_for_locks(holder) == 1
                holder.execute("SELECT pg_advisory_unlock(1)")
            assert first.result(10).rowcount == 1
            assert second.result(10).rowcount == 1


def test_who_waits_in_vain_for_its_turn_is_told(
    direct: Application, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(
        rules=[{"name": "one", "regex": "pg_sleep", "throttle_concurrency": 1}],
        query_wait_timeout="500ms",
    )
    with connect(direct, proxy) as one, connect(direct, proxy) as other:
        with ThreadPoolExecutor() as threads:
            first = threads.submit(one.execute, "SELECT pg_sleep(3)")
            time.sleep(0.3)
            with pytest.raises(psycopg.errors.TooManyConnections, match='rule "one"'):
                other.execute("SELECT pg_sleep(0)")
            first.result(10)
        other.execute("SELECT pg_sleep(0)")


def _waiting_for_locks(connection: Client) -> int:
    sql = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    row = connection.execute(sql).fetchone()
    assert row is not None
    return int(row[0])


def test_rules_are_read_again(direct: Application, proxy: ProxyUnderTest) -> None:
    text = proxy.file.read_text()

    def reload(rules: list[dict[str, Any]], more: str = "") -> None:
        written = "".join(
            "[[server_groups.app.rules]]\n"
            + "".join(f"{name} = {json.dumps(value)}\n" for name, value in rule.items())
            for rule in rules
        )
        lines = [line for line in text.splitlines() if not line.startswith("rules = ")]
        group, _, rest = "\n".join(lines).partition("[admin]")
        proxy.file.write_text(f"{group}{more}\n{written}\n[admin]{rest}")
        proxy.process.send_signal(signal.SIGHUP)

    def is_refused(connection: Client, sql: str) -> bool:
        try:
            connection.execute(sql.encode())
        except psycopg.errors.InsufficientPrivilege:
            return True
        return False

    with connect(direct, proxy) as connection:
        assert is_refused(connection, "SELECT a FROM secrets")
        for _ in range(3):  # until it is answered at once
            connection.execute("SELECT a FROM plain")
        reload([{"name": "plain", "tables": "public.plain", "reject": "no"}])
        wait_until(lambda: is_refused(connection, "SELECT a FROM plain"), "the new rule")
        assert not is_refused(connection, "SELECT a FROM secrets")
        reload([{"user": "nobody", "regex": "("}])
        proxy.wait_logged("does not compile")
        assert is_refused(connection, "SELECT a FROM plain")
        reload([], "default_pool_size = 3\nconsistency = 'eventual'")
        proxy.wait_logged("server_groups.app.default_pool_size")
        assert not is_refused(connection, "SELECT a FROM plain")
        assert connection.execute("SHOW tidegate.consistency").fetchone() == ("eventual",)
