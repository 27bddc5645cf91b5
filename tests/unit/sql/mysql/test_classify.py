"""What the classifier says of queries and changes of rows in MySQL's SQL."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.sql.mysql.classify import MAX_LENGTH, classify
from proxy.sql.mysql.functions import acts, cache_reason, effects_of, is_builtin, replica_reason
from proxy.sql.mysql.scanner import ANSI_QUOTES, scan
from proxy.sql.scanner import NO_FINGERPRINT
from proxy.sql.statement import Action, Effect, FunctionName, Kind, RelationName, Statement
from proxy.types import Reason
from tests.unit.sql.mysql.statements import CHANGES, READS


def read(sql: str, modes: int = 0) -> Statement:
    return classify(scan(sql.encode(), modes).fingerprint)


def relations(*names: str) -> frozenset[RelationName]:
    parts = [name.split(".") for name in names]
    return frozenset(RelationName(p[0] if len(p) > 1 else None, p[-1]) for p in parts)


def names(statement: Statement) -> set[str]:
    return {function.name for function in statement.functions}


@pytest.mark.parametrize("sql", READS)
def test_reads_are_reads(sql: str) -> None:
    statement = read(sql)
    assert statement.kind is Kind.READ, statement.detail
    assert statement.reason is None
    assert statement.effects <= {Effect.ASKS_NUMBER}
    assert statement.returns_rows


@pytest.mark.parametrize("sql", CHANGES)
def test_changes_are_writes(sql: str) -> None:
    statement = read(sql)
    assert statement.kind is Kind.WRITE, statement.detail
    assert statement.writes
    assert statement.writes <= statement.reads
    assert statement.actions


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT * FROM t FOR UPDATE", Kind.LOCKING),
        ("SELECT * FROM t FOR SHARE SKIP LOCKED", Kind.LOCKING),
        ("SELECT * FROM t LOCK IN SHARE MODE", Kind.LOCKING),
        ("SELECT * FROM t FOR UPDATE OF t NOWAIT", Kind.LOCKING),
        ("SELECT * FROM t WHERE a = 1 FOR UPDATE WAIT 5", Kind.LOCKING),
        ("SELECT * FROM (SELECT * FROM t FOR UPDATE) q", Kind.LOCKING),
        ("SELECT * FROM t INTO OUTFILE '/x'", Kind.UTILITY),
        ("SELECT * INTO DUMPFILE '/x' FROM t", Kind.UTILITY),
        ("SELECT a, b INTO @x, @y FROM t", Kind.UTILITY),
        ("SELECT a FROM t FOR UPDATE INTO @x", Kind.LOCKING),
        ("SELECT @a := 5", Kind.UTILITY),
        ("SELECT @@read_only", Kind.UTILITY),
        ("SELECT SQL_CALC_FOUND_ROWS * FROM t", Kind.UTILITY),
        ("SELECT GET_LOCK('a', 1)", Kind.UTILITY),
        ("SELECT SLEEP(1)", Kind.UTILITY),
        ("SELECT LOAD_FILE('/x')", Kind.UTILITY),
        ("SELECT LAST_INSERT_ID()", Kind.UTILITY),
        ("SELECT NEXTVAL(s)", Kind.WRITE),
        ("SELECT NEXT VALUE FOR d.s", Kind.WRITE),
        ("SELECT SETVAL(s, 5)", Kind.WRITE),
        ("SELECT LASTVAL(s)", Kind.UTILITY),
        ("SELECT PREVIOUS VALUE FOR s", Kind.UTILITY),
        ("SELECT * FROM t PROCEDURE ANALYSE()", Kind.OPAQUE),
        ("SELECT 1 /*!50700 , 2 */", Kind.OPAQUE),
        ("SELECT 1 INTO x", Kind.OPAQUE),
        ("SELEC 1", Kind.OPAQUE),
        ("SELECT FROM WHERE", Kind.OPAQUE),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", Kind.OPAQUE),
        ("SELECT (DELETE FROM t)", Kind.OPAQUE),
        ("DELETE FROM t, u WHERE a = 1", Kind.OPAQUE),
        ("SELECT " + "(" * 200 + "1" + ")" * 200, Kind.OPAQUE),
        ("SELECT " + "NOT " * 7_000 + "a", Kind.OPAQUE),
        ("SELECT " + ", ".join(["a"] * MAX_LENGTH), Kind.OPAQUE),
        ("", Kind.EMPTY),
        ("/* nothing */", Kind.EMPTY),
    ],
)
def test_a_query_has_its_kind(sql: str, kind: Kind) -> None:
    assert read(sql).kind is kind


@pytest.mark.parametrize(
    ("sql", "effects"),
    [
        ("SELECT @a", {Effect.USER_VARIABLE}),
        ("SELECT a FROM t INTO @a", {Effect.USER_VARIABLE}),
        ("INSERT INTO t VALUES (@a)", {Effect.USER_VARIABLE}),
        ("SELECT RELEASE_ALL_LOCKS()", {Effect.ADVISORY_LOCK}),
        ("SELECT IS_USED_LOCK('a')", {Effect.ADVISORY_LOCK}),
        ("SELECT SQL_CALC_FOUND_ROWS 1", {Effect.FOUND_ROWS}),
        ("SELECT FOUND_ROWS()", {Effect.ASKS_BEFORE}),
        ("SELECT ROW_COUNT()", {Effect.ASKS_BEFORE}),
        ("SELECT @@warning_count", {Effect.ASKS_BEFORE}),
        ("SELECT @@session.error_count", {Effect.ASKS_BEFORE}),
        ("SELECT LAST_INSERT_ID()", {Effect.ASKS_INSERT_ID}),
        ("SELECT @@identity", {Effect.ASKS_INSERT_ID}),
        ("INSERT INTO t VALUES (LAST_INSERT_ID())", {Effect.ASKS_INSERT_ID}),
        ("SELECT LAST_INSERT_ID(5)", {Effect.INSERT_ID}),
        ("SELECT LASTVAL(s)", {Effect.SEQUENCE}),
    ],
)
def test_what_is_left_or_asked_for_is_told(sql: str, effects: set[Effect]) -> None:
    assert read(sql).effects == effects


def test_relations_keep_their_case_and_schema() -> None:
    statement = read("SELECT * FROM T, `s`.`B c` x JOIN s.Order ON 1, (d NATURAL JOIN e)")
    assert statement.reads == relations("T", "s.B c", "s.Order", "d", "e")
    assert statement.reason is None


def test_ansi_quotes_make_a_relation() -> None:
    assert read('SELECT "a" FROM "T"', ANSI_QUOTES).reads == relations("T")
    assert read('SELECT "a" FROM "T"').kind is Kind.OPAQUE


def test_an_executed_comment_is_part_of_the_statement() -> None:
    assert names(read("SELECT 1 /*! , wf() */")) == {"wf"}
    assert read("SELECT * FROM t /*!40001 FOR UPDATE */").kind is Kind.LOCKING
    assert read("/*! DELETE FROM t */").writes == relations("t")


def test_calls_are_named_folded_with_their_schema() -> None:
    statement = read("SELECT MyFunc(1, 2), Db.f(), `g`() FROM t WHERE a = h(i(1))")
    assert statement.functions == {
        FunctionName(None, "myfunc", 2),
        FunctionName("Db", "f", 0),
        FunctionName(None, "g", 0),
        FunctionName(None, "h", 1),
        FunctionName(None, "i", 1),
    }


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT CURRENT_TIMESTAMP, CURRENT_DATE(), UTC_TIME",
            {"current_timestamp", "current_date", "utc_time"},
        ),
        ("SELECT CAST(f(a) AS CHAR), CONVERT(g(a), SIGNED) FROM t", {"cast", "convert", "f", "g"}),
        ("SELECT TRIM(BOTH f() FROM g())", {"trim", "f", "g"}),
        ("SELECT GROUP_CONCAT(a ORDER BY f(b) SEPARATOR ',') FROM t", {"group_concat", "f"}),
        ("SELECT a + INTERVAL f(b) DAY FROM t", {"f"}),
        ("SELECT MATCH(a) AGAINST (f() IN BOOLEAN MODE) FROM t", {"f"}),
        ("SELECT * FROM t ORDER BY f(a)", {"f"}),
        ("SELECT * FROM t GROUP BY f(a) WITH ROLLUP", {"f"}),
        ("SELECT SUM(f(a)) OVER (ORDER BY g(b)) FROM t", {"sum", "f", "g"}),
        ("SELECT * FROM t JOIN u ON f(t.a) = g(u.a)", {"f", "g"}),
        ("SELECT * FROM t WHERE EXISTS (SELECT f())", {"f"}),
        ("SELECT {fn f()}", {"f"}),
        ("SELECT * FROM JSON_TABLE(f(), '$' COLUMNS (a INT PATH '$')) j", {"json_table", "f"}),
        ("SELECT CURRENT_TIMESTAMP(f())", {"current_timestamp", "f"}),
        ("SELECT CASE f() WHEN g() THEN h() END", {"f", "g", "h"}),
        ("SELECT IF(f(), 1, 2)", {"if", "f"}),
        ("INSERT INTO t SET a = f()", {"f"}),
        ("INSERT INTO t VALUES (f()) ON DUPLICATE KEY UPDATE a = g(VALUES(a))", {"f", "g"}),
        ("INSERT INTO t VALUES (1) RETURNING f()", {"f"}),
        ("UPDATE t SET a = f() ORDER BY g() LIMIT 1", {"f", "g"}),
        ("DELETE FROM t WHERE a = f() RETURNING g()", {"f", "g"}),
    ],
)
def test_no_call_is_overlooked(sql: str, expected: set[str]) -> None:
    statement = read(sql)
    assert statement.kind is not Kind.OPAQUE, statement.detail
    assert names(statement) == expected


@pytest.mark.parametrize(
    ("sql", "targets", "actions"),
    [
        ("REPLACE INTO t VALUES (1)", ("t",), {Action.INSERT, Action.DELETE}),
        ("INSERT t SELECT * FROM u", ("t",), {Action.INSERT}),
        (
            "INSERT INTO t VALUES (1) ON DUPLICATE KEY UPDATE a=1",
            ("t",),
            {Action.INSERT, Action.UPDATE},
        ),
        ("UPDATE t, s.u SET a = 1", ("t", "s.u"), {Action.UPDATE}),
        ("UPDATE t JOIN (SELECT * FROM v) q SET a = 1", ("t", "v"), {Action.UPDATE}),
        ("DELETE a FROM t a JOIN u b", ("t", "u"), {Action.DELETE}),
        ("DELETE FROM a USING t a JOIN u b", ("t", "u"), {Action.DELETE}),
        ("DELETE QUICK FROM t", ("t",), {Action.DELETE}),
        ("SELECT NEXTVAL(d.s)", ("d.s",), {Action.UPDATE}),
    ],
)
def test_targets_are_never_too_few(
    sql: str, targets: tuple[str, ...], actions: set[Action]
) -> None:
    statement = read(sql)
    assert statement.writes == relations(*targets)
    assert statement.actions == actions


def test_common_table_expressions_are_told_as_local() -> None:
    statement = read("WITH RECURSIVE x AS (SELECT 1), y AS (SELECT * FROM x) SELECT * FROM y, t")
    assert statement.local_names == {"x", "y"}
    assert statement.reads == relations("x", "y", "t")


@pytest.mark.parametrize(
    "sql",
    [
        *(
            "SELECT DATE(TIME '10:00')",
            "SELECT YEAR({t '10:00'})",
            "SELECT DATE(MAKETIME(1, 2, 3))",
        ),
        *("SELECT CAST(CAST(a AS TIME) AS DATE) FROM t", "SELECT CONVERT(a, TIME(3)) FROM t"),
        "SELECT * FROM JSON_TABLE('[]', '$' COLUMNS (a TIME PATH '$')) j",
    ],
)
def test_a_time_of_day_takes_its_date_from_today(sql: str) -> None:
    """As both servers do; so what shows it can't be kept."""
    assert read(sql).kind is Kind.READ
    assert read(sql).cache_reason is Reason.CLOCK


def test_other_dates_and_a_column_of_that_name_may_be_kept() -> None:
    assert read("SELECT DATE(a), CAST(b AS DATE), time FROM t").cache_reason is None


def test_dual_is_no_relation() -> None:
    assert not read("SELECT 1 FROM DUAL WHERE 1").reads


def test_what_cant_be_read_is_opaque() -> None:
    assert classify(NO_FINGERPRINT).kind is Kind.OPAQUE
    assert classify(b"select * from caf\xe9").kind is Kind.OPAQUE
    assert read("SELECT 1").kind is Kind.READ
    assert classify(b"select 0 ; select 0").reason is Reason.SEVERAL


def test_functions_are_judged() -> None:
    assert replica_reason("concat") is None
    assert cache_reason("concat") is None
    assert replica_reason("now") is None
    assert cache_reason("now") is Reason.CLOCK
    assert cache_reason("rand") is Reason.VOLATILE
    assert replica_reason("connection_id") is Reason.FUNCTION
    assert replica_reason("somebodys") is Reason.FUNCTION
    assert not is_builtin("somebodys")
    assert acts("get_lock")
    assert not effects_of("concat", 2)


_WORDS = st.sampled_from(
    [
        *("select", "insert", "into", "t", "u", "from", "where", "a", "b", "1", "'x'", "(", ")"),
        *(",", ".", "*", "=", "+", "-", "f(", "f()", "in", "values", "set", "update", "delete"),
        *("for update", "join", "on", "using", "as", "order by", "group by", "limit", "union"),
        *("all", "with", "exists", "case when", "then", "end", "@x", ":=", "@@y", "interval"),
        *("day", "not", "and", "or", "`q`", "?", "{", "}", "between", "null", "distinct"),
        *("replace", "outfile", "lock in share mode", "partition", "window", "over", "index"),
        *("use", "rows", "next value for", "handler", "returning", "collate", "match", "against"),
    ]
)


@given(st.lists(_WORDS, max_size=14).map(" ".join))
def test_nothing_raises(sql: str) -> None:
    statement = read(sql)
    if statement.kind is Kind.READ:
        assert not statement.writes
        assert not statement.actions


_SLOTS = (
    *("SELECT @ FROM t", "SELECT a @ FROM t", "SELECT a AS @ FROM t", "SELECT * FROM @"),
    *("SELECT * FROM t @", "SELECT * FROM t AS @ WHERE a = 1", "SELECT t.@ FROM t"),
    *("SELECT * FROM t WHERE @ = 1 ORDER BY @", "SELECT * FROM t WHERE a @ b", "SELECT 1 @ @x"),
    *("SELECT * FROM t, u @ (a)", "SELECT @(a) FROM t", "SELECT a, @ (b) FROM t", "(SELECT 1) @"),
    *("SELECT * FROM t GROUP BY @ HAVING a", "SELECT 1 FROM t WHERE a @ UPDATE", "SELECT f(@)"),
    *(
        "SELECT f(a @ b)",
        "SELECT CAST(a AS @)",
        "SELECT * FROM t JOIN u @",
        "SELECT a FROM t LIMIT @",
    ),
)
_KEYWORDS = (
    *("into", "for", "lock", "update", "share", "delete", "insert", "replace", "procedure"),
    *("outfile", "dumpfile", "set", "values", "value", "table", "with", "window", "over", "limit"),
    *(
        "offset",
        "fetch",
        "union",
        "except",
        "intersect",
        "minus",
        "returning",
        "using",
        "partition",
    ),
    *(
        "system_time",
        "lateral",
        "json_table",
        "dual",
        "row",
        "rows",
        "interval",
        "match",
        "against",
    ),
    *("binary", "collate", "next", "previous", "nextval", "setval", "call", "do", "handler", "as"),
    *("sql_calc_found_rows", "straight_join", "use", "force", "ignore", "index", "analyse", "date"),
    *("convert", "cast", "extract", "position", "trim", "get_format", "char", "group_concat"),
    *("json_value", "weight_string", "member of", "escape", "sounds", "default", "_utf8", "key"),
)


@pytest.mark.parametrize("template", _SLOTS)
def test_no_word_hides_a_change(template: str) -> None:
    for word in _KEYWORDS:
        for following in ("", " update", " into t", " (wf())"):
            statement = read(template.replace("@", word + following))
            if statement.kind is Kind.READ:
                assert " for update" not in f" {statement.text.decode()} ", statement.text
                assert " into " not in f" {statement.text.decode()} ", statement.text
                if "wf" in statement.text.decode():
                    assert "wf" in names(statement), statement.text


@given(st.binary(max_size=40))
@example(b"copy ")
@example(b" ")
@example(b"  set")
def test_any_bytes_are_classified_without_an_error(text: bytes) -> None:
    assert classify(text).kind in Kind
