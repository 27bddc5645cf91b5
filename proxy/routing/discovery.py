"""What a transaction has written, by the locks that it holds: asked before the commit is sent.

A trigger whose body can't be read, or a function, may write any table; the server knows which it
was. A lock for writing is kept until the transaction ends, so just before the COMMIT, with deferred
constraints run, the locks of the transaction's own server process are of everything that was
written and not rolled back. Definitions take no lock that lasts; they are rows in the system
catalogs, and these are counted. PostgreSQL: "pg_locks" and "Explicit Locking" in the manual.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.routing.plan import Planner
from proxy.sql.routines import FIRST_USER_OID
from proxy.types import Table

Row = Sequence[bytes | None]

_TABLES: Final = (b"r", b"p", b"m")
_FOREIGN: Final = b"f"
_TEMPORARY: Final = b"t"


def found_tables(rows: Sequence[Row], planner: Planner, database: str) -> frozenset[Table]:
    """Say what is written, from the server's answer.

    Args:
        rows: How many rows of system catalogs were written, and whether the transaction has a
            number; then for each lock the relation, its kind and its persistence.
        planner: Has the catalog that says which table a relation counts as.
        database: Where the transaction runs.

    Returns:
        The tables; what stands for all of them, and for definitions, where that is not certain.
    """
    everything = planner.everything(database)
    catalog = planner.catalog(database)
    if not rows or catalog is None:
        return everything
    (definitions, has_number), *locks = rows
    if definitions != b"0":
        return everything
    tables: set[Table] = set()
    for relation, kind, persistence in locks:
        oid = int(relation or 0)
        if oid < FIRST_USER_OID or kind is None or kind == _FOREIGN:
            return everything
        if kind in _TABLES and persistence != _TEMPORARY:
            if not catalog.knows(oid):
                return everything
            tables |= catalog.roots(oid)
    if not locks and has_number == b"t":
        return everything
    return frozenset(tables)
