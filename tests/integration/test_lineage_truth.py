"""What statements touch, told by the catalog and by the server itself.

Random schemas, in which triggers, rules, functions, cascades and views set each other off, and
random statements. What a statement locked, and what it changed, is what it touched: all of that
must have been told beforehand. `LINEAGE_SEED` gives another run, `LINEAGE_SECONDS` a longer one.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

import psycopg
import pytest

from proxy.demo.local_postgres import PostgresCluster
from proxy.routing.reading import Reader
from proxy.sql import catalog_queries as queries
from proxy.sql.access import Access
from proxy.sql.catalog import Catalog
from proxy.types import Table
from tests.integration.lineage_schemas import PATHS, SCHEMAS, USER, Maker, Schema
from tests.integration.touched import CHANGED, WRITING, shortfalls

DATABASE = "lineage"
ADMIN = "lineage_admin"
SEED = int(os.environ.get("LINEAGE_SEED", "1"))
SECONDS = float(os.environ.get("LINEAGE_SECONDS", "10"))
STATEMENTS = 25

LOCKS = """
SELECT c.oid::int8, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relkind IN ('r', 'p', 'm')
  AND c.oid >= 16384
"""


class Truth:
    """One connection to the server, and what it has counted."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection = connection
        self.counts: Counter[str] = Counter()

    def build(self, schema: Schema) -> Catalog:
        """Make a schema, as far as the server takes it, and read the catalog."""
        run = self.connection.execute
        for name in SCHEMAS:
            run(f"DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}")
        run("SET search_path = s")
        run("SET statement_timeout = '1s'")
        run("SET session_replication_role = replica")
        for statement in schema.ddl:
            try:
                run(statement)
            except psycopg.Error:
                self.counts["definitions refused"] += 1
        run("SET session_replication_role = origin")
        run("SET statement_timeout = 0")
        for name in SCHEMAS:
            run(f"GRANT ALL ON SCHEMA {name} TO {USER}")
            run(f"GRANT ALL ON ALL TABLES IN SCHEMA {name} TO {USER}")
        with self.connection.transaction():
            rows = {name: run(sql).fetchall() for name, sql in queries.QUERIES.items()}
        return Catalog.build(DATABASE, **rows)

    def run(self, statement: str, path: tuple[str, ...], tables: list[int]) -> dict[int, set[str]]:
        """Run a statement and roll it back; say what it locked, and `changed` what it changed."""
        run = self.connection.execute
        schemas = ", ".join(f'"{name}"' for name in path)
        run("BEGIN")
        try:
            before = self._checksums(tables)
            run("COMMIT; BEGIN")
            run(f"SET LOCAL ROLE {USER}; SET LOCAL search_path = {schemas}")
            run("SET LOCAL statement_timeout = '300ms'")
            run(statement)
            run("SET CONSTRAINTS ALL IMMEDIATE")
            touched: dict[int, set[str]] = {}
            for oid, mode in run(LOCKS).fetchall():
                touched.setdefault(oid, set()).add(mode)
            run("RESET ROLE")
            for oid, checksum in self._checksums(tables).items():
                if checksum != before[oid]:
                    touched.setdefault(oid, set()).add(CHANGED)
            return touched
        finally:
            run("ROLLBACK")

    def _checksums(self, tables: list[int]) -> dict[int, str]:
        """Sum up every table; read-only, and after the locks were looked at."""
        names = self.connection.execute(
            "SELECT oid::int8, oid::regclass::text FROM pg_class WHERE oid = ANY(%s)", (tables,)
        ).fetchall()
        sql = " UNION ALL ".join(
            f"SELECT {oid}::int8, coalesce(sum(hashtextextended(x::text, 0)), 0)::text"
            f" FROM ONLY {name} x"
            for oid, name in names
        )
        return dict(self.connection.execute(sql).fetchall())


@pytest.fixture(scope="module")
def truth(shared_cluster: PostgresCluster) -> Iterator[Truth]:
    primary = shared_cluster.primary
    primary.execute(f"CREATE DATABASE {DATABASE}")
    primary.execute(f"CREATE ROLE {USER}")
    primary.execute(f"CREATE ROLE {ADMIN} SUPERUSER LOGIN PASSWORD 'x'")
    with psycopg.connect(
        host="127.0.0.1",
        port=primary.port,
        dbname=DATABASE,
        user=ADMIN,
        password="x",
        autocommit=True,
        prepare_threshold=None,
    ) as connection:
        yield Truth(connection)
    primary.execute(f"DROP DATABASE {DATABASE} WITH (FORCE)")
    primary.execute(f"DROP ROLE {USER}, {ADMIN}")


def judge(
    catalog: Catalog, access: Access, touched: dict[int, set[str]], counts: Counter[str]
) -> str:
    """Compare what was told with what was done; what is missing, if anything."""
    written = {oid for oid, modes in touched.items() if modes & WRITING}
    told_writes, told_reads = access.write_set, access.read_set | access.write_set
    counts["statements"] += 1
    counts["exact"] += access.exact
    counts["away from the primary"] += access.replica is None
    modes = [(oid, mode) for oid, modes in touched.items() for mode in modes]
    for what in shortfalls(catalog, access, modes, is_numbered=bool(written)):
        return what
    if access.exact:
        roots = {table for oid in written for table in catalog.roots(oid)}
        counts["written, told and done"] += len(roots)
        counts["written, told only"] += len(told_writes - roots)
        counts["writes nothing"] += not told_writes
    if access.replica is None:
        roots = {table for oid in touched for table in catalog.roots(oid)}
        counts["read, told and done"] += len(roots)
        counts["read, told only"] += len(told_reads - roots)
    return ""


def names(catalog: Catalog, tables: frozenset[Table]) -> list[str]:
    return sorted(catalog.name_of(table.oid) for table in tables)


def test_whatever_the_server_touches_was_told(truth: Truth) -> None:
    end = time.monotonic() + SECONDS
    seed = SEED
    while time.monotonic() < end:
        seed += 1
        random = Random(seed)
        maker = Maker(random)
        schema = maker.make()
        catalog = truth.build(schema)
        truth.counts["schemas"] += 1
        tables = [
            oid
            for (oid,) in truth.connection.execute(
                "SELECT c.oid::int8 FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace"
                " WHERE relkind IN ('r', 'm') AND relispopulated AND nspname = ANY(%s)",
                (list(SCHEMAS),),
            ).fetchall()
        ]
        for _ in range(STATEMENTS):
            if time.monotonic() > end:
                break
            statement = maker.statement()
            path = random.choice(PATHS)
            [read] = Reader().read(statement.encode()).statements
            access = catalog.resolve(read, path, USER)
            try:
                touched = truth.run(statement, path, tables)
            except psycopg.Error as error:
                truth.counts[f"failed {type(error).__name__}"] += 1
                continue
            missing = judge(catalog, access, touched, truth.counts)
            assert not missing, (
                f"seed {seed - 1}: {statement} with {path}: {missing}; told to read"
                f" {names(catalog, access.read_set)} and to write"
                f" {names(catalog, access.write_set)}; {access}\n" + ";\n".join(schema.ddl)
            )
    counts = truth.counts
    print("\n" + "\n".join(f"{what}: {count}" for what, count in sorted(counts.items())))
    assert counts["exact"] > counts["statements"] / 2
    assert counts["away from the primary"] > counts["statements"] / 10
