"""The scanner against written expectations and against PostgreSQL's own lexer."""

from __future__ import annotations

import postgast
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from postgast import pg_query_pb2 as pg

from proxy.sql import scanner
from proxy.sql.clock import clock_word
from proxy.sql.scanner import scan


def fingerprint(sql: str) -> str:
    found = scan(sql.encode())
    assert not found.flags & scanner.NOT_SURE, sql
    return found.fingerprint.decode()


def flags(sql: str) -> int:
    return scan(sql.encode()).flags


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "select 0"),
        ("select\t*\r\nFROM  Users\fu", "select * from users u"),
        ('SELECT "User" FROM "public"."T""x"', 'select "User" from "public" . "T""x"'),
        ("SELECT 'a''b', E'a\\'b', $$x;'y$$, $t$ $$ $t$", "select '' , '' , '' , ''"),
        ("SELECT B'101', x'1F', N'a', U&'\\0041'", "select '' , '' , '' , ''"),
        ("SELECT 'a\\' , b", "select '' , b"),
        ("SELECT 'a' -- b\n  'c'", "select ''"),
        ("SELECT 1.5, .5, 1., 1e5, 1E-5, 1_000, 0x1F, 0o17, 0B11", "select " + "0 , " * 8 + "0"),
        ("SELECT $1,$2::int", "select $1 , $1 :: int"),
        ("SELECT a--b\n+c/*d/*e*/f*/-g", "select a + c - g"),
        (
            "SELECT a<>-1, b@-1, c->>'k', d>=e, f=>1",
            "select a <> - 0 , b @- 0 , c ->> '' , d >= e , f => 0",
        ),
        ("SELECT a/*x*//b", "select a / b"),
        ("SELECT a[1:2], b := 1", "select a [ 0 : 0 ] , b := 0"),
        ("SELECT straße, a$1 FROM t", "select straße , a$1 from t"),
        ("SELECT 1;", "select 0"),
        (" ; ; ", ""),
        ("-- nothing\n/* at all */", ""),
    ],
)
def test_fingerprint_is_the_tokens_without_values(sql: str, expected: str) -> None:
    assert fingerprint(sql) == expected


@pytest.mark.parametrize(
    "sqls",
    [
        ["SELECT * FROM t WHERE a IN (1)", "select * from T where a in ( $1 , 'x', -2,+3 )"],
        ["SELECT ARRAY[1]", "SELECT ARRAY['a', 'b', $3]"],
        [
            "INSERT INTO t VALUES (1, 'a', NULL)",
            "INSERT INTO t VALUES (-1.5, null, DEFAULT), ($1,$2,$3),('x', true, false)",
        ],
        [
            "INSERT INTO t VALUES ($1::int, lower('a')) ON CONFLICT DO NOTHING",
            "INSERT INTO t VALUES ($1::int, lower('a')),($2::int,lower($4)) ON CONFLICT DO NOTHING",
        ],
        ["SELECT * FROM (VALUES (1)) x, y", "SELECT * FROM (VALUES (1), (2)) x, y"],
    ],
)
def test_lists_of_any_length_have_one_fingerprint(sqls: list[str]) -> None:
    assert len({fingerprint(sql) for sql in sqls}) == 1


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT a IN (1, b, 2, 3)", "select a in ( 0 , b , 0 , 0 )"),
        ("SELECT a IN (1, 2 + f(1, 2))", "select a in ( 0 + f ( 0 , 0 ) )"),
        ("SELECT a IN ('x'::s.t, 'y'::s.u)", "select a in ( 0 :: s . t , '' :: s . u )"),
        ("SELECT f(1, 2), (1, 2)", "select f ( 0 , 0 ) , ( 0 , 0 )"),
        ("VALUES (1), (f(2)), (3), (f(4))", "values ( 0 ) , ( f ( 0 ) )"),
        ("VALUES (date 'x'), (a.b), ('y')", "values ( date '' ) , ( a . b ) , ( 0 )"),
        ("SELECT (VALUES (1), (2)), (3)", "select ( values ( 0 ) ) , ( 0 )"),
        ("SELECT a IN (1,)", "select a in ( 0 , )"),
        ("VALUES (1), x", "values ( 0 ) , x"),
        ("VALUES (1), (VALUES (2), (3))", "values ( 0 ) , ( values ( 0 ) , ( 0 ) )"),
    ],
)
def test_nothing_but_plain_values_is_left_out(sql: str, expected: str) -> None:
    assert fingerprint(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 'a",
        "SELECT E'a\\'",
        'SELECT "a',
        'SELECT ""',
        "SELECT $a$ $b$",
        "SELECT $",
        "SELECT /* /* */",
        'SELECT U&"d\\0061t"',
        "SELECT 1..2",
        "SELECT 1a",
        "SELECT $1a",
        "SELECT 1e",
        "SELECT 0x",
        "SELECT 0x1g",
        "SELECT 0b12",
        "SELECT a\\b",
        "SELECT {d}",
        "SELECT\v1",
        "SELECT 1\0",
        "SELECT 'a\0b'",
        "SELECT " + "+" * 64 + "1",
        "SELECT 1 " + "-+" * 32 + "1",
        "SELECT (1",
        "SELECT 1)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1;",
    ],
)
def test_what_is_not_certain_has_no_fingerprint(sql: str) -> None:
    found = scan(sql.encode())
    assert found.flags == scanner.NOT_SURE
    assert found.fingerprint == scanner.NO_FINGERPRINT
    assert found.statements == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1; ;SELECT ';' ; -- x", ["SELECT 1", "SELECT ';'"]),
        (
            "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b); SELECT 1",
            ["CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; DELETE FROM b)", "SELECT 1"],
        ),
        (
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; "
            "SELECT 2 AS end; END; SELECT 3",
            [
                "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; "
                "SELECT 2 AS end; END",
                "SELECT 3",
            ],
        ),
        ("BEGIN; SELECT atomic; END", ["BEGIN", "SELECT atomic", "END"]),
    ],
)
def test_statements_are_parted_where_the_server_parts_them(sql: str, expected: list[str]) -> None:
    found = scan(sql.encode())
    assert [sql[start:stop] for start, stop in found.statements] == expected
    assert bool(found.flags & scanner.MULTI) == (len(expected) > 1)


@pytest.mark.parametrize(
    "value",
    [
        "today",
        "NOW",
        "  yesterday ",
        "Tomorrow 10:00",
        "2020-01-01 now",
        "now1",
        "today\n",
        "[now,)",
    ],
)
def test_a_clock_word_is_seen(value: str) -> None:
    assert clock_word(value.encode())
    assert flags(f"SELECT * FROM t WHERE d = '{value}'") & scanner.CLOCK
    assert flags(f"SELECT $a${value}$a$") & scanner.CLOCK


@pytest.mark.parametrize("value", ["know", "nowhere", "todays", "", "no", "2020-01-01", "epoch"])
def test_other_words_are_no_clock_words(value: str) -> None:
    assert not clock_word(value.encode())
    assert not flags(f"SELECT * FROM t WHERE d = '{value}'") & scanner.CLOCK


@pytest.mark.parametrize(
    "literal",
    ["E'n\\157w'", "E'\\x6eow'", "E'\\now'", "E'no\\w'", "U&'\\006eow'", "'to'\n'day'"],
)
def test_a_clock_word_that_may_be_spelt_otherwise_is_suspected(literal: str) -> None:
    assert flags(f"SELECT {literal}") & scanner.CLOCK


def test_a_comment_for_the_proxy_is_handed_on() -> None:
    found = scan(b"/* Tidegate: cache=off */ SELECT /*tidegate:max_staleness=1s*/ 1 /* other */")
    assert found.flags == scanner.HINT
    assert found.hint == b"cache=off max_staleness=1s"
    assert found.fingerprint == b"select 0"


def test_no_more_is_kept_of_a_hint_than_one_may_have() -> None:
    found = scan(b"/*tidegate: a=1" + b" " * 300 + b"b=2 */ SELECT 1")
    assert found.hint.startswith(b"a=1 ")
    assert len(found.hint) > 200
    found = scan(b"/*tidegate: cache=never */" * 10_000 + b"SELECT 1")
    assert 200 < len(found.hint) < 1000


@pytest.mark.parametrize("piece", [b"1,", b"/**/"])
def test_a_text_is_looked_at_for_so_long(piece: bytes) -> None:
    number = scanner.MOST_TOKENS + 1
    found = scan(b"SELECT 1 " + piece * number)
    assert found.flags == scanner.NOT_SURE | scanner.TOO_LONG
    assert found.fingerprint == scanner.NO_FINGERPRINT


def test_operators_end_where_the_server_ends_them_however_many_signs_stand_there() -> None:
    assert fingerprint("SELECT 1 *" + "-+" * 20 + "1").startswith("select 0 * - + - +")
    assert fingerprint("SELECT 1 @" + "+" * 50 + " 1") == "select 0 @" + "+" * 50 + " 0"


def test_parameters_are_told() -> None:
    assert flags("SELECT $1") == scanner.HAS_PARAMETERS
    assert flags("SELECT '$1', a$1") == 0


PIECES = st.sampled_from(
    [
        *" \n\t,()[].;:+-*/<>=~!@#%^&|`?'\"$",
        *("--", "/*", "*/", "''", '""', "$$", "$a$", "$1", "::", ":=", "..", "\\", "U&'", "E'"),
        *("select", "FROM", "in (", "values (", "array[", "a", "Bé", "e", "_x$1", "now", "u&"),
        *("1", "0x1f", "1.5", ".5", "1e5", "1_0", "0", "'a'", '"q"', "E'\\''", "b'1'", "X'f'"),
    ]
)


def spaced_by_server(sql: str) -> str | None:
    """Force a space between the tokens of PostgreSQL's lexer; None where it refuses.

    The library's lexer makes tokens of comments, so it misses a string that continues behind
    one, as the server does not: the space between strings stays as it is.
    """
    try:
        tokens = postgast.scan(sql).tokens
    except postgast.PgQueryError:
        return None
    raw = sql.encode()
    spaced, string_end = b"", -1
    for token in tokens:
        if token.token in (pg.Token.SQL_COMMENT, pg.Token.C_COMMENT):
            continue
        is_string = raw[token.start : token.start + 1] == b"'"
        spaced += raw[string_end : token.start] if is_string and string_end >= 0 else b" "
        spaced += raw[token.start : token.end]
        string_end = token.end if raw[token.end - 1 : token.end] == b"'" else -1
    return spaced.decode()


@given(st.lists(PIECES, max_size=12).map("".join))
@example("a<>-1@-+2*-/**/3--4\n5")
@example("1..2")
@example("select 'a' -- c\n 'b'")
def test_tokens_end_where_the_servers_lexer_ends_them(sql: str) -> None:
    """With a space forced between the server's tokens, nothing changes."""
    found = scan(sql.encode())
    assume(not found.flags & scanner.NOT_SURE)
    spaced = spaced_by_server(sql)
    assume(spaced is not None)
    assert spaced is not None
    assert scan(spaced.encode()).fingerprint == found.fingerprint


@given(st.lists(PIECES, max_size=12).map("".join))
def test_a_fingerprint_is_its_own_fingerprint(sql: str) -> None:
    found = scan(sql.encode())
    assume(not found.flags & scanner.NOT_SURE)
    again = scan(found.fingerprint)
    assert again.fingerprint == found.fingerprint
    assert len(again.statements) == len(found.statements)


@given(st.binary(max_size=40))
def test_any_bytes_are_looked_at_without_an_error(sql: bytes) -> None:
    found = scan(sql)
    assert all(0 <= start < stop <= len(sql) for start, stop in found.statements)
