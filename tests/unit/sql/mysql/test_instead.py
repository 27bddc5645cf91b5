"""Calls that are said as their values."""

from __future__ import annotations

import pytest

from proxy.sql.mysql.instead import LONGEST_NAME, say_values
from proxy.sql.mysql.scanner import ANSI_QUOTES

VALUES = {"connection_id": "5", "row_count": "-1"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"SELECT CONNECTION_ID()", b"SELECT 5 AS `CONNECTION_ID()`"),
        (b"select connection_id ( ) ;", b"select 5 AS `connection_id ( )` ;"),
        (b"SELECT CONNECTION_ID() AS id, 1", b"SELECT 5 AS id, 1"),
        (b"SELECT CONNECTION_ID() `my id`", b"SELECT 5 `my id`"),
        (b"SELECT CONNECTION_ID() 'my id'", b"SELECT 5 'my id'"),
        (b"SELECT DISTINCT ROW_COUNT() + 1", b"SELECT DISTINCT -1 + 1 AS `ROW_COUNT() + 1`"),
        (b"SELECT f(ROW_COUNT(), a) x, `y` FROM t", b"SELECT f(-1, a) x, `y` FROM t"),
        (b"SELECT ROW_COUNT() IS NULL", b"SELECT -1 IS NULL AS `ROW_COUNT() IS NULL`"),
        (b"SELECT `a``` = ROW_COUNT()", b"SELECT `a``` = -1 AS ```a`````` = ROW_COUNT()`"),
        (
            b"SELECT CASE ROW_COUNT() WHEN 1 THEN 2 END",
            b"SELECT CASE -1 WHEN 1 THEN 2 END AS `CASE ROW_COUNT() WHEN 1 THEN 2 END`",
        ),
        (
            b"SELECT CASE ROW_COUNT() WHEN 1 THEN 2 END e FROM t",
            b"SELECT CASE -1 WHEN 1 THEN 2 END e FROM t",
        ),
        (b"SELECT a FROM t WHERE b = CONNECTION_ID()", b"SELECT a FROM t WHERE b = 5"),
        (
            b"SELECT 1 UNION SELECT CONNECTION_ID()",
            b"SELECT 1 UNION SELECT 5",
        ),
        (
            b"((SELECT CONNECTION_ID()) UNION SELECT 1)",
            b"((SELECT 5 AS `CONNECTION_ID()`) UNION SELECT 1)",
        ),
        (
            b"WITH x AS (SELECT CONNECTION_ID() a) SELECT a, ROW_COUNT() FROM x",
            b"WITH x AS (SELECT 5 a) SELECT a, -1 AS `ROW_COUNT()` FROM x",
        ),
        (b"INSERT INTO t VALUES (CONNECTION_ID(), ?)", b"INSERT INTO t VALUES (5, ?)"),
        (b"UPDATE t SET a = CONNECTION_ID()", b"UPDATE t SET a = 5"),
        (b"SET @a = CONNECTION_ID()", b"SET @a = 5"),
        (b"DO CONNECTION_ID()", b"DO 5"),
    ],
)
def test_calls_are_said_as_values_and_columns_keep_their_names(text: bytes, said: bytes) -> None:
    assert say_values(text, 0, VALUES) == said


@pytest.mark.parametrize(
    "text",
    [
        b"SELECT 1",
        b"SELECT 'CONNECTION_ID()' /* CONNECTION_ID() */",
        b"SELECT connection_id FROM t",
        b"SELECT s.connection_id()",
        b"SELECT `connection_id`()",
        b"SELECT CONNECTION_ID(1)",
        b"SELECT CONNECTION_ID",
        b"CREATE VIEW v AS SELECT CONNECTION_ID()",
        b"PREPARE p FROM 'SELECT CONNECTION_ID()'",
        b"SHOW PROCESSLIST",
        b"SELECT * FROM information_schema.processlist WHERE id = CONNECTION_ID()",
        b"SELECT * FROM `performance_schema`.threads WHERE processlist_id = CONNECTION_ID()",
        b"SELECT CONNECTION_ID(), 'open",
        b"",
    ],
)
def test_what_is_no_such_call_or_means_the_servers_is_left(text: bytes) -> None:
    assert say_values(text, 0, VALUES) is text


def test_quotes_are_read_by_the_mode() -> None:
    text = b'SELECT "ROW_COUNT()", ROW_COUNT() "n"'
    assert say_values(text, ANSI_QUOTES, VALUES) == b'SELECT "ROW_COUNT()", -1 "n"'


def test_a_name_that_is_too_long_is_not_given() -> None:
    text = b"SELECT ROW_COUNT() + " + b"1" * LONGEST_NAME
    assert say_values(text, 0, VALUES) == b"SELECT -1 + " + b"1" * LONGEST_NAME
