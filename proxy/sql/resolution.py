"""From one statement's names to tables and verdicts: the walk that `Catalog.resolve` starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.sql.functions import CALLED_TYPES
from proxy.sql.relations import SYSTEM_SCHEMAS, Relation
from proxy.sql.routines import Judgement, Verdict
from proxy.sql.snapshot import Snapshot
from proxy.sql.statement import Action, Kind, Origin, RelationName, Source, Statement
from proxy.types import Reason, Table

NOTHING: Final[frozenset[Table]] = frozenset()

MAX_VIEW_DEPTH: Final = 50
"""Views upon views; far above what people write, far below our stack."""

_MOVES_ROWS: Final = frozenset({Action.INSERT, Action.DELETE})
"""What an UPDATE that moves a row to another partition does there."""


@dataclass(slots=True, eq=False)
class Access:
    """What a statement touches, in one place.

    Attributes:
        read_set: Roots of every table it reads.
        write_set: Roots of every table it changes, as far as they can be told.
        exact: Whether `write_set` is all of it; if not, it may change any table.
        schema: Whether it may change definitions, rights or roles.
        replica: Why no replica may serve it; None when one may.
        cache: Why its result may not be kept; None when it may.
        detail: The name behind the reasons, for people.
        taints: Whether it calls something that may change the session's state.
        clock: Whether it tells the time, which stands still in a transaction.
    """

    read_set: frozenset[Table] = NOTHING
    write_set: frozenset[Table] = NOTHING
    exact: bool = True
    schema: bool = False
    replica: Reason | None = None
    cache: Reason | None = None
    detail: str = ""
    taints: bool = False
    clock: bool = False


class Resolution:
    """Gathers what a statement touches."""

    def __init__(self, snapshot: Snapshot) -> None:
        """Begin with nothing touched."""
        self._snapshot = snapshot
        self._depth = 0
        self._seen: set[int] = set()
        self._changed: set[tuple[int, frozenset[Action]]] = set()
        self.reads: set[int] = set()
        self.writes: set[int] = set()
        self.access = Access()

    def statement(self, statement: Statement, path: tuple[str, ...]) -> None:
        """Take everything that a statement names."""
        snapshot = self._snapshot
        self._take(snapshot.implicit)
        for call in statement.functions:
            self._take(snapshot.routines.judge(call, path))
        for name in statement.attributes:
            self._take(snapshot.routines.judge_attribute(name, path))
        for name in statement.selections:
            self._take(snapshot.routines.judge_selection(name, path))
        for symbol in statement.operators & snapshot.operators.keys():
            self._take(snapshot.operators[symbol])
        for name in statement.types & snapshot.types.keys():
            self._take(snapshot.types[name])
        if statement.types & _CATALOG_TYPES:
            self._refuse(Reason.SYSTEM_CATALOG, ", ".join(statement.types & _CATALOG_TYPES))
        relations = []
        for relation_name in statement.reads:
            for relation in self._find(relation_name, statement, path):
                relations.append(relation.oid)
                self._read(relation)
        self._judge_casts(statement, relations, path)
        for relation_name in statement.writes:
            found = self._find(relation_name, statement, path)
            if not found:
                self.access.exact = False
            for relation in found:
                self._change(relation, statement.actions)

    def _judge_casts(
        self, statement: Statement, relations: list[int], path: tuple[str, ...]
    ) -> None:
        """A text may say now, which is another moment whenever it is cast."""
        times = self._snapshot.times
        for call in statement.functions:
            name = call.name
            if call.arguments == 1 and name in times.types and name not in CALLED_TYPES:
                self._keep_out(Reason.CLOCK, name)
        for name in statement.selections & times.types:
            self._keep_out(Reason.CLOCK, name)
        for cast in statement.casts:
            if cast.type in times.types and not all(
                self._is_no_text(source, relations, path) for source in cast.sources
            ):
                self._keep_out(Reason.CLOCK, cast.type)

    def _is_no_text(self, source: Source, relations: list[int], path: tuple[str, ...]) -> bool:
        snapshot = self._snapshot
        if source.origin is Origin.COLUMN:
            return snapshot.times.is_column(
                source.name, relations
            ) and not snapshot.routines.takes_row(source.name, path)
        if source.origin is Origin.FUNCTION:
            return snapshot.routines.is_builtin(source.name, path)
        return snapshot.times.is_no_text(source)

    def _find(
        self, named: RelationName, statement: Statement, path: tuple[str, ...]
    ) -> list[Relation]:
        """Find what a name can mean; note it when that is nothing."""
        schema, name = named
        found = self._snapshot.names.find(schema, name, path)
        if found or (schema is None and name in statement.local_names):
            return found
        label = f"{schema}.{name}" if schema else name
        if schema is not None and schema.startswith("pg_temp"):
            self._refuse(Reason.TEMPORARY, label)
        elif schema is not None and (schema in SYSTEM_SCHEMAS or schema.startswith("pg_toast")):
            self._refuse(Reason.SYSTEM_CATALOG, label)
        else:
            self._refuse(Reason.UNKNOWN_RELATION, label)
        return found

    def _read(self, relation: Relation) -> None:
        """Follow a relation that is read."""
        oid = relation.oid
        if oid in self._seen:
            return
        self._seen.add(oid)
        snapshot = self._snapshot
        if relation.kind == "v" and relation.schema not in SYSTEM_SCHEMAS:
            for text in snapshot.definitions.get(oid, ["?"]):
                self._definition(text, relation.name)
            return
        for below in snapshot.families.below(oid):
            member = snapshot.names.get(below)
            # One that is not in the snapshot is a temporary table.
            reason = member.reason if member else Reason.TEMPORARY
            if reason is not None:
                self._refuse(reason, relation.name)
        self.reads |= snapshot.families.roots(oid)
        if relation.has_timetz:
            self._keep_out(Reason.CLOCK, relation.name)
        if relation.row_security:
            self._keep_out(Reason.ROW_SECURITY, relation.name)
            for text in snapshot.policies.get(oid, ()):
                self._definition(f"SELECT ({text})", relation.name)

    def _definition(self, text: str, name: str) -> None:
        """Follow what runs beneath a relation: a view's query, a policy's expression."""
        statement, clock = self._snapshot.read(text)
        if statement.kind is not Kind.READ:
            self._refuse(statement.reason or Reason.UNPARSED, name)
        if statement.kind is Kind.OPAQUE or self._depth == MAX_VIEW_DEPTH:
            self._refuse(Reason.UNPARSED, name)
            self.access.exact = False
            self.access.taints = True
            return
        if clock or statement.cache_reason:
            self._keep_out(statement.cache_reason or Reason.CLOCK, name)
        self._depth += 1
        self.statement(statement, ())
        self._depth -= 1

    def _change(self, relation: Relation, actions: frozenset[Action]) -> None:
        """Follow a relation that is changed."""
        snapshot = self._snapshot
        if relation.schema in SYSTEM_SCHEMAS or relation.kind in ("f", "S"):
            self.access.exact = False
        elif relation.kind == "v":
            self._change_view(relation, actions)
        elif relation.kind == "m":
            self.writes.add(relation.oid)
            for text in snapshot.definitions.get(relation.oid, ["?"]):
                self._definition(text, relation.name)
        else:
            for root in snapshot.families.roots(relation.oid):
                self._change_family(root, actions)

    def _change_view(self, relation: Relation, actions: frozenset[Action]) -> None:
        """A view that is changed changes its tables, if no trigger or rule sees to it."""
        snapshot = self._snapshot
        if (relation.oid, actions) in self._changed:
            return
        self._changed.add((relation.oid, actions))
        if snapshot.changes.is_opaque(relation.oid, actions):
            self.access.exact = False
        for text in snapshot.definitions.get(relation.oid, ["?"]):
            statement, _ = snapshot.read(text)
            if statement.kind is Kind.OPAQUE:
                self.access.exact = False
            for name in statement.reads:
                for beneath in self._find(name, statement, ()):
                    self._change(beneath, actions)

    def _change_family(self, root: int, actions: frozenset[Action]) -> None:
        """Change a root with all its members, and whatever follows from that."""
        snapshot = self._snapshot
        relation = snapshot.names.get(root)
        if relation is not None and relation.kind == "p" and Action.UPDATE in actions:
            actions |= _MOVES_ROWS
        if (root, actions) in self._changed:
            return
        self._changed.add((root, actions))
        self.writes.add(root)
        for member in snapshot.families.below(root):
            found = snapshot.names.get(member)
            if found is None or found.kind == "f" or snapshot.changes.is_opaque(member, actions):
                self.access.exact = False
            judgement = snapshot.column_calls.get(member)
            if judgement is not None and actions & _WRITES_VALUES:
                self._take(judgement)
            for key in snapshot.changes.cascades(member):
                follows = frozenset().union(*(key.follows(action) for action in actions))
                if follows:
                    for child in snapshot.families.roots(key.child):
                        self._change_family(child, follows)

    def _take(self, judgement: Judgement) -> None:
        """Draw the consequences of what is called."""
        verdict = judgement.verdict
        if judgement.taints:
            self.access.taints = True
        if verdict is Verdict.CLOCK:
            self._keep_out(Reason.CLOCK, judgement.detail)
        elif verdict is Verdict.DICE:
            self._keep_out(Reason.VOLATILE, judgement.detail)
        elif verdict >= Verdict.PRIMARY:
            self._refuse(Reason.FUNCTION, judgement.detail)
            if verdict is Verdict.ANYTHING:
                self.access.exact = False

    def _refuse(self, reason: Reason, detail: str) -> None:
        """Note why no replica may serve it; the first reason is the one that is told."""
        if self.access.replica is None:
            self.access.replica = reason
            self.access.detail = detail
        self._keep_out(reason, detail)

    def _keep_out(self, reason: Reason, detail: str) -> None:
        if reason is Reason.CLOCK:
            self.access.clock = True
        if self.access.cache is None:
            self.access.cache = reason
            self.access.detail = self.access.detail or detail


_WRITES_VALUES: Final = frozenset({Action.INSERT, Action.UPDATE})

_CATALOG_TYPES: Final = frozenset(
    {
        *("regclass", "regproc", "regprocedure", "regoper", "regoperator", "regtype", "regrole"),
        *("regnamespace", "regconfig", "regdictionary", "regcollation"),
    }
)
"""Types that look names up in the system catalogs, by the search path."""
