"""Definitions in a file: what is written is read again, and nothing else is taken for it."""

from __future__ import annotations

import json

import pytest

from proxy.doctor import catalog_file
from proxy.doctor.mysql.asker import MySQLAsker
from proxy.doctor.postgres.asker import PostgresAsker
from proxy.errors import Unanswerable
from proxy.sql.classify import classify
from tests.unit.sql.test_catalog import Database

ASKER = PostgresAsker()


def written() -> str:
    database = Database()
    database.relation("orders")
    return catalog_file.write(ASKER, "shop", database.rows)


def test_what_is_written_is_read_again() -> None:
    catalog = catalog_file.read(ASKER, written(), "c.json")
    assert catalog.database == "shop"
    access = catalog.resolve(classify(b"select a from orders"), ("public",), "app")
    assert access.replica is None
    assert [catalog.name_of(table.oid) for table in access.read_set] == ["public.orders"]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"tidegate_catalog": 99}, "another version"),
        ({"queries": "0"}, "another version"),
        ({"rows": {}}, "damaged"),
        ({"rows": None}, "damaged"),
    ],
)
def test_what_another_version_has_written_is_refused(changes: dict[str, object], why: str) -> None:
    said = json.loads(written()) | changes
    with pytest.raises(Unanswerable, match=rf"^c\.json: .*{why}.*--save-catalog"):
        catalog_file.read(ASKER, json.dumps(said), "c.json")


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a": 1}'])
def test_what_is_no_catalog_is_refused(text: str) -> None:
    with pytest.raises(Unanswerable, match=r"^c\.json: not a catalog"):
        catalog_file.read(ASKER, text, "c.json")


def test_damaged_rows_are_refused() -> None:
    said = json.loads(written())
    said["rows"]["routines"] = [[1, 2]]
    with pytest.raises(Unanswerable, match="damaged"):
        catalog_file.read(ASKER, json.dumps(said), "c.json")


def test_definitions_of_another_engine_are_refused() -> None:
    assert catalog_file.engine_of(written(), "c.json") == "postgres"
    with pytest.raises(Unanswerable, match="definitions of postgres, not of mysql"):
        catalog_file.read(MySQLAsker(), written(), "c.json")
