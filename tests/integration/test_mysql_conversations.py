"""What clients of MySQL and MariaDB are told through the proxy, and what the primary tells them.

Each conversation is held twice, with the primary itself and through a proxy whose clients share two
server connections; what was heard must be the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import decimal
import re
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import aiomysql
import asyncmy
import mysql.connector
import pymysql
import pytest
from pymysql.constants import COMMAND

from proxy.demo.local_mysql import MySQLCluster
from proxy.wire.mysql.codec import packet
from tests.integration.mysql_under_test import (
    MAX_PACKET,
    SECOND,
    SEVERAL,
    MySQLApplication,
    application,
    mysql_proxy,
)

Talk = Callable[[MySQLApplication], Any]


@pytest.fixture(scope="module", params=["mariadb", "mysql"])
def ways(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[MySQLApplication, MySQLApplication]]:
    """The way to the primary, and the way through a proxy."""
    cluster: MySQLCluster = request.getfixturevalue(f"shared_{request.param}")
    folder = tmp_path_factory.mktemp("proxy")
    with (
        application(cluster) as direct,
        mysql_proxy(folder, cluster, default_pool_size=2, repeatable_read="versioned") as proxy,
    ):
        yield direct, direct.at(proxy.port)


def heard(act: Callable[[], Any]) -> Any:
    """What comes of something: a result, or an error's number and words."""
    try:
        return act()
    except (pymysql.MySQLError, mysql.connector.Error) as error:
        return type(error).__name__, *error.args[:2]


def ask(connection: Any, sql: str, values: Sequence[Any] | None = None) -> Any:
    """Ask by PyMySQL: rows, how many were affected, the last id, and what columns there are."""

    def act() -> Any:
        with connection.cursor() as cursor:
            affected = cursor.execute(sql, values)
            results = []
            while True:
                columns = [column[:2] for column in cursor.description or ()]
                results.append((columns, cursor.fetchall(), affected, cursor.lastrowid))
                if not cursor.nextset():
                    break
            return results

    return heard(act)


def tell(connection: Any, *statements: str) -> list[Any]:
    """Ask one after the other."""
    return [ask(connection, sql) for sql in statements]


def items(connection: Any, rows: int = 3) -> None:
    """Make a table with a few rows."""
    tell(
        connection,
        "DROP TABLE IF EXISTS items",
        "CREATE TABLE items (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40) UNIQUE, n INT)",
        "INSERT INTO items (name, n) VALUES " + ", ".join(f"('i{n}', {n})" for n in range(rows)),
    )


def crowd(
    app: MySQLApplication, number: int, act: Callable[[Any, int], Any], **options: Any
) -> list[Any]:
    """Have several clients do something at the same time; what each of them came to."""
    found: list[Any] = [None] * number

    def run(which: int) -> None:
        try:
            with app.connect(**options) as connection:
                found[which] = act(connection, which)
        except Exception as error:  # it is what is compared
            found[which] = repr(error)

    threads = [threading.Thread(target=run, args=(which,)) for which in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


# Logins


def logins(app: MySQLApplication) -> Any:
    def come(**options: Any) -> Any:
        def act() -> Any:
            with app.connect(**options) as connection:
                return tell(
                    connection, "SELECT DATABASE(), CURRENT_USER(), @@character_set_client, 'ä'"
                )

        return heard(act)

    return [
        come(),
        come(password="wrong"),
        come(password=""),
        come(user="nobody"),
        come(database="nowhere"),
        come(database=None),
        come(charset="latin1"),
        come(charset="utf8mb3"),
        come(init_command="SET SESSION sql_mode = 'ANSI'"),
    ]


# Texts


def texts(app: MySQLApplication) -> Any:
    with app.connect() as one:
        items(one)
        return tell(
            one,
            "SELECT * FROM items ORDER BY id",
            "SELECT NULL, 1.50, 'x', 0x00ff, NOW() < 1, CAST('2024-02-29' AS DATE)",
            "INSERT INTO items (name) VALUES ('a'), ('b')",
            "UPDATE items SET n = 7 WHERE id > 1",
            "DELETE FROM items WHERE id = 2",
            "INSERT INTO items (name) VALUES ('a')",
            "SELECT nothing FROM items",
            "SELEC 1",
            "",
            "-- nothing",
            "SELECT * FROM nowhere",
            "SHOW CREATE TABLE items",
            "DESCRIBE items",
            "SHOW TABLES",
            "SELECT 1 LIMIT 0",
        )


def several(app: MySQLApplication) -> Any:
    text = "SELECT 1; INSERT INTO items (name) VALUES ('x'); SELECT COUNT(*) FROM items; SELEC"
    with app.connect() as one, app.connect(client_flag=SEVERAL) as many:
        items(one)
        return [
            *tell(one, "SELECT 1; SELECT 2"),
            *tell(many, text, "BEGIN; INSERT INTO items (name) VALUES ('y'); ROLLBACK; SELECT 5"),
            *tell(many, "SET @a = 5; SELECT @a", "SELECT @a", "SELECT COUNT(*) FROM items;"),
        ]


def procedures(app: MySQLApplication) -> Any:
    with app.connect(client_flag=SEVERAL) as one:
        items(one)
        found = tell(
            one,
            "DROP PROCEDURE IF EXISTS two",
            "CREATE PROCEDURE two(IN a INT, OUT b INT, INOUT c INT) BEGIN SELECT a; "
            "SELECT name FROM items ORDER BY id; SET b = a + 1; SET c = c * 2; "
            "INSERT INTO items (name) VALUES ('p'); END",
            "SET @c = 21",
            "CALL two(1, @b, @c)",
            "SELECT @b, @c",
            "CALL nothing()",
        )
    with mysql.connector.connect(**app.options(use_pure=True, autocommit=True)) as other:
        cursor = other.cursor()
        found.append(heard(lambda: cursor.callproc("two", (5, 0, 8))))
        with pytest.warns(DeprecationWarning, match="stored_results"):
            found.append([result.fetchall() for result in cursor.stored_results()])
        prepared = other.cursor(prepared=True)

        def call() -> Any:
            prepared.execute("CALL two(?, @b, @c)", (4,))
            rows = prepared.fetchall()
            while prepared.nextset():
                rows += prepared.fetchall() if prepared.with_rows else []
            return rows

        found.append(heard(call))
    return found


# What is prepared

VALUES: tuple[Any, ...] = (
    None,
    0,
    -5,
    2**40,
    1.25,
    decimal.Decimal("12.340"),
    "wörd",
    b"\0\xff'\\",
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 1, 2, 3, 456),
    datetime.timedelta(hours=-30, microseconds=5),
    "x" * 70_000,
    True,
)


def prepared(app: MySQLApplication) -> Any:
    marks = ", ".join("?" * len(VALUES))
    found: list[Any] = []
    with contextlib.ExitStack() as stack:
        options = app.options(use_pure=True, autocommit=True)
        clients = [stack.enter_context(mysql.connector.connect(**options)) for _ in range(6)]
        with app.connect() as maker:
            items(maker)
        cursors = [client.cursor(prepared=True) for client in clients]
        for turn in range(2):
            for number, cursor in enumerate(cursors):
                cursor.execute("SELECT ?, name FROM items WHERE id > ? ORDER BY id", (turn, number))
                found.append(cursor.fetchall())
        cursor = clients[0].cursor(prepared=True)
        for values in (VALUES, (None,) * len(VALUES), VALUES):
            cursor.execute(f"SELECT {marks}", values)
            found.append(cursor.fetchall())
        writer = clients[1].cursor(prepared=True)
        for name in ("new", "newer", "new"):
            found.append(
                heard(lambda n=name: writer.execute("INSERT INTO items (name) VALUES (?)", (n,)))
            )
            found.append((writer.rowcount, writer.lastrowid))
        found.append(heard(lambda: writer.execute("SELECT ? FROM nowhere", (1,))))
        stay = [client.cursor(prepared=True) for client in clients[2:4]]
        for cursor in stay:
            cursor.execute("SELECT * FROM items WHERE id = ?", (1,))
            found.append(cursor.fetchall())
        with app.connect() as maker:
            tell(maker, "ALTER TABLE items ADD COLUMN added INT DEFAULT 9")
        for cursor in stay:
            cursor.execute("SELECT * FROM items WHERE id = ?", (1,))
            found.append(cursor.fetchall())
    return found


def prepared_by_many(app: MySQLApplication) -> Any:
    def act(_: Any, which: int) -> Any:
        with mysql.connector.connect(**app.options(use_pure=True)) as client:
            cursor = client.cursor(prepared=True)
            found = []
            for turn in range(15):
                cursor.execute("SELECT ? + ?, DATABASE()", (which, turn))
                found.append(cursor.fetchall())
                if turn == 7:
                    client.commit()
            return found

    return crowd(app, 6, act)


def drivers(app: MySQLApplication) -> Any:
    """The drivers of asyncio: a transaction each, and rows that are fetched as they come."""
    with app.connect() as one:
        items(one, rows=500)

    async def talk(connect: Any, streaming: Any) -> Any:
        options = app.options(charset="utf8mb4")
        options["db"] = options.pop("database")
        connection = await connect(**options)
        found: list[Any] = []
        async with connection.cursor(streaming) as cursor:
            await cursor.execute("SELECT id, name FROM items ORDER BY id")
            found.append(await cursor.fetchmany(5))
            found.append(len(await cursor.fetchall()))
        async with connection.cursor() as cursor:
            await connection.begin()
            await cursor.execute("UPDATE items SET n = n + 1 WHERE id < %s", (4,))
            found.append(cursor.rowcount)
            await connection.rollback()
            await cursor.executemany(
                "INSERT INTO items (name) VALUES (%s)", [("m1",), ("m2",), ("m3",)]
            )
            found += [cursor.rowcount, cursor.lastrowid]
            await connection.rollback()
        await connection.ping()
        connection.close()
        return found

    return [
        asyncio.run(talk(aiomysql.connect, aiomysql.SSCursor)),
        asyncio.run(talk(asyncmy.connect, asyncmy.cursors.SSCursor)),
    ]


def large(app: MySQLApplication) -> Any:
    """Texts, values and rows of more than one packet."""
    size = 17 * 1024 * 1024
    found: list[Any] = []
    with app.connect(max_allowed_packet=MAX_PACKET) as one:
        tell(one, "DROP TABLE IF EXISTS heap", "CREATE TABLE heap (id INT, body LONGBLOB)")
        found += tell(one, "INSERT INTO heap VALUES (1, '-')")
        found += tell(one, "INSERT INTO heap VALUES (2, '" + "b" * size + "')")
        with mysql.connector.connect(**app.options(use_pure=True, autocommit=True)) as other:
            cursor = other.cursor(prepared=True)
            for number in (3, 4):
                cursor.execute("INSERT INTO heap VALUES (?, ?)", (number, b"c" * size))
            found.append(cursor.rowcount)
        ((_, rows, _, _),) = ask(one, "SELECT id, body FROM heap ORDER BY id")
        found += [(number, len(body), set(body)) for number, body in rows]
        found += tell(one, "SELECT id, LENGTH(body) FROM heap ORDER BY id")
        found += tell(one, "SELECT 1 " + "/**/" * 510_000, "SELECT 2 " + "+" * 1000 + "1")
        found += tell(one, "SELECT " + "/*tidegate:a*/" * 10_000 + "3", "SELECT 4" + ", 4" * 4000)
        tell(one, "DROP TABLE heap")
    return found


def compressed(app: MySQLApplication) -> Any:
    """The compressed protocol: what is large, and many small answers."""
    found: list[Any] = []
    with app.connect():  # a password is shown once, where it must be
        pass
    options = app.options(use_pure=True, autocommit=True, compress=True)
    with mysql.connector.connect(**options) as one:
        cursor = one.cursor()
        for sql, values in (
            ("SELECT REPEAT('xy', %s), 5", (9_000_000,)),
            ("SELECT LENGTH(%s)", ("z" * 17_000_000,)),
            ("SELECT REPEAT('a', %s), REPEAT('b', 40)", (300_000,)),
            *[("SELECT %s", (number,)) for number in range(50)],
        ):
            cursor.execute(sql, values)
            found.append(hash(tuple(cursor.fetchall())))
        found.append(heard(lambda: cursor.execute("SELEC 1")))
    return found


# Raw commands


class Raw:
    """The bytes of a client's, under a login by PyMySQL."""

    def __init__(self, app: MySQLApplication, **options: Any) -> None:
        self.connection = app.connect(**options)

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection._force_close()

    def command(self, code: int, body: bytes = b"") -> None:
        self.connection._next_seq_id = 0
        self.send(bytes(((1 + len(body)) & 0xFF, len(body) + 1 >> 8, 0, 0, code)) + body)

    def send(self, data: bytes) -> None:
        self.connection._sock.sendall(data)
        self.connection._next_seq_id = 1

    def packet(self) -> bytes:
        try:
            head = self.connection._rfile.read(4)
            if len(head) < 4:
                return b"over"
            body = bytes(self.connection._rfile.read(int.from_bytes(head[:3], "little")))
            # Ids of statements are each server's own.
            return re.sub(rb"\(\d+\)( given to .*)?", b"", body) if body[:1] == b"\xff" else body
        except OSError:
            return b"over"

    def simple(self, code: int, body: bytes = b"") -> bytes:
        """A command that is answered by one packet."""
        self.command(code, body)
        return self.packet()

    def lives(self) -> bool:
        """Whether the connection still serves."""
        try:
            return self.simple(COMMAND.COM_PING)[:1] == b"\0"
        except OSError:
            return False

    def prepare(self, sql: str) -> tuple[bytes, int]:
        """Prepare; the statement's id, and what there is besides."""
        first = self.simple(COMMAND.COM_STMT_PREPARE, sql.encode())
        assert first[0] == 0, first
        columns = int.from_bytes(first[5:7], "little")
        parameters = int.from_bytes(first[7:9], "little")
        for number in (columns, parameters):
            for _ in range(number + (number > 0)):
                self.packet()
        return first[1:5], parameters

    def until_end(self) -> list[bytes]:
        """A result's packets: its head, columns, and rows, each up to an EOF."""
        first = self.packet()
        found = [first]
        if first[0] in (0x00, 0xFF):
            return found
        found += [self.packet() for _ in range(first[0] + 1)]
        if not found[-1][3] & 0x40:  # no cursor is there: rows come at once
            found += self.rows()
        return found[:1] + found[first[0] + 1 :]

    def rows(self) -> list[bytes]:
        found = [self.packet()]
        while not (found[-1][0] in (0xFE, 0xFF) and len(found[-1]) < 200) and found[-1] != b"over":
            found.append(self.packet())
        return found


def commands(app: MySQLApplication) -> Any:
    """Commands that few send by themselves."""
    found: list[Any] = []
    with Raw(app) as raw:
        one = raw.connection
        items(one)
        found.append(raw.simple(COMMAND.COM_PING))
        found.append(raw.simple(COMMAND.COM_STATISTICS)[:7])
        found.append(raw.simple(COMMAND.COM_INIT_DB, f"{app.database}_other".encode()))
        found += tell(one, "SELECT DATABASE()")
        found.append(raw.simple(COMMAND.COM_INIT_DB, b"nowhere"))
        found += tell(one, "SELECT DATABASE()")
        one.select_db(app.database)
        raw.command(COMMAND.COM_FIELD_LIST, b"items\0%")
        found.append(raw.rows())
        found.append(raw.simple(COMMAND.COM_SET_OPTION, b"\0\0"))
        found += tell(one, "SELECT 1; SELECT 2")
        found.append(raw.simple(COMMAND.COM_SET_OPTION, b"\1\0"))
        found += tell(one, "SELECT 1; SELECT 2")
        found.append(raw.simple(COMMAND.COM_SET_OPTION, b"\7\0"))
        found += tell(one, "SELECT 1")
        found.append(raw.simple(COMMAND.COM_DEBUG))
        found.append(raw.simple(COMMAND.COM_TIME))
        found += tell(one, "SELECT 1")
    return found


def resets(app: MySQLApplication) -> Any:
    """COM_RESET_CONNECTION."""
    found: list[Any] = []
    state = "SELECT @a, @@sql_mode, @@autocommit, DATABASE(), @@character_set_client, @@time_zone"
    with Raw(app) as raw:
        one = raw.connection
        items(one)
        tell(
            one,
            "SET @a = 1, sql_mode = 'ANSI', time_zone = '+03:00'",
            "CREATE TEMPORARY TABLE passing (a INT)",
            "SET autocommit = 0",
            "INSERT INTO items (name) VALUES ('lost')",
        )
        name, _ = raw.prepare("SELECT 1")
        found.append(raw.simple(0x1F))
        found += tell(one, state, "SELECT * FROM passing", "SELECT COUNT(*) FROM items")
        found.append(raw.simple(COMMAND.COM_STMT_EXECUTE, name + b"\0\1\0\0\0"))
        found.append(raw.simple(0x1F))
        found += tell(one, state, "SELECT LAST_INSERT_ID()")
    return found


def change_user(app: MySQLApplication) -> Any:
    """COM_CHANGE_USER: another user, and nothing left of the session before."""
    found: list[Any] = []
    state = (
        "SELECT CURRENT_USER(), DATABASE(), @a, @@time_zone, @@autocommit, @@character_set_client"
    )
    with app.connect(user=SECOND) as other:  # a password is shown once, where it must be
        items_there = tell(other, "SELECT 1")
    with mysql.connector.connect(**app.options(use_pure=True)) as one, app.connect() as witness:
        items(witness)
        cursor = one.cursor()

        def run(*statements: str) -> None:
            for sql in statements:
                found.append(heard(lambda sql=sql: (cursor.execute(sql), cursor.fetchall())[1]))

        def change(user: str, password: str, database: str, charset: int = 45) -> None:
            found.append(heard(lambda: one.cmd_change_user(user, password, database, charset)))

        run("SET @a = 1, time_zone = '+03:00'", "SELECT GET_LOCK('ours', 1)", "BEGIN")
        run("CREATE TEMPORARY TABLE passing (a INT)", "INSERT INTO items (name) VALUES ('lost')")
        change(SECOND, app.password, app.database)
        run(state, "SELECT IS_FREE_LOCK('ours')", "SELECT * FROM passing", "DELETE FROM items")
        run("SELECT COUNT(*) FROM items")
        change(app.user, app.password, f"{app.database}_other", 8)
        run(state, "INSERT INTO nowhere VALUES (1)")
        found.append(one.connection_id is not None)
        found += tell(witness, "SELECT COUNT(*) FROM items", "SELECT IS_FREE_LOCK('ours')")
        change(app.user, "wrong", app.database)
    with Raw(app) as raw:
        found.append(raw.simple(COMMAND.COM_CHANGE_USER, b"nobody\0"))
    return [*items_there, *found]


def cursors(app: MySQLApplication) -> Any:
    """Cursors of the server's: rows that are fetched a few at a time; and long values."""
    found: list[Any] = []
    with Raw(app) as raw, app.connect() as other:
        items(other, rows=7)
        name, _ = raw.prepare("SELECT id, name FROM items ORDER BY id")
        raw.command(COMMAND.COM_STMT_EXECUTE, name + b"\1\1\0\0\0")
        found.append(raw.until_end())
        for number in (2, 3):
            raw.command(0x1C, name + number.to_bytes(4, "little"))
            found.append(raw.rows())
        found += tell(other, "SELECT 1")
        raw.command(0x1C, name + (9).to_bytes(4, "little"))
        found.append(raw.rows())
        raw.command(0x1C, name + (9).to_bytes(4, "little"))
        found.append(raw.packet())
        found += tell(raw.connection, "SELECT 2")
        raw.command(COMMAND.COM_STMT_EXECUTE, name + b"\1\1\0\0\0")
        found.append(raw.until_end())
        found.append(raw.simple(COMMAND.COM_STMT_RESET, name))
        raw.command(0x1C, name + (1).to_bytes(4, "little"))
        found.append(raw.packet())
        again, _ = raw.prepare("SELECT id, name FROM items ORDER BY id")
        raw.command(COMMAND.COM_STMT_EXECUTE, name + b"\1\1\0\0\0")
        found.append(raw.until_end())
        raw.command(COMMAND.COM_STMT_EXECUTE, again + b"\0\1\0\0\0")
        found.append(raw.until_end()[2:])
        raw.command(0x1C, name + (3).to_bytes(4, "little"))
        found.append(raw.rows())
        raw.command(0x1C, again + (3).to_bytes(4, "little"))
        found.append(raw.packet())
        found.append(raw.simple(COMMAND.COM_STMT_RESET, again))
        raw.command(0x1C, name + (9).to_bytes(4, "little"))
        found.append(raw.rows())
        long, _ = raw.prepare("SELECT LENGTH(?), ?")
        for piece in (b"ab", b"c" * 1000):
            raw.command(COMMAND.COM_STMT_SEND_LONG_DATA, long + b"\0\0" + piece)
        run = long + b"\0\1\0\0\0\0\1\xfc\0\x08\0" + (5).to_bytes(8, "little")
        raw.command(COMMAND.COM_STMT_EXECUTE, run)
        found.append(raw.until_end())
        raw.command(COMMAND.COM_STMT_CLOSE, long)
        raw.command(COMMAND.COM_STMT_EXECUTE, run)
        found.append(raw.packet())
        found.append(raw.simple(COMMAND.COM_STMT_RESET, b"\x63\0\0\0"))
        found += tell(raw.connection, "SELECT 3")
    return found


def binary_log(app: MySQLApplication) -> Any:
    """What replicas and other readers of the binary log ask."""
    found: list[Any] = []
    with app.connect() as witness:
        items(witness)
        tell(witness, "FLUSH BINARY LOGS", "INSERT INTO items (name) VALUES ('logged')")
        ((_, logs, _, _),) = ask(witness, "SHOW BINARY LOGS")
        checksum = "= @@global.binlog_checksum"
        for number, (settings, name) in enumerate(
            (
                ([f"SET @master_binlog_checksum {checksum}"], logs[-1][0]),
                ([f"SET @source_binlog_checksum {checksum}"], logs[-1][0]),
                ([], "nowhere.000001"),
            )
        ):
            with Raw(app) as raw:
                found += tell(raw.connection, *settings)
                server = (4242 + number).to_bytes(4, "little")
                found.append(raw.simple(COMMAND.COM_REGISTER_SLAVE, server + bytes(13)))
                asked = b"\4\0\0\0\1\0" + server + name.encode()
                raw.command(COMMAND.COM_BINLOG_DUMP, asked)
                events = raw.rows()
                found.append({event[5] for event in events[:-1]})
                found.append(events[-1][:1] == b"\xfe" or events[-1])
                found.append(b"logged" in b"".join(events))
                found.append(raw.lives())
                found += tell(witness, "SELECT COUNT(*) FROM items")
    return found


# Transactions


def transactions(app: MySQLApplication) -> Any:
    with app.connect() as one, app.connect() as two:
        items(one)
        count = "SELECT COUNT(*) FROM items"
        add = "INSERT INTO items (name) VALUES ('{}')"
        found: list[Any] = []

        def both(*statements: str) -> None:
            found.extend(tell(one, *statements, count))
            found.extend(tell(two, count))

        both("BEGIN", add.format("a"))
        both("ROLLBACK")
        both("START TRANSACTION", add.format("b"), "SAVEPOINT s", add.format("c"))
        both("ROLLBACK TO SAVEPOINT s", "ROLLBACK TO SAVEPOINT t", "RELEASE SAVEPOINT s", "COMMIT")
        both("SET autocommit = 0", add.format("d"))
        both("ROLLBACK", add.format("e"))
        both("CREATE TABLE IF NOT EXISTS more (a INT)", "ROLLBACK")
        both(add.format("f"), "SET autocommit = 1")
        both("BEGIN", add.format("g"), "BEGIN", "ROLLBACK")
        both("START TRANSACTION READ ONLY", add.format("h"), "COMMIT")
        both("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        tell(two, add.format("i"))
        both("SELECT 1")
        both("COMMIT AND CHAIN", add.format("j"), "ROLLBACK AND CHAIN", add.format("k"), "COMMIT")
        both("SET TRANSACTION READ ONLY", add.format("l"), add.format("m"))
        both("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN", count)
        tell(two, add.format("n"))
        both("SELECT @@session.autocommit", "COMMIT")
        both("BEGIN", add.format("a"), add.format("a"), "COMMIT")
        both("BEGIN", "SELECT * FROM items WHERE id = 1 FOR UPDATE", "DROP TABLE more", "ROLLBACK")
        found.append(one.server_status)
        return found


def without_autocommit(app: MySQLApplication) -> Any:
    """Transactions that begin by themselves, and what ends them."""
    found: list[Any] = []
    options = app.options(use_pure=True, autocommit=False)
    count = "SELECT COUNT(*) FROM items"
    with app.connect() as two, mysql.connector.connect(**options) as one:
        items(two)
        cursor = one.cursor()

        def say(*statements: str) -> None:
            for sql in statements:
                found.append(heard(lambda sql=sql: cursor.execute(sql)))  # type: ignore[misc]
                found.append(cursor.fetchall() if cursor.with_rows else cursor.rowcount)
                found.append(one.in_transaction)

        for level in ("READ COMMITTED", "REPEATABLE READ"):
            say(f"SET SESSION TRANSACTION ISOLATION LEVEL {level}")
            say("SELECT 1", count, count, "SELECT 1", "COMMIT", count, "ROLLBACK", "COMMIT", count)
            found += tell(two, "INSERT INTO items (name) VALUES ('other')")
            say("ROLLBACK", count, "INSERT INTO items (name) VALUES ('mine')", count)
            found += tell(two, count)
            say("ROLLBACK", count, "SAVEPOINT s", "DELETE FROM items", "ROLLBACK TO s", count)
            say("COMMIT AND CHAIN", count, "COMMIT", count, "SET autocommit = 1", count)
            say("SET autocommit = 0", count, "START TRANSACTION READ ONLY", count)
            say("DELETE FROM items", "COMMIT", count, "CREATE TABLE IF NOT EXISTS more (a INT)")
            say(count, "SELECT COUNT(*) FROM items FOR UPDATE", "ROLLBACK", count)
            say("LOCK TABLES items READ", count, "UNLOCK TABLES", count, "ROLLBACK")
            say("SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED", count, "ROLLBACK", count)
            say("SELECT nothing FROM items", count, "ROLLBACK", "XA START 'x'", "COMMIT")
            say("INSERT INTO items (name) VALUES ('xa')", "XA END 'x'", "XA PREPARE 'x'")
            say("XA COMMIT 'x'", count, "DELETE FROM items WHERE id > 3", "COMMIT")
    return found


def deadlock(app: MySQLApplication) -> Any:
    with app.connect() as one, app.connect() as two:
        items(one)
        tell(two, "BEGIN", "UPDATE items SET n = 100 WHERE id > 1")
        tell(one, "BEGIN", "UPDATE items SET n = 1 WHERE id = 1")
        others: list[Any] = []
        thread = threading.Thread(
            target=lambda: others.append(ask(two, "UPDATE items SET n = 5 WHERE id = 1"))
        )
        thread.start()
        time.sleep(0.3)
        found = tell(one, "UPDATE items SET n = 9 WHERE id = 2")
        thread.join()
        found += others
        found += tell(one, "ROLLBACK")
        found += tell(two, "COMMIT", "SELECT n FROM items ORDER BY id")
        tell(one, "BEGIN", "UPDATE items SET n = 1 WHERE id = 1")
        tell(two, "SET innodb_lock_wait_timeout = 1", "BEGIN")
        found += tell(two, "UPDATE items SET n = 7 WHERE id = 1", "ROLLBACK")
        return found


# Sessions


def sessions(app: MySQLApplication) -> Any:
    """Each of six has a session of its own, on two connections."""

    def act(one: Any, which: int) -> Any:
        zone, mode = f"+0{which}:00", ("ANSI", "", "STRICT_TRANS_TABLES")[which % 3]
        state = (
            "SELECT @@time_zone, @@sql_mode, DATABASE(), @@character_set_results,"
            " @@collation_connection"
        )
        found = tell(
            one,
            f"SET time_zone = '{zone}'",
            f"SET SESSION sql_mode = '{mode}'",
            f"SET NAMES {('utf8mb4', 'latin1')[which % 2]}",
            "SET SESSION group_concat_max_len = 10" if which == 4 else "SELECT 1",
            f"USE {app.database}{'_other' if which % 2 else ''}",
        )
        for _ in range(5):
            found += tell(one, state, "SELECT FROM_UNIXTIME(0), \"a\" 'b'", "SELECT 'é'")
            found += tell(one, "SELECT @@group_concat_max_len, CONCAT('a', NULL)")
        return found

    return crowd(app, 6, act)


def settings_of_a_moment(app: MySQLApplication) -> Any:
    """What statements have for themselves, and what is left by texts that fail in their middle."""
    state = "SELECT @@time_zone, @@sql_mode, @@sort_buffer_size, @@max_join_size, DATABASE()"
    own = (
        "SET STATEMENT sort_buffer_size = 1000000 FOR SELECT id FROM items WHERE id = 1",
        "SET STATEMENT sql_mode = 'ANSI' FOR SELECT @@sql_mode",
        "SET STATEMENT sort_buffer_size = 1000000 FOR UPDATE items SET n = 1 WHERE id = 0",
        "SET STATEMENT time_zone = '+05:00', max_statement_time = 2 FOR SELECT FROM_UNIXTIME(0)",
        "SET STATEMENT sort_buffer_size = 1000000 FOR SELECT nothing FROM items",
        "SET STATEMENT sort_buffer_size = 1000000 FOR SET max_join_size = 77777",
        "/*!100100 SET STATEMENT sort_buffer_size = 1000000 FOR */ DO 1",
    )

    def act(one: Any, which: int) -> Any:
        found = []
        maker = f"UPDATE items SET n = @@sort_buffer_size WHERE id = {which + 1}"
        for turn in range(3):
            if which:
                found += [it for sql in own for it in tell(one, sql, state, maker)]
                found += tell(one, "SET max_join_size = 88888; " + own[5], state)
            found += tell(one, f"SET max_join_size = {turn + 1}11111; SELECT nothing", state)
            found += tell(one, f"USE {app.database}; SELEC", "SHOW WARNINGS", state, maker)
        return found

    with app.connect() as one:
        items(one, rows=4)
        found = crowd(app, 4, act, client_flag=SEVERAL)
        found += tell(one, "SELECT DISTINCT n FROM items ORDER BY n", state)
    return found


def nowhere(app: MySQLApplication) -> Any:
    """Sessions without a schema, among some that have one, come to one or lose it."""
    asked = ("SELECT DATABASE(), SCHEMA()", "DO 1", "SELECT DATABASE()", "SHOW TABLES LIKE 'i%'")

    def act(one: Any, which: int) -> Any:
        found = []
        for turn in range(3):
            if which % 2:
                found += tell(one, *asked, "SELECT * FROM items", "SELECT * FROM tables")
            if which == turn:
                found += tell(one, f"USE {app.database}_other", *asked, "BEGIN", *asked, "COMMIT")
            if which == 3 and turn:
                mine = f"{app.database}_{which}"
                found += tell(one, f"CREATE DATABASE {mine}", f"USE {mine}", *asked)
                found += tell(one, f"DROP DATABASE {mine}", *asked)
            found += tell(one, "SELECT DATABASE()")
        return found

    with app.connect() as one:
        items(one)
        found = tell(one, *asked)
        found += crowd(app, 5, act, database=None)
        return found + tell(one, *asked)


MODES = ("ANSI_QUOTES", "NO_BACKSLASH_ESCAPES", "PIPES_AS_CONCAT,HIGH_NOT_PRECEDENCE", "ANSI", "")
CUT_BY_MODES = (
    'SELECT "name" FROM items ORDER BY id',
    "SELECT 'a\\' FROM items -- '",
    "SELECT 'a\\', \"b\", 'c' FROM items WHERE id = 1",
    'SELECT "a\' FROM items" FROM "items"',
    "SELECT name || 'x' || n, NOT n BETWEEN 0 AND 1 FROM items ORDER BY id",
    "SELECT MAX (n) FROM items",
)


def modes(app: MySQLApplication) -> Any:
    """Two sessions say the same texts, and mean different things."""
    found = []
    with app.connect() as one, app.connect() as two:
        items(one)
        for number, mode in enumerate(MODES):
            tell(one, f"SET SESSION sql_mode = '{mode}'")
            tell(two, f"SET SESSION sql_mode = '{MODES[number - 1]}'")
            for text in CUT_BY_MODES * 2:
                found += [ask(one, text), ask(two, text)]
            found += tell(one, "UPDATE items SET n = n + 1", 'SELECT ROW_COUNT() AS "n"')
    return found


def belongings(app: MySQLApplication) -> Any:
    """What stays on its connection: variables, temporary tables, locks, what is prepared in SQL."""

    def act(one: Any, which: int) -> Any:
        found = []
        kind = which % 3
        for turn in range(3):
            if kind == 0:
                found += tell(one, f"SET @mine = {which + turn}", "SELECT 1", "SELECT @mine")
                found += tell(one, "SELECT @mine := @mine + 1", "SELECT @mine")
            elif kind == 1:
                found += tell(
                    one,
                    "CREATE TEMPORARY TABLE passing (a INT)",
                    f"INSERT INTO passing VALUES ({which})",
                    "SELECT * FROM passing",
                    "DROP TEMPORARY TABLE passing",
                )
            else:
                found += tell(
                    one,
                    f"PREPARE p FROM 'SELECT {which}, ?'",
                    "SELECT 1",
                    "SET @v = 3",
                    "EXECUTE p USING @v",
                    "DEALLOCATE PREPARE p",
                    "EXECUTE p",
                )
        return found

    found = []
    for first in (0, 1, 2):  # those that keep a connection would wait for each other
        found += crowd(app, 2, lambda one, which, first=first: act(one, first + 3 * which))
    return found


def locks(app: MySQLApplication) -> Any:
    with app.connect() as one, app.connect() as two:
        items(one)
        found = tell(one, "SELECT GET_LOCK('l', 1)")
        found += tell(two, "SELECT GET_LOCK('l', 0), IS_FREE_LOCK('l')")
        found += tell(one, "SELECT RELEASE_LOCK('l')")
        found += tell(two, "SELECT GET_LOCK('l', 0)", "SELECT RELEASE_ALL_LOCKS()")
        found += tell(one, "LOCK TABLES items WRITE", "INSERT INTO items (name) VALUES ('w')")
        found += tell(one, "SELECT COUNT(*) FROM items", "SELECT * FROM mysql.user")
        tell(two, "SET lock_wait_timeout = 1")
        found += tell(two, "SELECT COUNT(*) FROM items", "INSERT INTO items (name) VALUES ('q')")
        found += tell(one, "UNLOCK TABLES")
        found += tell(two, "SELECT COUNT(*) FROM items")
        found += tell(one, "HANDLER items OPEN", "HANDLER items READ FIRST", "HANDLER items CLOSE")
        return found


def behind(app: MySQLApplication) -> Any:
    """What asks for the statement before, while the connections change hands."""
    with app.connect() as maker:
        tell(
            maker,
            "DROP TABLE IF EXISTS logged",
            "CREATE TABLE logged (id INT AUTO_INCREMENT PRIMARY KEY, who INT, n TINYINT)",
        )

    def act(one: Any, which: int) -> Any:
        found = []
        tell(one, "SET sql_mode = ''")
        for _ in range(5):
            ((_, _, _, last),) = ask(one, f"INSERT INTO logged (who) VALUES ({which}), ({which})")
            time.sleep(0.01)
            ((_, ((said,),), _, _),) = ask(one, "SELECT LAST_INSERT_ID()")
            found.append(said == last or (said, last))
            tell(one, f"INSERT INTO logged (who) VALUES ({which})")
            found += tell(one, "SELECT 1", "SELECT LAST_INSERT_ID() > 0")
            found += tell(one, f"UPDATE logged SET n = 1 - IFNULL(n, 0) WHERE who = {which}")
            time.sleep(0.01)
            found += tell(one, "SELECT id IS NULL FROM logged WHERE who = 99 LIMIT 1")
            found += tell(
                one, f"SELECT SQL_CALC_FOUND_ROWS who FROM logged WHERE who = {which} LIMIT 1"
            )
            found += tell(one, "SELECT FOUND_ROWS()")
            found += tell(
                one, f"UPDATE logged SET n = 1000 WHERE who = {which} ORDER BY id LIMIT 1"
            )
            time.sleep(0.01)
            found += tell(one, "SHOW WARNINGS", "SHOW COUNT(*) WARNINGS", "SELECT @@warning_count")
            found += tell(one, "INSERT INTO logged (nothing) VALUES (1)", "SHOW ERRORS")
            found += tell(one, "SELECT who FROM logged WHERE who = 99", "SHOW WARNINGS")
            found += tell(one, "INSERT INTO logged (nothing) VALUES (1)")
            found += tell(one, "GET DIAGNOSTICS @n = NUMBER", "SELECT @n")
            found.append(one.show_warnings())
        return found

    return crowd(app, 6, act)


ASKERS = (
    "SELECT FOUND_ROWS()",
    "SELECT ROW_COUNT() + 1, 'ROW_COUNT()' AS `n`",
    "SHOW WARNINGS",
    "SHOW COUNT(*) ERRORS",
    "SELECT @@warning_count",
)


def behind_reads(app: MySQLApplication) -> Any:
    """What asks for the statement before, wherever that was served."""
    with app.connect() as one:
        items(one, rows=7)
    time.sleep(0.7)  # while definitions are read again, nothing is known to be a read

    def act(one: Any, which: int) -> Any:
        found = []
        tell(one, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
        read = f"SELECT id, name FROM items WHERE id > {which} ORDER BY id"
        warns = f"SELECT id, name + {which} FROM items WHERE name > 0"
        for asker in ASKERS:
            found += tell(one, read, asker, warns, asker, "SHOW TABLES LIKE 'it%'", asker)
            if asker != ASKERS[0]:
                found += tell(one, f"UPDATE items SET n = 1 - n WHERE id = {which + 1}", asker)
                found += tell(one, read, "BEGIN", read, asker, "COMMIT")
                found += tell(one, "INSERT INTO items (nothing) VALUES (1)", asker)
        return found

    def run_prepared(_: Any, which: int) -> Any:
        with mysql.connector.connect(**app.options(use_pure=True, autocommit=True)) as client:
            reader, asker = client.cursor(prepared=True), client.cursor(prepared=True)
            found = []
            for turn in range(12):
                reader.execute("SELECT id, name FROM items WHERE id > ?", ((which + turn) % 7,))
                found.append(reader.fetchall())
                asker.execute("SELECT FOUND_ROWS()")
                found.append(asker.fetchall())
            return found

    return crowd(app, 4, act) + crowd(app, 4, run_prepared)


def behind_others(app: MySQLApplication) -> Any:
    """What asks for a statement behind others, or behind a CALL, or was prepared before."""
    with app.connect() as maker:
        items(maker, rows=7)
        tell(
            maker,
            "DROP PROCEDURE IF EXISTS turn",
            "CREATE PROCEDURE turn(most INT) UPDATE items SET n = 1 - n WHERE id <= most",
            "DROP PROCEDURE IF EXISTS turn_and_show",
            "CREATE PROCEDURE turn_and_show(most INT) BEGIN CALL turn(most);"
            " SELECT id FROM items LIMIT 1; END",
        )

    def act(one: Any, which: int) -> Any:
        found = []
        read = f"SELECT SQL_CALC_FOUND_ROWS id FROM items WHERE id > {which} LIMIT 1"
        asker = "SELECT FOUND_ROWS()"
        for turn in range(3):
            found += tell(one, read, "SET @@lock_wait_timeout = 5", "SHOW WARNINGS", asker, asker)
            found += tell(one, read, "BEGIN", "COMMIT", asker, read, "SHOW TABLES", asker)
            found += tell(
                one, read, f"UPDATE items SET name = 'u{which}{turn}' WHERE id = {which + 1}"
            )
            found += tell(one, asker)
            for call in ("turn", "turn_and_show"):
                tell(one, f"CALL {call}({which})")
                time.sleep(0.005)
                found += tell(one, "SELECT ROW_COUNT()")
        return found

    def count_prepared(_: Any, which: int) -> Any:
        with mysql.connector.connect(**app.options(use_pure=True, autocommit=True)) as client:
            asker, writer = client.cursor(prepared=True), client.cursor()
            found = []
            asker.execute("SELECT ROW_COUNT()")
            asker.fetchall()
            for turn in range(4):
                writer.execute(f"UPDATE items SET name = 'p{which}{turn}' WHERE id = {which + 1}")
                time.sleep(0.003)
                asker.execute("SELECT ROW_COUNT()")
                found.append(asker.fetchall())
            return found

    return crowd(app, 4, act) + crowd(app, 4, count_prepared)


def numbers(app: MySQLApplication) -> Any:
    """CONNECTION_ID() is what the client was told at its login, wherever it stands."""
    with app.connect(client_flag=SEVERAL) as one:
        items(one)
        me = one.thread_id()
        found = tell(
            one,
            "SELECT CONNECTION_ID()",
            "SELECT 1; SELECT connection_id() AS id, ';'; SELECT CONCAT('a-', CONNECTION_ID()) x",
            f"SELECT id FROM items WHERE id = CONNECTION_ID() - {me} + 1",
            "(SELECT CONNECTION_ID()) UNION (SELECT 0) ORDER BY 1",
            f"UPDATE items SET n = CONNECTION_ID() - {me} + 50 WHERE id < 3",
            f"SELECT id FROM items WHERE n = CONNECTION_ID() - {me} + 50",
            "SELECT COUNT(*) FROM information_schema.processlist WHERE id = CONNECTION_ID()",
            f"SET @mine = CONNECTION_ID() - {me}",
            "SELECT @mine",
        )
    with mysql.connector.connect(**app.options(use_pure=True, autocommit=True)) as client:
        cursor = client.cursor(prepared=True)
        cursor.execute("SELECT CONNECTION_ID(), ?", (1,))
        ((number, _),) = cursor.fetchall()
        found += [number == client.connection_id, [it[:2] for it in cursor.description]]
    return re.sub(rf"\b{me}\b", "me", repr(found))


def kills(app: MySQLApplication) -> Any:
    """Connections are ended by the numbers that their clients were told."""

    def end(said: str) -> Any:
        with app.connect() as one, app.connect() as two:
            found = [ask(one, said.format(two.thread_id()))]
            try:
                while True:
                    two.query("SELECT 1")
                    if "QUERY" in said or "0000" in said:
                        break
            except pymysql.MySQLError:
                found.append("ended")
            return re.sub(rf"\b{two.thread_id()}\b", "two", repr(found))

    return [
        end("KILL {}"),
        end("/*! KILL {} */"),
        end("/*!40101 KILL CONNECTION {} */;"),
        end("/* a */ KILL QUERY {}"),
        end("/*! KILL QUERY 1000000000 */"),
        end("KILL 1000000000"),
    ]


def files(app: MySQLApplication) -> Any:
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as file:
        file.write("".join(f"f{n},{n}\n" for n in range(20_000)))
        file.flush()
        load = (
            f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE items FIELDS TERMINATED BY ','"
            " (name, n)"
        )
        with app.connect(local_infile=True) as one, app.connect() as two:
            items(one)
            found = tell(one, load, "SELECT COUNT(*), SUM(n) FROM items")
            found += tell(one, load.replace(file.name, "/nowhere/at/all"), "SELECT 1")
            found += tell(two, load, "SELECT 1")
            found += tell(one, load.replace("TABLE items", "TABLE nowhere"), "SELECT 2")
            return found


# Peers that don't keep to the protocol


HELLO = (0x8A201).to_bytes(4, "little") + bytes((0, 0, 0, 1, 45)) + bytes(23)
"""How a client begins, as far as its name."""

NO_LOGINS = (
    packet(5, HELLO + b"app\0\0"),  # a number that is not due
    b"GET / HTTP/1.1\r\n\r\n",
    packet(1, b""),
    packet(1, b"\1"),
    packet(1, HELLO[:20]),  # half a handshake
    packet(1, HELLO + b"app"),
    packet(1, HELLO + b"app\0\xf0abc"),  # an answer longer than the packet
    packet(1, b"\xff" * 4 + HELLO[4:] + b"app\0\xfeab"),  # everything can be done
)

NO_COMMANDS = (
    b"\x01\0\0\x05\x0e",  # a number that is not due
    b"\0\0\0\0",  # nothing
    b"\x01\0\0\0\x77",  # no such command
    b"\x01\0\0\0\xff",
    b"\x01\0\0\0\x13",
    b"\x03\0\0\0\x17\1\0",  # an execution without a statement's id
    b"\x09\0\0\0\x17\1\0\0\0\0\1\0\0",  # one cut off in front of its values
    b"\x0a\0\0\0\x17\x09\0\0\0\0\1\0\0\0",  # of a statement that is not there
    b"\x01\0\0\0\x03",  # no text
    b"\x01\0\0\0\x02",  # no schema
    b"\x04\0\0\0\x11app",  # half a user
)

MALFORMED = (1210, 1835)

NO_VALUES = (
    b"",
    b"\0",
    b"\0\1\0\0\0",  # no word on what is NULL
    b"\0\1\0\0\0\0",
    b"\0\1\0\0\0\0\0",  # no types
    b"\0\1\0\0\0\0\1\xfd",  # half a type
    b"\0\1\0\0\0\0\1\xfd\0",  # no value
    b"\0\1\0\0\0\0\1\x77\0\1a",  # no such type
)


def malformed(app: MySQLApplication) -> Any:
    """What bad input gets; who is in the middle of something meanwhile is not touched."""
    found: list[Any] = []
    with app.connect() as witness:
        items(witness)
        tell(witness, "BEGIN", "INSERT INTO items (name) VALUES ('kept')", "SET @kept = 1")
        for said in NO_LOGINS:
            with socket.create_connection(("127.0.0.1", app.port), timeout=6) as raw:
                raw.recv(1024)
                raw.sendall(said)
                found.append((said, raw.recv(1024)[3:13]))
                with contextlib.suppress(ConnectionError):
                    found.append(raw.recv(1024))
                    continue
                found.append(b"")
        for said in NO_COMMANDS:
            with Raw(app) as client:
                client.send(said)
                found.append((said, client.packet()[:9]))
                if said[4:5] != b"\x11":  # MariaDB goes on
                    found.append(client.lives())
        for said in NO_VALUES:
            with Raw(app) as client:
                name, _ = client.prepare("SELECT ?")
                answer = client.simple(COMMAND.COM_STMT_EXECUTE, name + said)
                # MariaDB calls some of them "incorrect arguments".
                found.append((said, answer[:1], int.from_bytes(answer[1:3], "little") in MALFORMED))
                found.append(client.lives())
        begun = b"\x03INSERT INTO items (name) VALUES ('"
        for said in (
            packet(0, begun + b"x" * 100_000)[:90_000],
            packet(0, begun + b"x" * 17_000_000)[:-1000],
        ):
            with Raw(app) as client:  # which goes in the middle
                client.send(said)
        with Raw(app, local_infile=True) as client:
            client.command(COMMAND.COM_QUERY, b"LOAD DATA LOCAL INFILE 'f' INTO TABLE items (name)")
            found.append(client.packet())
            client.send(packet(2, b"half\n" * 1000)[:3000])
        found += tell(witness, "SELECT @kept", "SELECT COUNT(*) FROM items", "ROLLBACK")
        found += tell(witness, "SELECT COUNT(*) FROM items")
    return found


# The command line


def command_line(app: MySQLApplication) -> Any:
    def run(*arguments: str, text: str = "", password: str = app.password) -> Any:
        command = [
            *("mariadb", "--no-defaults", "-h", "127.0.0.1", "-P", str(app.port), "-u", app.user),
            *(f"-p{password}", "--skip-ssl", "--default-character-set=utf8mb4", *arguments),
        ]
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, timeout=30, check=False
        )
        return done.returncode, done.stdout, done.stderr

    with app.connect() as one:
        items(one)
    script = """
SELECT * FROM items ORDER BY id; SHOW TABLES;
DELIMITER //
CREATE OR REPLACE VIEW seen AS SELECT id FROM items//
DELIMITER ;
SELECT COUNT(*) FROM seen; DROP VIEW seen;
\\u mysql
SELECT DATABASE();
SELECT 1/0; SHOW WARNINGS;
SELECT nope;
"""
    return [
        run(app.database, text=script),
        run(
            "-t", "-vvv", app.database, "-e", "SELECT 1 AS a; SELECT 'ä'; INSERT items () VALUES ()"
        )[:1],
        run("--compress", app.database, text=script),
        run("nowhere", "-e", "SELECT 1"),
        run("-e", "SELECT DATABASE()"),
        run("-e", "SELECT 1", password="wrong"),
    ]


def left_behind(app: MySQLApplication) -> Any:
    """Whoever comes finds a session as it is when it is new, whatever others have set in theirs."""
    ours = {"pseudo_thread_id", "last_insert_id", "insert_id", "timestamp", "last_gtid"}
    ours |= {"rand_seed1", "rand_seed2", "identity", "error_count", "warning_count", "statement_id"}

    def values(connection: Any) -> dict[str, str]:
        rows = ask(connection, "SHOW SESSION VARIABLES")[0][1]
        return {name: value for name, value in rows if name not in ours}

    with app.connect() as one:
        new = values(one)
    heard: list[Any] = []
    for name in LEFT_BEHIND:
        with app.connect() as one:
            on = f"SELECT @@GLOBAL.{name}"
            heard.append(
                (name, ask(one, f"SET SESSION {name} = {LEFT_BEHIND[name]}"), ask(one, on))
            )
        for _ in range(3):
            with app.connect() as other:
                now = values(other)
            heard.append({key: now.get(key) for key in new if now.get(key) != new[key]})
    return heard


LEFT_BEHIND = {
    "foreign_key_checks": "0",
    "unique_checks": "0",
    "sql_auto_is_null": "1",
    "sql_big_selects": "0",
    "sql_safe_updates": "1",
    "sql_warnings": "1",
    "sql_notes": "0",
    "big_tables": "1",
    "explicit_defaults_for_timestamp": "0",
    "updatable_views_with_limit": "'NO'",
    "sql_quote_show_create": "0",
    "sql_select_limit": "7",
    "sql_mode": "'ANSI_QUOTES'",
    "time_zone": "'+03:00'",
    "lc_time_names": "'de_DE'",
    "group_concat_max_len": "8",
    "div_precision_increment": "9",
    "max_sort_length": "64",
    "optimizer_switch": "'index_merge=off'",
    "transaction_isolation": "'SERIALIZABLE'",
    "autocommit": "0",
    "character_set_results": "'latin1'",
    "collation_connection": "'latin1_bin'",
}


TALKS: list[Talk] = [
    logins,
    texts,
    several,
    procedures,
    prepared,
    prepared_by_many,
    drivers,
    large,
    compressed,
    commands,
    resets,
    left_behind,
    change_user,
    cursors,
    binary_log,
    transactions,
    without_autocommit,
    deadlock,
    sessions,
    settings_of_a_moment,
    nowhere,
    modes,
    belongings,
    locks,
    behind,
    behind_reads,
    behind_others,
    numbers,
    kills,
    files,
    malformed,
    command_line,
]


@pytest.mark.parametrize("talk", TALKS, ids=lambda talk: talk.__name__)
def test_a_client_hears_what_the_primary_would_say(
    ways: tuple[MySQLApplication, MySQLApplication], talk: Talk
) -> None:
    direct, through = ways
    assert talk(through) == talk(direct)


def test_nobody_ends_a_stranger_by_a_number_of_ours(
    ways: tuple[MySQLApplication, MySQLApplication],
) -> None:
    direct, through = ways
    options: dict[str, Any] = {"client_flag": SEVERAL}
    with direct.connect() as stranger, through.connect(**options) as one:
        number = stranger.thread_id()
        for said in (
            f"SELECT 1; KILL {number}",
            f"/*!50701 KILL {number} */",
            f"/*!100100 KILL {number} */",
            f"SET STATEMENT lock_wait_timeout = 5 FOR KILL {number}",
            f"DO 1; PREPARE p FROM 'KILL {number}'",
            f"BEGIN; KILL {number}",
        ):
            kind, code, words = ask(one, said)
            assert (kind, code) == ("NotSupportedError", 1235), words
        assert ask(stranger, "SELECT 1") == ask(one, "SELECT 1")
