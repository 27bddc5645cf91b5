"""What the names of a statement mean in one database.

A `Catalog` is a snapshot of the definitions; it never changes, so that what it says of a statement
can be remembered for as long as the snapshot is believed. Names are followed to tables through
views, partitions, inheritance, row security and cascades, and every function on the way is judged
(`resolution.py`). Where two meanings are possible both are taken; where none is, the primary.
"""

from __future__ import annotations

from typing import final

from proxy.sql import snapshot
from proxy.sql.base_catalog import BaseCatalog
from proxy.sql.bodies import Declarations
from proxy.sql.relations import tables
from proxy.sql.resolution import Resolution
from proxy.sql.snapshot import Rows, Snapshot
from proxy.sql.statement import FunctionName, Kind, Statement
from proxy.sql.walk import Frame
from proxy.types import Table


@final
class Catalog(BaseCatalog):
    """The definitions of one database at one instant."""

    __slots__ = ("_snapshot",)

    def __init__(self, database: str, definitions: Snapshot) -> None:
        """Name the database; see `build`."""
        super().__init__(database)
        self._snapshot = definitions

    @classmethod
    def build(
        cls, database: str, declarations: Declarations | None = None, **rows: Rows
    ) -> Catalog:
        """Make a catalog.

        Args:
            database: Its name, as in `Table`.
            declarations: What functions do, by those who know.
            rows: The rows of each of `catalog_queries.QUERIES`, by its name there.
        """
        return cls(database, snapshot.build(declarations or {}, **rows))

    @property
    def problems(self) -> list[str]:
        """What is said of functions and can't be true."""
        return self._snapshot.problems

    def _begin(self, statement: Statement, search_path: tuple[str, ...], user: str) -> Resolution:
        """See the base: `"$user"` may be in the path."""
        is_atomic = statement.kind is not Kind.CALL
        frame = Frame(search_path, frozenset((user,)), is_atomic=is_atomic)
        return Resolution(self._snapshot, frame)

    def roots(self, oid: int) -> frozenset[Table]:
        """Find the tables that a change of a relation counts for."""
        return tables(self.database, self._snapshot.families.roots(oid))

    def named(self, schema: str, name: str) -> frozenset[Table] | None:
        """Find the tables that a change of what has this name counts for; None: nothing has it."""
        for relation in self._snapshot.names.find(schema, name, ()):
            return self.roots(relation.oid)
        return None

    def knows(self, oid: int) -> bool:
        """Tell whether there is a relation of this number."""
        return self._snapshot.names.get(oid) is not None

    def name_of(self, oid: int) -> str:
        """Name a relation for people; its number when it is not known."""
        relation = self._snapshot.names.get(oid)
        return f"{relation.schema}.{relation.name}" if relation else str(oid)

    def volatility_of(self, call: FunctionName, search_path: tuple[str, ...], user: str) -> str:
        """Name the volatility of a function for people; empty where there is none to be told."""
        path = tuple(user if schema == "$user" else schema for schema in search_path)
        return self._snapshot.routines.volatility(call, path)
