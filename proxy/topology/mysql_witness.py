"""The control connection to MySQL and MariaDB: what such a server says of itself.

Adapter to aiomysql. What the servers of a group say together means is `gtid_history`'s; what asks
again and again is `witness`'s.

Rights: everybody may read GTIDs. Whom a server follows is told to REPLICATION CLIENT (MySQL) or
SLAVE MONITOR (MariaDB) only, and so are places in MySQL's logs; without it, a replica that isn't
read-only is taken for a primary, and without GTIDs none is read from. To end sessions takes
CONNECTION_ADMIN or CONNECTION ADMIN.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, NamedTuple, final

import aiomysql
from pymysql.constants import ER
from pymysql.err import MySQLError, OperationalError

from proxy.errors import RemoteProtocolError
from proxy.observe.logs import Logger
from proxy.topology.binlog import parse_files, parse_log
from proxy.topology.group import Server
from proxy.topology.gtid import GtidSet, parse_domains, parse_executed, parse_writers
from proxy.topology.gtid_history import GtidHistory, Report, Source
from proxy.topology.log_history import NOTHING
from proxy.topology.witness import Control, Sight, describe

log = Logger("topology")

SYSTEM: Final = 1
"""MySQL doesn't say which data set it holds. Who holds another one is found by its commits."""

Row = Mapping[str, Any]

_MYSQL: Final = """
SELECT @@server_uuid AS identity,
       @@GLOBAL.read_only OR @@GLOBAL.super_read_only OR @@GLOBAL.innodb_read_only AS is_read_only,
       @@GLOBAL.gtid_mode = 'ON' AS has_gtids,
       @@GLOBAL.log_bin AS has_log,
       @@GLOBAL.gtid_executed AS executed
"""
_MARIADB: Final = """
SELECT @@GLOBAL.server_id AS identity,
       @@GLOBAL.read_only OR @@GLOBAL.innodb_read_only AS is_read_only,
       @@GLOBAL.log_bin AS numbers_commits,
       @@GLOBAL.gtid_domain_id AS domain,
       @@GLOBAL.gtid_slave_pos AS replayed,
       @@GLOBAL.gtid_current_pos AS current,
       @@GLOBAL.gtid_binlog_state AS state
"""

CLOCK_SLACK: Final = 2.0
"""Seconds. A server's age comes in whole ones."""

ER_SPECIFIC_ACCESS_DENIED: Final = 1227


class _Words(NamedTuple):
    """What MySQL and MariaDB call the same thing."""

    look: str
    sources: str
    source: str
    replica: str
    source_identity: str
    command: str


_OF_MYSQL: Final = _Words(
    _MYSQL,
    "SHOW REPLICA STATUS",
    "Source",
    "Replica",
    "Source_UUID",
    # MySQL warns of information_schema.PROCESSLIST, each time. Without rows: performance_schema is
    # off, or has had no room for the session.
    "SELECT PROCESSLIST_COMMAND AS command FROM performance_schema.threads WHERE PROCESSLIST_ID = ",
)
_OF_MARIADB: Final = _Words(
    _MARIADB,
    "SHOW ALL SLAVES STATUS",
    "Master",
    "Slave",
    "Master_Server_Id",
    "SELECT COMMAND AS command FROM information_schema.PROCESSLIST WHERE ID = ",
)


class _Log(NamedTuple):
    """What a server says of its log.

    Attributes:
        end: Where it ends.
        files: What there is of it; empty: it was asked before.
    """

    end: Row
    files: Sequence[Row]


def mysql_opener(
    history: GtidHistory,
) -> Callable[[Control, Server, Callable[[], None]], Awaitable[MySQLLink]]:
    """Return what opens links to the servers of a group, which share its history."""

    async def open_link(control: Control, server: Server, broken: Callable[[], None]) -> MySQLLink:
        connection = await connect(control, server)
        tell_end(connection, broken)
        return MySQLLink(server, history, control, connection)

    return open_link


async def connect(control: Control, server: Server) -> aiomysql.Connection:
    """Open a control connection.

    Raises:
        OSError: It can't be had.
    """
    async with failing(control.timeout):
        return await aiomysql.connect(
            host=server.host,
            port=server.port,
            user=control.user,
            password=control.password,
            db=control.database or None,
            ssl=control.tls if isinstance(control.tls, ssl.SSLContext) else None,
            autocommit=True,
            charset="utf8mb4",
            program_name=control.application_name,
            cursorclass=aiomysql.DictCursor,
        )


def tell_end(connection: aiomysql.Connection, broken: Callable[[], None]) -> None:
    """Have something called when the server hangs up.

    The driver itself notices that with the next question. The stream tells its reader; so the two
    ways in which it does are passed through here.
    """
    reader: asyncio.StreamReader = connection._reader
    feed_eof, set_exception = reader.feed_eof, reader.set_exception

    def end() -> None:
        feed_eof()
        broken()

    def fail(error: BaseException) -> None:
        set_exception(error)  # type: ignore[arg-type]
        broken()

    reader.feed_eof = end  # type: ignore[method-assign]
    reader.set_exception = fail  # type: ignore[method-assign, assignment]


@final
class MySQLLink:
    """A control connection to MySQL or MariaDB."""

    __slots__ = (
        "_connection",
        "_control",
        "_end",
        "_follows",
        "_has_files",
        "_history",
        "_is_denied",
        "_server",
        "_sources_at",
        "_was_read_only",
        "_words",
    )

    def __init__(
        self,
        server: Server,
        history: GtidHistory,
        control: Control,
        connection: aiomysql.Connection,
    ) -> None:
        self._server = server
        self._history = history
        self._control = control
        self._connection = connection
        is_mariadb = "MariaDB" in connection.get_server_info()
        self._words = _OF_MARIADB if is_mariadb else _OF_MYSQL
        is_old = not is_mariadb and _version(connection.get_server_info()) < (8, 2)
        self._end = "SHOW MASTER STATUS" if is_old else "SHOW BINARY LOG STATUS"
        self._has_files = False
        self._follows: Sequence[Row] = ()  # what it says of whom it follows
        self._sources_at = -1e9
        self._was_read_only: object = None
        self._is_denied = False

    async def look(self) -> Sight:
        """Ask the server what it is and how far it is.

        Whom it follows is asked less often than its position, unless that tells it too: it takes
        the server longer, and a change of it shows in whether the server is read-only, too.
        """
        (row,) = await self._ask(self._words.look)
        is_mysql = self._words is _OF_MYSQL
        by_log = is_mysql and (not row["has_gtids"] or self._history.by_log)
        logged = await self._find_log(row) if by_log else None
        now = time.monotonic()
        tells_place = by_log and (row["is_read_only"] or self._follows)
        is_due = tells_place or now - self._sources_at >= self._control.interval
        if is_due or row["is_read_only"] != self._was_read_only:
            self._follows = await self._find_sources()
            self._sources_at = now
            self._was_read_only = row["is_read_only"]
        try:
            sources = [self._source(it) for it in self._follows if self._is_running(it)]
            if is_mysql:
                report = _mysql_report(row, sources, logged, self._follows if by_log else ())
            else:
                report = _mariadb_report(row, sources)
            finding = self._history.saw(self._server, report)
        except RemoteProtocolError as error:
            raise ConnectionError(str(error)) from error
        if finding.complaint:
            log.warning("replica kept out", server=self._server.name, error=finding.complaint)
        return Sight(finding.role, SYSTEM, finding.timeline, finding.position)

    async def _find_log(self, row: Row) -> _Log | None:
        """Ask how far the log of a server is that is the primary, or may be; None: not told.

        What a crash has left of its files is asked once: a new witness follows every crash.
        """
        may_write = not row["is_read_only"] or self._history.is_primary(self._server)
        if not row["has_log"] or not may_write:
            return None
        try:
            files = [] if self._has_files else await self._ask("SHOW BINARY LOGS")
            ends = await self._ask(self._end)
        except OperationalError:
            return None
        self._has_files = True
        return _Log(ends[0], files) if ends else None

    async def fence(self, pid: int, start: float) -> bool:
        """End a session: see `Witness.fence`. Numbers begin anew when the server is restarted.

        Args:
            pid: The connection's id.
            start: When we opened it, by our clock: the server tells nobody.
        """
        (uptime,) = await self._ask("SHOW GLOBAL STATUS LIKE 'Uptime'")
        if start < time.time() - float(uptime["Value"]) - CLOCK_SLACK:
            return True
        # One that was told to end is found until it has ended.
        return await self._kill(pid) or await self._kill(pid)

    async def is_busy(self, pid: int) -> bool:
        """Tell whether a session may be running something; it may where that can't be seen."""
        rows = await self._ask(f"{self._words.command}{pid:d}")
        return not rows or bool(rows[0]["command"] != "Sleep")

    async def _kill(self, pid: int) -> bool:
        """Tell a session to end; returns whether there is none. One need not see it for that."""
        try:
            await self._ask(f"KILL {pid:d}")
        except OperationalError as error:
            return bool(error.args[0] == ER.NO_SUCH_THREAD)
        return False

    def close(self) -> None:
        self._connection.close()
        self._history.lost(self._server)

    async def _find_sources(self) -> Sequence[Row]:
        try:
            return await self._ask(self._words.sources)
        except OperationalError as error:
            if not self._is_denied:
                self._is_denied = True
                log.warning(
                    "cannot see whom this server follows: if it is a replica, it must be read-only",
                    server=self._server.name,
                    error=describe(error),
                )
            return ()

    def _is_running(self, row: Row) -> bool:
        replica = self._words.replica
        return any(row[f"{replica}_{it}_Running"] != "No" for it in ("IO", "SQL"))

    def _source(self, row: Row) -> Source:
        words = self._words
        source = words.source
        address = f"{row[f'{source}_Host']}:{row[f'{source}_Port']}"
        return Source(str(row[words.source_identity]), address)

    async def _ask(self, sql: str) -> list[Row]:
        link = self._connection
        async with failing(self._control.timeout, link), link.cursor() as cursor:
            await cursor.execute(sql)
            return list(await cursor.fetchall())


@asynccontextmanager
async def failing(
    seconds: float, connection: aiomysql.Connection | None = None
) -> AsyncIterator[None]:
    """Have what fails fail as connections do, but for refusals, which the server survives.

    Args:
        seconds: It may take.
        connection: Is asked; see `closing`.
    """
    try:
        async with asyncio.timeout(seconds):
            with closing(connection):
                yield
    except MySQLError as error:
        if isinstance(error, OperationalError) and error.args[0] in _REFUSALS:
            raise
        raise ConnectionError(describe(error)) from error


@contextmanager
def closing(connection: aiomysql.Connection | None) -> Iterator[None]:
    """Have what is done with a connection fail as that does if it is closed meanwhile, by whomever.

    aiomysql reads on from the stream that closing has taken from it, and uvloop says of what is
    written where the other side has hung up that it is a mistake.
    """
    try:
        yield
    except (AttributeError, RuntimeError) as error:
        if connection is None or not (connection.closed or connection._writer.is_closing()):
            raise
        raise ConnectionError("closed while it was asked") from error


_REFUSALS: Final = (ER.NO_SUCH_THREAD, ER.KILL_DENIED_ERROR, ER_SPECIFIC_ACCESS_DENIED)


def _version(info: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", info)[:2])


def _mysql_report(
    row: Row, sources: Sequence[Source], log: _Log | None, follows: Sequence[Row]
) -> Report:
    """Make a report.

    Args:
        row: What every server says.
        sources: Whom it follows.
        log: What it says of its log; None: not asked, or not told.
        follows: What it says of whom it follows, where its places in their logs are wanted.
    """
    identity = str(row["identity"]).lower()
    executed = parse_executed(row["executed"])
    has_gtids = bool(row["has_gtids"])
    end = NOTHING if log is None else _end_of_log(identity, log.end)
    by_log = bool(end) and not has_gtids
    (own,) = end.intervals if by_log else (identity,)
    files = () if log is None else [(it["Log_name"], int(it["File_size"])) for it in log.files]
    return Report(
        identity=identity,
        takes_writes=not row["is_read_only"],
        numbers_commits=bool(row["has_log"]) if has_gtids else by_log,
        sources=sources,
        own=own,
        writer=own,
        executed=executed,
        written=executed,
        by_log=by_log,
        log=end,
        files=parse_files(identity, files),
        places=_place(follows[0]) if len(follows) == 1 else NOTHING,
        receives=any(it["Replica_IO_Running"] == "Yes" for it in follows),
    )


def _end_of_log(identity: str, end: Row) -> GtidSet:
    if end["Binlog_Do_DB"] or end["Binlog_Ignore_DB"]:
        return NOTHING  # it has not everything
    return parse_log(identity, end["File"], int(end["Position"]))


def _place(follows: Row) -> GtidSet:
    """Read what a replica has replayed. It is nowhere until it was connected to its source."""
    source, file = str(follows["Source_UUID"] or "").lower(), follows["Relay_Source_Log_File"]
    offset = int(follows["Exec_Source_Log_Pos"] or 0)
    return parse_log(source, file, offset) if source and file and offset else NOTHING


def _mariadb_report(row: Row, sources: Sequence[Source]) -> Report:
    domain = str(row["domain"])
    # What a replica wrote itself may bear the numbers that its primary gives to others.
    shown = row["replayed"] if sources or row["is_read_only"] else row["current"]
    return Report(
        identity=str(row["identity"]),
        takes_writes=not row["is_read_only"],
        numbers_commits=bool(row["numbers_commits"]),
        sources=sources,
        own=domain,
        writer=f"{domain}-{row['identity']}",
        executed=parse_domains(shown),
        written=parse_writers(f"{row['state']},{row['replayed']}"),
    )


def reached_in_mysql(contents: GtidSet, patience: float = 0.0) -> str:
    """Write the question whether a MySQL server has executed all this: a row, or none.

    Args:
        contents: What it must have.
        patience: Seconds that it may take for that.
    """
    if patience:  # without, it would wait for ever
        wait = f"WAIT_FOR_EXECUTED_GTID_SET('{contents}', {patience:.3f})"
        return f"SELECT 1 FROM DUAL WHERE {wait} = 0"
    return f"SELECT 1 FROM DUAL WHERE GTID_SUBSET('{contents}', @@GLOBAL.gtid_executed)"


def reached_in_mariadb(contents: GtidSet, patience: float = 0.0) -> str:
    """Write the question whether a MariaDB replica has replayed all this: a row, or none.

    Only domains and numbers are compared, so any server's id will do.

    Args:
        contents: What it must have.
        patience: Seconds that it may take for that.
    """
    position = ",".join(f"{domain}-1-{contents.largest(domain)}" for domain in contents.intervals)
    return f"SELECT 1 FROM DUAL WHERE MASTER_GTID_WAIT('{position}', {patience:.3f}) = 0"
