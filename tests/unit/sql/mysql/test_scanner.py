"""One pass over texts in MySQL's SQL: where tokens and statements end, in every mode."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sql.mysql.scanner import (
    ANSI_QUOTES,
    IGNORE_SPACE,
    NO_BACKSLASH_ESCAPES,
    ONE_BYTE,
    scan,
)
from proxy.sql.scanner import HAS_PARAMETERS, HINT, MOST_TOKENS, MULTI, NOT_SURE, TOO_LONG

ALL_MODES = range(16)


def form(sql: str, modes: int = 0) -> str:
    found = scan(sql.encode(), modes)
    assert not found.flags & NOT_SURE, sql
    return found.fingerprint.decode()


def is_unsure(sql: bytes, modes: int = 0) -> bool:
    return bool(scan(sql, modes).flags & NOT_SURE)


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT  a,\n 'x' FROM T1", "select a , '' from T1"),
        ("SELECT 'a' 'b' \"c\"", "select ''"),
        ("SELECT 'it''s', 'a\\'b', \"a\"\"b\"", "select '' , '' , ''"),
        ("SELECT x'1F', X'1F', 0x1f, b'01', 0b01", "select 0 , 0 , 0 , 0 , 0"),
        ("SELECT N'a', n'b', _utf8mb4'x'", "select '' , '' , _utf8mb4 ''"),
        ("SELECT 1, 1.5, .5, 5., 1e5, 1.5e-3", "select 0 , 0 , 0 , 0 , 0 , 0"),
        ("SELECT 5--1", "select 0 - - 0"),
        ("SELECT 5 -- 1", "select 0"),
        ("SELECT 5 --", "select 0"),
        ("SELECT 5 --\x011\n+2", "select 0 + 0"),
        ("SELECT 5 # 1\n+2", "select 0 + 0"),
        ("SELECT 5 # 1\r+2", "select 0"),
        ("SELECT 1 /* a /* b */ + 2", "select 0 + 0"),
        ("SELECT `a``b c` FROM `Db`.T", "select `a``b c` from `Db` . T"),
        ("SELECT * FROM d.`Order`, d.Order", "select * from d . `Order` , d . Order"),
        ("SELECT a<=>b, a->>'$.x', a->'$', a:=1", "select a <=> b , a ->> '' , a -> '' , a := 0"),
        ("SELECT a=-1, !-b, a<-1", "select a = - 0 , ! - b , a < - 0"),
        ("SELECT @a.b, @'x y', @`z`, @\"q\"", "select @a.b , @q , @q , @q"),
        ("SELECT @@Version, @@`version`", "select @@version , @@version"),
        ("SELECT @@global.x", "select @@global . x"),
        ("SELECT ? + ?", "select ? + ?"),
        ("INSERT INTO t VALUES (1,'a'),(2,'b')", "insert into t values ( 0 , 0 )"),
        ("SELECT * FROM t WHERE a IN (1, -2, 'x')", "select * from t where a in ( 0 )"),
        ("SELECT * FROM T WHERE Key_ = NULL", "select * from T where Key_ = null"),
        ("SELECT {d '2020-01-01'}", "select { d '' }"),
    ],
)
def test_a_text_has_its_form(sql: str, expected: str) -> None:
    assert form(sql) == expected


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("/*! SELECT 1 */", "select 0"),
        ("SELECT 1 /*! , wf() */", "select 0 , wf ( )"),
        ("SELECT 1 /*!50699 +1 */", "select 0 + 0"),
        ("SELECT 1 /*!40101+1*//*!40101+1*/", "select 0 + 0 + 0"),
        ("SELECT 1 /*! -- */\n+5 */", "select 0 + 0"),
        ("SELECT '/*!' , 2 */ 3", "select '' , 0 * / 0"),
    ],
)
def test_what_every_server_executes_stands_there(sql: str, expected: str) -> None:
    assert form(sql) == expected


@pytest.mark.parametrize(
    "sql",
    [
        b"SELECT 1 /*!50700 +1 */",  # MySQL does, MariaDB does not
        b"SELECT 1 /*!80000 +1 */",
        b"SELECT 1 /*!99999 +1 */",
        b"SELECT 1 /*!100400 +1 */",
        b"SELECT 1 /*!050600 +1 */",
        b"SELECT 1 /*!5060 +1 */",
        b"SELECT 1 /*M! +1 */",
        b"SELECT 1 /*M!100400 +1 */",
        b"SELECT 1 /*! +1 /* x */ +1 */",
        b"SELECT 1 /*! +1",
        b"SELECT 1; /*! SELECT 2; SELECT 3 */",
        b"SELECT 1 /* ",
        b"SELECT 'a",
        b"SELECT `a",
        b"SELECT ``",
        b"SELECT 'a\\'",
        b"SELECT (1",
        b"SELECT 1)",
        b"SELECT t.1a",
        b"SELECT 1a",
        b"SELECT 0x",
        b"SELECT x'1g'",
        b"SELECT $1",
        b"SELECT $$a$$",
        b"SELECT \\N",
        b"SELECT a[1]",
        b"SELECT 1 -- \0\n",
        b"SELECT 1 /* \0 */",
        b"SELECT \0",
        b"SELECT `a\0`",
        b"SELECT @ a",
        b"SELECT @@ a",
        b"SELECT /*+ QB_NAME(`*/`) */ 1",
        b"SELECT /*+ SET_VAR(sql_mode = x) */ 1",
        b"SELECT " + b"/*+ a */" * 1001 + b"1",
        b"SELECT 1 /*/",
        b"SELECT 1 /* *",
    ],
)
def test_where_servers_may_differ_there_is_no_fingerprint(sql: bytes) -> None:
    assert is_unsure(sql)


def test_ansi_quotes_make_names_of_double_quotes() -> None:
    assert form('SELECT "a" FROM "b c"') == "select '' from ''"
    assert form('SELECT "a" FROM "b c"', ANSI_QUOTES) == 'select "a" from "b c"'
    assert form("SELECT 'a' \"b\"", ANSI_QUOTES) == "select '' \"b\""


def test_a_backslash_may_be_no_escape() -> None:
    sql = b"SELECT 'a\\'; DELETE FROM t; -- '"
    assert not scan(sql).flags & MULTI
    assert scan(sql, NO_BACKSLASH_ESCAPES).flags & MULTI


def test_a_builtin_apart_from_its_bracket_is_another_function() -> None:
    assert form("SELECT count (1), abs (1)") == "select `count` ( 0 ) , abs ( 0 )"
    assert form("SELECT NOW/**/()") == "select `NOW` ( )"
    assert form("SELECT count (1)", IGNORE_SPACE) == "select count ( 0 )"


def test_a_byte_above_127_in_a_name_is_certain_in_utf8_only() -> None:
    sql = "SELECT é FROM t".encode()
    assert not is_unsure(sql)
    assert is_unsure(sql, ONE_BYTE)
    assert not is_unsure("SELECT 'é', `é` FROM t -- é".encode(), ONE_BYTE)


def test_a_string_may_hold_any_byte() -> None:
    assert scan(b"SELECT 'a\0\xff'").fingerprint == b"select ''"


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1; ;DELETE FROM t;", ["SELECT 1", "DELETE FROM t"]),
        ("BEGIN; SELECT 1", ["BEGIN", "SELECT 1"]),
        ("/*!40101 SET a=1 */; SELECT 2", ["/*!40101 SET a=1 */", "SELECT 2"]),
        ("SELECT 1 /*! +1 */; SELECT 2", ["SELECT 1 /*! +1 */", "SELECT 2"]),
        ("CREATE TABLE a (b int); SELECT 1", ["CREATE TABLE a (b int)", "SELECT 1"]),
        ("CREATE PROCEDURE p() BEGIN SELECT 1; END; SELECT 2", None),
        ("CREATE DEFINER=a@b TRIGGER t BEFORE INSERT ON x FOR EACH ROW BEGIN SET @a=1; END", None),
        ("ALTER EVENT e DO BEGIN SELECT 1; END", None),
        ("BEGIN NOT ATOMIC SELECT 1; END", None),
        ("IF 1 THEN SELECT 1; END IF", None),
        ("l: LOOP SELECT 1; END LOOP", None),
    ],
)
def test_statements_are_told_apart(sql: str, expected: list[str] | None) -> None:
    found = scan(sql.encode())
    texts = [sql[start:stop] for start, stop in found.statements]
    assert texts == ([sql] if expected is None else expected)
    assert bool(found.flags & MULTI) == (len(texts) > 1)


@pytest.mark.parametrize("piece", [b"*", b"/**/"])
def test_a_text_is_looked_at_for_so_long(piece: bytes) -> None:
    found = scan(b"SELECT 1 " + piece * (MOST_TOKENS + 1))
    assert found.flags == NOT_SURE | TOO_LONG


def test_no_more_is_kept_of_a_hint_than_one_may_have() -> None:
    found = scan(b"/*tidegate: cache=never */" * 10_000 + b"SELECT 1")
    assert 200 < len(found.hint) < 1000


def test_flags_and_hints() -> None:
    found = scan(b"SELECT ? /* tidegate: route=primary */")
    assert found.flags == HINT | HAS_PARAMETERS
    assert found.hint == b"route=primary"


@given(st.binary(max_size=60), st.sampled_from(ALL_MODES))
def test_any_bytes_are_read_or_not_sure(sql: bytes, modes: int) -> None:
    found = scan(sql, modes)
    for start, stop in found.statements:
        assert 0 <= start < stop <= len(sql)


_PARTS = st.sampled_from(
    ["select", "a", "'", '"', "`", "\\", "/*!", "*/", "--", " ", "\n", ";", "(", ")", "1", "@", ","]
)


@given(st.lists(_PARTS, max_size=12).map("".join), st.sampled_from([0, 1, 2, 3]))
def test_a_fingerprint_is_its_own(sql: str, modes: int) -> None:
    """What comes out is SQL again, and says the same."""
    found = scan(sql.encode(), modes)
    if found.flags & (NOT_SURE | MULTI):
        return
    again = scan(found.fingerprint, modes | ANSI_QUOTES)
    assert not again.flags & NOT_SURE, found.fingerprint
    assert again.fingerprint == found.fingerprint
