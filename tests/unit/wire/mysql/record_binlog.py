"""Record what real servers tell of their binary logs. Run by hand: `python -m` this, FLAVOUR FILE.

The recordings in `recorded` were made of MariaDB 10.11 and MySQL 9.7. Every line is what was read
at once, in hexadecimal.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pymysql

from proxy.demo.local_mysql import SUPERUSER, temporary_mysql
from proxy.wire.mysql.binlog import dump, prepare

QUIET = 1.5

SAID = {
    "mariadb": (
        "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10",
        "INSERT INTO packed VALUES (1, REPEAT('x', 300))",
        "SET GLOBAL log_bin_compress = OFF",
    ),
    "mysql": (
        "SET binlog_transaction_compression = ON",
        "INSERT INTO packed VALUES (1, REPEAT('x', 300))",
        "SET binlog_transaction_compression = OFF",
    ),
}
STATEMENTS = (
    "CREATE TABLE plain (id int PRIMARY KEY, v int)",
    "CREATE TABLE packed (id int, v text)",
    "CREATE TABLE simple (v int) ENGINE = MyISAM",
    "INSERT INTO plain VALUES (1, 0), (2, 0), (3, 0)",
    "UPDATE plain SET v = 1",
    "DELETE FROM plain WHERE id = 3",
    "INSERT INTO simple VALUES (1)",
    "BEGIN",
    "INSERT INTO plain VALUES (4, 0)",
    "SAVEPOINT a",
    "INSERT INTO plain VALUES (5, 0)",
    "ROLLBACK TO a",
    "INSERT INTO packed VALUES (9, 'y')",
    "COMMIT",
    "FLUSH LOGS",
    "XA START 'x'",
    "UPDATE plain SET v = 2",
    "XA END 'x'",
    "XA PREPARE 'x'",
    "XA COMMIT 'x'",
    "SET binlog_format = 'STATEMENT'",
    "UPDATE plain SET v = 3 WHERE id = 1",
    "SET binlog_format = 'ROW'",
    "TRUNCATE TABLE plain",
    "SET binlog_row_image = 'MINIMAL'",
    "INSERT INTO plain (id) VALUES (7)",
    "UPDATE plain SET v = 8",
    "DROP TABLE simple",
)


def record(flavour: str) -> list[bytes]:
    """Run the statements, and return what the server tells of them."""
    with temporary_mysql(flavour, replicas=0) as cluster:  # type: ignore[arg-type]
        primary = cluster.primary
        options = {"host": "127.0.0.1", "port": primary.port, "user": SUPERUSER}
        options |= {"password": primary.password, "autocommit": True}
        with pymysql.connect(**options) as writer, pymysql.connect(**options) as reader:
            cursor = writer.cursor()
            cursor.execute("CREATE DATABASE d")
            writer.select_db("d")
            status = "SHOW MASTER STATUS" if flavour == "mariadb" else "SHOW BINARY LOG STATUS"
            cursor.execute(status)
            file, offset = cursor.fetchone()[:2]
            for sql in prepare(is_mariadb=flavour == "mariadb", seconds=1, uuid="7" * 36):
                reader.query(sql.decode())
            for sql in (*STATEMENTS, *SAID[flavour]):
                cursor.execute(sql)
            link: socket.socket = reader._sock
            link.sendall(dump(file, offset, 1 << 31))
            link.settimeout(QUIET)
            return [file.encode(), *read(link)]


def read(link: socket.socket) -> list[bytes]:
    """Read until there was a sign of life."""
    found: list[bytes] = []
    while not found or found[-1][9:10] != b"\x1b":
        found.append(link.recv(1 << 16))
    return found


if __name__ == "__main__":
    lines = [it.hex() for it in record(sys.argv[1])]
    Path(sys.argv[2]).write_text("\n".join(lines) + "\n")
