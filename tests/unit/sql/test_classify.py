"""What the classifier says of statements, kind by kind."""

from __future__ import annotations

import pytest

from proxy.sql.classify import MAX_LENGTH, classify
from proxy.sql.groups import MAX_DEPTH
from proxy.sql.scanner import NO_FINGERPRINT, scan
from proxy.sql.statement import Action, Effect, FunctionName, Kind, RelationName, Statement
from proxy.types import Reason


def read(sql: str) -> Statement:
    return classify(scan(sql.encode()).fingerprint)


def relations(*names: str) -> frozenset[RelationName]:
    parts = [name.split(".") for name in names]
    return frozenset(RelationName(p[0] if len(p) > 1 else None, p[-1]) for p in parts)


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("", Kind.EMPTY),
        ("SELECT 1", Kind.READ),
        ("VALUES (1)", Kind.READ),
        ("TABLE t", Kind.READ),
        ("(SELECT 1)", Kind.READ),
        ("WITH x AS (SELECT 1) SELECT * FROM x", Kind.READ),
        ("SELECT * FROM t FOR SHARE", Kind.LOCKING),
        ("SELECT nextval('s')", Kind.UTILITY),
        ("SELECT pg_notify('a', 'b')", Kind.UTILITY),
        ("SELECT * INTO x FROM t", Kind.SCHEMA),
        ("SELECT * INTO TEMP x FROM t", Kind.UTILITY),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", Kind.WRITE),
        ("SELECT query_to_xml('DELETE FROM t', true, true, '')", Kind.OPAQUE),
        ("SELECT dblink_exec('x', 'DELETE FROM t')", Kind.OPAQUE),
        ("INSERT INTO t VALUES (1)", Kind.WRITE),
        ("TRUNCATE t", Kind.WRITE),
        ("REFRESH MATERIALIZED VIEW v", Kind.WRITE),
        ("COPY t FROM STDIN", Kind.WRITE),
        ("COPY t TO STDOUT", Kind.COPY_OUT),
        ("COPY t TO '/tmp/x'", Kind.UTILITY),
        ("COPY (SELECT 1) TO STDOUT", Kind.COPY_OUT),
        ("COPY (DELETE FROM t RETURNING *) TO STDOUT", Kind.WRITE),
        ("CREATE TABLE t (a int)", Kind.SCHEMA),
        ("CREATE TEMP TABLE t (a int)", Kind.UTILITY),
        ("CREATE LOCAL TEMPORARY TABLE t AS SELECT 1", Kind.UTILITY),
        ("CREATE TABLE t AS EXECUTE p", Kind.OPAQUE),
        ("DROP TABLE t", Kind.SCHEMA),
        ("GRANT SELECT ON t TO bob", Kind.SCHEMA),
        ("ALTER ROLE bob SET search_path = x", Kind.SCHEMA),
        ("DO $$ BEGIN END $$", Kind.OPAQUE),
        ("CALL p(1)", Kind.CALL),
        ("CALL s.p(a => nextval('x'), b => now()::timestamp)", Kind.CALL),
        ("CALL p(VARIADIC ARRAY[1, 2])", Kind.CALL),
        ("CALL p(query_to_xml('DELETE FROM t', true, true, ''))", Kind.OPAQUE),
        ("CALL p(1) nonsense (2)", Kind.OPAQUE),
        ("COMMIT PREPARED 'x'", Kind.OPAQUE),
        ("ROLLBACK PREPARED 'x'", Kind.UTILITY),
        ("VACUUM t", Kind.UTILITY),
        ("LOCK TABLE t", Kind.UTILITY),
        ("NOTIFY c, 'x'", Kind.UTILITY),
        ("EXPLAIN SELECT 1", Kind.EXPLAIN),
        ("EXPLAIN DELETE FROM t", Kind.EXPLAIN),
        ("EXPLAIN ANALYZE SELECT 1", Kind.EXPLAIN),
        ("EXPLAIN (ANALYZE, BUFFERS) DELETE FROM t", Kind.WRITE),
        ("EXPLAIN (ANALYZE false) DELETE FROM t", Kind.WRITE),
        ("EXPLAIN ANALYZE SELECT 1 FOR UPDATE", Kind.LOCKING),
        ("EXPLAIN ANALYZE EXECUTE p", Kind.OPAQUE),
        ("EXPLAIN (SELECT 1)", Kind.EXPLAIN),
        ("EXPLAIN ROUTE SELECT 1", Kind.PROXY),
        ("BEGIN", Kind.BEGIN),
        ("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY", Kind.BEGIN),
        ("START TRANSACTION", Kind.BEGIN),
        ("COMMIT AND CHAIN", Kind.COMMIT),
        ("END WORK", Kind.COMMIT),
        ("ABORT", Kind.ROLLBACK),
        ("ROLLBACK TO a", Kind.ROLLBACK_TO),
        ("ROLLBACK TRANSACTION TO SAVEPOINT a", Kind.ROLLBACK_TO),
        ("SAVEPOINT a", Kind.SAVEPOINT),
        ("RELEASE a", Kind.RELEASE),
        ("PREPARE TRANSACTION 'x'", Kind.PREPARE_TRANSACTION),
        ("PREPARE transaction AS SELECT 1", Kind.PREPARE),
        ("SET x = 1", Kind.SET),
        ("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", Kind.SET),
        ("SET LOCAL x = 1", Kind.SET_LOCAL),
        ("SET TRANSACTION READ ONLY", Kind.SET_TRANSACTION),
        ("SET CONSTRAINTS ALL IMMEDIATE", Kind.UTILITY),
        ("SET tidegate.consistency = bounded", Kind.PROXY),
        ("SHOW tidegate.consistency", Kind.PROXY),
        ("SHOW x", Kind.SHOW),
        ("RESET ALL", Kind.RESET),
        ("DISCARD ALL", Kind.DISCARD),
        ("EXECUTE p(1)", Kind.EXECUTE),
        ("DEALLOCATE p", Kind.DEALLOCATE),
        ("LISTEN c", Kind.LISTEN),
        ("UNLISTEN *", Kind.UNLISTEN),
        ("DECLARE c CURSOR FOR SELECT 1", Kind.DECLARE),
        ("FETCH 1 FROM c", Kind.FETCH),
        ("MOVE c", Kind.FETCH),
        ("CLOSE c", Kind.CLOSE),
        ("LOAD 'x'", Kind.UTILITY),
    ],
)
def test_a_statement_has_its_kind(sql: str, kind: Kind) -> None:
    assert read(sql).kind is kind


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1; SELECT 2", Reason.SEVERAL),
        ("SELEC 1", Reason.UNPARSED),
        ("BEGIN; DELETE FROM t", Reason.SEVERAL),
        ("BEGIN x", Reason.UNPARSED),
        ("COMMIT x", Reason.UNPARSED),
        ("SELECT FROM WHERE", Reason.UNPARSED),
        ("SELECT * FROM t WHERE", Reason.UNPARSED),
        ("SELECT " + "(" * MAX_DEPTH + "1" + ")" * MAX_DEPTH, Reason.UNPARSED),
        ("SELECT " + "NOT " * 20_000 + "a", Reason.TOO_LONG),
        ("SELECT " + "NOT " * 7_000 + "a", Reason.UNPARSED),
        ("SELECT " + "ARRAY[" * 7 + "1" + "]" * 7, Reason.UNPARSED),
        ("SELECT a" + "[1]" * 20, Reason.UNPARSED),
        ("SELECT " + ", ".join(["a"] * MAX_LENGTH), Reason.TOO_LONG),
    ],
)
def test_what_is_not_understood_is_opaque(sql: str, reason: Reason) -> None:
    statement = read(sql)
    assert statement.kind is Kind.OPAQUE
    assert statement.reason is reason


def test_a_text_without_a_fingerprint_is_opaque() -> None:
    assert classify(NO_FINGERPRINT).kind is Kind.OPAQUE


def test_a_name_that_is_not_utf8_is_opaque() -> None:
    assert classify(b"select * from caf\xe9").kind is Kind.OPAQUE


def test_relations_are_named_as_written() -> None:
    statement = read('SELECT * FROM A, s."B" x JOIN ONLY c ON true, (d NATURAL JOIN e)')
    assert statement.reads == relations("a", "s.B", "c", "d", "e")
    assert statement.reason is None


def test_a_long_name_is_cut_where_the_server_cuts_it() -> None:
    assert read(f"SELECT * FROM {'a' * 70}").reads == relations("a" * 63)
    assert read(f'SELECT * FROM "{"é" * 40}"').reads == relations("é" * 31)


def test_common_tables_are_told_apart() -> None:
    statement = read("WITH x AS (SELECT 1), y AS (TABLE t) SELECT * FROM x, y, z")
    assert statement.local_names == {"x", "y"}
    assert statement.reads == relations("x", "y", "z", "t")


@pytest.mark.parametrize(
    ("sql", "actions", "writes"),
    [
        ("INSERT INTO a SELECT * FROM b", {Action.INSERT}, ["a"]),
        ("INSERT INTO a VALUES (1) ON CONFLICT DO NOTHING", {Action.INSERT}, ["a"]),
        (
            "INSERT INTO a VALUES (1) ON CONFLICT (x) DO UPDATE SET x = 1",
            {Action.INSERT, Action.UPDATE},
            ["a"],
        ),
        ("UPDATE s.a SET x = 1 FROM b", {Action.UPDATE}, ["s.a"]),
        ("DELETE FROM a USING b", {Action.DELETE}, ["a"]),
        ("MERGE INTO a USING b ON true WHEN MATCHED THEN DELETE", {Action.DELETE}, ["a"]),
        ("TRUNCATE TABLE ONLY a, s.b * CASCADE", {Action.TRUNCATE}, ["a", "s.b"]),
        ("COPY a (x) FROM STDIN WHERE x > 1", {Action.INSERT}, ["a"]),
        (
            "WITH x AS (INSERT INTO a VALUES (1) RETURNING *) DELETE FROM b",
            {Action.INSERT, Action.DELETE},
            ["a", "b"],
        ),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY s.v", {Action.REFRESH}, ["s.v"]),
    ],
)
def test_a_write_names_its_targets(sql: str, actions: set[Action], writes: list[str]) -> None:
    statement = read(sql)
    assert statement.actions == actions
    assert statement.writes == relations(*writes)
    assert statement.writes <= statement.reads


def test_functions_are_named_with_their_arguments() -> None:
    statement = read(
        "SELECT f(), s.g(1, (2, 3)), count(*), a || h(x => 1) FROM i(1) "
        "ORDER BY percentile_cont(0.5) WITHIN GROUP (ORDER BY b), current_user"
    )
    assert statement.functions == {
        FunctionName(None, "f", 0),
        FunctionName("s", "g", 2),
        FunctionName(None, "count", 0),
        FunctionName(None, "h", 1),
        FunctionName(None, "i", 1),
        FunctionName(None, "percentile_cont", -1),
        FunctionName("pg_catalog", "current_user", 0),
    }


def test_names_behind_points_and_brackets_may_be_calls() -> None:
    statement = read("SELECT t.a, s.t.b, (t).c, (f(1)).d.e, x[1].g FROM t")
    assert statement.attributes == {"a", "b"}
    assert statement.selections == {"c", "d", "e", "g"}


def test_operators_and_types_are_named() -> None:
    statement = read(
        "SELECT a @> b, c OPERATOR(s.!@#) d, e::s.dom, date '2020-01-01', CAST(f AS g)"
    )
    assert statement.operators == {"@>", "!@#"}
    assert statement.types == {"dom", "date", "g"}


@pytest.mark.parametrize(
    ("sql", "reason"),
    [
        ("SELECT 1 FROM t", None),
        ("SELECT xmin FROM t", Reason.SYSTEM_COLUMN),
        ("SELECT t.ctid FROM t", Reason.SYSTEM_COLUMN),
        ("SELECT * FROM t TABLESAMPLE BERNOULLI (1)", Reason.VOLATILE),
        ("SELECT a::timetz FROM t", Reason.CLOCK),
        ("SELECT time with time zone '10:00 Europe/Paris'", Reason.CLOCK),
        ("SELECT time '10:00'", None),
    ],
)
def test_a_read_may_not_be_worth_keeping(sql: str, reason: Reason | None) -> None:
    statement = read(sql)
    assert statement.kind is Kind.READ
    assert statement.cache_reason is reason


@pytest.mark.parametrize(
    ("sql", "effects"),
    [
        ("SELECT pg_advisory_lock(1)", {Effect.ADVISORY_LOCK}),
        ("SELECT pg_advisory_xact_lock(1)", set()),
        ("SELECT set_config('a', 'b', false)", {Effect.SETTING}),
        ("SELECT currval('s')", {Effect.SEQUENCE}),
        ("INSERT INTO t VALUES (nextval('s'))", {Effect.SEQUENCE}),
        ("CREATE TEMP VIEW v AS SELECT 1", {Effect.TEMPORARY, Effect.TEMPORARY_CODE}),
        ("CREATE TEMP TABLE t (a int DEFAULT f(), b int DEFAULT 1 NOT NULL)", {Effect.TEMPORARY}),
        ("CREATE TEMP TABLE t (a int DEFAULT s.f('x', 1) UNIQUE)", {Effect.TEMPORARY}),
        ("CREATE TEMP TABLE t (a int DEFAULT 1 + 1)", {Effect.TEMPORARY, Effect.TEMPORARY_CODE}),
        ("CREATE TEMP TABLE t (a int DEFAULT f(g()))", {Effect.TEMPORARY, Effect.TEMPORARY_CODE}),
        ("CREATE TEMP TABLE t (a int DEFAULT NULL, b text DEFAULT 'x')", {Effect.TEMPORARY}),
        ("CREATE TEMP TABLE t (a int DEFAULT)", set()),
        ("CREATE TEMP TABLE t (a int, CHECK (a > 0))", {Effect.TEMPORARY, Effect.TEMPORARY_CODE}),
        ("CREATE TEMP TABLE t (LIKE o INCLUDING ALL)", {Effect.TEMPORARY, Effect.TEMPORARY_CODE}),
        ("CREATE TEMP TABLE t (LIKE o)", {Effect.TEMPORARY}),
        ("CREATE TEMP TABLE t AS SELECT 1 AS a", {Effect.TEMPORARY}),
        (
            "CREATE TEMP TABLE t AS SELECT rank() OVER (PARTITION BY a) FROM o",
            {Effect.TEMPORARY},
        ),
        ("SELECT 1 INTO TEMP t", {Effect.TEMPORARY}),
        ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", {Effect.HOLD_CURSOR}),
        ("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1", set()),
        ("LOAD 'x'", {Effect.UNTRACKED}),
    ],
)
def test_what_is_left_in_the_session_is_told(sql: str, effects: set[Effect]) -> None:
    assert read(sql).effects == effects


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT 1", True),
        ("INSERT INTO t SELECT 1", False),
        ("INSERT INTO t SELECT 1 RETURNING a", True),
        ("UPDATE t SET a = (SELECT 1)", False),
        ("WITH x AS (DELETE FROM t RETURNING *) UPDATE u SET a = 1", False),
        ("WITH x AS (DELETE FROM t) SELECT 1", True),
        ("EXPLAIN ANALYZE DELETE FROM t", True),
        ("SELECT 1 INTO t", False),
        ("COPY t TO STDOUT", False),
        ("SHOW x", True),
        ("SET x = 1", False),
    ],
)
def test_it_is_told_whether_rows_follow(sql: str, rows: bool) -> None:
    assert read(sql).returns_rows is rows


def test_a_command_carries_what_its_query_names() -> None:
    for sql in (
        "COPY (SELECT f(a) FROM t) TO STDOUT",
        "EXPLAIN ANALYZE SELECT f(a) FROM t",
        "DECLARE c CURSOR FOR SELECT f(a) FROM t",
        "CREATE TABLE x AS SELECT f(a) FROM t",
        "CREATE TEMP TABLE x AS (SELECT f(a) FROM t) WITH NO DATA",
    ):
        statement = read(sql)
        assert statement.functions == {FunctionName(None, "f", 1)}, sql
        assert statement.reads == relations("t"), sql


def test_arguments_of_execute_are_evaluated() -> None:
    assert read("EXECUTE p(f(1))").functions == {FunctionName(None, "f", 1)}


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("DROP DATABASE Blue", {"blue"}),
        ('DROP DATABASE IF EXISTS "Blue" WITH (FORCE)', {"Blue"}),
        ("ALTER DATABASE blue RENAME TO green", {"blue"}),
        ("ALTER DATABASE blue SET TABLESPACE fast", {"blue"}),
        ("CREATE DATABASE green TEMPLATE blue", {"blue"}),
        ("CREATE DATABASE green WITH OWNER bob TEMPLATE = blue", {"blue"}),
        ("CREATE DATABASE green", set()),
        ("ALTER DATABASE blue OWNER TO bob", set()),
        ("ALTER DATABASE blue SET work_mem = '8MB'", set()),
        ("DROP TABLE blue", set()),
        ("DROP DATABASE", set()),
    ],
)
def test_databases_that_must_be_left_are_named(sql: str, names: set[str]) -> None:
    assert read(sql).vacated == names
