"""What a transaction has written at most, by the metadata locks that it holds.

A lock for writing is taken on every table that a statement, a trigger, a procedure's dynamic SQL
or a cascade of a foreign key may change, and is kept until the transaction ends ("Metadata Locking"
in MySQL's manual; MariaDB tells of it where the plugin `metadata_lock_info` is installed). A
procedure that commits gives them up, so that the proxy can't rely on them; tests can.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.sql.mysql.catalog import Catalog
from proxy.types import Table

Row = Sequence[str | None]

LOCKS_MYSQL: Final = """
SELECT l.OBJECT_TYPE, l.OBJECT_SCHEMA, l.OBJECT_NAME, l.LOCK_TYPE
FROM performance_schema.threads t
LEFT JOIN performance_schema.metadata_locks l ON l.OWNER_THREAD_ID = t.THREAD_ID
WHERE t.PROCESSLIST_ID = %d
"""
LOCKS_MARIADB: Final = """
SELECT l.LOCK_TYPE, l.TABLE_SCHEMA, l.TABLE_NAME, l.LOCK_MODE
FROM information_schema.PROCESSLIST p
LEFT JOIN information_schema.METADATA_LOCK_INFO l ON l.THREAD_ID = p.ID
WHERE p.ID = %d
"""
"""For each lock of a connection the kind of its object, its schema, its name, and its type."""

_TABLES: Final = frozenset({"TABLE", "Table metadata lock"})
_READING: Final = frozenset(
    {"SHARED", "SHARED_READ", "SHARED_HIGH_PRIO", "SHARED_READ_ONLY", "INTENTION_EXCLUSIVE"}
)
"""Locks under which nothing of a table is changed."""


def locked(rows: Sequence[Row], catalog: Catalog) -> frozenset[Table]:
    """Say which tables are locked at all."""
    relations = (_relation(row, catalog) for row in rows)
    return frozenset(it for it in relations if it is not None and catalog.is_table(it))


def locked_for_writing(rows: Sequence[Row], catalog: Catalog) -> frozenset[Table] | None:
    """Say which tables may have been written; None: something that the catalog does not know."""
    found: set[Table] = set()
    for row in rows:
        kind, _, _, lock = row
        if kind in _TABLES and lock is not None and lock.removeprefix("MDL_") not in _READING:
            relation = _relation(row, catalog)
            if relation is None:
                return None
            if catalog.is_table(relation):
                found.add(relation)
    return frozenset(found)


def _relation(row: Row, catalog: Catalog) -> Table | None:
    _, schema, name, _ = row
    return None if schema is None or name is None else catalog.find(schema, name)
