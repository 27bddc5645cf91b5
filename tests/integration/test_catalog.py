"""What the catalog says of statements, asked of a real server by a role without rights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from proxy.demo.console import run_blocking
from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from proxy.sql import catalog_queries as queries
from proxy.sql.access import Access
from proxy.sql.catalog import Catalog
from proxy.sql.classify import classify
from proxy.sql.scanner import scan
from proxy.types import Reason, Table

SCHEMA = (Path(__file__).parent / "catalog_schema.sql").read_text()
DATABASE = "catalog"
ROLE = "catalog_reader"
PASSWORD = "x"


class Shop:
    """The database of `catalog_schema.sql`, and what its catalog says."""

    def __init__(self, cluster: PostgresCluster) -> None:
        self.primary = cluster.primary
        self.catalog = run_blocking(self._load())

    async def _connect(self) -> asyncpg.Connection:
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self.primary.port,
            database=DATABASE,
            user=ROLE,
            password=PASSWORD,
        )

    async def _load(self) -> Catalog:
        connection = await self._connect()
        try:
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                rows = {name: await connection.fetch(sql) for name, sql in queries.QUERIES.items()}
            path = await connection.fetchval("SHOW search_path")
        finally:
            await connection.close()
        assert path == '"$user", public'  # the queries set it for themselves
        return Catalog.build(DATABASE, **rows)

    def execute(self, sql: str) -> None:
        self.primary.execute(sql, database=DATABASE)

    def oid(self, table: str) -> int:
        sql = f"SELECT 'shop.{table}'::regclass::oid::int8"
        value = self.primary.fetch_value(sql, database=DATABASE)
        assert isinstance(value, int)
        return value

    def fetch_as_reader(self, sql: str) -> list[tuple[object, ...]]:
        async def fetch() -> list[tuple[object, ...]]:
            connection = await self._connect()
            try:
                return [tuple(row) for row in await connection.fetch(sql)]
            finally:
                await connection.close()

        return run_blocking(fetch())

    def resolve(self, sql: str, path: tuple[str, ...] = ("shop",), user: str = "bob") -> Access:
        statement = classify(scan(sql.encode()).fingerprint)
        return self.catalog.resolve(statement, path, user)

    def names(self, tables: frozenset[Table]) -> set[str]:
        assert all(table.database == DATABASE for table in tables)
        return {self.catalog.name_of(table.oid).removeprefix("shop.") for table in tables}


@pytest.fixture(scope="module")
def shop(shared_cluster: PostgresCluster) -> Iterator[Shop]:
    primary = shared_cluster.primary
    primary.execute(f"CREATE DATABASE {DATABASE}")
    primary.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'")
    primary.execute(SCHEMA, database=DATABASE)
    yield Shop(shared_cluster)
    primary.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    primary.execute(f"DROP ROLE {ROLE}")


@pytest.mark.parametrize(
    ("sql", "reads"),
    [
        ("SELECT * FROM orders", {"orders"}),
        ("SELECT * FROM hidden.orders", {"hidden.orders"}),
        ('SELECT * FROM public."Shop"', {"public.Shop"}),
        ("SELECT * FROM plain", {"customers", "orders"}),
        ("SELECT * FROM nested", {"customers", "orders", "events"}),
        ("SELECT * FROM summary", {"summary"}),
        ("SELECT * FROM events_1_1", {"events"}),
        ("SELECT * FROM animals", {"animals"}),
        ("SELECT * FROM robot_dogs", {"animals", "machines"}),
        ("SELECT * FROM secured", {"secured", "customers"}),
        ("WITH x AS (TABLE orders) SELECT * FROM x", {"orders"}),
        ("WITH notes AS (TABLE orders) SELECT * FROM notes", {"orders", "notes"}),
        ("SELECT pure(1), lower(name), count(*), sum(1) OVER () FROM animals", {"animals"}),
        ("SELECT date_trunc('day', placed), overloaded(1) FROM orders", {"orders"}),
        ("SELECT looks(1) FROM animals", {"animals", "orders"}),
    ],
)
def test_a_read_is_followed_to_the_roots_of_its_tables(
    shop: Shop, sql: str, reads: set[str]
) -> None:
    access = shop.resolve(sql)
    assert shop.names(access.read_set) == reads
    assert access.replica is None, access.detail
    assert access.exact
    assert not access.taints
    assert access.write_set == frozenset()


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT * FROM logs", Reason.UNLOGGED),
        ("SELECT * FROM scratch", Reason.UNLOGGED),
        ("SELECT * FROM numbers", Reason.SEQUENCE),
        ("SELECT * FROM pg_class", Reason.SYSTEM_CATALOG),
        ("SELECT * FROM over_catalog", Reason.SYSTEM_CATALOG),
        ("SELECT * FROM information_schema.tables", Reason.SYSTEM_CATALOG),
        ("SELECT 'orders'::regclass", Reason.SYSTEM_CATALOG),
        ("SELECT * FROM nothing", Reason.UNKNOWN_RELATION),
        ("SELECT * FROM pg_temp.x", Reason.TEMPORARY),
        ("SELECT * FROM locking", Reason.LOCK),
        ("SELECT current_setting('a.b')", Reason.FUNCTION),
        ("SELECT pg_is_in_recovery()", Reason.FUNCTION),
    ],
)
def test_a_read_stays_on_the_primary_for_what_it_touches(
    shop: Shop, sql: str, reason: Reason
) -> None:
    access = shop.resolve(sql)
    assert access.replica is reason
    assert access.cache is reason
    assert access.exact  # it writes nothing


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT writes(1)",
        "SELECT unknown(1)",
        "SELECT overloaded(1, 2)",
        "SELECT filled(1)",
        "SELECT total(id) FROM orders",
        "SELECT id !@# 1 FROM orders",
        "SELECT id OPERATOR(shop.!@#) 1 FROM orders",
        "SELECT 1::odd",
        "SELECT c.of_row FROM customers c",
        "SELECT (c).of_row FROM customers c",
        "SELECT (1).writes",
        "SELECT * FROM with_call",
        "INSERT INTO notes SELECT writes(1), 'x'",
    ],
)
def test_a_function_that_may_write_makes_anything_possible(shop: Shop, sql: str) -> None:
    access = shop.resolve(sql)
    assert not access.exact
    assert access.taints
    assert access.replica is not None


def test_a_stable_function_that_sets_something_taints_the_session(shop: Shop) -> None:
    access = shop.resolve("SELECT sets(1)")
    assert access.exact
    assert access.taints


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT now() FROM orders", Reason.CLOCK),
        ("SELECT age(placed) FROM orders", Reason.CLOCK),
        ("SELECT * FROM with_clock", Reason.CLOCK),
        ("SELECT * FROM customers", Reason.CLOCK),  # it has a timetz
        ("SELECT random() FROM orders", Reason.VOLATILE),
        ("SELECT ctid FROM orders", Reason.SYSTEM_COLUMN),
        ("SELECT * FROM orders TABLESAMPLE SYSTEM (1)", Reason.VOLATILE),
        ("SELECT * FROM secured", Reason.CLOCK),  # its policy reads customers
    ],
)
def test_a_replica_serves_what_a_cache_may_not_keep(shop: Shop, sql: str, reason: Reason) -> None:
    access = shop.resolve(sql)
    assert access.replica is None
    assert access.cache is reason


def test_an_age_between_two_times_may_be_kept(shop: Shop) -> None:
    assert shop.resolve("SELECT age(placed, placed) FROM orders").cache is None


@pytest.mark.parametrize(
    ("sql", "writes"),
    [
        ("INSERT INTO orders (customer) VALUES (1)", {"orders"}),
        ("DELETE FROM orders", {"orders", "lines"}),
        ("DELETE FROM customers", {"customers", "orders", "lines", "below_triggered"}),
        ("UPDATE customers SET id = 1", {"customers", "orders"}),
        ("INSERT INTO customers VALUES (1) ON CONFLICT DO NOTHING", {"customers"}),
        (
            "INSERT INTO customers VALUES (1) ON CONFLICT (id) DO UPDATE SET id = 2",
            {"customers", "orders"},
        ),
        ("TRUNCATE orders CASCADE", {"orders", "lines", "notes"}),
        ("UPDATE events_1_1 SET what = 'x'", {"events"}),
        ("INSERT INTO robot_dogs VALUES ('x')", {"animals", "machines"}),
        ("INSERT INTO animals VALUES ('x')", {"animals"}),
        ("DELETE FROM animals", {"animals", "machines"}),
        ("INSERT INTO triggered VALUES (1)", {"triggered"}),
        ("UPDATE triggered SET id = 1", {"triggered", "notes"}),
        ("INSERT INTO ruled VALUES (1)", {"ruled", "notes"}),
        ("DELETE FROM ruled", {"ruled"}),
        ("INSERT INTO with_trigger VALUES (1)", {"lines", "notes"}),
        ("INSERT INTO search VALUES ('x')", {"search"}),
        ("DELETE FROM defaults", {"defaults"}),
        ("UPDATE with_trigger SET id = 1", {"lines"}),
        ("INSERT INTO plain VALUES (1)", {"customers", "orders"}),
        ("REFRESH MATERIALIZED VIEW summary", {"summary"}),
        ("COPY notes FROM STDIN", {"notes"}),
        (
            "WITH d AS (DELETE FROM lines RETURNING *) INSERT INTO animals SELECT 'x' FROM d",
            {"lines", "animals", "machines"},
        ),
    ],
)
def test_a_write_is_followed_to_everything_it_changes(
    shop: Shop, sql: str, writes: set[str]
) -> None:
    access = shop.resolve(sql)
    assert shop.names(access.write_set) == writes
    assert access.exact
    assert access.replica is Reason.WRITE


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO defaults VALUES (1)",
        "UPDATE checked SET id = 1",
        "INSERT INTO with_domain VALUES ('{1}')",
        "REFRESH MATERIALIZED VIEW calling",
        "INSERT INTO nothing VALUES (1)",
        "DO 'x'",
        "CALL p()",
    ],
)
def test_a_write_that_cannot_be_told_is_not_exact(shop: Shop, sql: str) -> None:
    assert not shop.resolve(sql).exact


def test_definitions_change_by_ddl_and_by_what_may_be_ddl(shop: Shop) -> None:
    assert shop.resolve("CREATE TABLE x AS SELECT 1").schema
    assert shop.resolve("DO 'x'").schema
    assert not shop.resolve("TRUNCATE orders").schema


def test_a_name_means_every_schema_of_the_path_that_has_it(shop: Shop) -> None:
    both = shop.resolve("SELECT * FROM orders", ("shop", "hidden"))
    assert shop.names(both.read_set) == {"orders", "hidden.orders"}
    own = shop.resolve("SELECT * FROM orders", ("$user",), user="hidden")
    assert shop.names(own.read_set) == {"hidden.orders"}
    none = shop.resolve("SELECT * FROM orders", ("$user", "public"))
    assert none.replica is Reason.UNKNOWN_RELATION


def test_a_function_of_the_path_is_judged_beside_the_builtin_it_hides(shop: Shop) -> None:
    sql = "SELECT lower(name) FROM shop.animals"
    assert shop.resolve(sql, ("shop",)).exact
    assert not shop.resolve(sql, ("hidden",)).exact


def test_relations_are_rolled_up_to_their_roots(shop: Shop) -> None:
    oid = shop.oid("events_1_1")
    assert shop.names(shop.catalog.roots(oid)) == {"events"}


@pytest.mark.parametrize(
    ("do", "undo"),
    [
        ("CREATE TABLE shop.fresh (id int)", "DROP TABLE shop.fresh"),
        ("ALTER TABLE shop.notes ADD c int", "ALTER TABLE shop.notes DROP c"),
        (
            "ALTER TABLE shop.lines ALTER id SET DEFAULT 1",
            "ALTER TABLE shop.lines ALTER id DROP DEFAULT",
        ),
        ("CREATE RULE x AS ON DELETE TO shop.lines DO NOTHING", "DROP RULE x ON shop.lines"),
        (
            "CREATE OR REPLACE FUNCTION shop.pure(int) RETURNS int VOLATILE LANGUAGE sql AS '2'",
            "ALTER FUNCTION shop.pure(int) IMMUTABLE",
        ),
        ("ALTER TABLE shop.lines ENABLE ROW LEVEL SECURITY", "SELECT"),
        (f"GRANT SELECT ON shop.orders TO {ROLE}", f"REVOKE SELECT ON shop.orders FROM {ROLE}"),
        (f"ALTER ROLE {ROLE} SET work_mem = '5MB'", f"ALTER ROLE {ROLE} RESET work_mem"),
        ("ALTER TABLE shop.triggered DISABLE TRIGGER t", "SELECT"),
        ("ALTER VIEW shop.plain RENAME TO plainer", "ALTER VIEW shop.plainer RENAME TO plain"),
    ],
)
def test_the_digest_tells_that_a_definition_changed(shop: Shop, do: str, undo: str) -> None:
    before = shop.fetch_as_reader(queries.FINGERPRINT)
    shop.execute(do.replace("AS '2'", "AS 'SELECT 2'"))
    try:
        assert shop.fetch_as_reader(queries.FINGERPRINT) != before
    finally:
        shop.execute(undo)


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO shop.animals VALUES ('x')",
        "TRUNCATE shop.animals",
        "CREATE TEMP TABLE x (id int PRIMARY KEY, n serial CHECK (n > 0))",
        "VACUUM ANALYZE shop.orders",
        "REFRESH MATERIALIZED VIEW shop.summary",
    ],
)
def test_the_digest_stays_when_only_rows_change(shop: Shop, sql: str) -> None:
    before = shop.fetch_as_reader(queries.FINGERPRINT)
    shop.execute(sql)
    assert shop.fetch_as_reader(queries.FINGERPRINT) == before


def test_the_counters_tell_that_rows_were_written(shop: Shop) -> None:
    oid = shop.oid("machines")

    def counter() -> tuple[int, int]:
        for relation, rows, file in shop.fetch_as_reader(queries.COUNTERS):
            if relation == oid:
                assert isinstance(rows, int)
                assert isinstance(file, int)
                return rows, file
        raise AssertionError("the table is not counted")

    before, file = counter()
    shop.execute("INSERT INTO shop.machines VALUES ('x')")
    # The server publishes its counters within a second or two.
    wait_until(lambda: counter()[0] == before + 1, "the row is counted")
    shop.execute("TRUNCATE shop.machines")
    assert counter()[1] != file
