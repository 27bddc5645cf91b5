"""Statements of MySQL's clients that are sent to another server group too, on real servers.

What is the same for all engines is tested with PostgreSQL's (`test_mirror`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import mysql.connector
import pymysql
import pytest

from proxy.demo.local_mysql import CONTROL_USER, MySQLCluster, temporary_mysql
from proxy.demo.processes import free_port, wait_until
from tests.integration.mysql_under_test import MySQLApplication, application
from tests.integration.proxy_under_test import ProxyUnderTest


@pytest.fixture(scope="module")
def other() -> Iterator[MySQLCluster]:
    """The server of the other group, whose control user may write."""
    with temporary_mysql("mariadb", replicas=0) as cluster:
        cluster.primary.execute("CREATE DATABASE conversations")
        cluster.primary.execute("CREATE DATABASE conversations_other")
        cluster.primary.execute(f"GRANT ALL ON *.* TO {CONTROL_USER}")
        yield cluster


@pytest.fixture
def proxy(
    mariadb: MySQLCluster, other: MySQLCluster, tmp_path: Path
) -> Iterator[tuple[MySQLApplication, ProxyUnderTest]]:
    plain = {"engine": "mysql", "server_tls_sslmode": "disable", "auth_user": CONTROL_USER}
    tables = ["conversations.copied", "conversations_other.copied"]
    rules = [{"name": "copied", "tables": tables, "mirror": "other"}]
    to = {
        **plain,
        "listen": f"127.0.0.1:{free_port()}",
        "servers": [other.primary.address],
        "auth_password": other.control_password,
    }
    with application(mariadb) as direct, direct.connect() as connection:
        for place in ("conversations", "conversations_other"):
            table = f"{place}.copied (n int AUTO_INCREMENT PRIMARY KEY, a varchar(20) UNIQUE)"
            connection.cursor().execute(f"CREATE TABLE {table}")
            other.primary.execute(f"CREATE OR REPLACE TABLE {table}")
        connection.cursor().execute("CREATE TABLE plain (a int)")
        mariadb.wait_replayed()
        with ProxyUnderTest(
            tmp_path,
            [server.address for server in mariadb.servers],
            auth_user=CONTROL_USER,
            auth_password=mariadb.control_password,
            group={**plain, "rules": rules},
            sections={"server_groups.other": to},
        ) as proxy:
            yield direct.at(proxy.port), proxy


def test_what_lasts_runs_there_too(
    proxy: tuple[MySQLApplication, ProxyUnderTest], other: MySQLCluster
) -> None:
    app, process = proxy

    def mirrored(outcome: str) -> float:
        name = "tidegate_mirrored_total"
        return process.metric(name, group="app", rule="copied", outcome=outcome)

    def wait_mirrored(number: int) -> None:
        wait_until(lambda: mirrored("sent") == number, f"{number} sent", timeout=30)

    def there(place: str = "conversations") -> list[str]:
        sql = f"SELECT group_concat(a ORDER BY n) FROM {place}.copied"
        return str(other.primary.fetch_value(sql) or "").split(",")

    with app.connect() as connection, connection.cursor() as cursor:
        cursor.execute("EXPLAIN ROUTE SELECT a FROM copied")
        assert ("mirrored to", "other") in cursor.fetchall()
        cursor.execute("INSERT INTO copied (a) VALUES ('½')")
        with pytest.raises(pymysql.IntegrityError):
            cursor.execute("INSERT INTO copied (a) VALUES ('½')")
        cursor.execute("INSERT INTO plain VALUES (1)")
        for end in ("ROLLBACK", "COMMIT"):
            cursor.execute("BEGIN")
            cursor.execute("INSERT INTO copied (a) VALUES (%s)", (end,))
            cursor.execute("SAVEPOINT s")
            cursor.execute("INSERT INTO copied (a) VALUES ('undone')")
            cursor.execute("ROLLBACK TO s")
            cursor.execute(end)
        wait_mirrored(2)
        assert there() == ["½", "COMMIT"]
        connection.select_db("conversations_other")
        cursor.execute("INSERT INTO copied (a) VALUES ('elsewhere')")
        wait_mirrored(3)
        assert there("conversations_other") == ["elsewhere"]
    with (
        mysql.connector.connect(**app.options(autocommit=True)) as connection,
        connection.cursor(prepared=True) as cursor,
    ):
        for value in ("prepared", "again"):
            cursor.execute("INSERT INTO copied (a) VALUES (%s)", (value,))
        cursor.execute("SELECT a FROM copied WHERE a = %s", ("again",))
        assert cursor.fetchall() == [("again",)]
        wait_mirrored(6)
    assert there() == ["½", "COMMIT", "prepared", "again"]
    assert mirrored("failed") == mirrored("dropped") == 0
