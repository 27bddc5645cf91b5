"""The catalog's rules, on small databases made of rows. `tests/integration` asks a real server."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.routing.reading import Reader
from proxy.sql.access import Access
from proxy.sql.bodies import Declaration
from proxy.sql.catalog import Catalog
from proxy.sql.catalog_queries import QUERIES
from proxy.sql.statement import RelationName
from proxy.types import Reason, Table

FIRST = 16384


class Database:
    """Rows as the catalog queries give them, added one by one."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in QUERIES}
        self.declarations: dict[RelationName, Declaration] = {}
        self._next = FIRST
        for oid, name, volatility, arguments in (
            (1, "lower", "i", 1),
            (2, "now", "s", 0),
            (3, "random", "v", 0),
            (4, "nextval", "v", 1),
            (5, "set_config", "v", 3),
            (6, "to_char", "s", 2),
            (7, "pg_backend_pid", "s", 0),
            (8, "pg_sleep", "v", 1),
            (9, "format", "s", 1),
            (10, "current_user", "s", 0),
        ):
            variadic = name == "format"
            self.rows["routines"].append(
                (oid, "pg_catalog", name, volatility, arguments, 0, variadic, False, False, None)
            )

    def relation(
        self, name: str, kind: str = "r", *, schema: str = "public", persistence: str = "p",
        secured: bool = False,
    ) -> int:  # fmt: skip
        self._next += 1
        row = (self._next, schema, name, kind, persistence, secured, False)
        self.rows["relations"].append(row)
        return self._next

    def view(self, name: str, definition: str) -> int:
        oid = self.relation(name, "v")
        self.rows["definitions"].append((oid, definition))
        return oid

    def routine(
        self, name: str, volatility: str, arguments: int = 1, *, schema: str = "public",
        defaults: int = 0, variadic: bool = False, extension: str | None = None,
        takes_row: bool = False,
    ) -> int:  # fmt: skip
        self._next += 1
        self.rows["routines"].append(
            (self._next, schema, name, volatility, arguments, defaults, variadic, takes_row,
             False, extension)
        )  # fmt: skip
        return self._next

    def body(
        self, oid: int, source: str, language: str = "plpgsql", *,
        settings: list[str] | None = None, owner: str | None = None,
        definition: str | None = None, defaults: str | None = None,
        signature: list[int] | None = None,
    ) -> int:  # fmt: skip
        self.rows["bodies"].append(
            (oid, language, source, definition, settings, owner, defaults, signature)
        )
        return oid

    def declare(
        self, name: str, reads: str = "", writes: str = "", label: str | None = None
    ) -> None:
        self.declarations[RelationName("public", name)] = Declaration(
            frozenset(RelationName("public", table) for table in reads.split()),
            frozenset(RelationName("public", table) for table in writes.split()),
            label,
        )

    def add(self, query: str, *row: object) -> None:
        self.rows[query].append(row)

    def resolve(self, sql: str, path: tuple[str, ...] = ("public",)) -> Access:
        [statement] = Reader().read(sql.encode()).statements
        return self.catalog().resolve(statement, path, "bob")

    def catalog(self) -> Catalog:
        return Catalog.build("db", self.declarations, **self.rows)


@pytest.fixture
def database() -> Database:
    return Database()


def tables(*oids: int) -> frozenset[Table]:
    return frozenset(Table("db", oid) for oid in oids)


def test_every_query_has_its_place_in_a_catalog(database: Database) -> None:
    catalog = Catalog.build("db", **database.rows)
    assert catalog.roots(17) == tables(17)
    assert catalog.name_of(17) == "17"


def test_a_name_means_the_tables_that_its_changes_count_for(database: Database) -> None:
    root = database.relation("parts")
    leaf = database.relation("parts_1")
    database.add("inheritance", leaf, root)
    catalog = database.catalog()
    assert catalog.named("public", "parts_1") == catalog.named("public", "parts") == tables(root)
    assert catalog.named("other", "parts") is None


def test_a_view_that_is_not_understood_is_not_read_fast(database: Database) -> None:
    database.view("v", "SELECT * FROM JSON_TABLE(x COLUMNS (a int PATH 'b'))")
    access = database.resolve("SELECT * FROM v")
    assert access.replica is Reason.UNPARSED
    assert not access.exact


def test_a_view_without_a_definition_is_not_read_fast(database: Database) -> None:
    database.relation("v", "v")
    assert not database.resolve("SELECT * FROM v").exact


def test_views_that_name_each_other_end(database: Database) -> None:
    database.view("a", "SELECT * FROM public.b")
    database.view("b", "SELECT * FROM public.a")
    assert database.resolve("SELECT * FROM a").replica is None


def test_views_upon_views_without_end_are_refused(database: Database) -> None:
    database.relation("v0")
    for number in range(1, 80):
        database.view(f"v{number}", f"SELECT * FROM public.v{number - 1}")
    assert database.resolve("SELECT * FROM v10").replica is None
    assert database.resolve("SELECT * FROM v79").replica is Reason.UNPARSED


def test_a_literal_in_a_view_may_depend_on_the_clock(database: Database) -> None:
    database.view("v", "SELECT ('today'::text)::date")
    assert database.resolve("SELECT * FROM v").cache is Reason.CLOCK


def test_names_in_a_view_do_not_follow_the_callers_path(database: Database) -> None:
    table = database.relation("t", schema="a")
    database.relation("t", schema="public")
    database.view("v", "SELECT * FROM a.t")
    assert database.resolve("SELECT * FROM v").read_set == tables(table)


def test_row_security_reads_what_its_policies_read(database: Database) -> None:
    secured = database.relation("secured", secured=True)
    other = database.relation("other")
    database.add("policies", secured, "(EXISTS ( SELECT 1 FROM public.other))")
    access = database.resolve("SELECT * FROM secured")
    assert access.read_set == tables(secured, other)
    assert access.replica is None
    assert access.cache is None


def test_row_security_may_call_anything(database: Database) -> None:
    secured = database.relation("secured", secured=True)
    database.routine("writes", "v")
    database.add("policies", secured, "public.writes(id)")
    assert not database.resolve("SELECT * FROM secured").exact
    assert not database.resolve("DELETE FROM secured").exact


def test_a_parent_is_read_with_all_its_children(database: Database) -> None:
    parent = database.relation("parent", "p")
    child = database.relation("child", "f")
    other = database.relation("other")
    database.add("inheritance", child, parent)
    database.add("inheritance", other, parent)
    assert database.resolve("SELECT * FROM parent").replica is Reason.FOREIGN
    assert database.resolve("SELECT * FROM other").replica is None
    assert database.resolve("SELECT * FROM other").read_set == tables(parent)


def test_a_write_of_a_child_counts_for_every_root(database: Database) -> None:
    top, second, middle, leaf = (database.relation(name) for name in "abcd")
    for child, parent in ((middle, top), (leaf, middle), (leaf, second)):
        database.add("inheritance", child, parent)
    assert database.resolve("UPDATE d SET x = 1").write_set == tables(top, second)
    assert database.resolve("UPDATE b SET x = 1").write_set == tables(top, second)


def test_a_trigger_anywhere_in_the_family_counts(database: Database) -> None:
    parent, child, sibling = (database.relation(name, "p") for name in "abc")
    database.add("inheritance", child, parent)
    database.add("inheritance", sibling, parent)
    database.add("triggers", sibling, 4)
    assert not database.resolve("INSERT INTO b VALUES (1)").exact
    assert database.resolve("DELETE FROM b").exact
    # A row that is moved to another partition is deleted and inserted.
    assert not database.resolve("UPDATE b SET x = 1").exact


@pytest.mark.parametrize(
    ("sql", "reached"),
    [
        ("DELETE FROM a", "abc"),
        ("UPDATE a SET x = 1", "a"),
        ("TRUNCATE a CASCADE", "abcd"),
        ("INSERT INTO a VALUES (1)", "a"),
        ("DELETE FROM b", "bc"),
        ("UPDATE b SET x = 1", "bd"),
        ("DELETE FROM d", "d"),
    ],
)
def test_cascades_are_followed_action_by_action(database: Database, sql: str, reached: str) -> None:
    oids = {name: database.relation(name) for name in "abcd"}
    for child, parent, on_update, on_delete in (
        ("b", "a", "a", "c"),
        ("c", "b", "r", "n"),
        ("d", "b", "c", "a"),
        ("a", "a", "a", "c"),  # of itself
    ):
        database.add("foreign_keys", oids[child], oids[parent], on_update, on_delete)
    access = database.resolve(sql)
    assert access.write_set == tables(*(oids[name] for name in reached))
    assert access.exact


def test_a_trigger_behind_a_cascade_counts(database: Database) -> None:
    parent, child = database.relation("parent"), database.relation("child")
    database.add("foreign_keys", child, parent, "a", "n")
    database.add("triggers", child, 16)
    assert not database.resolve("DELETE FROM parent").exact
    assert database.resolve("UPDATE parent SET x = 1").exact


def test_a_default_that_calls_something_counts_when_values_are_written(database: Database) -> None:
    table = database.relation("t")
    database.add("column_calls", table, database.routine("writes", "v"))
    assert not database.resolve("INSERT INTO t VALUES (1)").exact
    assert database.resolve("DELETE FROM t").exact


def test_a_domain_counts_wherever_it_is_part_of_a_type(database: Database) -> None:
    writes = database.routine("writes", "v")
    row, table = database.relation("row"), database.relation("t")
    takes = database.routine("takes", "i")
    for oid, name, element, base, relation in (
        (90_001, "dom", 0, 23, 0),
        (90_002, "_dom", 90_001, 0, 0),
        (90_003, "dom_of_dom", 0, 90_001, 0),
        (90_004, "row", 0, 0, row),
        (90_005, "harmless", 0, 23, 0),
    ):
        database.add("types", oid, name, element, base, relation)
    database.add("domain_calls", 90_001, writes)
    database.add("column_types", row, 90_002)
    database.add("column_types", table, 90_004)
    database.add("routine_types", takes, 90_003)
    assert not database.resolve("SELECT 1::dom_of_dom").exact
    assert not database.resolve("SELECT ROW(1)::row").exact
    assert not database.resolve("INSERT INTO t VALUES (1)").exact
    assert not database.resolve("SELECT takes(1)").exact
    assert database.resolve("SELECT 1::harmless").replica is None


@pytest.mark.parametrize(
    ("sql", "replica", "cache", "exact"),
    [
        ("SELECT lower('x'), to_char(1, 'x')", None, None, True),
        ("SELECT now()", None, Reason.CLOCK, True),
        ("SELECT current_date", None, Reason.CLOCK, True),
        ("SELECT current_user, user", None, None, True),
        ("SELECT random()", None, Reason.VOLATILE, True),
        ("SELECT pg_backend_pid()", Reason.FUNCTION, Reason.FUNCTION, True),
        ("SELECT pure(1)", None, None, True),
        ("SELECT looks(1)", Reason.FUNCTION, Reason.FUNCTION, True),
        ("SELECT writes(1)", Reason.FUNCTION, Reason.FUNCTION, False),
        ("SELECT nothing(1)", Reason.FUNCTION, Reason.FUNCTION, False),
        ("SELECT pg_catalog.pure(1)", Reason.FUNCTION, Reason.FUNCTION, False),
        ("SELECT uuid_generate_v4()", None, Reason.VOLATILE, True),
        ("SELECT similarity('a', 'b')", None, None, True),
        ("SELECT (1).pg_sleep", Reason.FUNCTION, Reason.FUNCTION, True),
        ("SELECT a.lower, (a).lower FROM t a", None, None, True),
        ("SELECT a.writes FROM t a", None, None, True),  # it takes no row
        ("SELECT a.of_row FROM t a", Reason.FUNCTION, Reason.FUNCTION, False),
    ],
)
def test_functions_are_judged(
    database: Database, sql: str, replica: Reason | None, cache: Reason | None, exact: bool
) -> None:
    database.relation("t")
    database.routine("pure", "i")
    database.routine("looks", "s")
    database.routine("writes", "v")
    database.routine("of_row", "v", takes_row=True)
    database.routine("uuid_generate_v4", "v", 0, extension="uuid-ossp")
    database.routine("similarity", "s", 2, extension="pg_trgm")
    access = database.resolve(sql)
    assert (access.replica, access.cache, access.exact) == (replica, cache, exact)
    assert access.taints is not exact


def test_the_clock_is_told_apart(database: Database) -> None:
    assert database.resolve("SELECT now()").clock
    assert not database.resolve("SELECT random()").clock


@pytest.mark.parametrize(
    ("arguments", "defaults", "variadic", "meant"),
    [(2, 0, False, {2}), (3, 2, False, {1, 2, 3}), (2, 0, True, {1, 2, 3, 4})],
)
def test_overloads_are_told_apart_by_their_arguments(
    database: Database, arguments: int, defaults: int, variadic: bool, meant: set[int]
) -> None:
    """One overload takes any number and is good; the other makes the call bad where it is meant."""
    database.routine("f", "i", 1, defaults=1, variadic=True)
    database.routine("f", "v", arguments, defaults=defaults, variadic=variadic)
    for count in range(5):
        call = f"SELECT f({', '.join('1' * count)})"
        assert database.resolve(call).exact is (count not in meant), call


def test_every_schema_that_may_be_meant_counts(database: Database) -> None:
    database.routine("lower", "v", schema="mine")
    assert database.resolve("SELECT lower('x')", ("public",)).exact
    assert not database.resolve("SELECT lower('x')", ("public", "mine")).exact
    assert database.resolve("SELECT pg_catalog.lower('x')", ("public", "mine")).exact


def test_an_aggregate_is_what_it_is_made_of(database: Database) -> None:
    aggregate, part = database.routine("total", "i"), database.routine("step", "v", 2)
    database.add("aggregate_calls", aggregate, part)
    assert not database.resolve("SELECT total(1)").exact


def test_an_operator_is_its_function(database: Database) -> None:
    database.add("operators", "!@#", database.routine("op", "v", 2))
    database.add("operators", "@@@", database.routine("op2", "i", 2))
    assert not database.resolve("SELECT 1 !@# 2").exact
    assert database.resolve("SELECT 1 @@@ 2").replica is None


def test_an_operator_without_a_symbol_counts_for_every_statement(database: Database) -> None:
    database.relation("t")
    database.add("operators", "=", database.routine("op", "s", 2))
    assert database.resolve("SELECT * FROM t ORDER BY a").replica is Reason.FUNCTION


def test_a_cast_counts_for_every_statement(database: Database) -> None:
    database.relation("t")
    database.add("casts", database.routine("cast_function", "v"))
    assert not database.resolve("SELECT * FROM t").exact


def test_a_function_that_is_gone_may_have_been_anything(database: Database) -> None:
    table = database.relation("t")
    database.add("column_calls", table, 99_999)
    assert not database.resolve("INSERT INTO t VALUES (1)").exact


def test_what_sets_something_taints(database: Database) -> None:
    access = database.resolve("SELECT set_config('a', 'b', false)")
    assert access.taints
    assert access.exact
    assert access.replica is Reason.FUNCTION


def test_what_is_opaque_may_do_anything(database: Database) -> None:
    access = database.resolve("DO 'x'")
    assert not access.exact
    assert access.schema
    assert access.taints
    assert access.replica is Reason.OPAQUE


def test_a_write_to_one_parent_is_seen_through_the_other(database: Database) -> None:
    one, other, child = (database.relation(name) for name in ("one", "other", "child"))
    database.add("inheritance", child, one)
    database.add("inheritance", child, other)
    assert database.resolve("DELETE FROM one").write_set == tables(one, other)
    assert database.resolve("INSERT INTO one VALUES (1)").write_set == tables(one)
    assert database.resolve("INSERT INTO child VALUES (1)").write_set == tables(one, other)
    assert database.resolve("SELECT 1 FROM other").read_set == tables(other)
