"""Tables, views, keys, triggers and routines of a server, by schema and name.

MySQL numbers nothing for good: what a table is called is what it is. Its number here is a hash of
its schema and name, the same in every member of a fleet. A table that is dropped and made anew is
the same one then, which the definitions' own pseudo-table makes up for.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final, NamedTuple, final

from proxy.sql.statement import Action
from proxy.types import ALL_OID, SCHEMA_OID, Reason

SYSTEM_SCHEMAS: Final = frozenset({"mysql", "information_schema", "performance_schema", "sys"})

VIEW: Final = "VIEW"
_SEQUENCE: Final = "SEQUENCE"
_TABLES: Final = frozenset({"BASE TABLE", "SYSTEM VERSIONED"})

_TRANSACTIONAL: Final = frozenset({"innodb", "rocksdb", "tokudb"})
_NOT_TRANSACTIONAL: Final = frozenset(
    {"myisam", "aria", "mrg_myisam", "memory", "csv", "archive", "blackhole"}
)
_CASCADE: Final = "CASCADE"
_SETS: Final = ("SET NULL", "SET DEFAULT")


def oid_of(schema: str, name: str, kind: str = "table") -> int:
    """Number what has a name; both names are folded."""
    digest = blake2b(f"{kind}\0{schema}\0{name}".encode(errors="surrogateescape"), digest_size=8)
    return max(int.from_bytes(digest.digest()) >> 1, SCHEMA_OID + 1, ALL_OID + 1)


class Relation(NamedTuple):
    """A row of `catalog_queries.TABLES`, its names folded."""

    oid: int
    schema: str
    name: str
    kind: str
    engine: str | None

    @property
    def reason(self) -> Reason | None:
        """Why reading it needs the primary, for what it is itself.

        What is written to a table without transactions is seen by everybody before the COMMIT that
        it is marked for, and stays after a ROLLBACK; a MEMORY table is empty after a restart, on
        each server after its own; and the engine may be another one on a replica.
        """
        if self.schema in SYSTEM_SCHEMAS:
            return Reason.SYSTEM_CATALOG
        if self.kind == _SEQUENCE:
            return Reason.SEQUENCE
        if self.kind not in _TABLES or self.engine is None:
            return Reason.UNKNOWN_RELATION
        engine = self.engine.lower()
        if engine in _TRANSACTIONAL:
            return None
        return Reason.UNLOGGED if engine in _NOT_TRANSACTIONAL else Reason.FOREIGN

    @property
    def has_rows(self) -> bool:
        """Whether it is a table."""
        return self.kind in _TABLES

    @property
    def is_foreign(self) -> bool:
        """Whether what is written to it may be written elsewhere."""
        return self.reason in (Reason.FOREIGN, Reason.UNKNOWN_RELATION)


class ForeignKey(NamedTuple):
    """What a change of the referenced table does to the referencing one."""

    child: int
    on_update: str
    on_delete: str

    @property
    def cascades(self) -> bool:
        """Whether any change does something to the child."""
        return bool(self.follows(Action.UPDATE) or self.follows(Action.DELETE))

    def follows(self, action: Action) -> frozenset[Action]:
        """Tell what is done to the child."""
        if action is Action.UPDATE and self.on_update in (_CASCADE, *_SETS):
            return frozenset({Action.UPDATE})
        if action is Action.DELETE and self.on_delete == _CASCADE:
            return frozenset({Action.DELETE})
        if action is Action.DELETE and self.on_delete in _SETS:
            return frozenset({Action.UPDATE})
        return frozenset()


class Program(NamedTuple):
    """What has a body: a routine or a trigger.

    Attributes:
        schema: Where names without one are looked for in it.
        kind: `FUNCTION`, `PROCEDURE` or `TRIGGER`.
        source: Its body; None where it is not in SQL, or can't be seen.
        sql_mode: Under which it was made.
    """

    oid: int
    schema: str
    name: str
    kind: str
    source: str | None
    sql_mode: str


@final
class Fold:
    """How names are compared ("Identifier Case Sensitivity" in the manual)."""

    __slots__ = ("_folds",)

    def __init__(self, lower_case_table_names: int) -> None:
        """Take the server's setting."""
        self._folds = lower_case_table_names != 0

    def table(self, name: str) -> str:
        """Fold the name of a schema or a table."""
        return name.lower() if self._folds else name

    def schema(self, name: str) -> str:
        """Fold a schema's; those of the server's own mean the same in every case."""
        lower = name.lower()
        return lower if self._folds or lower in SYSTEM_SCHEMAS else name


@final
class Names:
    """Relations by schema and name."""

    __slots__ = ("_by_name", "_by_oid", "_fold")

    def __init__(self, rows: Iterable[tuple[str, str, str, str | None]], fold: Fold) -> None:
        """Take rows of `catalog_queries.TABLES`."""
        self._fold = fold
        self._by_oid: dict[int, Relation] = {}
        self._by_name: dict[tuple[str, str], Relation] = {}
        for schema, name, kind, engine in rows:
            schema, name = fold.schema(schema), fold.table(name)
            relation = Relation(oid_of(schema, name), schema, name, kind, engine)
            self._by_oid[relation.oid] = relation
            self._by_name[schema, name] = relation

    def get(self, oid: int) -> Relation | None:
        """Find a relation by its number."""
        return self._by_oid.get(oid)

    def find(self, schema: str, name: str) -> Relation | None:
        """Find a relation by its name, as it is written."""
        return self._by_name.get((self._fold.schema(schema), self._fold.table(name)))

    def number(self, schema: str, name: str) -> int:
        """Number a relation by its name, whether there is one or not."""
        return oid_of(self._fold.schema(schema), self._fold.table(name))
