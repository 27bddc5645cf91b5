"""Relations of a database and how they hang together: inheritance, cascades, what runs beneath.

Names are folded to oids elsewhere; here everything is an oid. A *family* is a root with all its
partitions or children: rows written to any of them can be read through the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from proxy.sql.statement import Action
from proxy.types import Reason, Table

SYSTEM_SCHEMAS: Final = frozenset({"pg_catalog", "information_schema", "pg_toast"})

# pg_trigger.tgtype
_TRIGGER_BITS: Final = {
    Action.INSERT: 4,
    Action.DELETE: 8,
    Action.UPDATE: 16,
    Action.TRUNCATE: 32,
}
# pg_constraint.confdeltype and confupdtype: cascade, set null, set default.
_CASCADE: Final = "c"
_SETS: Final = ("n", "d")


class Relation(NamedTuple):
    """A row of pg_class."""

    oid: int
    schema: str
    name: str
    kind: str
    persistence: str
    row_security: bool
    has_timetz: bool

    @property
    def reason(self) -> Reason | None:
        """Why reading it needs the primary, for what it is itself."""
        if self.schema in SYSTEM_SCHEMAS:
            return Reason.SYSTEM_CATALOG
        if self.kind == "f":
            return Reason.FOREIGN
        if self.kind == "S":
            return Reason.SEQUENCE
        if self.persistence == "u":
            return Reason.UNLOGGED
        return None


class ForeignKey(NamedTuple):
    """What a change of the referenced table does to the referencing one."""

    child: int
    on_update: str
    on_delete: str

    def follows(self, action: Action) -> frozenset[Action]:
        """Tell what is done to the child."""
        if action is Action.TRUNCATE:
            return frozenset({Action.TRUNCATE})
        if action is Action.UPDATE and self.on_update in (_CASCADE, *_SETS):
            return frozenset({Action.UPDATE})
        if action is Action.DELETE and self.on_delete == _CASCADE:
            return frozenset({Action.DELETE})
        if action is Action.DELETE and self.on_delete in _SETS:
            return frozenset({Action.UPDATE})
        return frozenset()


class Families:
    """Who inherits from whom."""

    __slots__ = ("_children", "_parents")

    def __init__(self, rows: Iterable[tuple[int, int]]) -> None:
        """Take child and parent pairs; a child may have several parents."""
        self._parents: dict[int, list[int]] = {}
        self._children: dict[int, list[int]] = {}
        for child, parent in rows:
            self._parents.setdefault(child, []).append(parent)
            self._children.setdefault(parent, []).append(child)

    def roots(self, oid: int) -> frozenset[int]:
        """Find the relations that everything above `oid` ends in; itself when it has no parent."""
        if oid not in self._parents:
            return frozenset({oid})
        return frozenset(
            above for above in _closure(oid, self._parents) if above not in self._parents
        )

    def below(self, oid: int) -> set[int]:
        """Find a relation and everything that inherits from it."""
        if oid not in self._children:
            return {oid}
        return _closure(oid, self._children)

    def family(self, oid: int) -> set[int]:
        """Find everything that shares a root with `oid`."""
        members: set[int] = set()
        for root in self.roots(oid):
            members |= self.below(root)
        return members


class Changes:
    """What happens besides when a table is changed.

    Args:
        foreign_keys: Referencing, referenced, on update, on delete.
        triggers: Relation and `tgtype` of triggers whose function is a user's.
        rules: Relations with rules.
    """

    __slots__ = ("_keys", "_rules", "_triggers")

    def __init__(
        self,
        foreign_keys: Iterable[tuple[int, int, str, str]],
        triggers: Iterable[tuple[int, int]],
        rules: Iterable[tuple[int]],
    ) -> None:
        """Sort them by the table that is changed."""
        self._keys: dict[int, list[ForeignKey]] = {}
        for child, parent, on_update, on_delete in foreign_keys:
            self._keys.setdefault(parent, []).append(ForeignKey(child, on_update, on_delete))
        self._triggers: dict[int, int] = {}
        for oid, events in triggers:
            self._triggers[oid] = self._triggers.get(oid, 0) | events
        self._rules = frozenset(oid for (oid,) in rules)

    def cascades(self, oid: int) -> list[ForeignKey]:
        """Find the keys that reference a table."""
        return self._keys.get(oid, [])

    def is_opaque(self, oid: int, actions: Iterable[Action]) -> bool:
        """Whether a trigger or a rule does what cannot be told when `oid` is changed so."""
        events = self._triggers.get(oid, 0)
        fires = any(events & _TRIGGER_BITS.get(action, 0) for action in actions)
        return fires or oid in self._rules


class Names:
    """Relations by schema and name."""

    __slots__ = ("_by_name", "_by_oid")

    def __init__(self, rows: Iterable[Iterable[object]]) -> None:
        """Take rows of `catalog_queries.RELATIONS`."""
        self._by_oid: dict[int, Relation] = {}
        self._by_name: dict[str, dict[str, Relation]] = {}
        for row in rows:
            relation = Relation(*row)  # type: ignore[arg-type]
            self._by_oid[relation.oid] = relation
            self._by_name.setdefault(relation.schema, {})[relation.name] = relation

    def get(self, oid: int) -> Relation | None:
        """Find a relation by its oid."""
        return self._by_oid.get(oid)

    def find(self, schema: str | None, name: str, search_path: tuple[str, ...]) -> list[Relation]:
        """Find every relation that a name can mean: rights may hide any of the path's schemas."""
        schemas = (schema,) if schema is not None else ("pg_catalog", *search_path)
        found = {}
        for place in schemas:
            relation = self._by_name.get(place, {}).get(name)
            if relation is not None:
                found[relation.oid] = relation
        return list(found.values())


def tables(database: str, oids: Iterable[int]) -> frozenset[Table]:
    """Name tables as the ledger does."""
    return frozenset(Table(database, oid) for oid in oids)


def _closure(start: int, edges: Mapping[int, list[int]]) -> set[int]:
    reached = {start}
    waiting = [start]
    while waiting:
        for following in edges.get(waiting.pop(), ()):
            if following not in reached:
                reached.add(following)
                waiting.append(following)
    return reached
