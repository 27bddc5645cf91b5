"""What the names of a statement mean on one server of MySQL or MariaDB.

Its schemas are within each other's reach, so that all of the server is one database of the house,
`def`, as MySQL itself calls it; where the client is (USE) is a search path of one. A `Catalog` is a
snapshot of the definitions and never changes. What can't be told counts for everything.
"""

from __future__ import annotations

from typing import Final, final

from proxy.sql.access import Access
from proxy.sql.lineage import Way, anything, path_of
from proxy.sql.mysql import snapshot
from proxy.sql.mysql.bodies import Interpreter
from proxy.sql.mysql.resolution import FUNCTION, Frame, Resolution
from proxy.sql.mysql.snapshot import Rows, Snapshot
from proxy.sql.relations import tables
from proxy.sql.statement import Action, FunctionName, Kind, Statement
from proxy.types import Reason, Table

DATABASE: Final = "def"
"""The one database of a server."""

_COUNTED: Final = (frozenset({Action.INSERT}), frozenset({Action.DELETE}))


@final
class Catalog:
    """The definitions of a server at one instant. See `proxy.sql.lineage.Lineage`."""

    __slots__ = ("_snapshot", "database", "problems")

    def __init__(self, definitions: Snapshot) -> None:
        """Take the definitions; see `build`."""
        self.database = DATABASE
        self.problems: list[str] = []
        self._snapshot = definitions

    @classmethod
    def build(cls, interpreter: Interpreter, **rows: Rows) -> Catalog:
        """Make a catalog.

        Args:
            interpreter: Reads SQL as this server does.
            rows: The rows of each of `catalog_queries.queries`, by its name there.
        """
        return cls(snapshot.build(interpreter, **rows))

    def resolve(self, statement: Statement, search_path: tuple[str, ...], user: str) -> Access:
        """Say what a statement touches. The same arguments always get the same answer.

        Args:
            statement: What the text says.
            search_path: The current schema, or nothing where there is none.
            user: Who asks: it makes no difference.
        """
        if statement.kind is Kind.OPAQUE:
            return anything(statement)
        return self._resolved(self._begin(search_path), statement)

    def _begin(self, search_path: tuple[str, ...]) -> Resolution:
        return Resolution(self._snapshot, Frame(search_path[0] if search_path else None))

    def _resolved(self, resolution: Resolution, statement: Statement) -> Access:
        kind = statement.kind
        access = resolution.access
        if kind is not Kind.READ:
            access.replica = statement.reason or Reason.UTILITY
            access.detail = statement.detail
        access.cache = statement.cache_reason or access.replica
        access.schema = kind is Kind.SCHEMA
        # How many rows an UPDATE counts depends on the client, and a REPLACE counts some twice.
        access.counted = statement.actions in _COUNTED
        resolution.whole(statement)
        access.read_set = tables(self.database, resolution.reads)
        access.write_set = tables(self.database, resolution.writes)
        return access

    def trace(self, statement: Statement, search_path: tuple[str, ...], user: str) -> list[Way]:
        """Say by which way each table comes in: `resolve` once more, with a record kept.

        Args:
            statement: What the text says.
            search_path: The current schema, or nothing where there is none.
            user: Who asks: it makes no difference.

        Returns:
            Sorted by table; each is there once for what is read and once for what is written.
        """
        if statement.kind is Kind.OPAQUE:
            return []
        resolution = self._begin(search_path)
        resolution.ways = {}
        self._resolved(resolution, statement)
        return sorted(
            Way(self.name_of(oid), path_of(steps), written)
            for (oid, written), steps in resolution.ways.items()
        )

    def roots(self, oid: int) -> frozenset[Table]:
        """Find the tables that a change of a relation counts for: partitions are no relations."""
        return frozenset((Table(self.database, oid),))

    def knows(self, oid: int) -> bool:
        """Tell whether there is a relation of this number."""
        return self._snapshot.names.get(oid) is not None

    def find(self, schema: str, name: str) -> Table | None:
        """Find a relation by its name, as the server tells it."""
        relation = self._snapshot.names.find(schema, name)
        return None if relation is None else Table(self.database, relation.oid)

    def followers(self, table: Table) -> frozenset[Table]:
        """Find the tables that a cascade from this one may change, of their foreign keys alone."""
        keys = self._snapshot.keys
        reached: set[int] = set()
        waiting = [table.oid]
        while waiting:
            for key in keys.get(waiting.pop(), ()):
                if key.cascades and key.child not in reached:
                    reached.add(key.child)
                    waiting.append(key.child)
        return tables(self.database, reached)

    def is_table(self, table: Table) -> bool:
        """Tell whether rows are kept in a relation that is known: views have none."""
        relation = self._snapshot.names.get(table.oid)
        return relation is not None and relation.has_rows

    def name_of(self, oid: int) -> str:
        """Name a relation for people; its number when it is not known."""
        relation = self._snapshot.names.get(oid)
        return f"{relation.schema}.{relation.name}" if relation else str(oid)

    def volatility_of(self, call: FunctionName, search_path: tuple[str, ...], user: str) -> str:
        """Say how deterministic a function is said to be, for people."""
        schemas = search_path if call.schema is None else (call.schema,)
        for schema in schemas[:1]:
            routine = self._snapshot.routine(FUNCTION, schema, call.name)
            if routine is not None:
                return self._snapshot.labels.get(routine.oid, "")
        return ""
