"""SQL to a local MariaDB or MySQL from blocking code, a connection for each call."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pymysql
from pymysql.constants import CLIENT

SUPERUSER: Final = "root"


class MySQLConsole:
    """Asks and tells one server, as the superuser, over its Unix socket.

    Args:
        path: That of the server's socket.
        port: The server's port.
    """

    def __init__(self, path: Path, port: int) -> None:
        self.socket = path
        self.port = port

    def execute(self, sql: str, *, database: str = "") -> None:
        """Run one or more statements."""
        with self.connect(database) as cursor:
            cursor.execute(sql)
            while cursor.nextset():
                pass

    def fetch(self, sql: str, *arguments: object, database: str = "") -> list[tuple[object, ...]]:
        """Run one statement and return its rows."""
        with self.connect(database) as cursor:
            cursor.execute(sql, arguments or None)
            return list(cursor.fetchall())

    def fetch_value(self, sql: str, *arguments: object, database: str = "") -> object:
        """Run one statement and return the first column of its first row."""
        return self.fetch(sql, *arguments, database=database)[0][0]

    def fetch_named(self, sql: str) -> dict[str, object]:
        """Run one statement and return its first row by the columns' names; empty: no row."""
        with self.connect() as cursor:
            cursor.execute(sql)
            row = cursor.fetchone()
            names = [column[0] for column in cursor.description or ()]
        return dict(zip(names, row, strict=True)) if row else {}

    @contextmanager
    def connect(self, database: str = "") -> Iterator[pymysql.cursors.Cursor]:
        """Lend a session, which commits every statement by itself."""
        connection = pymysql.connect(
            user=SUPERUSER,
            database=database or None,
            autocommit=True,
            client_flag=CLIENT.MULTI_STATEMENTS,
            read_timeout=60,
            defer_connect=True,
        )
        try:
            connection.connect(self._open())
            with connection.cursor() as cursor:
                yield cursor
        finally:
            if connection.open:
                connection.close()

    def _open(self) -> socket.socket:
        """Open the Unix socket. The driver would leave it open where nobody listens."""
        link = socket.socket(socket.AF_UNIX)
        try:
            link.settimeout(10.0)
            link.connect(str(self.socket))
        except OSError:
            link.close()
            raise
        return link
