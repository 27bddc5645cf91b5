"""Databases that come, go and change their names, through the proxy and past it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

import asyncpg
import psycopg
import pytest

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.postgres_server import Server
from proxy.demo.processes import wait_until
from proxy.wire.postgres.frontend import query
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest

READS = "SELECT whose FROM place"
SLOW = "SELECT count(*) FROM place, generate_series(1, 300000) number WHERE number"
AT_ONCE = 8
NAMES = ("blue", "green")
_numbers = iter(range(1, 1_000_000))


@pytest.fixture
def boss(
    direct: Application, module_proxy: ProxyUnderTest, cluster: PostgresCluster
) -> Iterator[Application]:
    """Who may make databases, through the proxy."""
    role = f"boss_{next(_numbers)}"
    cluster.primary.execute(f"CREATE ROLE {role} LOGIN CREATEDB PASSWORD 'b'")
    cluster.wait_replayed()
    yield direct.at(module_proxy.port).like(user=role, password="b", database="postgres")
    for name in (*NAMES, "aside"):
        cluster.primary.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    cluster.primary.execute(f"DROP ROLE {role}")


@pytest.fixture
def both(boss: Application, cluster: PostgresCluster) -> list[Application]:
    """Two databases with the same table; what it holds says which one it is."""
    with boss.connect() as connection:
        for name in NAMES:
            connection.execute(f"CREATE DATABASE {name}".encode())
            with boss.like(database=name).connect() as inside:
                inside.execute(f"CREATE TABLE place AS SELECT '{name}' AS whose".encode())
    cluster.wait_replayed()
    return [boss.like(database=name) for name in NAMES]


def whose(application: Application) -> object:
    with application.connect() as connection:
        row = connection.execute(READS).fetchone()
        return row and row[0]


def is_read_away(application: Application) -> bool:
    """Tell if a read would leave the primary now."""
    with application.connect() as connection:
        facts = dict(connection.execute(f"EXPLAIN ROUTE {READS}".encode()).fetchall())
    return facts["goes to"].startswith("replica")


def read_everywhere(
    application: Application, proxy: ProxyUnderTest, cluster: PostgresCluster, name: str
) -> None:
    """Read until every server has been asked, and the result is in the cache."""
    wait_until(lambda: is_read_away(application), "the catalog to be read")

    def are_used() -> bool:
        # So many at once that whoever is the fastest has too much of them; another text each
        # time, so that the cache does not answer.
        with ExitStack() as clients:
            busy = [clients.enter_context(application.raw()) for _ in range(AT_ONCE)]
            for client in busy:
                client.send(query(f"{SLOW} > {next(_numbers)}".encode()))
            for client in busy:
                client.hear()
        return idle_at(cluster.servers, application, proxy) == len(cluster.servers)

    wait_until(are_used, "every server to be used")
    for _ in range(4):
        assert whose(application) == name


def idle_at(servers: list[Server], application: Application, proxy: ProxyUnderTest) -> int:
    """Count the servers to which a connection of an application's is kept."""
    kind = {"user": application.user, "database": application.database}
    return sum(
        proxy.metric("tidegate_pool_sv_idle", server=f"127.0.0.1:{server.port}", **kind) > 0
        for server in servers
    )


def test_names_that_are_exchanged_past_the_proxy_mean_the_other_database(
    both: list[Application], module_proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    for application, name in zip(both, NAMES, strict=True):
        read_everywhere(application, module_proxy, cluster, name)
    for old, new in (("blue", "aside"), ("green", "blue"), ("aside", "green")):
        rename(cluster, old, new)
    cluster.wait_replayed()
    for application, name in zip(both, reversed(NAMES), strict=True):
        # A replica's connections survive, and lead to what the name meant before.
        wait_until(lambda one=application: is_read_away(one), "the catalog to be read again")
        for number in range(8):
            with application.connect() as connection:
                found = connection.execute(f"{READS} WHERE {number} > -1".encode()).fetchone()
            assert found == (name,)
        assert whose(application) == name


def test_what_was_opened_while_nobody_knew_the_name_is_not_used(
    both: list[Application], start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    proxy = start_proxy(min_pool_size=1)
    blue = both[0].at(proxy.port)
    read_everywhere(blue, proxy, cluster, "blue")
    for replica in cluster.replicas:
        replica.pause_replay()
    cluster.primary.execute("ALTER DATABASE blue ALLOW_CONNECTIONS false")
    rename(cluster, "blue", "aside")
    proxy.wait_logged("database gone")
    wait_until(lambda: idle_at(cluster.replicas, blue, proxy) == 2, "the old one to be found")
    rename(cluster, "green", "blue")
    assert whose(blue) == "green"
    for replica in cluster.replicas:
        replica.resume_replay()
    cluster.wait_replayed()
    wait_until(lambda: is_read_away(blue), "the catalog to be read")
    for number in range(16):
        with blue.connect() as connection:
            found = connection.execute(f"{READS} WHERE {number} > -1".encode()).fetchone()
        assert found == ("green",)


def rename(cluster: PostgresCluster, old: str, new: str) -> None:
    """Rename a database that a proxy connects to again as soon as it is thrown out."""

    def is_done() -> bool:
        cluster.primary.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{old}'"
        )
        try:
            cluster.primary.execute(f"ALTER DATABASE {old} RENAME TO {new}")
        except asyncpg.ObjectInUseError:
            return False
        return True

    wait_until(is_done, f"{old} to be called {new}")


def test_nothing_is_left_of_a_database_that_was_dropped_past_the_proxy(
    both: list[Application], module_proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    blue = both[0]
    read_everywhere(blue, module_proxy, cluster, "blue")
    cluster.primary.execute("DROP DATABASE blue WITH (FORCE)")
    with pytest.raises(psycopg.Error, match='database "blue" does not exist'):
        whose(blue)
    cluster.primary.execute("CREATE DATABASE blue")
    cluster.primary.execute(
        "CREATE TABLE place AS SELECT 'another' AS whose; GRANT SELECT ON place TO public",
        database="blue",
    )
    assert whose(blue) == "another"


def test_a_database_that_is_gone_is_forgotten(
    both: list[Application], module_proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    read_everywhere(both[0], module_proxy, cluster, "blue")
    cluster.primary.execute("DROP DATABASE blue WITH (FORCE)")
    module_proxy.wait_logged("database gone")
    wait_until(lambda: 'database="blue"' not in module_proxy.get("/metrics")[1], "its pools to go")


def test_a_name_that_leads_nowhere_leaves_nothing_behind(
    direct: Application, start_proxy: StartProxy
) -> None:
    proxy = start_proxy(min_pool_size=1)
    application = direct.at(proxy.port)
    with pytest.raises(psycopg.OperationalError, match='"nowhere" does not exist'):
        whose(application.like(database="nowhere"))
    wait_until(lambda: 'database="nowhere"' not in proxy.get("/metrics")[1], "its pool to go")


def test_a_database_is_dropped_through_the_proxy_though_its_connections_are_kept(
    boss: Application,
    both: list[Application],
    module_proxy: ProxyUnderTest,
    cluster: PostgresCluster,
) -> None:
    for application, name in zip(both, NAMES, strict=True):
        read_everywhere(application, module_proxy, cluster, name)
    with boss.connect() as connection:
        connection.execute("DROP DATABASE blue")
        connection.execute("CREATE DATABASE blue TEMPLATE green")
        assert whose(both[0]) == "green"
        assert whose(both[1]) == "green"
        connection.execute("ALTER DATABASE green RENAME TO aside")
    assert whose(both[0].like(database="aside")) == "green"


def test_a_member_of_the_owner_drops_a_database_through_the_proxy(
    boss: Application, both: list[Application], cluster: PostgresCluster
) -> None:
    wait_until(lambda: is_read_away(both[0]), "the catalog to be read")
    assert whose(both[0]) == "blue"
    member = boss.like(user="member", password="m")
    cluster.primary.execute(
        f"CREATE ROLE member LOGIN NOINHERIT PASSWORD 'm'; GRANT {boss.user} TO member"
    )
    try:
        with member.connect() as connection:
            connection.execute(f"SET ROLE {boss.user}".encode())
            connection.execute("DROP DATABASE blue")
    finally:
        cluster.primary.execute("DROP ROLE member")


@pytest.mark.parametrize(
    "attempt",
    [
        "DROP DATABASE blue",
        "ALTER DATABASE blue RENAME TO aside",
        "CREATE DATABASE aside TEMPLATE blue",
    ],
)
def test_who_may_not_drop_a_database_disturbs_nobody_in_it(
    direct: Application,
    both: list[Application],
    module_proxy: ProxyUnderTest,
    cluster: PostgresCluster,
    attempt: str,
) -> None:
    blue = both[0]
    wait_until(lambda: is_read_away(blue), "the catalog to be read")
    assert whose(blue) == "blue"
    ours = (
        "SELECT array_agg(pid ORDER BY pid) FROM pg_stat_activity WHERE datname = 'blue'"
        " AND backend_type = 'client backend'"
    )

    def connections() -> list[object]:
        return [server.fetch_value(ours) for server in cluster.servers]

    before = connections()
    with direct.at(module_proxy.port).connect() as nobody:
        for _ in range(3):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                nobody.execute(attempt.encode())
    time.sleep(0.3)  # whatever was to be closed would be by now
    assert connections() == before
    wait_until(lambda: is_read_away(blue), "reads to leave the primary still", timeout=3.0)


def test_a_database_that_a_client_is_in_is_not_dropped(
    boss: Application, both: list[Application]
) -> None:
    with both[0].connect() as user, boss.connect() as connection:
        user.execute("CREATE TEMP TABLE mine (a int)")
        with pytest.raises(psycopg.errors.ObjectInUse):
            connection.execute("DROP DATABASE blue")
        assert user.execute("SELECT count(*) FROM mine").fetchone() == (0,)
    assert whose(both[0]) == "blue"


def test_a_database_that_nobody_uses_costs_no_connection(
    both: list[Application], start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    proxy = start_proxy(server_idle_timeout="0.5s")
    through = both[0].at(proxy.port)

    def connections() -> object:
        return cluster.primary.fetch_value(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = 'blue' AND client_port IN"
            f" ({', '.join(str(local) for local, _, _ in proxy.sockets())})"
        )

    for _ in range(2):
        wait_until(lambda: is_read_away(through), "the catalog to be read")
        assert whose(through) == "blue"
        with through.connect() as connection:
            connection.execute("SELECT pg_sleep(1)")
            assert connections()  # its catalog is kept for as long as it is used
        wait_until(lambda: connections() == 0, "every connection to be closed")


def test_a_client_that_changes_definitions_is_no_deadlock_with_us(
    direct: Application, proxy: ProxyUnderTest, cluster: PostgresCluster, database: str
) -> None:
    """The catalog's reader locks what a view reads, and waits for what the client has locked."""
    primary = cluster.primary
    define = "GRANT ALL ON SCHEMA public TO PUBLIC; CREATE TABLE a (x int); CREATE TABLE b (x int);"
    define += "CREATE VIEW first AS SELECT x FROM b; CREATE VIEW second AS SELECT x FROM a"
    primary.execute(define, database=database)
    application = direct.at(proxy.port).like(database=database)
    with (
        application.connect() as through,
        psycopg.connect(primary.dsn(database), autocommit=True) as client,
    ):
        through.execute("SELECT 1")
        client.execute("BEGIN; LOCK TABLE a IN ACCESS EXCLUSIVE MODE")
        through.execute("CREATE TABLE c (x int)")  # all is read again
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        wait_until(lambda: bool(primary.fetch_value(waiting)), "the catalog's reader to wait")
        time.sleep(1.2)  # longer than deadlock_timeout: from now on it is found by who waits last
        client.execute("LOCK TABLE b IN ACCESS EXCLUSIVE MODE")
        client.execute("COMMIT")
        through.execute("DROP TABLE c")
