"""Relations of a database and how they hang together: inheritance, cascades, what runs beneath.

Names are folded to oids elsewhere; here everything is an oid. A *family* is a root with all its
partitions or children: rows written to any of them can be read through the others.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

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
# pg_rewrite.ev_type
_RULE_EVENTS: Final = {Action.UPDATE: "2", Action.INSERT: "3", Action.DELETE: "4"}
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
    owner: str = ""  # of the child; what runs before its rows change runs as its owner

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


class Trigger(NamedTuple):
    """A trigger whose function is a user's.

    Attributes:
        events: `tgtype`.
        function: The oid of its function; 0 for one that nobody knows.
        waits: Whether it may run as late as at COMMIT.
        definition: What `pg_get_triggerdef` says, where it has a condition.
    """

    events: int
    function: int = 0
    waits: bool = False
    definition: str | None = None

    def fires(self, actions: Iterable[Action]) -> bool:
        """Whether one of these sets it off."""
        return any(self.events & _TRIGGER_BITS.get(action, 0) for action in actions)


class Changes:
    """What happens besides when a table is changed.

    Args:
        foreign_keys: See `catalog_queries.FOREIGN_KEYS`.
        triggers: See `catalog_queries.TRIGGERS`.
        rules: See `catalog_queries.RULES`.
    """

    __slots__ = ("_keys", "_rules", "_triggers")

    def __init__(
        self,
        foreign_keys: Iterable[Sequence[Any]],
        triggers: Iterable[Sequence[Any]],
        rules: Iterable[Sequence[Any]],
    ) -> None:
        """Sort them by the table that is changed."""
        self._keys: dict[int, list[ForeignKey]] = {}
        for child, parent, *rest in foreign_keys:
            self._keys.setdefault(parent, []).append(ForeignKey(child, *rest))
        self._triggers: dict[int, list[Trigger]] = {}
        for oid, *rest in triggers:
            self._triggers.setdefault(oid, []).append(Trigger(*rest))
        self._rules: dict[int, list[tuple[str, str]]] = {}
        for oid, event, definition in rules:
            # A text that can't be had is one that can't be read.
            self._rules.setdefault(oid, []).append((event, definition or "?"))

    def cascades(self, oid: int) -> list[ForeignKey]:
        """Find the keys that reference a table."""
        return self._keys.get(oid, [])

    def triggers(self, oid: int, actions: Iterable[Action]) -> list[Trigger]:
        """Find the triggers that fire when `oid` is changed so."""
        return [trigger for trigger in self._triggers.get(oid, ()) if trigger.fires(actions)]

    def rules(self, oid: int, actions: Iterable[Action]) -> list[str]:
        """Find the definitions of the rules that apply when `oid` is changed so."""
        events = {_RULE_EVENTS[action] for action in actions if action in _RULE_EVENTS}
        return [text for event, text in self._rules.get(oid, ()) if event in events]


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

    @property
    def schemas(self) -> tuple[str, ...]:
        """Every schema that has a relation."""
        return tuple(self._by_name)

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
