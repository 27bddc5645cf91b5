"""The ways into PostgreSQL: each a driver with one of its manners of speaking the protocol."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Final

import asyncpg
import psycopg

from tests.consistency.door import CONNECT_TIMEOUT, Door, inline, literal, used
from tests.consistency.topics import Row

ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # how it takes the end of a connection in mid-COPY
    psycopg.Error,
    OSError,
    EOFError,
    TimeoutError,
    ValueError,  # how psycopg takes the same: it counts on one result, and gets two
)
"""Whatever a driver raises when a statement fails, a connection breaks or time is up."""


class PostgresDoor(Door):
    """See the base."""

    errors = ERRORS
    begins = ("BEGIN", "BEGIN READ ONLY")
    snapshot = ("BEGIN ISOLATION LEVEL REPEATABLE READ",)
    try_again = "40001"

    @staticmethod
    def code(error: BaseException) -> str:
        return sqlstate(error)

    @staticmethod
    def is_certain(error: BaseException) -> bool:
        return is_certain(error)


class Asyncpg(PostgresDoor):
    """Named prepared statements, binary, kept for the connection's life; no values: simple."""

    way = "asyncpg, prepared"
    cached_statements: ClassVar = 100

    def __init__(self) -> None:
        self._connection: Any = None

    async def open(self, dsn: str) -> None:
        self._connection = await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT, statement_cache_size=self.cached_statements
        )

    async def fetch(self, statement: str, *values: int | str) -> Sequence[Row]:
        rows: Sequence[Row] = await self._connection.fetch(statement, *used(statement, values))
        return rows

    async def execute(self, statement: str, *values: int | str) -> str:
        if statement.startswith("COPY"):
            table = statement.split()[1]
            tag = await self._connection.copy_records_to_table(
                table, columns=("k", "v"), records=[values]
            )
        else:
            tag = await self._connection.execute(statement, *used(statement, values))
        return str(tag)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()


class AsyncpgUnnamed(Asyncpg):
    """Unnamed statements, parsed anew each time: Describe comes in a round trip of its own."""

    way = "asyncpg, unnamed"
    cached_statements = 0


class Psycopg(PostgresDoor):
    """The extended protocol in one go, in text."""

    way = "psycopg, extended"
    prepares: ClassVar = False
    is_binary: ClassVar = False

    def __init__(self) -> None:
        self._connection: psycopg.AsyncConnection[Row] | None = None

    async def open(self, dsn: str) -> None:
        self._connection = await psycopg.AsyncConnection.connect(
            dsn,
            autocommit=True,
            prepare_threshold=0 if self.prepares else None,
            connect_timeout=int(CONNECT_TIMEOUT),
            cursor_factory=psycopg.AsyncRawCursor,
        )

    @property
    def connection(self) -> psycopg.AsyncConnection[Row]:
        assert self._connection is not None
        return self._connection

    async def _run(self, statement: str, *values: int | str) -> psycopg.AsyncCursor[Row]:
        cursor = self.connection.cursor(binary=self.is_binary)
        return await cursor.execute(statement.encode(), used(statement, values))

    async def fetch(self, statement: str, *values: int | str) -> Sequence[Row]:
        return await (await self._run(statement, *values)).fetchall()

    async def execute(self, statement: str, *values: int | str) -> str:
        if statement.startswith("COPY"):
            cursor = self.connection.cursor()
            async with cursor.copy(statement.encode()) as copy:
                await copy.write_row(values)
        else:
            cursor = await self._run(statement, *values)
        return cursor.statusmessage or ""

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()


class PsycopgPrepared(Psycopg):
    """Named prepared statements, results in binary."""

    way = "psycopg, prepared, binary"
    prepares = True
    is_binary = True


class PsycopgSimple(Psycopg):
    """The simple protocol, with the values written into the text."""

    way = "psycopg, simple"

    async def _run(self, statement: str, *values: int | str) -> psycopg.AsyncCursor[Row]:
        return await self.connection.cursor().execute(inline(statement, values).encode())


class PsycopgExecute(PsycopgSimple):
    """PREPARE and EXECUTE, as statements."""

    way = "psycopg, EXECUTE"

    def __init__(self) -> None:
        super().__init__()
        self._names: dict[str, str] = {}

    async def fetch(self, statement: str, *values: int | str) -> Sequence[Row]:
        name = self._names.get(statement)
        if name is None:
            name = f"reads_{len(self._names)}"
            await self._run(f"PREPARE {name} AS {statement}")
            self._names[statement] = name
        arguments = ", ".join(literal(value) for value in used(statement, values))
        call = f"EXECUTE {name}({arguments})" if arguments else f"EXECUTE {name}"
        return await (await self._run(call)).fetchall()


class PsycopgPipeline(PsycopgPrepared):
    """Several statements on their way before the first is answered."""

    way = "psycopg, pipeline"

    async def fetch_many(
        self, requests: Sequence[tuple[str, tuple[int | str, ...]]]
    ) -> list[Sequence[Row]]:
        async with self.connection.pipeline():
            cursors = [await self._run(statement, *values) for statement, values in requests]
            return [await cursor.fetchall() for cursor in cursors]


DOORS: Final[tuple[type[Door], ...]] = (
    Asyncpg,
    AsyncpgUnnamed,
    Psycopg,
    PsycopgPrepared,
    PsycopgSimple,
    PsycopgExecute,
    PsycopgPipeline,
)


def sqlstate(error: BaseException) -> str:
    """Return what the server said went wrong; "" when no server said anything."""
    return str(getattr(error, "sqlstate", None) or "")


def is_certain(error: BaseException) -> bool:
    """Tell whether an error proves that the transaction came to nothing.

    One that ends the connection does not: the commit may have been on its way. Nor does
    one that says so.
    """
    code = sqlstate(error)
    return code[:2] in ("0A", "22", "23", "25", "40", "42", "55", "P0") and code != "40003"
