"""Real servers for the tests: one cluster for the session, one proxy for each test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from proxy.demo.local_mysql import MySQLCluster, find_programs, temporary_mysql
from proxy.demo.local_postgres import SUPERUSER, PostgresCluster, temporary_cluster
from proxy.demo.mysql_programs import Flavour
from proxy.demo.processes import MissingProgram
from tests.integration.application import PASSWORD, Application
from tests.integration.proxy_under_test import ProxyUnderTest, Setting
from tests.integration.redis_under_test import Redis, temporary_redis, temporary_redis_cluster

_numbers = itertools.count(1)

StartProxy = Callable[..., ProxyUnderTest]


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[PostgresCluster]:
    """A primary and two replicas, started once. Tests use `cluster`, which heals it."""
    with temporary_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def tls_cluster() -> Iterator[PostgresCluster]:
    """A primary that offers TLS, with a user for every method of logging in to it.

    Their password is `PASSWORD`; `any_user` may log in by SCRAM over TLS only, `open_user` in the
    open only.
    """
    methods = {"scram_user": "scram-sha-256", "md5_user": "md5", "clear_user": "password"}
    methods |= {"trust_user": "trust"}
    hba = [f"host all {user} 127.0.0.1/32 {method}" for user, method in methods.items()]
    hba += ["hostssl all cert_user 127.0.0.1/32 cert", "host all cert_user 127.0.0.1/32 reject"]
    hba += ["hostnossl all any_user 127.0.0.1/32 reject"]
    hba += ["hostssl all open_user 127.0.0.1/32 reject"]
    with temporary_cluster(replicas=0, hba=hba, tls=True) as cluster:
        for user in (*methods, "cert_user", "any_user", "open_user"):
            kind = "md5" if user == "md5_user" else "scram-sha-256"
            cluster.primary.execute(
                f"SET password_encryption = '{kind}';"
                f" CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'"
            )
        yield cluster


@pytest.fixture
def cluster(shared_cluster: PostgresCluster) -> Iterator[PostgresCluster]:
    """The shared servers, all up and in step. They are brought back to that afterwards, so a
    test may pause, kill and restart them. It must not promote one: that needs its own cluster."""
    yield shared_cluster
    heal(shared_cluster)


@pytest.fixture
def database(cluster: PostgresCluster) -> Iterator[str]:
    """The name of an empty database, there on every server."""
    name = f"test_{next(_numbers)}"
    cluster.primary.execute(f"CREATE DATABASE {name}")
    cluster.wait_replayed()
    yield name
    heal(cluster)
    cluster.primary.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def start_proxy(cluster: PostgresCluster, tmp_path: Path) -> Iterator[StartProxy]:
    """Start proxies in front of the cluster; at the end they are stopped and their logs judged."""
    with ExitStack() as running:

        def start(*servers: str, **group: Setting) -> ProxyUnderTest:
            """Start one.

            Args:
                servers: Addresses in place of the cluster's own, for relays in between.
                group: Settings of its server group.
            """
            folder = tmp_path / f"proxy{next(_numbers)}"
            folder.mkdir()
            proxy = ProxyUnderTest(
                folder,
                servers or [server.address for server in cluster.servers],
                auth_user=str(group.pop("auth_user", SUPERUSER)),
                auth_password=str(group.pop("auth_password", cluster.password)),
                group=group,
            )
            return running.enter_context(proxy)

        yield start


@pytest.fixture
def proxy(start_proxy: StartProxy) -> ProxyUnderTest:
    """A proxy in front of the cluster, with every setting at its default."""
    return start_proxy()


def heal(cluster: PostgresCluster) -> None:
    """Bring every server up, let every replica replay, and wait until they are in step."""
    for server in cluster.servers:
        if not server.is_running:
            server.start()
    for replica in cluster.replicas:
        replica.resume_replay()
    cluster.wait_replayed()


@pytest.fixture(scope="session")
def direct(shared_cluster: PostgresCluster) -> Application:
    """An application with a role and a database, connected to the primary without a proxy."""
    application = Application(shared_cluster.primary.port)
    application.create(shared_cluster)
    return application


@pytest.fixture(scope="module")
def start_module_proxy(
    shared_cluster: PostgresCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartProxy]:
    """As `start_proxy`, for proxies that serve the tests of a whole file."""
    with ExitStack() as running:

        def start(*, before: PostgresCluster = shared_cluster, **group: Setting) -> ProxyUnderTest:
            """Start one.

            Args:
                before: The servers, where they are not the shared ones.
                group: Settings of its server group.
            """
            proxy = ProxyUnderTest(
                tmp_path_factory.mktemp("proxy"),
                [server.address for server in before.servers],
                auth_user=SUPERUSER,
                auth_password=before.password,
                group=group,
            )
            return running.enter_context(proxy)

        yield start


@pytest.fixture(scope="module")
def module_proxy(start_module_proxy: StartProxy) -> ProxyUnderTest:
    """A proxy with every setting at its default, for the tests of a file that do it no harm."""
    return start_module_proxy()


@pytest.fixture(scope="module")
def narrow_proxy(start_module_proxy: StartProxy) -> ProxyUnderTest:
    """The same, with one server connection for each server, user and database."""
    return start_module_proxy(default_pool_size=1)


@pytest.fixture
def app(direct: Application, module_proxy: ProxyUnderTest) -> Application:
    """The application of `direct`, connected through a proxy with every setting at its default."""
    return direct.at(module_proxy.port)


@pytest.fixture
def narrow(direct: Application, narrow_proxy: ProxyUnderTest) -> Application:
    """The application of `direct`, through one server connection that all its clients share."""
    return direct.at(narrow_proxy.port)


def require(flavour: Flavour) -> None:
    """Skip the test where a flavour can't be had, and say why; in CI that is an error.

    MariaDB is what `make setup-servers` installs; MySQL is fetched, which asks for a network.
    """
    try:
        find_programs(flavour)
    except MissingProgram as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def shared_mariadb() -> Iterator[MySQLCluster]:
    """A MariaDB primary and two replicas, started when first asked for. Tests use `mariadb`."""
    require("mariadb")
    with temporary_mysql("mariadb") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def shared_mysql() -> Iterator[MySQLCluster]:
    """The same of MySQL."""
    require("mysql")
    with temporary_mysql("mysql") as cluster:
        yield cluster


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[Redis]:
    """A Redis server, started when first asked for. Tests use `redis`."""
    with ExitStack() as running:
        try:
            server = running.enter_context(temporary_redis())
        except MissingProgram as missing:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(missing))
        yield server


@pytest.fixture
def redis(shared_redis: Redis) -> Redis:
    """Redis, with nothing in it; a test that pauses or kills it brings it back."""
    with shared_redis.client() as client:
        client.flushall()
    return shared_redis


@pytest.fixture(scope="session")
def redis_cluster(shared_redis: Redis) -> Iterator[tuple[Redis, Redis]]:
    """Two Redis servers in cluster mode; a test that kills one brings it back."""
    with temporary_redis_cluster() as servers:
        yield servers


@pytest.fixture
def mariadb(shared_mariadb: MySQLCluster) -> Iterator[MySQLCluster]:
    """MariaDB, all servers up and in step, and brought back to that afterwards: as `cluster`."""
    yield shared_mariadb
    heal_mysql(shared_mariadb)


@pytest.fixture
def mysql(shared_mysql: MySQLCluster) -> Iterator[MySQLCluster]:
    """MySQL, the same."""
    yield shared_mysql
    heal_mysql(shared_mysql)


@pytest.fixture(params=["mariadb", "mysql"])
def either(request: pytest.FixtureRequest) -> MySQLCluster:
    """`mariadb` and `mysql`, one after the other."""
    cluster: MySQLCluster = request.getfixturevalue(request.param)
    return cluster


@pytest.fixture
def either_database(either: MySQLCluster) -> Iterator[str]:
    """The name of an empty database, there on every server of `either`."""
    with empty_database(either) as name:
        yield name


@contextmanager
def empty_database(cluster: MySQLCluster) -> Iterator[str]:
    """Lend an empty database, there on every server; afterwards the servers are healed."""
    name = f"test_{next(_numbers)}"
    cluster.primary.execute(f"CREATE DATABASE {name}")
    cluster.wait_replayed()
    yield name
    heal_mysql(cluster)
    cluster.primary.execute(f"DROP DATABASE {name}")


def heal_mysql(cluster: MySQLCluster) -> None:
    """Bring every server up, let every replica replay, and wait until they are in step."""
    for server in cluster.servers:
        if server.is_running:
            server.thaw()
        else:
            server.start()
    for replica in cluster.replicas:
        replica.resume_replay()
    cluster.wait_replayed()
