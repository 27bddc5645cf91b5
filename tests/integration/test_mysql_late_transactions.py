"""Transactions of MySQL's clients whose BEGIN is held back: to them there is no difference.

Random scripts are run twice, directly and through the proxy, and what is heard is compared, whether
a transaction is open included. As `test_late_transactions` does with PostgreSQL's.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
from pymysql.constants.SERVER_STATUS import SERVER_STATUS_IN_TRANS

from proxy.demo.local_mysql import MySQLCluster
from proxy.demo.processes import wait_until
from tests.integration.mysql_under_test import SEVERAL, MySQLApplication, application, mysql_proxy

SCRIPTS = 400 if "TIDEGATE_SOAK_SECONDS" in os.environ else 30
RESET = ("DELETE FROM held", "INSERT INTO held VALUES (1, 'w1'), (2, 'w2'), (3, 'w3')")
READ = "SELECT id, word FROM held ORDER BY id"

BEGINS = [
    *("BEGIN", "BEGIN", "begin work", "START TRANSACTION", "START TRANSACTION READ ONLY"),
    *("START TRANSACTION READ WRITE", "START TRANSACTION WITH CONSISTENT SNAPSHOT"),
    *("SET autocommit = 0", "SET autocommit = 0"),
]
ENDS = [
    *("COMMIT", "ROLLBACK", "COMMIT WORK", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN"),
    *("COMMIT AND NO CHAIN", "BEGIN", "CREATE TABLE IF NOT EXISTS other (a int)"),
]
INSIDE = [
    *("SAVEPOINT a", "SAVEPOINT b", "SAVEPOINT `A`", "RELEASE SAVEPOINT a", "ROLLBACK TO a"),
    *("ROLLBACK WORK TO SAVEPOINT b", "ROLLBACK TO SAVEPOINT c"),
    *("SELECT nothing FROM held", "SELEC 1", "SELECT id FROM held WHERE id = 2"),
    *("UPDATE held SET word = concat(word, 'x') WHERE id = 1", "DELETE FROM held WHERE id = 2"),
    *("INSERT INTO held VALUES (4, 'four')", "INSERT INTO held VALUES (1, 'twice')"),
    *("SELECT word FROM held WHERE id = 1 FOR UPDATE", "SELECT count(*) FROM held"),
    *("SET @a = 7", "SELECT @a", "SET time_zone = '+01:00'", "SELECT @@time_zone"),
    *("SET TRANSACTION READ ONLY", "SELECT @@autocommit", "DO 1"),
    *("SET autocommit = 0", "SET autocommit = 1", "SHOW WARNINGS"),
    *("BEGIN; SELECT id FROM held", "SELECT 1; ROLLBACK; SELECT 2", "COMMIT; BEGIN"),
    *("SELECT id FROM held; SELECT word FROM held WHERE id = 2", "TRUNCATE TABLE other"),
]


def scripts() -> Iterator[list[str]]:
    for seed in range(SCRIPTS):
        dice = random.Random(seed)
        script: list[str] = []
        for _ in range(dice.randint(2, 4)):
            script.append(dice.choice(BEGINS))
            for _ in range(dice.randint(0, 6)):
                script.append(READ if dice.random() < 0.4 else dice.choice(INSIDE))
            script += [dice.choice(ENDS), READ]
        yield [*script, "ROLLBACK", "SET autocommit = 1", READ]


def begins_by_savepoint(script: list[str]) -> bool:
    """Whether a savepoint may have begun a transaction: servers begin it with what comes behind."""
    if "SET autocommit = 0" not in script:
        return False
    return any("SAVEPOINT" in sql for sql in script[script.index("SET autocommit = 0") :])


def ask(connection: pymysql.Connection[Any], sql: str) -> list[Any]:
    """Everything that is heard."""
    heard: list[Any] = []
    try:
        with connection.cursor() as cursor:
            affected = cursor.execute(sql)
            while True:
                columns = [column[0] for column in cursor.description or ()]
                heard.append((columns, cursor.fetchall(), affected))
                if not cursor.nextset():
                    break
    except pymysql.MySQLError as error:
        heard.append(error.args[:2])
    else:
        heard.append(bool(connection.server_status & SERVER_STATUS_IN_TRANS))
    return heard


def hold(app: MySQLApplication) -> list[list[Any]]:
    """Run every script from the same beginnings; what is heard is listed by script and step."""
    answers = []
    with app.connect() as resetter:
        for script in scripts():
            for sql in RESET:
                ask(resetter, sql)
            with app.connect(client_flag=SEVERAL) as client:
                answers.append([ask(client, said) for said in script])
    return answers


def test_every_script_is_answered_as_directly(mariadb: MySQLCluster, tmp_path: Path) -> None:
    with application(mariadb) as direct:
        with direct.connect() as connection:
            ask(connection, "CREATE TABLE held (id int PRIMARY KEY, word text)")
            ask(connection, "CREATE TABLE other (a int)")
        mariadb.wait_replayed()
        expected = hold(direct)
        with mysql_proxy(tmp_path, mariadb, repeatable_read="versioned") as proxy:
            app = direct.at(proxy.port)
            with app.connect() as connection:
                route = f"EXPLAIN ROUTE {READ}"
                wait_until(
                    lambda: (
                        ["reason", "replica"] in [list(r) for r in ask(connection, route)[0][1]]
                    ),
                    "reads to leave the primary",
                )
            heard = hold(app)
            for number, script in enumerate(scripts()):
                for step in range(len(script)):
                    said, meant = heard[number][step], expected[number][step]
                    if meant[-1] is False and begins_by_savepoint(script[: step + 1]):
                        said, meant = said[:-1], meant[:-1]
                    assert said == meant, (number, step, script)
            for outcome in ("opened", "spared"):
                assert proxy.metric("tidegate_transactions_total", outcome=outcome) > SCRIPTS / 8
