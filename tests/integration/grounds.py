"""An engine's servers and an application of theirs, for behaviour that is the same for all.

The SQL is what they have in common, and so are the verbs: whoever needs more of a driver, or words
of one engine, is tested in a file of that engine.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import psycopg
import pymysql
import pytest

from proxy.demo.local_mysql import MySQLCluster
from proxy.demo.local_postgres import SUPERUSER, PostgresCluster
from proxy.demo.processes import wait_until
from tests.integration.application import Application
from tests.integration.conftest import heal, heal_mysql
from tests.integration.mysql_under_test import MySQLApplication, application, mysql_proxy
from tests.integration.proxy_under_test import SERVE, ProxyUnderTest, Setting

ERRORS = (psycopg.Error, pymysql.MySQLError)
_numbers = itertools.count(1)


class Client:
    """A connection, each statement of which is a transaction unless one is begun.

    Args:
        connection: Of psycopg or PyMySQL.
    """

    def __init__(self, connection: psycopg.Connection[Any] | pymysql.Connection[Any]) -> None:
        self._connection = connection

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._connection.close()

    def ask(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Run a text; returns its rows, none where it has no result."""
        with self._connection.cursor() as cursor:
            cursor.execute(sql.encode() if isinstance(cursor, psycopg.Cursor) else sql)
            return list(cursor.fetchall()) if cursor.description else []

    def value(self, sql: str) -> Any:
        """The only value of the only row."""
        ((value,),) = self.ask(sql)
        return value

    def explain(self, sql: str) -> dict[str, str]:
        """What EXPLAIN ROUTE says of a statement."""
        return {str(fact): str(value) for fact, value in self.ask(f"EXPLAIN ROUTE {sql}")}

    def code(self, sql: str) -> str:
        """Run a text; returns the SQLSTATE or number of the error that comes of it, or nothing."""
        try:
            self.ask(sql)
        except psycopg.Error as error:
            return error.sqlstate or "?"
        except pymysql.MySQLError as error:
            return str(error.args[0])
        return ""


@dataclass
class Ground:
    """See the module.

    Attributes:
        engine: What it is called.
        cluster: The servers.
        application: Connects to the primary itself.
        folder: For its proxies.
        running: Stops them at the end.
    """

    engine: str
    cluster: PostgresCluster | MySQLCluster
    application: Application | MySQLApplication
    folder: Path
    running: ExitStack = field(default_factory=ExitStack)

    @property
    def snapshot(self) -> str:
        """Begins a transaction that reads of one snapshot."""
        is_mysql = isinstance(self.application, MySQLApplication)
        return "BEGIN" if is_mysql else "BEGIN ISOLATION LEVEL REPEATABLE READ"

    @property
    def schema(self) -> str:
        """Where its tables are."""
        is_mysql = isinstance(self.application, MySQLApplication)
        return self.application.database if is_mysql else "public"

    def start(
        self,
        command: Sequence[str] = SERVE,
        bus_url: str | None = None,
        workers: int = 1,
        **group: Setting,
    ) -> ProxyUnderTest:
        """Start a proxy in front of the servers: see `proxy`."""
        fleet = None if bus_url is None else {"bus_url": bus_url}
        return self.running.enter_context(self.proxy(fleet, command, workers, **group))

    def launch(
        self, fleet: Mapping[str, Setting] | None, workers: int = 1, **group: Setting
    ) -> ProxyUnderTest:
        """Start one and do not wait until it is ready: see `proxy`."""
        proxy = self.proxy(fleet, workers=workers, **group)
        self.running.callback(proxy.kill)
        proxy.launch()
        return proxy

    def proxy(
        self,
        fleet: Mapping[str, Setting] | None = None,
        command: Sequence[str] = SERVE,
        workers: int = 1,
        **group: Setting,
    ) -> ProxyUnderTest:
        """Make a proxy in front of the servers, not started yet.

        Args:
            fleet: Settings of the fleet that it is in.
            command: What is run, where it is not the product as it is.
            workers: How many processes.
            group: Settings of its server group.
        """
        sections = None if fleet is None else {"fleet": fleet}
        folder = self.folder / f"proxy{next(_numbers)}"
        folder.mkdir()
        if isinstance(self.cluster, MySQLCluster):
            return mysql_proxy(
                folder, self.cluster, command=command, sections=sections, workers=workers, **group
            )
        return ProxyUnderTest(
            folder,
            [server.address for server in self.cluster.servers],
            auth_user=SUPERUSER,
            auth_password=self.cluster.password,
            group=group,
            sections=sections,
            command=command,
            workers=workers,
        )

    def connect(self, proxy: ProxyUnderTest | None = None, **settings: str) -> Client:
        """Connect, to the primary itself where no proxy is named.

        Args:
            proxy: To connect through.
            settings: Of Tidegate's own, for the session.
        """
        way = self.application if proxy is None else self.application.at(proxy.port)
        client = Client(way.connect())
        for name, value in settings.items():
            client.ask(f"SET tidegate.{name} = '{value}'")
        return client

    def make(self, **tables: int) -> None:
        """Make tables of one row and one column, there on every server."""
        with self.connect() as client:
            for name, value in tables.items():
                client.ask(f"DROP TABLE IF EXISTS {name}")
                client.ask(f"CREATE TABLE {name} (a int)")
                client.ask(f"INSERT INTO {name} VALUES ({value})")
        self.cluster.wait_replayed()

    def drop_view(self) -> None:
        """Drop what a fleet keeps in the primary."""
        is_mysql = isinstance(self.cluster, MySQLCluster)
        what = "DATABASE IF EXISTS tidegate" if is_mysql else "SCHEMA IF EXISTS tidegate CASCADE"
        self.cluster.primary.execute(f"DROP {what}")

    @contextmanager
    def lent(self, **tables: int) -> Iterator[Ground]:
        """Lend it to a fleet's test, with tables as `make` has them; then they go, and its view."""
        self.drop_view()
        self.make(**tables)
        yield self
        with self.connect() as client:
            for name in tables:
                client.ask(f"DROP TABLE {name}")
        self.drop_view()

    def wait_for_replicas(self, proxy: ProxyUnderTest, sql: str) -> None:
        """Wait until a read would be served by a replica."""
        with self.connect(proxy) as client:
            wait_until(
                lambda: client.explain(sql)["reason"] == "replica", "reads to leave the primary"
            )

    def heal(self) -> None:
        """Have all servers up and in step."""
        if isinstance(self.cluster, MySQLCluster):
            heal_mysql(self.cluster)
        else:
            heal(self.cluster)

    def stand_still(self) -> None:
        """Have the replicas replay nothing from now on."""
        for replica in self.cluster.replicas:
            replica.pause_replay()


@contextmanager
def on_ground(engine: str, folder: Path, request: pytest.FixtureRequest) -> Iterator[Ground]:
    """Stand on an engine's shared servers, and stop what was started there at the end.

    Args:
        engine: A name of `Ground`'s.
        folder: For its proxies.
        request: Knows the fixtures of the servers.
    """
    with ExitStack() as stack:
        if engine == "postgres":
            direct: Application = request.getfixturevalue("direct")
            ground = Ground(engine, request.getfixturevalue("shared_cluster"), direct, folder)
        else:
            cluster: MySQLCluster = request.getfixturevalue(f"shared_{engine}")
            ground = Ground(engine, cluster, stack.enter_context(application(cluster)), folder)
        stack.enter_context(ground.running)
        yield ground


def standing_on(*engines: Any) -> Any:
    """Make the fixture of a file whose tests stand on each of these engines, one after the other.

    Args:
        engines: Names of `Ground`'s, or such parameters with marks.
    """

    @pytest.fixture(scope="module", params=engines)
    def standing(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Ground]:
        with on_ground(request.param, tmp_path_factory.mktemp("ground"), request) as ground:
            yield ground

    return standing
