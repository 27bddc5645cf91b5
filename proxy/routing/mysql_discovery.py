"""What a MySQL transaction has written, by the metadata locks it holds: asked before the COMMIT.

A lock for writing is taken on every table that a statement, a trigger, a procedure's dynamic SQL
or a cascade of a foreign key may change, and is kept until the transaction ends; back to a
savepoint it is given up with what was written since ("Metadata Locking" in MySQL's manual; MariaDB
tells of it where the plugin `metadata_lock_info` is installed). A locking read can't be told from a
write. Temporary tables have no such locks, and tables without transactions none that is sure to
last: these are never read away from the primary. Seen on MySQL 9.7 and MariaDB 10.11.

MySQL shows the locks to nobody who may not read performance_schema, as most clients may not: they
are asked for over a connection of ours, by the number of the client's own, which waits meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.routing.plan import Planner
from proxy.sql.mysql.catalog import Catalog
from proxy.types import Table

Row = Sequence[bytes | None]

LOCKS_MYSQL: Final = """
SELECT l.OBJECT_TYPE, l.OBJECT_SCHEMA, l.OBJECT_NAME, l.LOCK_TYPE
FROM performance_schema.threads t
LEFT JOIN performance_schema.metadata_locks l ON l.OWNER_THREAD_ID = t.THREAD_ID
WHERE t.PROCESSLIST_ID = %d
"""
"""Takes the number of a connection, as CONNECTION_ID() says it. No row: it is not known at all."""

LOCKS_MARIADB: Final = """
SELECT l.LOCK_TYPE, l.TABLE_SCHEMA, l.TABLE_NAME, l.LOCK_MODE
FROM information_schema.PROCESSLIST p
LEFT JOIN information_schema.METADATA_LOCK_INFO l ON l.THREAD_ID = p.ID
WHERE p.ID = %d
"""
"""The same; without the plugin it is an error. For another's connection it needs PROCESS."""

HAS_LOCKS_MYSQL: Final = """
SELECT count(*) FROM performance_schema.setup_instruments
WHERE NAME = 'wait/lock/metadata/sql/mdl' AND ENABLED = 'YES' AND 0 = (
    SELECT VARIABLE_VALUE FROM performance_schema.global_status
    WHERE VARIABLE_NAME = 'Performance_schema_metadata_lock_lost')
"""
"""Whether every lock is noted: those that were taken before it was switched on are not, nor what
there is no room for."""

HAS_LOCKS_MARIADB: Final = """
SELECT count(*) FROM information_schema.PLUGINS
WHERE PLUGIN_NAME = 'METADATA_LOCK_INFO' AND PLUGIN_STATUS = 'ACTIVE'
"""
"""Whether locks are told."""

_TABLES: Final = frozenset({b"TABLE", b"Table metadata lock"})
_SYSTEM: Final = frozenset({b"mysql", b"sys"})
_READING: Final = frozenset(
    {b"SHARED", b"SHARED_READ", b"SHARED_HIGH_PRIO", b"SHARED_READ_ONLY", b"INTENTION_EXCLUSIVE"}
)
"""Locks under which nothing of a table is changed."""


def found_tables(rows: Sequence[Row], planner: Planner, database: str) -> frozenset[Table]:
    """Say what is written, from the server's answer.

    Args:
        rows: For each lock the kind of its object, its schema, its name, and the lock's type; a
            row of nothing where there is none.
        planner: Has the catalog that knows the tables.
        database: Of the house, the server's one.

    Returns:
        The tables; what stands for all of them, and for definitions, where that is not certain.
    """
    everything = planner.everything(database)
    catalog = planner.catalog(database)
    if not rows or not isinstance(catalog, Catalog):
        return everything
    tables: set[Table] = set()
    for kind, schema, name, lock in rows:
        if kind not in _TABLES or lock is None or lock.removeprefix(b"MDL_") in _READING:
            continue
        if schema is None or name is None or schema.lower() in _SYSTEM:
            return everything
        table = catalog.find(_text(schema), _text(name))
        if table is None:
            return everything
        if catalog.is_table(table):
            tables.add(table)
    return frozenset(tables)


def _text(name: bytes) -> str:
    return name.decode(errors="surrogateescape")
