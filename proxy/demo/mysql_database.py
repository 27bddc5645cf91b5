"""The demo on MariaDB or MySQL: aiomysql asks, in plain text, which is all that it can."""

from __future__ import annotations

import asyncio
import re
import shlex
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, final

import aiomysql
import pymysql

from proxy.demo import mysql_schema
from proxy.demo.database import DATABASE, PASSWORD, PATIENCE, USER
from proxy.demo.local_mysql import CONTROL_USER, MySQLCluster, find_programs
from proxy.demo.mysql_programs import Flavour
from proxy.demo.mysql_server import MySQLServer
from proxy.demo.processes import ProgramFailed
from proxy.demo.schema import SCALE

NAMES: Final[dict[Flavour, str]] = {"mariadb": "MariaDB", "mysql": "MySQL"}

# Without TLS, which the demo does without, each wants to be told to go on.
CLIENT_OPTIONS: Final[dict[Flavour, str]] = {
    "mariadb": "--skip-ssl",
    "mysql": "--get-server-public-key",
}

_PARAMETER: Final = re.compile(r"\$(\d)")


@final
class MySQLSession:
    """See `Session`."""

    def __init__(self, connection: aiomysql.Connection) -> None:
        self._connection = connection

    async def fetch(self, sql: str, *arguments: object) -> Sequence[Sequence[Any]]:
        """See the base."""
        async with asyncio.timeout(PATIENCE), self._connection.cursor() as cursor:
            await cursor.execute(_with_values(sql, arguments))
            rows: Sequence[Sequence[Any]] = await cursor.fetchall()
            return rows

    async def execute(self, sql: str, *arguments: object) -> object:
        """See the base."""
        return await self.fetch(sql, *arguments)

    async def prepare(self, sql: str) -> MySQLQuestion:
        """See the base: the driver prepares nothing."""
        return MySQLQuestion(self, sql)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """See the base. After an error it ends with the connection."""
        await self.fetch("START TRANSACTION")
        yield
        await self.fetch("COMMIT")

    async def close(self) -> None:
        """See the base."""
        await self._connection.ensure_closed()

    def terminate(self) -> None:
        """See the base."""
        self._connection.close()


@final
class MySQLQuestion:
    """See `Question`."""

    def __init__(self, session: MySQLSession, sql: str) -> None:
        self._session = session
        self._sql = sql

    async def fetch(self, *arguments: object) -> Sequence[Sequence[Any]]:
        """See the base."""
        return await self._session.fetch(self._sql, *arguments)


@final
class MySQLDatabase:
    """See `Database`.

    Args:
        flavour: Which of the two.
        folder: Everything is kept in it.
    """

    engine: Final = "mysql"
    port: Final = 6033
    ways: Final = ("as plain text",)
    hold_back: Final = "STOP REPLICA SQL_THREAD"
    accounts: Final = SCALE * mysql_schema.ACCOUNTS
    errors: Final = (pymysql.MySQLError,)

    def __init__(self, flavour: Flavour, folder: Path) -> None:
        self._flavour: Flavour = flavour
        self._programs = find_programs(flavour)
        # As MySQL has it by default: without TLS its usual logins need the password itself in
        # clear, or a key that somebody in the middle could have made.
        has_tls = flavour == "mysql"
        self._cluster = MySQLCluster(folder / "my", self._programs, replicas=2, tls=has_tls)

    @property
    def title(self) -> str:
        return f"a {NAMES[self._flavour]} primary and two replicas that follow it by GTID"

    @property
    def version(self) -> str:
        return f"{NAMES[self._flavour]} {'.'.join(map(str, self._programs.version))}"

    @property
    def client(self) -> str:
        return self._flavour

    @property
    def servers(self) -> Sequence[MySQLServer]:
        return self._cluster.servers

    @property
    def control(self) -> tuple[str, str]:
        return CONTROL_USER, self._cluster.control_password

    def __enter__(self) -> MySQLDatabase:
        self._cluster.__enter__()
        return self

    def __exit__(self, *why: object) -> None:
        self._cluster.__exit__(*why)

    def make_user(self) -> None:
        """See the base. MariaDB counts what is written to a table only when told to."""
        if self._flavour == "mariadb":
            for server in self.servers:
                server.execute("SET GLOBAL userstat = ON")
        self._cluster.primary.execute(
            f"CREATE DATABASE {DATABASE};"
            f" CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';"
            f" GRANT ALL ON {DATABASE}.* TO '{USER}'@'%'"
        )

    async def load(self, progress: Callable[[int], None]) -> None:
        """See the base."""
        session = await self.connect(self._cluster.primary.port)
        try:
            await mysql_schema.load(session, progress=progress)
        finally:
            session.terminate()

    def wait_replayed(self) -> None:
        """See the base."""
        self._cluster.wait_replayed()

    async def connect(self, port: int) -> MySQLSession:
        """See the base."""
        connection = await aiomysql.connect(
            host="127.0.0.1",
            port=port,
            user=USER,
            password=PASSWORD,
            db=DATABASE,
            autocommit=True,
            connect_timeout=PATIENCE,
        )
        return MySQLSession(connection)

    def ask_route(self, port: int, sql: str) -> dict[str, str]:
        """See the base."""
        try:
            with (
                pymysql.connect(
                    host="127.0.0.1",
                    port=port,
                    user=USER,
                    password=PASSWORD,
                    database=DATABASE,
                    autocommit=True,
                    read_timeout=PATIENCE,
                ) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(f"EXPLAIN ROUTE {sql}")
                return {str(row[0]): str(row[1]) for row in cursor.fetchall()}
        except pymysql.MySQLError as error:
            raise ProgramFailed(f"EXPLAIN ROUTE: {error}") from None

    def call_client(self, port: int) -> str:
        """See the base."""
        options = CLIENT_OPTIONS[self._flavour]
        where = f"-h 127.0.0.1 -P {port} -u {USER} -p{PASSWORD} {options} {DATABASE}"
        has_it = not self._programs.client or shutil.which(self.client) == self._programs.client[-1]
        command = self.client if has_it else shlex.join(self._programs.client)
        return f"{command} {where}"


def _with_values(sql: str, values: Sequence[object]) -> str:
    """Write parameters into the text; the demo has numbers only."""
    return _PARAMETER.sub(lambda found: str(int(str(values[int(found[1]) - 1]))), sql)
