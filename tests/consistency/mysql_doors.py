"""The ways into MySQL and MariaDB: each a driver with one of its manners of speaking the protocol.

Drivers without asyncio have a thread of their own for each connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import unquote, urlsplit

import aiomysql
import asyncmy
import mysql.connector
import pymysql
from asyncmy.errors import MySQLError as AsyncmyError

from tests.consistency.door import CONNECT_TIMEOUT, PLACEHOLDER, Door, inline, literal
from tests.consistency.topics import Row

READ_TIMEOUT: Final = 15

ERRORS: Final = (
    pymysql.MySQLError,
    AsyncmyError,
    mysql.connector.Error,
    OSError,
    EOFError,
    TimeoutError,
    RuntimeError,  # how a reader of aiomysql's takes the end of its connection
    AttributeError,  # how asyncmy and connector do: what they had is None by then
)

CERTAIN: Final = frozenset(
    {
        *(1048, 1054, 1062, 1064, 1146, 1305, 1451, 1452),  # a statement's own fault
        *(1205, 1213),  # locks
        *(1290, 1792, 1836, 3100),  # nothing may be written here
    }
)
"""Errors that prove that nothing was written."""

READ_COMMITTED: Final = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"

T = TypeVar("T")


def _target(dsn: str) -> dict[str, Any]:
    parts = urlsplit(dsn)
    return {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": unquote(parts.password or ""),
    }


def _database(dsn: str) -> str:
    return urlsplit(dsn).path.lstrip("/")


def _in_order(statement: str, values: Sequence[int | str]) -> list[int | str]:
    """Repeat the values as often as they are asked for: a marker has no number here."""
    return [values[int(number) - 1] for number in PLACEHOLDER.findall(statement)]


class MySQLDoor(Door):
    """See the base. Values are written into the text unless a door does otherwise.

    Attributes:
        settings: What a session begins with.
    """

    errors = ERRORS
    begins: ClassVar[tuple[str, ...]] = ("BEGIN", "START TRANSACTION READ ONLY")
    snapshot: ClassVar[tuple[str, ...]] = (
        "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "START TRANSACTION",
    )
    try_again = "1213"
    settings: ClassVar[tuple[str, ...]] = (READ_COMMITTED,)

    async def open(self, dsn: str) -> None:
        await self.connect(dsn)
        for statement in self.settings:
            await self.execute(statement)

    async def connect(self, dsn: str) -> None:
        """Log in."""
        raise NotImplementedError

    async def run(self, statement: str, *values: int | str) -> tuple[Sequence[Row], int]:
        """Run a statement; returns its rows, and how many were affected."""
        raise NotImplementedError

    async def fetch(self, statement: str, *values: int | str) -> Sequence[Row]:
        rows, _ = await self.run(statement, *values)
        return rows

    async def execute(self, statement: str, *values: int | str) -> str:
        rows, affected = await self.run(statement, *values)
        verb = statement.partition(" ")[0]
        # A CALL tells of its last statement only, or of none.
        return f"{verb} {affected or len(rows)}" if verb in _COUNTED else verb

    @staticmethod
    def code(error: BaseException) -> str:
        return str(_errno(error) or "")

    @staticmethod
    def is_certain(error: BaseException) -> bool:
        return _errno(error) in CERTAIN


_ENDS: Final = ("COMMIT", "ROLLBACK", "CREATE", "ANALYZE")
_COUNTED: Final = ("INSERT", "UPDATE", "DELETE", "REPLACE")


def _errno(error: BaseException) -> int:
    if isinstance(error, OSError):
        return 0
    code = getattr(error, "errno", None) or (error.args[0] if error.args else 0)
    return code if isinstance(code, int) else 0


class Aiomysql(MySQLDoor):
    """Text, autocommit, READ COMMITTED."""

    way = "aiomysql, text"
    autocommit: ClassVar = True

    def __init__(self) -> None:
        self._connection: Any = None

    async def connect(self, dsn: str) -> None:
        self._connection = await aiomysql.connect(
            **_target(dsn),
            db=_database(dsn),
            autocommit=self.autocommit,
            connect_timeout=CONNECT_TIMEOUT,
        )

    async def run(self, statement: str, *values: int | str) -> tuple[Sequence[Row], int]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(inline(statement, values))
            rows = list(await cursor.fetchall()) if cursor.description else []
            while await cursor.nextset():
                pass
            return rows, cursor.rowcount

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class AiomysqlSnapshots(Aiomysql):
    """As most applications: the server's default, one snapshot for each transaction."""

    way = "aiomysql, repeatable read"
    begins = ()
    snapshot = ("BEGIN",)
    settings = ()


class AiomysqlImplicit(Aiomysql):
    """Without autocommit: whatever comes begins a transaction, which a COMMIT ends."""

    way = "aiomysql, autocommit off"
    autocommit = False

    def __init__(self) -> None:
        super().__init__()
        self._began = False

    async def fetch(self, statement: str, *values: int | str) -> Sequence[Row]:
        rows = await super().fetch(statement, *values)
        if not self._began:
            await super().execute("COMMIT")
        return rows

    async def execute(self, statement: str, *values: int | str) -> str:
        if statement == "BEGIN":
            self._began = True
            return statement
        self._began = self._began or statement.startswith(("SET TRANSACTION", "START"))
        tag = await super().execute(statement, *values)
        if not self._began:
            await super().execute("COMMIT")
        elif statement.startswith(_ENDS) and "CHAIN" not in statement and " TO " not in statement:
            self._began = False
        return tag


class Asyncmy(MySQLDoor):
    """Another driver's text, autocommit."""

    way = "asyncmy, text"

    def __init__(self) -> None:
        self._connection: Any = None

    async def connect(self, dsn: str) -> None:
        self._connection = await asyncmy.connect(
            **_target(dsn), db=_database(dsn), autocommit=True, connect_timeout=int(CONNECT_TIMEOUT)
        )

    async def run(self, statement: str, *values: int | str) -> tuple[Sequence[Row], int]:
        async with self._connection.cursor() as cursor:
            await cursor.execute(inline(statement, values))
            rows = list(await cursor.fetchall()) if cursor.description else []
            while await cursor.nextset():
                pass
            return rows, cursor.rowcount

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


class Threaded(MySQLDoor):
    """A driver that blocks."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._connection: Any = None

    async def _do(self, what: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, what)

    async def connect(self, dsn: str) -> None:
        self._connection = await self._do(lambda: self.dial(dsn))

    async def run(self, statement: str, *values: int | str) -> tuple[Sequence[Row], int]:
        return await self._do(lambda: self.say(statement, values))

    def dial(self, dsn: str) -> object:
        """Log in; in the thread."""
        raise NotImplementedError

    def say(self, statement: str, values: Sequence[int | str]) -> tuple[Sequence[Row], int]:
        """Run a statement; in the thread."""
        raise NotImplementedError

    async def close(self) -> None:
        connection = self._connection
        if connection is not None:
            await self._do(lambda: _leave(connection))
        self._thread.shutdown(wait=False)


def _leave(connection: Any) -> None:
    with contextlib.suppress(*ERRORS):
        connection.close()


class PymysqlExecute(Threaded):
    """PREPARE and EXECUTE, as statements, for reads: such a session keeps its connection."""

    way = "pymysql, EXECUTE"

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, str] = {}

    def dial(self, dsn: str) -> object:
        return pymysql.connect(
            **_target(dsn),
            database=_database(dsn),
            autocommit=True,
            connect_timeout=int(CONNECT_TIMEOUT),
            read_timeout=READ_TIMEOUT,
        )

    def say(self, statement: str, values: Sequence[int | str]) -> tuple[Sequence[Row], int]:
        with self._connection.cursor() as cursor:
            given = _in_order(statement, values)
            if statement.startswith("SELECT") and given:
                name = self._names.get(statement)
                if name is None:
                    name = self._names[statement] = f"reads_{len(self._names)}"
                    text = PLACEHOLDER.sub("?", statement).replace("'", "''")
                    cursor.execute(f"PREPARE {name} FROM '{text}'")
                names = [f"@value_{number}" for number in range(len(given))]
                pairs = zip(names, given, strict=True)
                cursor.execute("SET " + ", ".join(f"{a} = {literal(b)}" for a, b in pairs))
                cursor.execute(f"EXECUTE {name} USING " + ", ".join(names))
            else:
                cursor.execute(inline(statement, values))
            rows = list(cursor.fetchall()) if cursor.description else []
            while cursor.nextset():
                pass
            return rows, cursor.rowcount


class Connector(Threaded):
    """Prepared statements of the binary protocol."""

    way = "connector, prepared"
    is_pure: ClassVar = True

    def __init__(self) -> None:
        super().__init__()
        self._cursors: dict[str, Any] = {}

    def dial(self, dsn: str) -> object:
        return mysql.connector.connect(
            **_target(dsn),
            database=_database(dsn),
            autocommit=True,
            connection_timeout=int(CONNECT_TIMEOUT),
            use_pure=self.is_pure,
            ssl_disabled=True,
        )

    def say(self, statement: str, values: Sequence[int | str]) -> tuple[Sequence[Row], int]:
        if not statement.startswith(("SELECT", *_COUNTED)):
            with self._connection.cursor() as plain:
                plain.execute(inline(statement, values))
                rows = list(plain.fetchall()) if plain.with_rows else []
                while plain.nextset():
                    pass
                return rows, plain.rowcount
        cursor = self._cursors.get(statement)
        if cursor is None:
            cursor = self._cursors[statement] = self._connection.cursor(prepared=True)
        cursor.execute(PLACEHOLDER.sub("%s", statement), _in_order(statement, values))
        return (list(cursor.fetchall()) if cursor.with_rows else []), cursor.rowcount


DOORS: Final[tuple[type[MySQLDoor], ...]] = (
    Aiomysql,
    AiomysqlSnapshots,
    AiomysqlImplicit,
    Asyncmy,
    PymysqlExecute,
    Connector,
)
