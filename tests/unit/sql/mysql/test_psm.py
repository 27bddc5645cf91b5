"""Bodies of stored programs, cut into what they run."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.sql.mysql.psm import read_program
from proxy.sql.mysql.psm_script import Script
from proxy.sql.mysql.psm_tokens import Unreadable

WORDS = [
    "BEGIN",
    "END",
    "IF",
    "THEN",
    "DO",
    ";",
    "(",
    ")",
    ",",
    "SET",
    "a",
    "=",
    "1",
    "CASE",
    "WHEN",
    "INTO",
    "SELECT",
    "LIMIT",
    ".",
    ":",
    ":=",
    "'x'",
    "@b",
]


def read(body: str, sql_mode: str = "", parameters: tuple[str, ...] = ()) -> Script:
    return read_program(body.encode(), sql_mode, parameters)


def queries(body: str, sql_mode: str = "", parameters: tuple[str, ...] = ()) -> list[str]:
    return [query.decode() for query in read(body, sql_mode, parameters).queries]


def test_a_body_of_one_statement_is_that_statement() -> None:
    assert queries("INSERT INTO log VALUES (NEW.id)") == ["INSERT INTO log VALUES (NEW.id)"]


def test_every_statement_of_a_block_is_cut_out() -> None:
    assert queries("BEGIN UPDATE t SET a = ';' ; DELETE FROM u; END") == [
        "UPDATE t SET a = ';'",
        "DELETE FROM u",
    ]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("RETURN f(1)", ["SELECT (f(1))"]),
        ("RETURN 1", []),
        ("SET NEW.a = f(NEW.b), NEW.c := 'x'", ["SELECT (f(NEW.b))"]),
        (
            "IF a > 1 THEN DO 1; ELSEIF f() THEN DO 2; ELSE DO 3; END IF",
            ["SELECT (a > 1)", "DO 1", "SELECT (f())", "DO 2", "DO 3"],
        ),
        (
            "CASE f(x) WHEN 1 THEN DO 1; WHEN g() THEN DO 2; ELSE DO 3; END CASE",
            ["SELECT (f(x))", "DO 1", "SELECT (g())", "DO 2", "DO 3"],
        ),
        (
            "IF CASE WHEN a THEN b ELSE c END THEN DO 1; END IF;",
            ["SELECT (CASE WHEN a THEN b ELSE c END)", "DO 1"],
        ),
        ("x: WHILE f() DO DO 1; ITERATE x; END WHILE x", ["SELECT (f())", "DO 1"]),
        ("x: LOOP DO 1; LEAVE x; END LOOP x;", ["DO 1"]),
        ("REPEAT DO 1; UNTIL f() END REPEAT", ["DO 1", "SELECT (f())"]),
        (
            "FOR i IN 1 .. (SELECT max(a) FROM t) DO DO 1; END FOR",
            ["SELECT ((SELECT max(a) FROM t))", "DO 1"],
        ),
        ("FOR r IN (SELECT a FROM t) DO DO 1; END FOR", ["(SELECT a FROM t)", "DO 1"]),
        (
            "BEGIN DECLARE c CURSOR FOR SELECT a FROM t; OPEN c; FETCH c INTO x; CLOSE c; END",
            ["SELECT a FROM t"],
        ),
        (
            "BEGIN DECLARE EXIT HANDLER FOR SQLSTATE '23000', 1062, NOT FOUND, SQLEXCEPTION"
            " BEGIN DELETE FROM t; END; DO 1; END",
            ["DELETE FROM t", "DO 1"],
        ),
        ("BEGIN DECLARE a, b INT DEFAULT (SELECT 1 FROM t); END", ["SELECT ((SELECT 1 FROM t))"]),
        ("BEGIN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'; END", []),
    ],
)
def test_expressions_are_read_too(body: str, expected: list[str]) -> None:
    assert queries(body) == expected


def test_variables_are_taken_out_where_only_they_may_stand() -> None:
    body = "BEGIN SELECT a, b INTO x, y FROM t LIMIT n, m; SELECT 1 FROM t LIMIT 5 OFFSET k; END"
    assert queries(body) == ["SELECT a, b  FROM t LIMIT 0, 0", "SELECT 1 FROM t LIMIT 5 OFFSET 0"]


def test_what_an_insert_is_into_stays() -> None:
    assert queries("INSERT INTO t SELECT a FROM u") == ["INSERT INTO t SELECT a FROM u"]


@pytest.mark.parametrize(
    "body",
    [
        "SET @x = 1",
        "SELECT a INTO @x FROM t",
        "BEGIN SET SESSION sql_mode = ''; END",
        "SET foreign_key_checks = 0",
        "SET @@x = 1",
        "CREATE TEMPORARY TABLE u (a int)",
    ],
)
def test_what_stays_in_the_session_is_noticed(body: str) -> None:
    assert read(body).leaves


def test_variables_of_its_own_do_not_stay() -> None:
    assert not read("BEGIN DECLARE a INT; SET a = 1, b = 2; END", parameters=("B",)).leaves


@pytest.mark.parametrize(
    "body",
    [
        "COMMIT",
        "BEGIN START TRANSACTION; END",
        "BEGIN ROLLBACK; END",
        "SET autocommit = 1",
        "CREATE TABLE u (a int)",
        "BEGIN EXECUTE s; END",
    ],
)
def test_what_ends_the_transaction_is_noticed(body: str) -> None:
    assert read(body).commits


@pytest.mark.parametrize(
    "body",
    [
        "BEGIN SAVEPOINT a; ROLLBACK TO SAVEPOINT a; RELEASE SAVEPOINT a; END",
        "BEGIN INSERT INTO t VALUES (1); END",
        "CREATE TEMPORARY TABLE u (a int)",
    ],
)
def test_what_does_not_end_it_is_told_apart(body: str) -> None:
    assert not read(body).commits


@pytest.mark.parametrize("body", ["PREPARE s FROM @x", "EXECUTE IMMEDIATE 'DELETE FROM t'"])
def test_statements_made_as_text_are_opaque(body: str) -> None:
    assert read(f"BEGIN DO 1; {body}; END").opaque
    assert queries(f"BEGIN DO 1; {body}; END") == ["DO 1"]


def test_temporary_tables_are_named() -> None:
    assert read("CREATE TEMPORARY TABLE IF NOT EXISTS `U` (a int)").temporary == {"U"}


@pytest.mark.parametrize(
    ("body", "sql_mode"),
    [
        ("BEGIN DO 1; END", "ORACLE,ANSI_QUOTES"),
        ("BEGIN DO 1;", ""),
        ("BEGIN DO 1; END DO 2", ""),
        ("BEGIN IF a THEN DO 1; END; END", ""),
        ("BEGIN /*!50000 DELETE FROM t; */ END", ""),
        ("BEGIN OPEN c FOR SELECT f(); END", ""),
        ("RETURN 'a", ""),
        ("", ""),
        ("SELECT a INTO OUTFILE 'x' FROM t", ""),
    ],
)
def test_what_is_not_understood_is_said(body: str, sql_mode: str) -> None:
    with pytest.raises(Unreadable):
        read(body, sql_mode)


def test_quotes_mean_what_the_mode_says() -> None:
    assert queries('BEGIN DO "a;b"; DO 1; END') == ['DO "a;b"', "DO 1"]
    assert queries("BEGIN DO '\\'; DO 1; END", "NO_BACKSLASH_ESCAPES") == ["DO '\\'", "DO 1"]
    assert queries('BEGIN DO "a;b"; END', "ANSI_QUOTES") == ['DO "a;b"']


def test_comments_are_no_statements() -> None:
    assert queries("BEGIN # a;\n DO 1; -- b;\n /* c; */ DO 2; END") == ["DO 1", "DO 2"]


@given(st.lists(st.sampled_from(WORDS)))
def test_whatever_stands_there_nothing_else_is_raised(words: list[str]) -> None:
    try:
        read(" ".join(words))
    except Unreadable:
        return
