"""What statements touch on a MySQL server: names, views, triggers, cascades and bodies."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.sql.access import Access
from proxy.sql.mysql.bodies import Interpreter
from proxy.sql.mysql.catalog import DATABASE, Catalog
from proxy.sql.mysql.catalog_queries import TIME
from proxy.sql.mysql.interpreter import ServerInterpreter
from proxy.sql.mysql.relations import oid_of
from proxy.types import ALL_OID, SCHEMA_OID, Reason, Table
from tests.unit.sql.mysql.simple_interpreter import SimpleInterpreter


class Server:
    """Rows of a catalog in the making."""

    def __init__(self, lower_case_table_names: int = 0) -> None:
        names = "tables views columns foreign_keys triggers routines parameters libraries"
        self.rows: dict[str, list[Any]] = {name: [] for name in names.split()}
        self.rows["settings"] = [(lower_case_table_names,)]

    def table(
        self,
        name: str,
        engine: str | None = "InnoDB",
        schema: str = "shop",
        kind: str = "BASE TABLE",
    ) -> Table:
        self.rows["tables"].append((schema, name, kind, engine))
        return Table(DATABASE, oid_of(schema, name))

    def view(self, name: str, query: str, schema: str = "shop") -> None:
        self.rows["tables"].append((schema, name, "VIEW", None))
        self.rows["views"].append((schema, name, query))

    def trigger(self, table: str, event: str, body: str, schema: str = "shop") -> None:
        name = f"t{len(self.rows['triggers'])}"
        self.rows["triggers"].append((schema, table, name, event, body, ""))

    def key(self, child: str, parent: str, on_update: str, on_delete: str) -> None:
        self.rows["foreign_keys"].append(("shop", child, "shop", parent, on_update, on_delete))

    def routine(
        self, name: str, body: str | None, kind: str = "FUNCTION", schema: str = "shop"
    ) -> None:
        self.rows["routines"].append((schema, name, kind, body, "", "NO"))

    def resolve(self, sql: str, schema: str | None = "shop") -> Access:
        return self._resolve(sql, schema, SimpleInterpreter())

    def truly(self, sql: str) -> Access:
        """Read it as it is read in earnest."""
        return self._resolve(sql, "shop", ServerInterpreter())

    def _resolve(self, sql: str, schema: str | None, interpreter: Interpreter) -> Access:
        catalog = Catalog.build(interpreter, **self.rows)
        path = () if schema is None else (schema,)
        return catalog.resolve(interpreter.read(sql.encode(), ""), path, "somebody")


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_table_is_numbered_by_its_name() -> None:
    assert oid_of("shop", "t") == oid_of("shop", "t") != oid_of("sho", "pt")
    assert SCHEMA_OID != oid_of("", "") != ALL_OID
    assert 0 < oid_of("shop", "t") < 2**63


def test_a_name_means_the_table_in_the_current_schema(server: Server) -> None:
    here, there = server.table("t"), server.table("t", schema="other")
    assert server.resolve("SELECT a FROM t").read_set == {here}
    assert server.resolve("SELECT a FROM t", "other").read_set == {there}
    assert server.resolve("SELECT a FROM other.t").read_set == {there}
    assert server.resolve("SELECT a FROM t", None).replica is Reason.UNKNOWN_RELATION


def test_case_matters_as_the_server_says(server: Server) -> None:
    server.table("t")
    assert server.resolve("SELECT a FROM T").replica is Reason.UNKNOWN_RELATION
    folding = Server(lower_case_table_names=1)
    table = folding.table("t")
    assert folding.resolve("SELECT a FROM SHOP.T").read_set == {table}


@pytest.mark.parametrize(
    ("engine", "kind", "reason"),
    [
        ("InnoDB", "BASE TABLE", None),
        ("InnoDB", "SYSTEM VERSIONED", None),
        ("InnoDB", "SEQUENCE", Reason.SEQUENCE),
        ("MEMORY", "BASE TABLE", Reason.UNLOGGED),
        ("MyISAM", "BASE TABLE", Reason.UNLOGGED),
        ("FEDERATED", "BASE TABLE", Reason.FOREIGN),
        ("SPIDER", "BASE TABLE", Reason.FOREIGN),
        (None, "BASE TABLE", Reason.UNKNOWN_RELATION),
    ],
)
def test_an_engine_decides_who_may_serve_it(
    server: Server, engine: str, kind: str, reason: Reason | None
) -> None:
    server.table("t", engine, kind=kind)
    assert server.resolve("SELECT a FROM t").replica is reason


def test_the_servers_own_schemas_are_read_on_the_primary(server: Server) -> None:
    assert server.resolve("SELECT a FROM mysql.user").replica is Reason.SYSTEM_CATALOG
    access = server.resolve("UPDATE MySQL.user SET a = 1")
    assert not access.exact


def test_views_are_followed(server: Server) -> None:
    one, two = server.table("t"), server.table("u", schema="other")
    server.view("v", "select a from `other`.`u` join `shop`.`t`")
    server.view("w", "select a from `shop`.`v`", "other")
    assert server.resolve("SELECT a FROM other.w").read_set == {one, two}
    access = server.resolve("UPDATE other.w SET a = 1")
    assert access.write_set == {one, two}
    assert access.exact


def test_a_view_that_cannot_be_seen_may_be_anything(server: Server) -> None:
    server.view("v", "")
    access = server.resolve("SELECT a FROM v")
    assert access.replica is not None
    assert not access.exact


def test_a_function_in_a_view_is_that_of_the_views_schema(server: Server) -> None:
    here, there = server.table("t"), server.table("t", schema="other")
    server.routine("f", "RETURN (SELECT max(a) FROM t)")
    server.routine("f", "RETURN (SELECT max(a) FROM t)", schema="other")
    server.view("v", "select f(1)", "other")
    assert server.resolve("SELECT a FROM other.v").read_set == {there}
    assert server.resolve("SELECT F(1)").read_set == {here}


def test_triggers_fire_by_what_is_done(server: Server) -> None:
    table, log = server.table("t"), server.table("log")
    server.trigger("t", "INSERT", "INSERT INTO log VALUES (1)")
    assert server.resolve("INSERT INTO t VALUES (1)").write_set == {table, log}
    assert server.resolve("DELETE FROM t").write_set == {table}
    assert not server.resolve("INSERT INTO t VALUES (1)").counted


def test_triggers_set_each_other_off(server: Server) -> None:
    tables = {server.table("t"), server.table("log"), server.table("other")}
    server.trigger("t", "DELETE", "BEGIN INSERT INTO log VALUES (1); END")
    server.trigger("log", "INSERT", "BEGIN UPDATE other SET a = 1; END")
    assert server.resolve("REPLACE INTO t VALUES (1)").write_set == tables


def test_a_trigger_that_cannot_be_read_is_asked_of_the_server(server: Server) -> None:
    server.table("t")
    server.trigger("t", "INSERT", "nonsense")
    access = server.resolve("INSERT INTO t VALUES (1)")
    assert not access.exact
    assert not access.hidden


def test_cascades_are_followed(server: Server) -> None:
    parent, child, grandchild = server.table("p"), server.table("c"), server.table("g")
    server.key("c", "p", "NO ACTION", "CASCADE")
    server.key("g", "c", "NO ACTION", "SET NULL")
    server.key("p", "p", "RESTRICT", "CASCADE")
    assert server.resolve("DELETE FROM p").write_set == {parent, child, grandchild}
    assert server.resolve("UPDATE p SET a = 1").write_set == {parent}
    assert server.resolve("REPLACE INTO p VALUES (1)").write_set == {parent, child, grandchild}


def test_a_replace_may_be_an_update(server: Server) -> None:
    parent, child = server.table("p"), server.table("c")
    server.key("c", "p", "CASCADE", "NO ACTION")
    assert server.resolve("REPLACE INTO p VALUES (1)").write_set == {parent, child}
    assert server.resolve("INSERT INTO p VALUES (1)").write_set == {parent}


def test_rows_are_counted_where_both_sides_count_the_same(server: Server) -> None:
    server.table("t")
    assert server.resolve("INSERT INTO t VALUES (1)").counted
    assert server.resolve("DELETE FROM t").counted
    assert not server.resolve("UPDATE t SET a = 1").counted
    assert not server.resolve("REPLACE INTO t VALUES (1)").counted


def test_whoever_follows_a_parent_is_found(server: Server) -> None:
    parent, child, grandchild = server.table("p"), server.table("c"), server.table("g")
    server.table("x")
    server.key("c", "p", "NO ACTION", "CASCADE")
    server.key("g", "c", "CASCADE", "NO ACTION")
    server.key("x", "p", "RESTRICT", "NO ACTION")
    catalog = Catalog.build(SimpleInterpreter(), **server.rows)
    assert catalog.followers(parent) == {child, grandchild}


def test_a_function_that_reads_is_a_read(server: Server) -> None:
    table = server.table("t")
    server.routine("f", "BEGIN DECLARE x INT; SELECT max(a) INTO x FROM t; RETURN x; END")
    access = server.resolve("SELECT f(1)")
    assert access.read_set == {table}
    assert access.replica is None
    assert access.cache is None


def test_a_function_that_tells_the_time_is_not_kept(server: Server) -> None:
    server.routine("f", "RETURN now()")
    access = server.resolve("SELECT f(1)")
    assert access.replica is None
    assert access.cache is Reason.CLOCK


def test_a_function_that_writes_is_a_write(server: Server) -> None:
    table = server.table("t")
    server.routine("f", "BEGIN INSERT INTO t VALUES (1); RETURN 1; END")
    access = server.resolve("SELECT f(1)")
    assert access.write_set == {table}
    assert access.exact
    assert access.replica is not None


def test_a_function_that_leaves_a_variable_is_no_read(server: Server) -> None:
    server.routine("f", "BEGIN SET @x = 1; RETURN 1; END")
    access = server.resolve("SELECT f(1)")
    assert access.replica is Reason.FUNCTION
    assert access.taints


def test_what_is_not_in_sql_or_not_known_may_be_anything(server: Server) -> None:
    server.routine("f", None)
    server.rows["libraries"].append(("Lib",))
    for call in ("f", "lib", "unheard_of", "other.f"):
        access = server.resolve(f"SELECT {call}(1)")
        assert not access.exact
        assert access.taints


def test_a_stored_function_by_the_name_of_the_servers_own_counts_too(server: Server) -> None:
    table = server.table("t")
    server.routine("max", "RETURN (SELECT a FROM t)")
    assert server.resolve("SELECT max(1)").read_set == {table}


def test_a_call_is_followed(server: Server) -> None:
    table, other = server.table("t"), server.table("u")
    server.routine("p", "BEGIN UPDATE t SET a = 1; CALL q(); END", "PROCEDURE")
    server.routine("q", "DELETE FROM u", "PROCEDURE")
    access = server.resolve("CALL p()")
    assert access.write_set == {table, other}
    assert access.exact
    assert not access.commits


def test_a_call_of_nothing_may_be_anything(server: Server) -> None:
    access = server.resolve("CALL p()")
    assert not access.exact
    assert access.commits


@pytest.mark.parametrize("statement", ["COMMIT", "TRUNCATE TABLE t", "CREATE TABLE u (a int)"])
def test_a_procedure_that_commits_does_so_in_its_callers_transaction(
    server: Server, statement: str
) -> None:
    table = server.table("t")
    server.routine("p", f"BEGIN INSERT INTO t VALUES (1); {statement}; END", "PROCEDURE")
    access = server.resolve("CALL p()")
    assert access.write_set == {table}
    assert access.commits
    assert access.hidden


def test_dynamic_sql_may_be_anything(server: Server) -> None:
    server.routine("p", "BEGIN PREPARE s FROM @x; EXECUTE s; END", "PROCEDURE")
    access = server.resolve("CALL p()")
    assert not access.exact
    assert access.hidden


def test_a_temporary_table_of_a_body_is_nobody_elses(server: Server) -> None:
    server.table("t")
    server.routine(
        "p",
        "BEGIN CREATE TEMPORARY TABLE x (a int); INSERT INTO x SELECT a FROM t; END",
        "PROCEDURE",
    )
    access = server.resolve("CALL p()")
    assert access.exact
    assert access.write_set == frozenset()
    assert access.taints


def test_a_column_that_tells_the_time_is_not_kept(server: Server) -> None:
    server.table("t")
    server.rows["columns"].append(("shop", "t", "now()"))
    access = server.resolve("SELECT a FROM t")
    assert access.replica is None
    assert access.cache is Reason.CLOCK


@pytest.mark.parametrize("name", ["t", "v"])
def test_what_has_a_time_column_is_not_kept(server: Server, name: str) -> None:
    """It is read at a replica all the same: both servers have the same day."""
    server.table("t")
    server.view("v", "select a from `shop`.`t`")
    server.rows["columns"].append(("shop", name, TIME))
    read = f"SELECT DATE(at) FROM {name}"
    assert server.truly(read).cache is Reason.CLOCK
    assert server.truly(read).replica is None
    other = "SELECT a FROM t" if name == "v" else "SELECT a FROM u"
    server.table("u")
    assert server.truly(other).cache is None


def test_what_a_function_takes_or_gives_as_a_time_is_not_kept(server: Server) -> None:
    for name, body in (
        ("declares", "BEGIN DECLARE x TIME DEFAULT '10:00:00'; RETURN x; END"),
        ("declares_more", "BEGIN DECLARE a, b TIME(6); RETURN a; END"),
        ("takes", "RETURN x"),
        ("gives", "RETURN '10:00:00'"),
        ("stamps", "BEGIN DECLARE time TIMESTAMP; RETURN 1; END"),
    ):
        server.routine(name, body)
    server.rows["parameters"].append(("shop", "takes", "FUNCTION", "x", "time"))
    server.rows["parameters"].append(("shop", "gives", "FUNCTION", None, "time"))
    server.rows["parameters"].append(("shop", "stamps", "FUNCTION", "x", "timestamp"))
    for name in ("declares", "declares_more", "takes", "gives"):
        assert server.truly(f"SELECT DATE({name}())").cache is Reason.CLOCK, name
    assert server.truly("SELECT DATE(stamps())").cache is None


def test_functions_that_call_themselves_end(server: Server) -> None:
    table = server.table("t")
    server.routine("f", "BEGIN DELETE FROM t; RETURN f(1); END")
    server.trigger("t", "DELETE", "DELETE FROM t")
    assert server.resolve("SELECT f(1)").write_set == {table}


def test_many_levels_end(server: Server) -> None:
    server.table("t")
    server.view("v0", "select a from `shop`.`t`")
    for number in range(1, 200):
        server.view(f"v{number}", f"select a from `shop`.`v{number - 1}`")
    assert not server.resolve("SELECT a FROM v199").exact
    assert not server.resolve("UPDATE v199 SET a = 1").exact
    assert server.resolve("UPDATE v20 SET a = 1").exact


def test_the_way_to_a_table_is_told(server: Server) -> None:
    server.table("t"), server.table("log")
    server.trigger("t", "INSERT", "INSERT INTO log VALUES (1)")
    server.view("v", "select a from `shop`.`t`")
    interpreter = SimpleInterpreter()
    catalog = Catalog.build(interpreter, **server.rows)
    ways = catalog.trace(interpreter.read(b"INSERT INTO v VALUES (1)"), ("shop",), "x")
    path = "view shop.v -> trigger on shop.t -> trigger shop.t0"
    assert [way.path for way in ways if way.table == "shop.log" and way.is_written] == [path]
