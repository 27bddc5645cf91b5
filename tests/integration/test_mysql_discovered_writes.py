"""Writes that only the server can tell the tables of: dynamic SQL in a procedure.

What is written is seen at once, and what was cached of other tables is good again as soon as the
server has told what it counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymysql
import pytest

from proxy.demo.local_mysql import MySQLCluster
from proxy.demo.processes import wait_until
from tests.integration.mysql_under_test import (
    MySQLApplication,
    application,
    mysql_proxy,
)
from tests.integration.proxy_under_test import ProxyUnderTest

PREPARE = (
    "CREATE TABLE log (n int)",
    "CREATE TABLE quiet AS SELECT 1 AS n",
    "CREATE TABLE parent (id int PRIMARY KEY, n int)",
    "CREATE TABLE child (id int PRIMARY KEY,"
    " FOREIGN KEY (id) REFERENCES parent (id) ON DELETE CASCADE)",
    "INSERT INTO parent VALUES (1, 1), (2, 2), (3, 3)",
    "INSERT INTO child VALUES (1), (2), (3)",
    "CREATE VIEW shown AS SELECT 1 AS n",
    "CREATE PROCEDURE does(a text)"
    " BEGIN SET @does = a; PREPARE it FROM @does; EXECUTE it; DEALLOCATE PREPARE it; END",
    "CREATE PROCEDURE does_and_commits(a text) BEGIN START TRANSACTION; CALL does(a); COMMIT; END",
    "CREATE PROCEDURE does_quietly(a text)"
    " BEGIN SET SESSION sql_log_bin = 0; CALL does(a); SET SESSION sql_log_bin = 1; END",
)

LOG, CHILDREN = "SELECT count(*), sum(n) FROM log", "SELECT count(*) FROM child"
QUIET, SHOWN = "SELECT n FROM quiet", "SELECT n FROM shown"


@dataclass(frozen=True)
class Stand:
    """A client of the proxy, another one that reads, and what the proxy counts."""

    proxy: ProxyUnderTest
    app: MySQLApplication
    writer: pymysql.Connection[Any]
    reader: pymysql.Connection[Any]

    def write(self, *statements: str) -> None:
        for sql in statements:
            run(self.writer, sql)

    def read(self, sql: str) -> Any:
        return run(self.reader, sql)[0]

    def is_hit(self, sql: str) -> bool:
        before = self.proxy.metric("tidegate_reads_total", server="cache")
        self.read(sql)
        return self.proxy.metric("tidegate_reads_total", server="cache") > before

    def until_cached(self, *texts: str) -> None:
        for sql in texts:
            wait_until(lambda sql=sql: self.is_hit(sql), f"{sql} from the cache")  # type: ignore[misc]

    def commits(self, tables: str) -> float:
        return self.proxy.metric("tidegate_commits_total", tables=tables)


def run(connection: pymysql.Connection[Any], sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        rows = list(cursor.fetchall())
        while cursor.nextset():
            pass
        return rows


@contextmanager
def stand(cluster: MySQLCluster, folder: Any) -> Iterator[Stand]:
    with (
        application(cluster) as direct,
        mysql_proxy(
            folder,
            cluster,
            out_of_band="none",  # what is counted then would not be missed
        ) as proxy,
    ):
        with direct.connect() as owner:
            for statement in PREPARE:
                run(owner, statement)
        app = direct.at(proxy.port)
        with app.connect() as writer, app.connect() as reader:
            yield Stand(proxy, app, writer, reader)


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def counting(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stand]:
    cluster: MySQLCluster = request.getfixturevalue(f"shared_{request.param}")
    if request.param == "mariadb":
        cluster.primary.execute("SET GLOBAL userstat = ON")
    with stand(cluster, tmp_path_factory.mktemp("proxy")) as made:
        yield made
    if request.param == "mariadb":
        cluster.primary.execute("SET GLOBAL userstat = OFF")


def test_only_what_was_written_is_read_anew(counting: Stand) -> None:
    ways = [
        ["CALL does('INSERT INTO log VALUES (1)')"],
        ["BEGIN", "CALL does('INSERT INTO log VALUES (2)')", "COMMIT"],
        ["CALL does_and_commits('INSERT INTO log VALUES (3)')"],
        ["BEGIN", "CALL does_and_commits('INSERT INTO log VALUES (4)')", "ROLLBACK"],
        ["SET autocommit = 0", "CALL does('UPDATE log SET n = n + 1')", "COMMIT"],
        ["CALL does('DELETE FROM log LIMIT 1')", "SET autocommit = 1"],
        ["CALL does('CREATE TEMPORARY TABLE own AS SELECT 1 AS n')"],
        ["CALL does('INSERT INTO log SELECT n FROM own')"],
    ]
    counting.until_cached(QUIET, LOG)
    for way in ways:
        before = counting.commits("counted")
        counting.write(*way)
        expected = run(counting.writer, f"{LOG} WHERE rand() < 2")[0]  # at the primary
        assert counting.read(LOG) == expected, way
        assert counting.commits("counted") > before, way
        counting.until_cached(LOG)
        assert counting.read(LOG) == expected, way
        assert counting.is_hit(QUIET), way


def test_what_follows_from_what_was_written_is_read_anew(counting: Stand) -> None:
    counting.until_cached(QUIET, CHILDREN)
    counting.write("CALL does('DELETE FROM parent WHERE id = 1')")
    counting.until_cached(CHILDREN)
    assert counting.read(CHILDREN) == (2,)
    assert counting.is_hit(QUIET)


def test_what_may_not_be_counted_is_any_table(counting: Stand) -> None:
    counting.write("INSERT INTO log VALUES (8)")
    counting.until_cached(LOG)
    counting.write("CALL does('TRUNCATE TABLE log')")
    counting.until_cached(LOG)
    assert counting.read(LOG) == (0, None)
    counting.write(
        "XA START 'x'",
        "INSERT INTO log VALUES (9)",
        "XA END 'x'",
        "XA PREPARE 'x'",
        "XA COMMIT 'x'",
    )
    counting.until_cached(LOG)
    assert counting.read(LOG) == (1, 9)
    if counting.app.flavour == "mariadb":
        counting.write("LOCK TABLES log WRITE, mysql.proc READ")
        counting.write("CALL does('UPDATE log SET n = 10')")
        counting.until_cached(QUIET)  # it has been told what was written, and
        counting.write("UNLOCK TABLES")  # userstat counts it now
        assert counting.read(LOG) == (1, 10)


def test_definitions_that_are_changed_are_seen_at_once(counting: Stand) -> None:
    counting.until_cached(SHOWN)
    for number in range(2, 4):
        counting.write(f"CALL does('CREATE OR REPLACE VIEW shown AS SELECT {number} AS n')")
        assert counting.read(SHOWN) == (number,)


def test_what_no_replica_hears_of_in_a_call_is_read_at_the_primary(counting: Stand) -> None:
    """The server names a variable that was set, even where it is as it was before."""
    counting.until_cached(QUIET)
    counting.write("CALL does_quietly('UPDATE parent SET n = 7')")
    for number in range(20):
        assert counting.read(f"SELECT max(n), min(n) FROM parent WHERE id > -{number}") == (7, 7)
    assert not counting.is_hit("SELECT max(n) FROM parent")
    counting.until_cached(LOG)
    assert counting.is_hit(QUIET)
