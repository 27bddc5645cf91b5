"""Where the catalogs come from: files, or the servers, over a control connection.

Adapter to asyncpg. Blocking, as nothing else goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from getpass import getuser
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import asyncpg

from proxy.doctor.catalog_file import Rows
from proxy.errors import Unanswerable
from proxy.runtime.security import make_security
from proxy.settings.model import ServerGroup
from proxy.sql.bodies import Declarations
from proxy.sql.catalog import Catalog
from proxy.topology.group import Server
from proxy.topology.postgres_catalogs import declarations_of, read_rows
from proxy.topology.witness import FAILURES, Control, connect, describe

TIMEOUT: Final = 30.0
"""Seconds for which one question may take: the catalog of a large database takes a few."""


@dataclass(frozen=True, slots=True)
class Way:
    """How the servers are reached.

    Attributes:
        control: As whom.
        servers: In the order in which they are tried.
        declarations: What functions do, by those who know.
    """

    control: Control
    servers: tuple[Server, ...]
    declarations: Declarations = field(default_factory=dict)


class FiledCatalogs:
    """Those of files.

    Args:
        catalogs: As read.
        default: The database that is meant where none is named; empty: the only one there is.
    """

    def __init__(self, catalogs: Iterable[Catalog], default: str = "") -> None:
        self._catalogs = {catalog.database: catalog for catalog in catalogs}
        self._default = default

    def find(self, database: str | None) -> Catalog | None:
        """See `proxy.doctor.model.Definitions`."""
        name = database or self._default
        if not name and len(self._catalogs) == 1:
            (name,) = self._catalogs
        return self._catalogs.get(name)


class FetchedCatalogs:
    """Those of servers, fetched when they are first asked for.

    Args:
        way: To the servers.
        default: The database that is meant where none is named; empty: nobody knows.

    Attributes:
        problems: Why some could not be had, by database.
    """

    def __init__(self, way: Way, default: str) -> None:
        self.problems: dict[str, str] = {}
        self._way = way
        self._default = default
        self._catalogs: dict[str, Catalog | None] = {}

    def find(self, database: str | None) -> Catalog | None:
        """See `proxy.doctor.model.Definitions`."""
        name = database or self._default
        if not name:
            return None
        if name not in self._catalogs:
            self._catalogs[name] = self._fetch(name)
        return self._catalogs[name]

    def _fetch(self, database: str) -> Catalog | None:
        try:
            return fetch_catalog(self._way, database)
        except Unanswerable as error:
            self.problems[database] = str(error)
            return None


def way_of(group: ServerGroup) -> Way:
    """Reach the servers of a group as the proxy would."""
    password = group.auth_password
    control = Control(
        user=group.auth_user,
        password=password.get_secret_value() if password is not None else "",
        database=group.auth_database,
        application_name="tidegate doctor",
        tls=make_security(group).control,
        interval=group.health_check_interval,
        timeout=group.server_connect_timeout,
    )
    servers = tuple(Server(address.host, address.port) for address in group.servers)
    return Way(control, servers, declarations_of(group))


def way_to(url: str) -> Way:
    """Reach the server of a connection string.

    Raises:
        Unanswerable: It is none.
    """
    try:
        parts = urlsplit(url)
        asked = dict(parse_qsl(parts.query))
        host = parts.hostname or asked.get("host", "localhost")
        port = parts.port or int(asked.get("port", "5432"))
    except ValueError:
        raise Unanswerable("not a connection string: postgresql://user@host:5432/database") from (
            None
        )
    user = unquote(parts.username or "") or asked.get("user") or getuser()
    control = Control(
        user=user,
        password=unquote(parts.password or "") or os.environ.get("PGPASSWORD", ""),
        database=unquote(parts.path.lstrip("/")) or user,
        application_name="tidegate doctor",
        tls=asked.get("sslmode", "prefer") if not host.startswith("/") else False,
        interval=1.0,
        timeout=5.0,
    )
    return Way(control, (Server(unquote(host), port),))


def fetch_catalog(way: Way, database: str) -> Catalog:
    """Fetch a database's catalog, from the first server that answers.

    Raises:
        Unanswerable: None does, or there is no such database.
    """
    return Catalog.build(database, way.declarations, **fetch_rows(way, database))


def fetch_rows(way: Way, database: str) -> Rows:
    """Fetch the rows of a database's catalog, from the first server that answers.

    Raises:
        Unanswerable: None does, or there is no such database.
    """
    return asyncio.run(_fetch_rows(way, database))


async def _fetch_rows(way: Way, database: str) -> Rows:
    async with asyncio.timeout(TIMEOUT * len(way.servers)):
        connection = await reach(way, database)
        try:
            found = await read_rows(connection)
        except FAILURES as error:
            raise Unanswerable(f'database "{database}": {describe(error)}') from None
        finally:
            connection.terminate()
    return {name: [tuple(row) for row in rows] for name, rows in found.items()}


async def reach(way: Way, database: str) -> asyncpg.Connection[asyncpg.Record]:
    """Connect to the first server that answers.

    Raises:
        Unanswerable: None does, or there is no such database.
    """
    problems = []
    for server in way.servers:
        try:
            return await connect(replace(way.control, timeout=TIMEOUT), server, database)
        except asyncpg.InvalidCatalogNameError:
            raise Unanswerable(f'{server.name}: there is no database "{database}"') from None
        except FAILURES as error:
            problems.append(f"{server.name}: {describe(error)}")
    raise Unanswerable("no server could be asked: " + "; ".join(problems))
