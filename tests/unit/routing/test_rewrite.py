"""What a rule makes of a statement's text."""

from __future__ import annotations

import pytest

from proxy.routing.reading import Reader
from proxy.routing.rewrite import Rewrite
from proxy.sql.language import MySQLLanguage


def rewritten(sql: str, text: str, pattern: str | None = None) -> str:
    return Rewrite("x", text, pattern).apply(Reader(), sql.encode()).decode()


FAILS = 'SELECT "rule x can not rewrite this"'


def test_a_statement_is_replaced() -> None:
    assert rewritten("SELECT a FROM t", "SELECT a FROM fast") == "SELECT a FROM fast"


def test_parts_of_it_are_replaced_and_values_stay() -> None:
    sql = "SELECT a FROM old WHERE b = 'old' AND c = $1"
    assert (
        rewritten(sql, r"FROM new\1", r"FROM old( WHERE)")
        == "SELECT a FROM new WHERE b = 'old' AND c = $1"
    )


def test_what_holds_nothing_of_that_stays() -> None:
    sql = b"SELECT a FROM t"
    assert Rewrite("x", "new", "old").apply(Reader(), sql) is sql


@pytest.mark.parametrize(
    ("sql", "text", "pattern"),
    [
        ("SELECT a FROM t WHERE b = $1", "SELECT a FROM t", None),
        ("SELECT a FROM t", "SELECT a FROM t WHERE b = $1", None),
        ("SELECT a FROM t", "SELECT 1; DELETE FROM t", None),
        ("SELECT a FROM t", "DROP TABLE t", None),
        ("SELECT a FROM t", "COMMIT", None),
        ("SELECT a FROM t", "SELEC", None),
        ("SELECT a FROM t", "SELECT 'a", None),
        ("SELECT a FROM t", r"\\7", "a"),
    ],
)
def test_what_would_be_another_kind_of_thing_fails(
    sql: str, text: str, pattern: str | None
) -> None:
    assert rewritten(sql, text, pattern) == FAILS


def test_a_text_that_is_no_utf8_fails() -> None:
    failing = Rewrite("x", "b", "a").apply(Reader(), b"SELECT a FROM t WHERE c = '\xff'")
    assert failing.decode() == FAILS


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("SELECT a FROM t WHERE b = ?", "SELECT a FROM t"),
        ("SELECT a FROM t WHERE b = ?", "SELECT a FROM t WHERE b = ? AND c = ?"),
        ("SELECT a FROM t", "DROP TABLE t"),
    ],
)
def test_what_fails_names_a_column_in_any_sql_mode_of_mysql(sql: str, text: str) -> None:
    failing = Rewrite("x`y", text, None).apply(Reader(language=MySQLLanguage()), sql.encode())
    assert failing.decode() == "SELECT `rule x``y can not rewrite this`"


def test_a_statement_of_mysql_keeps_its_parameters() -> None:
    reader = Reader(language=MySQLLanguage())
    rewrite = Rewrite("x", "FROM new", "FROM old")
    new = rewrite.apply(reader, b"SELECT a FROM old WHERE b = ? AND c = ?")
    assert new == b"SELECT a FROM new WHERE b = ? AND c = ?"
