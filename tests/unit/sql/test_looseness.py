"""Which differences between two answers say something, and which do not."""

from __future__ import annotations

import pytest

from proxy.routing.reading import Reader
from proxy.sql.looseness import may_differ

READER = Reader()

FIRM = (
    "SELECT a FROM t",
    "SELECT a, count(*) FROM t GROUP BY a HAVING count(*) > 1 ORDER BY a",
    "SELECT DISTINCT a FROM t WHERE a = 'limit 3 over'",
    "SELECT min(a), max(b) FROM t",
    "SELECT a FROM t JOIN s USING (id) ORDER BY b",
)
LOOSE = (
    "SELECT DISTINCT ON (a) a, b FROM t",
    "SELECT string_agg(a, ',') FROM t",
    "SELECT sum(a) FROM t",
    "SELECT row_number() OVER (ORDER BY a) FROM t",
    "SELECT rank() OVER w FROM t WINDOW w AS (ORDER BY a)",
    "SELECT ARRAY(SELECT a FROM t)",
    "SELECT JSON_ARRAYAGG(a) FROM t",
    "SELECT regr_slope(a, b) FROM t",
)
CUT = (
    "SELECT a FROM t ORDER BY a LIMIT 3",
    "SELECT a FROM t FETCH FIRST 3 ROWS ONLY",
    "SELECT a FROM t OFFSET 3",
)


@pytest.mark.parametrize("sql", FIRM)
def test_what_is_determined_by_the_rows_is_the_same_everywhere(sql: str) -> None:
    statement = READER.read(sql.encode()).statements[0]
    assert not may_differ(statement, 1, 1)
    assert not may_differ(statement, 1, 2)


@pytest.mark.parametrize("sql", LOOSE)
def test_what_depends_on_the_order_of_rows_may_differ(sql: str) -> None:
    statement = READER.read(sql.encode()).statements[0]
    assert may_differ(statement, 1, 1)
    assert may_differ(statement, 1, 2)


@pytest.mark.parametrize("sql", CUT)
def test_of_some_rows_their_number_is_the_same_everywhere(sql: str) -> None:
    statement = READER.read(sql.encode()).statements[0]
    assert may_differ(statement, 3, 3)
    assert not may_differ(statement, 3, 2)
