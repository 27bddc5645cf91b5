"""What the ledger keeps per table, and the sets of tables that statements read.

Nothing here decides: `ledger.py` writes these objects and asks them.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.types import ALL_OID, SCHEMA_OID, Position, Table, Token

EVERY_DATABASE: Final = ""
"""The database of the pseudo-tables that stand for the whole server group."""

VERSION_MASK: Final = (1 << 128) - 1

BLOCKED: Final = -1
"""Stands where a version is expected and equals none: versions are not negative."""

NEVER: Final = -2
"""The version of a result that was not known to be current when it was kept: it equals none."""

UNKNOWN: Final = Position(1 << 128)
"""A need that no replica reaches, until the position of the last commit is known."""


def schema_of(database: str = EVERY_DATABASE) -> Table:
    """Name what DDL, GRANT and function changes write. Roles belong to every database."""
    return Table(database, SCHEMA_OID)


def everything_in(database: str = EVERY_DATABASE) -> Table:
    """Name what a write is said to change when nobody can tell its tables apart."""
    return Table(database, ALL_OID)


def hash_token(token: Token) -> int:
    """Spread a token over 128 bits, so that sums of tokens don't collide.

    Tokens may then be cheap to make and share a prefix: a member's incarnation and a
    counter would do. Unhashed, the sums of 1 + 4 and 2 + 3 would be one version.
    """
    digest = blake2b(token.to_bytes(16, "little"), digest_size=16).digest()
    return int.from_bytes(digest, "little")


class TableState:
    """What is known of one table's commits. One object per table, while anybody reads it."""

    __slots__ = (
        "foreign",
        "is_quarantined",
        "need",
        "number",
        "pending",
        "table",
        "version",
    )

    def __init__(self, table: Table, version: int) -> None:
        self.table = table
        self.version = version
        self.pending: set[Token] = set()
        self.need = UNKNOWN
        self.number = 0  # of the last commit, in the order of acknowledgement
        self.foreign = 0  # how many commits past the proxy were counted
        self.is_quarantined = False  # nobody but the primary serves it, whatever its version

    def __repr__(self) -> str:
        return f"<TableState {self.table} pending={len(self.pending)} number={self.number}>"


@mypyc_attr(native_class=False)  # weakly referenced, which a native class can't be
class ReadSet:
    """The tables a statement depends on, and a digest of their state.

    Made by `Ledger.read_set` only, one object per distinct set; statements and cache
    entries hold it. The digest is as old as `seen` says: the ledger renews it on sight.

    Attributes:
        tables: What was asked for; the pseudo-tables are not listed.
        states: Everything that counts, the pseudo-tables included.
        seen: The ledger's count of changes when the digest was made.
        version: The sum of the versions.
        fast_version: The same while nothing is pending or in quarantine, else `BLOCKED`.
        need: The highest need.
        is_quarantined: Whether any of it is in quarantine.
    """

    __slots__ = (
        "__weakref__",
        "fast_version",
        "is_quarantined",
        "need",
        "seen",
        "states",
        "tables",
        "version",
    )

    def __init__(self, tables: frozenset[Table], states: Iterable[TableState]) -> None:
        self.tables = tables
        self.states = tuple(states)
        self.seen = -1
        self.version = BLOCKED
        self.fast_version = BLOCKED
        self.need = UNKNOWN
        self.is_quarantined = False

    def __repr__(self) -> str:
        return f"<ReadSet {sorted(self.tables)}>"
