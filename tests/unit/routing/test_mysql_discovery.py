"""What metadata locks tell of a transaction's writes."""

from __future__ import annotations

import pytest

from proxy.freshness.ledger import Ledger
from proxy.routing.mysql_discovery import Row, found_tables
from proxy.routing.plan import Planner
from proxy.sql.mysql.catalog import DATABASE, Catalog
from proxy.sql.mysql.relations import oid_of
from proxy.types import Table
from tests.unit.sql.mysql.simple_interpreter import SimpleInterpreter
from tests.unit.sql.mysql.test_catalog import Server

T = Table(DATABASE, oid_of("shop", "t"))
U = Table(DATABASE, oid_of("shop", "u"))


@pytest.fixture
def planner() -> Planner:
    server = Server()
    server.table("t")
    server.table("u")
    server.view("v", "select a from `shop`.`t`")
    planner = Planner(Ledger(0))
    planner.know(DATABASE, Catalog.build(SimpleInterpreter(), **server.rows))
    return planner


def lock(name: bytes, mode: bytes, kind: bytes = b"TABLE", schema: bytes = b"shop") -> Row:
    return (kind, schema, name, mode)


def test_locks_for_writing_are_of_what_is_written(planner: Planner) -> None:
    rows = [
        lock(b"t", b"SHARED_WRITE"),
        lock(b"u", b"SHARED_READ"),
        lock(b"v", b"SHARED_WRITE"),
        (b"SCHEMA", b"shop", None, b"INTENTION_EXCLUSIVE"),
        lock(b"f", b"SHARED", b"FUNCTION"),
    ]
    assert found_tables(rows, planner, DATABASE) == {T}


def test_both_servers_words_are_understood(planner: Planner) -> None:
    rows = [
        lock(b"t", b"MDL_SHARED_READ", b"Table metadata lock"),
        lock(b"u", b"MDL_SHARED_WRITE", b"Table metadata lock"),
    ]
    assert found_tables(rows, planner, DATABASE) == {U}


def test_no_lock_is_no_write(planner: Planner) -> None:
    assert found_tables([(None, None, None, None)], planner, DATABASE) == frozenset()


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [lock(b"unheard_of", b"SHARED_WRITE")],
        [lock(b"user", b"SHARED_WRITE", schema=b"mysql")],
        [(b"TABLE", b"shop", None, b"SHARED_WRITE")],
    ],
)
def test_what_is_not_known_may_be_anything(planner: Planner, rows: list[Row]) -> None:
    assert found_tables(rows, planner, DATABASE) == planner.everything(DATABASE)


def test_without_a_catalog_it_may_be_anything() -> None:
    planner = Planner(Ledger(0))
    rows = [lock(b"t", b"SHARED_WRITE")]
    assert found_tables(rows, planner, DATABASE) == planner.everything(DATABASE)
