"""How an engine's servers are asked, away from a running proxy: the seam between both.

Blocking, as nothing else goes on meanwhile.
"""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from getpass import getuser
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from proxy.doctor.events import Unread
from proxy.errors import Unanswerable
from proxy.runtime.security import make_security
from proxy.settings.model import ServerGroup
from proxy.sql.bodies import Declarations
from proxy.sql.language import Language
from proxy.sql.lineage import Lineage
from proxy.topology.group import Server
from proxy.topology.postgres_catalogs import declarations_of
from proxy.topology.witness import Control

TIMEOUT: Final = 30.0
"""Seconds for which one question may take: the catalog of a large database takes a few."""

Rows = Mapping[str, Sequence[Sequence[Any]]]


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


@dataclass(frozen=True, slots=True)
class Total:
    """What one statement amounts to."""

    text: str
    user: str
    database: str
    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Totals:
    """Everything that a server has counted.

    Attributes:
        problems: What is not among it, a line each.
    """

    totals: list[Total]
    problems: tuple[str, ...] = ()


class Asker(ABC):
    """Asks an engine's servers.

    Attributes:
        engine: Its name in a configuration.
        language: What statements are written in.
        schemes: Of connection strings.
        port: Where servers listen, where nobody says otherwise.
        listen: Where we do, by our documentation.
        secret: The environment's variable that may hold a password.
        counts: What servers count statements in.
        logged: How statements come to be logged, or counted.
        search_path: What names are looked up in, where nobody says otherwise.
        has_schemas: Whether what clients call a database is a schema of one catalog.
        has_order: Whether sessions can be followed in what it logs.
    """

    engine: str
    language: Language
    schemes: tuple[str, ...]
    port: int
    listen: int
    secret: str
    counts: str
    logged: str
    search_path: str
    has_schemas: bool
    has_order: bool

    @abstractmethod
    def questions(self) -> Iterable[str]:
        """What definitions are the answers to: other ones have other answers."""

    @abstractmethod
    def build(self, database: str, declarations: Declarations | None, rows: Rows) -> Lineage:
        """Make a catalog of the answers."""

    @abstractmethod
    async def ask_rows(self, way: Way, database: str) -> Rows:
        """Ask for the definitions of a database."""

    @abstractmethod
    def read_totals(self, lines: Iterable[str], name: str, unread: Unread) -> Iterator[Total]:
        """Read a log whose sessions can't be followed."""

    @abstractmethod
    async def ask_totals(self, way: Way) -> Totals:
        """Ask what the server has counted."""

    def way_of(self, group: ServerGroup) -> Way:
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

    def way_to(self, url: str) -> Way:
        """Reach the server of a connection string.

        Raises:
            Unanswerable: It is none.
        """
        try:
            parts = urlsplit(url)
            asked = dict(parse_qsl(parts.query))
            host = parts.hostname or asked.get("host", "localhost")
            port = parts.port or int(asked.get("port", self.port))
        except ValueError:
            raise Unanswerable(
                f"not a connection string: {self.schemes[0]}user@host:{self.port}/database"
            ) from None
        user = unquote(parts.username or "") or asked.get("user") or getuser()
        control = Control(
            user=user,
            password=unquote(parts.password or "") or os.environ.get(self.secret, ""),
            database=unquote(parts.path.lstrip("/")) or self.database_of(user),
            application_name="tidegate doctor",
            tls=asked.get("sslmode", "prefer") if not host.startswith("/") else False,
            interval=1.0,
            timeout=5.0,
        )
        return Way(control, (Server(unquote(host), port),))

    def database_of(self, user: str) -> str:
        """Where a user goes that names no database."""
        return user

    def fetch_rows(self, way: Way, database: str) -> Rows:
        """Fetch the definitions of a database, from the first server that answers.

        Raises:
            Unanswerable: None does, or there is no such database.
        """
        return asyncio.run(self._rows(way, database))

    async def _rows(self, way: Way, database: str) -> Rows:
        async with asyncio.timeout(TIMEOUT * len(way.servers)):
            return await self.ask_rows(way, database)

    def fetch_catalog(self, way: Way, database: str) -> Lineage:
        """Fetch a database's catalog, from the first server that answers.

        Raises:
            Unanswerable: None does, or there is no such database.
        """
        return self.build(database, way.declarations, self.fetch_rows(way, database))

    def fetch_totals(self, way: Way) -> Totals:
        """Fetch what the server has counted.

        Raises:
            Unanswerable: It does not answer, or does not count.
        """
        return asyncio.run(self.ask_totals(way))


class FiledCatalogs:
    """Those of files.

    Args:
        catalogs: As read.
        default: The database that is meant where none is named; empty: the only one there is.
        is_one: Whether there is one for all databases.
    """

    def __init__(
        self, catalogs: Iterable[Lineage], default: str = "", *, is_one: bool = False
    ) -> None:
        self._catalogs = {catalog.database: catalog for catalog in catalogs}
        self._default = default
        self._is_one = is_one

    def find(self, database: str | None) -> Lineage | None:
        """See `proxy.doctor.model.Definitions`."""
        name = "" if self._is_one else database or self._default
        if not name and len(self._catalogs) == 1:
            (name,) = self._catalogs
        return self._catalogs.get(name)


class FetchedCatalogs:
    """Those of servers, fetched when they are first asked for.

    Args:
        asker: Knows how.
        way: To the servers.
        default: The database that is meant where none is named; empty: nobody knows.

    Attributes:
        problems: Why some could not be had, by database.
    """

    def __init__(self, asker: Asker, way: Way, default: str) -> None:
        self.problems: dict[str, str] = {}
        self._asker = asker
        self._way = way
        self._default = default
        self._catalogs: dict[str, Lineage | None] = {}

    def find(self, database: str | None) -> Lineage | None:
        """See `proxy.doctor.model.Definitions`."""
        is_one = self._asker.has_schemas
        name = "" if is_one else database or self._default
        if not name and not is_one:
            return None
        if name not in self._catalogs:
            self._catalogs[name] = self._fetch(name)
        return self._catalogs[name]

    def _fetch(self, database: str) -> Lineage | None:
        try:
            return self._asker.fetch_catalog(self._way, database)
        except Unanswerable as error:
            self.problems[database] = str(error)
            return None
