"""The definitions of a MySQL or MariaDB server, over a control connection to the primary.

Adapter to aiomysql. No snapshot covers information_schema: a catalog counts when the fingerprint
was the same before and after it was read. A fingerprint is dear where there are many tables, so it
is asked as often as leaves the server alone for the most part, and at once when somebody has begun
to change a definition, which costs little to ask.

Rights of the control user: `catalog_queries.missing_rights`; one that is missing hides definitions.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from time import monotonic
from typing import Any, Final, final

import aiomysql
from pymysql.err import MySQLError, OperationalError

from proxy.observe.logs import Logger
from proxy.sql.mysql import catalog_queries as queries
from proxy.sql.mysql import originals
from proxy.sql.mysql.bodies import Interpreter
from proxy.sql.mysql.catalog import Catalog
from proxy.topology.catalogs import DefinitionsBusy, Rows
from proxy.topology.group import Server
from proxy.topology.mysql_witness import closing, connect, tell_end
from proxy.topology.witness import Control
from proxy.types import Table

log = Logger("catalogs")

FAILURES: Final = (OSError, TimeoutError, MySQLError, asyncio.IncompleteReadError)
"""What a control connection may fail with."""

SHARE: Final = 0.05
"""How much of the time the server is busy with fingerprints, at most, while nothing happens."""

ATTEMPTS: Final = 5
"""To read a catalog before somebody has changed something in it."""

_SETTINGS: Final = "SET SESSION sql_mode = '', lock_wait_timeout = 1"
_FRESH_STATISTICS: Final = "SET SESSION information_schema_stats_expiry = 0"

_COUNTS_CHILDREN: Final = (9, 6)
"""Since this version MySQL counts the rows that a cascade changes: InnoDB does none any more."""


@final
class MySQLDefinitions:
    """See `proxy.topology.catalogs.Definitions`.

    Args:
        control: How to connect.
        interpreter: Reads what is in the definitions.
    """

    failures = FAILURES

    def __init__(self, control: Control, interpreter: Interpreter) -> None:
        self._control = control
        self._interpreter = interpreter

    async def open(self, primary: Server, database: str, ended: Callable[[], None]) -> MySQLSource:
        """Connect to the primary; all of it is one database."""
        connection = await connect(self._control, primary)
        source = MySQLSource(connection, self._interpreter, self._control.timeout, ended)
        tell_end(connection, source.end)
        try:
            await source.begin()
        except BaseException:
            source.close()
            raise
        return source


@final
class MySQLSource:
    """See `proxy.topology.catalogs.Source`."""

    def __init__(
        self,
        connection: aiomysql.Connection,
        interpreter: Interpreter,
        timeout: float,
        ended: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._interpreter = interpreter
        self._timeout = timeout
        self._ended = ended
        self._is_over = False
        version = connection.get_server_info()
        self._is_mariadb = "MariaDB" in version
        self._counts_children = not self._is_mariadb and _numbers(version) >= _COUNTS_CHILDREN
        self._counters = queries.COUNTERS_BY_TIME
        self._counts_all = ""  # asks whether the counters are of everything
        self._catalog: Catalog | None = None
        self._commands: Sequence[Any] | None = None
        self._truncations: object = None
        self._files: dict[Table, int] = {}
        self._files_are_settled = False
        self._rights: object = None
        self._is_pending = False
        self._main: object = None
        self._details: object = None  # of what was new when it was looked at
        self._changes = 0
        self._due = 0.0

    async def begin(self) -> None:
        """Set the session up, and find out what this server offers."""
        await self._ask(_SETTINGS)
        if not self._is_mariadb:
            await self._ask(_FRESH_STATISTICS)
        if await self._ask(queries.HAS_USERSTAT):
            self._counters = queries.COUNTERS_USERSTAT
            self._counts_all = queries.COUNTS_ALL_USERSTAT
        elif (await self._ask(queries.HAS_COUNTERS))[0][0]:
            self._counters = queries.COUNTERS
            self._counts_all = queries.COUNTS_ALL

    async def identify(self) -> int:
        """A server is one database, and stays it."""
        return 1

    async def fingerprint(self, *, anew: bool) -> object:
        """See `proxy.topology.catalogs.Source`."""
        commands = await self._ask(queries.COMMANDS)
        has_begun = commands != self._commands
        self._note_rights(commands)
        if anew or has_begun or monotonic() >= self._due:
            self._commands = commands
            began = monotonic()
            await self._look()
            now = monotonic()
            self._due = now + (now - began) / SHARE
        return self, self._changes

    def _note_rights(self, commands: Sequence[Any]) -> None:
        """Take a command about rights for a change, now and when it has surely been carried out.

        Not all that such a command does can be seen in information_schema.
        """
        rights = [row for row in commands if queries.RIGHTS_COMMAND.search(row[0])]
        is_other = self._rights not in (None, rights)
        if is_other or self._is_pending:
            self._changes += 1
        self._is_pending = is_other
        self._rights = rights

    async def _look(self) -> None:
        """Compare all definitions with what they were."""
        ((newest, *main),) = await self._ask(queries.FINGERPRINT)
        details = None
        if newest or self._details is not None:
            details = await self._ask(queries.DETAILS)
        is_other = details is not None and self._details not in (None, details)
        if main != self._main or is_other:
            self._changes += 1
        self._main = main
        self._details = details if newest else None

    async def load(self) -> Catalog:
        """See `proxy.topology.catalogs.Source`."""
        self._catalog = Catalog.build(self._interpreter, **await self.read_rows())
        return self._catalog

    async def read_rows(self) -> dict[str, list[Any]]:
        """Read what a catalog is made of.

        Raises:
            DefinitionsBusy: A right is missing, or they change all the time.
        """
        grants = [row[0] for row in await self._ask(queries.RIGHTS)]
        missing = queries.missing_rights(grants, is_mariadb=self._is_mariadb)
        if missing:
            raise DefinitionsBusy(f"the control user lacks {', '.join(missing)} on *.*")
        for _ in range(ATTEMPTS):
            changes = self._changes
            asked = queries.queries(is_mariadb=self._is_mariadb)
            rows = {name: list(await self._ask(sql)) for name, sql in asked.items()}
            if not self._is_mariadb:
                await self._uncover(rows)
            await self._look()
            if self._changes == changes:
                return rows
        raise DefinitionsBusy("definitions are being changed")

    async def _uncover(self, rows: dict[str, list[Any]]) -> None:
        """Ask for the bodies that information_schema does not show as they are."""
        for hidden in originals.hidden_in(rows):
            try:
                (answer,) = await self._ask(hidden.question, may_be_refused=True)
            except OperationalError:
                continue  # it is gone, which the fingerprint will tell; or not for us to see
            row = list(rows[hidden.query][hidden.row])
            row[hidden.column] = originals.body_of(hidden.kind, answer)
            rows[hidden.query][hidden.row] = row

    @property
    def counts_at_once(self) -> bool:
        """See `proxy.topology.catalogs.Source`."""
        return bool(self._counts_all)

    async def era(self) -> Hashable:
        """See `proxy.topology.catalogs.Source`."""
        done = [tuple(row) for row in await self._ask(queries.UNSEEN)]
        if self._counts_all:
            is_lost = any(name.endswith(queries.LOST) and int(number) for name, number in done)
            if is_lost or not (await self._ask(self._counts_all))[0][0]:
                return None
        return self, tuple(done)

    async def uncounted(self) -> Iterable[int]:
        """See `proxy.topology.catalogs.Source`."""
        catalog = self._catalog
        if catalog is None or self._counters is not queries.COUNTERS_USERSTAT:
            return ()
        in_use = [catalog.find(row[0], row[1]) for row in await self._ask(queries.IN_USE)]
        return [table.oid for table in in_use if table is not None]

    async def counters(self) -> Rows:
        """See `proxy.topology.catalogs.Source`."""
        catalog = self._catalog
        if catalog is None:
            return ()
        await self._look_at_files()
        counted: dict[Table, tuple[int, int]] = {}
        for schema, name, rows, files in await self._ask(self._counters):
            table = catalog.find(schema, name)
            if table is not None:
                counted[table] = (int(rows), hash((int(files), self._files.get(table))))
        return _with_followers(counted, catalog, alone=self._counts_children)

    async def _look_at_files(self) -> None:
        """See which tables were truncated, if any may have been since they were looked at."""
        truncations = [row[1] for row in self._commands or () if row[0] == "Com_truncate"]
        was_settled = self._truncations == truncations
        if was_settled and self._files_are_settled:
            return
        self._files_are_settled = was_settled  # what has only begun is looked at once more
        self._truncations = truncations
        try:
            asked = queries.files(is_mariadb=self._is_mariadb)
            found = await self._ask(asked, may_be_refused=True)
        except OperationalError:
            return  # without the right to see it, a TRUNCATE of others goes unnoticed
        numbers: dict[Table, int] = {}
        for name, number in found:
            schema, table = queries.table_of_file(name)
            known = self._catalog and self._catalog.find(schema, table)
            if known is not None:
                numbers[known] = hash((numbers.get(known, 0), number))
        self._files = numbers

    def close(self) -> None:
        """Hang up."""
        self._is_over = True
        self._connection.close()

    def end(self) -> None:
        """Say, once, that the server hung up or can't be asked any more."""
        if not self._is_over:
            self._is_over = True
            self._ended()

    async def _ask(self, sql: str, *, may_be_refused: bool = False) -> Sequence[Any]:
        try:
            async with asyncio.timeout(self._timeout):
                with closing(self._connection):
                    async with self._connection.cursor(aiomysql.Cursor) as cursor:
                        await cursor.execute(sql)
                        rows: Sequence[Any] = await cursor.fetchall()
                        return rows
        except FAILURES:
            if not may_be_refused:
                self.end()
            raise


def _with_followers(
    counted: dict[Table, tuple[int, int]], catalog: Catalog, *, alone: bool
) -> list[tuple[int, int, int]]:
    """Count what is done to a table for those that a cascade from it may have changed."""
    sums = dict(counted)
    for table, (rows, files) in () if alone else counted.items():
        for follower in catalog.followers(table) - {table}:
            own_rows, own_files = sums.get(follower, (0, 0))
            sums[follower] = (own_rows + rows, hash((own_files, files)))
    return [(table.oid, rows, files) for table, (rows, files) in sums.items()]


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split("-")[0].split(".")
    return tuple(int(part) for part in parts if part.isdigit())
