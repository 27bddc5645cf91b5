"""What it costs to know what a statement touches: at first sight, and whenever it comes again.

The catalog is of a large database: 10,000 tables, each with a foreign key, and a view on each.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from benchmarks.micro.replies import BY_KEY
from benchmarks.micro.steps import REPORT, UPDATE, Step
from proxy.freshness.ledger import Ledger
from proxy.routing.plan import Planner, Scope
from proxy.routing.reading import STATEMENTS, Reader
from proxy.sql.catalog import Catalog
from proxy.sql.catalog_queries import QUERIES
from proxy.types import Position, Token

TABLES: Final = 10_000
DATABASE: Final = "shop"
NAMES: Final = ("orders", "customers", "regions", "pgbench_accounts")
COUNT: Final = (90_001, "pg_catalog", "count", "i", 1, 1, False, False, False, None)
FIRST_OID: Final = 20_000


def knowing() -> Iterator[Step]:
    """Yield everything that is timed."""
    rows = _rows()
    yield Step(f"catalog: build, {TABLES:,} tables and as many views", partial(_catalog, rows))
    planner = _planner(_catalog(rows))
    for name, sql in (("by key", BY_KEY), ("a report", REPORT), ("an update", UPDATE)):
        yield Step(f"first sight: {name}", partial(_see_first, planner, sql))
    for known in (1, STATEMENTS):
        reader = Reader()
        scope = planner.scope(DATABASE, f"user{known}", ("public",))
        for number in range(known):
            _see(reader, planner, scope, _statement(number))
        yield Step(
            f"a later sight, with its values: one of {known:,}",
            _in_turn(reader, planner, scope, min(known, 1_000)),
        )
    statement = Reader().read(BY_KEY).statements[0]
    scope = planner.scope(DATABASE, "ann", ("public",))
    yield Step("a later sight, prepared", partial(planner.plan, scope, statement))


def memory() -> Iterator[str]:
    """Say what is kept of a catalog, and of twice as many statements as there is room for."""
    tracemalloc.start()
    rows = _rows()
    before, _ = tracemalloc.get_traced_memory()
    planner = _planner(_catalog(rows))
    with_catalog, _ = tracemalloc.get_traced_memory()
    yield f"a catalog of {TABLES:,} tables and views: {(with_catalog - before) / 1e6:.1f} MB"
    reader = Reader()
    scope = planner.scope(DATABASE, "ann", ("public",))
    for share in (1, 2):
        for number in range((share - 1) * STATEMENTS, share * STATEMENTS):
            _see(reader, planner, scope, _statement(number))
        kept, _ = tracemalloc.get_traced_memory()
        megabytes = (kept - with_catalog) / 1e6
        yield f"{share * STATEMENTS:,} fingerprints, {len(reader):,} kept: {megabytes:.1f} MB"
    tracemalloc.stop()


def _statement(number: int) -> bytes:
    return b"SELECT a%d, b FROM t%d WHERE id = 4711" % (number, number % TABLES)


def _in_turn(reader: Reader, planner: Planner, scope: Scope, count: int) -> Callable[[], object]:
    texts = [_statement(number) for number in range(STATEMENTS - count, STATEMENTS)]
    if count == 1:
        texts = [_statement(0)]
    place = 0

    def see() -> object:
        nonlocal place
        place = (place + 1) % count
        return _see(reader, planner, scope, texts[place])

    return see


def _see(reader: Reader, planner: Planner, scope: Scope, sql: bytes) -> object:
    return planner.plan(scope, reader.read(sql).statements[0])


def _see_first(planner: Planner, sql: bytes) -> object:
    scope = planner.scope(DATABASE, "bob", ("public",))
    scope.plans.clear()
    return _see(Reader(), planner, scope, sql)


def _planner(catalog: Catalog) -> Planner:
    ledger = Ledger(Token(1))
    ledger.new_epoch(Token(2), Position(1))
    planner = Planner(ledger)
    planner.know(DATABASE, catalog)
    return planner


def _catalog(rows: dict[str, list[Any]]) -> Catalog:
    return Catalog.build(DATABASE, **rows)


def _rows() -> dict[str, list[Any]]:
    """Make the rows of a large database's catalog."""
    rows: dict[str, list[Any]] = {name: [] for name in QUERIES}
    names = [f"t{number}" for number in range(TABLES - len(NAMES))] + list(NAMES)
    for number, name in enumerate(names):
        table, view = FIRST_OID + 2 * number, FIRST_OID + 2 * number + 1
        rows["relations"].append((table, "public", name, "r", "p", False, False))
        rows["relations"].append((view, "public", f"v_{name}", "v", "p", False, False))
        rows["definitions"].append((view, f" SELECT id, a, b FROM public.{name};"))
        if number:
            rows["foreign_keys"].append(
                (table, table - 2, "a", "c" if number % 100 == 0 else "a", "ann")
            )
    return rows
