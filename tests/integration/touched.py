"""What a server has touched for a statement, compared with what was told of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from proxy.sql.access import Access
from proxy.sql.catalog import Catalog
from proxy.types import Table

CHANGED: Final = "changed"
"""In place of a lock: what a table holds is not what it held before."""

WRITING: Final = frozenset(
    {
        *("RowExclusiveLock", "ShareRowExclusiveLock", "ExclusiveLock", "AccessExclusiveLock"),
        CHANGED,
    }
)


def shortfalls(
    catalog: Catalog, access: Access, locks: Iterable[tuple[int, str]], *, is_numbered: bool
) -> Iterator[str]:
    """Say what was touched and not told.

    Args:
        catalog: What was known.
        access: What was told by it.
        locks: Tables that were locked, and how; or `CHANGED`.
        is_numbered: Whether the transaction has a number.
    """
    is_read = access.replica is None
    if is_read and is_numbered:
        yield "a read that writes"
    told: frozenset[Table] = access.read_set | access.write_set
    for oid, mode in locks:
        roots = catalog.roots(oid)
        if mode in WRITING and access.exact and not roots <= access.write_set:
            yield f"writes {catalog.name_of(oid)}"
        elif is_read and roots.isdisjoint(told):  # who writes to it marks all of its roots
            yield f"reads {catalog.name_of(oid)}"
