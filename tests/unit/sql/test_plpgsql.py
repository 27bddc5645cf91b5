"""What a body in PL/pgSQL runs, and PostgreSQL's own compiler as the judge of it (libpg_query)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from random import Random

import pytest
from postgast.native import lib

from proxy.sql.groups import NotUnderstood
from proxy.sql.postgres.pieces import pieces_of
from proxy.sql.postgres.plpgsql import read_plpgsql
from proxy.sql.postgres.plpgsql_script import FIELD, Script
from proxy.sql.scanner import scan
from tests.integration.lineage_schemas import Maker

EVERYTHING = """
#variable_conflict use_column
<<outer>>
DECLARE
  a int := f1(1); b CONSTANT text COLLATE "C" NOT NULL DEFAULT 'x;' || f2(); c CURSOR (k int, l int)
  FOR SELECT * FROM t1 WHERE id = k; r record; q t2%ROWTYPE; w t2.id%TYPE; list int[]; d refcursor;
  s NO SCROLL CURSOR FOR SELECT 1 FROM t3; z ALIAS FOR p; "Odd" numeric(10, 2) = f3(2);
  query int; "end" int;
BEGIN
  a := b + 1; list[f4(1)] = f5(3); r.id := 4; "Odd" := 1; p := (SELECT max(id) FROM t4); query := 7;
  list[1:f6()] := '{1}'; $1 := 5; "end" := 6;
  SELECT x, y INTO STRICT a, "Odd" FROM t5 WHERE q = 1; SELECT INTO r * FROM t6 WHERE ';' <> 'x';
  SELECT id INTO a -- the rest; of the line
    FROM t7; INSERT INTO t8 VALUES (1) RETURNING id INTO a;
  WITH z AS (INSERT INTO t9 VALUES (1) RETURNING 1) SELECT 1 INTO a FROM z; TRUNCATE t10;
  UPDATE t11 SET a = 1 WHERE CURRENT OF d; DELETE FROM t12 USING t13 WHERE true;
  IF EXISTS (SELECT 1 FROM t14) THEN NULL;
  ELSIF (CASE WHEN 1 = 1 THEN true ELSE f7() END) THEN PERFORM f8(x) FROM t15;
  ELSEIF a > 1 THEN RETURN; ELSE NULL; END IF;
  FOR i IN REVERSE f9(1)..10 BY f10(2) LOOP CONTINUE WHEN i > f11(3); EXIT; END LOOP;
  FOR r IN c(f12(5), l := 6) LOOP EXIT WHEN a = 1; END LOOP;
  FOR r IN s LOOP NULL; END LOOP; FOR a, w IN SELECT 1, 2 FROM t16 LOOP NULL; END LOOP;
  <<inner>> FOR r IN INSERT INTO t17 VALUES (1) RETURNING * LOOP RETURN NEXT a; END LOOP inner;
  FOREACH a SLICE 1 IN ARRAY ARRAY[1, f13()] LOOP RAISE NOTICE '% %', f14(2), a; END LOOP;
  WHILE f15() > a LOOP NULL; END LOOP; LOOP EXIT outer; END LOOP;
  CASE f16(a) WHEN 1, f17(2) THEN DELETE FROM t18; ELSE NULL; END CASE;
  CASE WHEN a > f18() THEN NULL; END CASE;
  RAISE EXCEPTION 'x %', (SELECT 1 FROM t19) USING ERRCODE = 'P0001', HINT = f19(1);
  RAISE division_by_zero; RAISE SQLSTATE '22012' USING MESSAGE = f20(); RAISE; RAISE 'plain';
  EXECUTE 'UPDATE t20 SET a = $1' USING a, f21(1);
  GET DIAGNOSTICS a = ROW_COUNT; GET STACKED DIAGNOSTICS a = MESSAGE_TEXT;
  OPEN d NO SCROLL FOR SELECT * FROM t21; FETCH d INTO r; FETCH RELATIVE f22(1) FROM d INTO a, w;
  MOVE FORWARD 2 IN d; MOVE LAST FROM d; CLOSE d; OPEN c(f23(1), 2); OPEN s;
  RETURN QUERY SELECT id FROM t22 UNION TABLE t23; RETURN QUERY VALUES (f24(1));
  DECLARE n int := f25(1); BEGIN UPDATE t24 SET x = 1;
  EXCEPTION WHEN unique_violation OR SQLSTATE '22012' THEN INSERT INTO t25 VALUES (1);
  WHEN OTHERS THEN NULL; END;
  ASSERT a > f26(1), f27('x'); CALL p1(f28(1)); PERFORM (SELECT f29()); NULL;
END outer;
"""


RESULTS = ("(p int) RETURNS int", "() RETURNS trigger", "(p int) RETURNS SETOF int")
EXPRESSION = re.compile(rb'"PLpgSQL_expr":\{"query":("(?:[^"\\]|\\.)*"),"parseMode":(\d)')


def oracle(body: str) -> Iterator[str]:
    """List what PostgreSQL's compiler takes for SQL.

    Its report is not always JSON, so the expressions in it are looked for.
    """
    reports = [
        _report(f"CREATE FUNCTION f{result} LANGUAGE plpgsql AS $body${body}$body$")
        for result in RESULTS
    ]
    report = next(report for report in reports if report)
    for query, mode in EXPRESSION.findall(report):
        yield from _as_statement(json.loads(query), int(mode))


def _report(function: str) -> bytes:
    """Have a function compiled; nothing when it is refused."""
    result = lib.pg_query_parse_plpgsql(function.encode())
    try:
        return b"" if result.error else bytes(result.plpgsql_funcs)
    finally:
        lib.pg_query_free_plpgsql_parse_result(result)


def _as_statement(query: str, mode: int) -> Iterator[str]:
    """Write what is found the way the reader gives it."""
    if "__Case__Variable_" in query:
        yield "SELECT " + query[query.index("(") + 1 : -1]
    elif query.startswith("CALL "):
        yield query
    elif mode >= 3:  # an assignment
        depth = 0
        for piece in pieces_of(query.encode()):
            if depth == 0 and piece.says(":=", "="):
                yield "SELECT " + query.encode()[piece.stop :].decode()
                return
            depth += piece.says("(", "[") - piece.says(")", "]")
    elif query in ("true", "false", "NULL", "NEW", "OLD"):
        return
    elif mode == 2 and query.startswith("'UPDATE") and query.count("'") == 2:  # behind EXECUTE
        yield query.strip("'")
    elif mode == 2:
        yield from ("SELECT " + part for part in ARGUMENTS.get(query, [query]))
    else:
        yield query


# What a cursor is opened with is one expression to the compiler.
ARGUMENTS = {"f12(5) AS k, 6 AS l": ["f12(5)", "6"], "f23(1), 2": ["f23(1)", "2"]}


def missing(body: str) -> set[str]:
    """What the compiler has and the reader has not."""
    script = read_plpgsql(body.encode())
    told = {scan(query).fingerprint for query in script.queries}
    return {query for query in oracle(body) if scan(query.encode()).fingerprint not in told}


def script(statements: str, declared: str = "") -> Script:
    return read_plpgsql(f"DECLARE {declared} BEGIN {statements} END".encode())


def test_every_statement_of_the_manual_is_read() -> None:
    body = EVERYTHING.replace("USING a, f21(1)", "USING f21(1)").replace(
        "d refcursor", "d refcursor"
    )
    script = read_plpgsql(body.encode())
    assert not script.opaque
    text = b"\n".join(script.queries).decode()
    for number in range(1, 30):
        assert f"f{number}(" in text, number
    for number in range(1, 26):
        assert f"t{number}" in text, number
    assert not missing(EVERYTHING)


@pytest.mark.parametrize("seed", range(150))
def test_whatever_the_compiler_finds_is_found(seed: int) -> None:
    maker = Maker(Random(seed))
    schema = maker.make()
    bodies = [text.split("$f$")[1] for text in schema.ddl if "LANGUAGE plpgsql" in text]
    for body in bodies:
        assert not missing(body), body


def test_what_is_made_as_text_is_opaque() -> None:
    for statement in (
        "EXECUTE 'SELECT 1' || x;",
        "EXECUTE format('%I', x) INTO y USING 1;",
        "FOR r IN EXECUTE x LOOP NULL; END LOOP;",
        "RETURN QUERY EXECUTE x;",
        "OPEN c FOR EXECUTE x;",
        "DO $$BEGIN END$$;",
        "FETCH c INTO x;",
        "MOVE c;",
    ):
        assert script(statement).opaque, statement


@pytest.mark.parametrize("statement", ["COMMIT;", "ROLLBACK AND CHAIN;", "COMMIT AND NO CHAIN;"])
def test_what_ends_the_transaction_is_told_apart(statement: str) -> None:
    read = script(f"{statement} DELETE FROM t;")
    assert read.commits
    assert not read.opaque
    assert not read.skips
    assert read.queries == [b"DELETE FROM t"]


def test_a_text_that_is_one_string_is_known() -> None:
    update = "EXECUTE 'UPDATE t SET a = ''x''' INTO STRICT r USING f(1);"
    found = script(f"{update} EXECUTE $a$TABLE t$a$;")
    assert not found.opaque
    assert found.queries == [b"UPDATE t SET a = 'x'", b"SELECT f(1)", b"TABLE t"]
    assert script("EXECUTE E'UPDATE t SET a = 1';").opaque


@pytest.mark.parametrize(
    "body",
    [
        "",
        "BEGIN",
        "BEGIN END; END",
        "BEGIN IF x THEN END; END",
        "BEGIN SELECT 1 END",
        "BEGIN x := ; END",
        "BEGIN FOR x IN LOOP END LOOP; END",
        "BEGIN SELECT 1 INTO; END",
        "BEGIN (SELECT 1); END",
        "BEGIN x := 'y; END",
        "BEGIN x := f(1; END",
        "BEGIN RAISE 'x' USING y; END",
        "DECLARE x BEGIN END",
        "BEGIN " * 200,
        "SELECT 1",
    ],
)
def test_what_is_not_the_manuals_is_not_understood(body: str) -> None:
    with pytest.raises(NotUnderstood):
        read_plpgsql(body.encode())


def test_words_of_the_language_may_be_names() -> None:
    found = script("query := f(1); next.x := 2; exception[1] := 3; raise = 4;")
    assert found.queries == [b"SELECT f(1)", b"SELECT 2", b"SELECT 1", b"SELECT 3", b"SELECT 4"]


def test_what_is_assigned_to_is_told_where_it_was_not_declared() -> None:
    assert not script("x := 1; NEW.y := 2;", "x int;").targets
    assert script("x := 1;").targets == {"x"}
    assert script("SELECT 1, 2 INTO x, y;", "x int;").targets == {"y"}
    assert script("r.x := 1;", "r record;").targets == {FIELD}
    assert script("FOR x IN SELECT 1 LOOP NULL; END LOOP;").targets == {"x"}
    assert script("y := 1;", "y ALIAS FOR x;").targets == {"y"}


def test_types_of_variables_are_told() -> None:
    cursor = "c CURSOR (k date) FOR TABLE t;"
    found = script("NULL;", f'a timestamp with time zone; b o."Odd"[] := 1; {cursor}')
    assert {"timestamp", "o", "Odd", "date"} <= found.types


def test_a_cursor_that_stays_open_is_told() -> None:
    assert script("OPEN c FOR SELECT 1;").leaves_cursor
    assert not script("FOR r IN c LOOP NULL; END LOOP;", "c CURSOR FOR SELECT 1;").leaves_cursor
