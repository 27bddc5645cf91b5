"""MySQL's and MariaDB's servers, asked over a control connection: definitions, statement digests.

Adapter to aiomysql.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, final

import aiomysql

from proxy.doctor import ways
from proxy.doctor.events import Unread
from proxy.doctor.mysql import totals
from proxy.doctor.mysql.slow_log import read_slow_log
from proxy.doctor.ways import TIMEOUT, Rows, Total, Totals, Way
from proxy.errors import Unanswerable
from proxy.sql.bodies import Declarations
from proxy.sql.language import MySQLLanguage
from proxy.sql.mysql.catalog import Catalog
from proxy.sql.mysql.catalog_queries import queries
from proxy.sql.mysql.interpreter import ServerInterpreter
from proxy.topology.catalogs import DefinitionsBusy
from proxy.topology.mysql_catalogs import FAILURES, MySQLSource
from proxy.topology.mysql_witness import connect
from proxy.topology.witness import describe


@final
class MySQLAsker(ways.Asker):
    """See the base. A server is one catalog, whatever database is named."""

    engine = "mysql"
    language = MySQLLanguage()
    schemes = ("mysql://", "mariadb://")
    port = 3306
    listen = 6033
    secret = "MYSQL_PWD"
    counts = "performance_schema"
    logged = (
        "performance_schema counts them where it is on; the slow query log has them with"
        " slow_query_log = ON, long_query_time = 0, log_output = FILE"
    )
    search_path = ""
    has_schemas = True
    has_order = False

    def questions(self) -> Iterable[str]:
        """See the base: those of both flavours."""
        for is_mariadb in (False, True):
            for name, sql in sorted(queries(is_mariadb=is_mariadb).items()):
                yield f"{name}\0{sql}"

    def build(self, database: str, declarations: Declarations | None, rows: Rows) -> Catalog:
        """See the base."""
        asked = {name: rows[name] for name in queries(is_mariadb=False)}
        return Catalog.build(ServerInterpreter(), **asked)

    def way_to(self, url: str) -> Way:
        """See the base: in the open only, since nothing says how certificates are to be checked."""
        if "ssl" in url.partition("?")[2]:
            raise Unanswerable("TLS: name a configuration in place of a connection string")
        return super().way_to(url)

    def database_of(self, user: str) -> str:
        """See the base: one may be in none."""
        return ""

    async def ask_rows(self, way: Way, database: str) -> Rows:
        """See the base."""
        connection = await reach(way)
        source = MySQLSource(connection, ServerInterpreter(), TIMEOUT, _nobody_hears)
        try:
            await source.begin()
            found = await source.read_rows()
        except (*FAILURES, DefinitionsBusy) as error:
            raise Unanswerable(f"{way.servers[0].name}: {describe(error)}") from None
        finally:
            source.close()
        return {name: [_plain(row) for row in rows] for name, rows in found.items()}

    def read_totals(self, lines: Iterable[str], name: str, unread: Unread) -> Iterator[Total]:
        """See the base: the slow query log."""
        return read_slow_log(lines, name, unread)

    async def ask_totals(self, way: Way) -> Totals:
        """See the base."""
        connection = await reach(way)
        try:
            return await totals.read_totals(connection)
        except FAILURES as error:
            raise Unanswerable(f"{way.servers[0].name}: {describe(error)}") from None
        finally:
            connection.close()


async def reach(way: Way) -> aiomysql.Connection:
    """Connect to the first server that answers.

    Raises:
        Unanswerable: None does.
    """
    problems = []
    for server in way.servers:
        try:
            return await connect(replace(way.control, database="", timeout=TIMEOUT), server)
        except FAILURES as error:
            problems.append(f"{server.name}: {describe(error)}")
    raise Unanswerable("no server could be asked: " + "; ".join(problems))


def _plain(row: Iterable[Any]) -> tuple[Any, ...]:
    """Put what JSON has no word for in one that it has."""
    return tuple(_value(value) for value in row)


def _value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    return int(value) if isinstance(value, Decimal) else value


def _nobody_hears() -> None:
    return
