"""What the names of a statement mean on one server of MySQL or MariaDB.

Its schemas are within each other's reach, so that all of the server is one database of the house,
`def`, as MySQL itself calls it; where the client is (USE) is a search path of one. A `Catalog` is a
snapshot of the definitions and never changes. What can't be told counts for everything.
"""

from __future__ import annotations

from typing import Final, final

from proxy.sql.base_catalog import BaseCatalog
from proxy.sql.mysql import snapshot
from proxy.sql.mysql.bodies import Interpreter
from proxy.sql.mysql.resolution import FUNCTION, Frame, Resolution
from proxy.sql.mysql.snapshot import Rows, Snapshot
from proxy.sql.relations import tables
from proxy.sql.statement import Action, FunctionName, Statement
from proxy.types import Table

DATABASE: Final = "def"
"""The one database of a server."""

_COUNTED: Final = (frozenset({Action.INSERT}), frozenset({Action.DELETE}))


@final
class Catalog(BaseCatalog):
    """The definitions of a server at one instant. See `proxy.sql.lineage.Lineage`."""

    __slots__ = ("_snapshot", "problems")

    def __init__(self, definitions: Snapshot) -> None:
        """Take the definitions; see `build`."""
        super().__init__(DATABASE)
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

    def _begin(self, statement: Statement, search_path: tuple[str, ...], user: str) -> Resolution:
        """See the base: a path is the current schema, or nothing; who asks makes no difference."""
        resolution = Resolution(self._snapshot, Frame(search_path[0] if search_path else None))
        # How many rows an UPDATE counts depends on the client, and a REPLACE counts some twice.
        resolution.access.counted = statement.actions in _COUNTED
        return resolution

    def roots(self, oid: int) -> frozenset[Table]:
        """Find the tables that a change of a relation counts for: partitions are no relations."""
        return frozenset((Table(self.database, oid),))

    def named(self, schema: str, name: str) -> frozenset[Table] | None:
        """Find the tables that a change of what has this name counts for; None: nothing has it.

        What InnoDB's cascades do is told of nowhere else.
        """
        found = self.find(schema, name)
        return None if found is None else self.followers(found) | {found}

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
