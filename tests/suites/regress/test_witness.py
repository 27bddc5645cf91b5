"""What the server says is compared with what was told."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.touched import shortfalls
from tests.unit.sql.test_catalog import Database

READS, WRITES = "AccessShareLock", "RowExclusiveLock"


@pytest.fixture
def database() -> Database:
    database = Database()
    database.relation("t")
    database.relation("u")
    database.body(database.routine("f", "v", 0), "BEGIN EXECUTE x; END")
    return database


@pytest.mark.parametrize(
    ("sql", "locks", "is_numbered", "found"),
    [
        ("SELECT a FROM t", {"t": READS}, False, []),
        ("SELECT a FROM t", {"t": READS}, True, ["a read that writes"]),
        ("SELECT a FROM t", {"t": READS, "u": READS}, False, ["reads public.u"]),
        ("SELECT a FROM t", {"t": WRITES}, True, ["a read that writes", "writes public.t"]),
        ("DELETE FROM t", {"t": WRITES, "u": READS}, True, []),
        ("DELETE FROM t", {"t": WRITES, "u": WRITES}, True, ["writes public.u"]),
        ("SELECT f()", {"t": WRITES}, True, []),
    ],
)
def test_what_was_not_told_is_found(
    database: Database, sql: str, locks: dict[str, str], is_numbered: bool, found: list[str]
) -> None:
    catalog = database.catalog()
    oids: dict[str, Any] = {row[2]: row[0] for row in database.rows["relations"]}
    taken = [(oids[name], mode) for name, mode in locks.items()]
    access = database.resolve(sql)
    assert list(shortfalls(catalog, access, taken, is_numbered=is_numbered)) == found
