"""What a statement reads and calls, and what runs beneath that.

Queries of views, expressions of policies, bodies of functions are walked like the statement itself.
A name in a body means what it means to whoever runs it, so the walk carries a `Frame`: the search
path and the user as they are there. What a change sets off is told by `proxy.sql.resolution`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from proxy.sql.bodies import TOLD, Body, Meaning, Part, read_block
from proxy.sql.functions import CALLED_TYPES
from proxy.sql.gathering import MAX_DEPTH, MAX_PARTS, Gathering, Step
from proxy.sql.relations import SYSTEM_SCHEMAS, Relation
from proxy.sql.routines import Routine, judge_unread
from proxy.sql.snapshot import Snapshot
from proxy.sql.statement import Action, Effect, Kind, Origin, RelationName, Source, Statement
from proxy.types import Reason

USER: Final = "$user"


class Frame(NamedTuple):
    """Where a body is run.

    Attributes:
        path: The search path, `"$user"` included; None: it may be any.
        users: Who `"$user"` may be.
        trusts: Whether something above is IMMUTABLE, and believed to be.
        is_atomic: Whether nothing can end the transaction there. What a procedure is called by
            can, and nothing else.
    """

    path: tuple[str, ...] | None
    users: frozenset[str]
    trusts: bool = False
    is_atomic: bool = True


class Walk(Gathering):
    """Gathers what a statement touches, but for its changes."""

    def __init__(self, snapshot: Snapshot, frame: Frame) -> None:
        """Begin with nothing touched."""
        super().__init__()
        self._snapshot = snapshot
        self._frame = frame
        self._names = self._names_of(frame)
        self._seen: set[tuple[int, Frame]] = set()
        self._called: set[tuple[int, Frame]] = set()
        self._changed: set[tuple[int, frozenset[Action], Frame]] = set()
        self._sets_names = False
        self._has_bare_names = False

    def _names_of(self, frame: Frame) -> tuple[str, ...]:
        """List the schemas in which a name without one may lie."""
        path = frame.path
        if path is None:
            return self._snapshot.schemas
        if USER not in path:
            return path
        names: list[str] = []
        for name in path:
            names.extend(sorted(frame.users) if name == USER else (name,))
        return tuple(names)

    @contextmanager
    def _within(self, frame: Frame, kind: str, name: str) -> Iterator[None]:
        outer, names = self._frame, self._names
        if frame != outer:
            self._frame, self._names = frame, self._names_of(frame)
        self._trail.append(Step(kind, name))
        yield
        self._trail.pop()
        self._frame, self._names = outer, names

    def statement(
        self,
        statement: Statement,
        path: tuple[str, ...],
        settings: frozenset[str] | None = None,
    ) -> None:
        """Take everything that a statement names.

        Args:
            statement: What it does.
            path: Where names without a schema are looked for.
            settings: Custom settings that it asks for; None: it may ask for any.
        """
        snapshot = self._snapshot
        self._take(snapshot.implicit)
        if statement.block is not None:
            self._run(statement.block)
        if Effect.TEMPORARY in statement.effects or Action.REFRESH in statement.actions:
            self._take(snapshot.definers)
        for call in statement.functions:
            if call.name == "current_setting" and self._is_custom(settings, path):
                continue
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

    def _is_custom(self, settings: frozenset[str] | None, path: tuple[str, ...]) -> bool:
        """Tell if nothing but custom settings is asked for, and note them."""
        if settings is None or not self._snapshot.routines.is_builtin("current_setting", path):
            return False
        self.access.settings |= settings
        return True

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
        if (oid, self._frame) in self._seen:
            return
        self._seen.add((oid, self._frame))
        snapshot = self._snapshot
        if relation.kind == "v" and relation.schema not in SYSTEM_SCHEMAS:
            for text in snapshot.definitions.get(oid, ["?"]):
                self._definition(text, "view", relation)
            return
        for below in snapshot.families.below(oid):
            member = snapshot.names.get(below)
            # One that is not in the snapshot is a temporary table.
            reason = member.reason if member else Reason.TEMPORARY
            if reason is not None:
                self._refuse(reason, relation.name)
        roots = snapshot.families.roots(oid)
        self.reads |= roots
        if self.ways is not None:
            self._record(roots, is_written=False)
        if relation.has_timetz:
            self._keep_out(Reason.CLOCK, relation.name)
        if relation.row_security:
            for text in snapshot.policies.get(oid, ()):
                self._definition(f"SELECT ({text})", "policy of", relation)

    def _definition(self, text: str, kind: str, relation: Relation) -> None:
        """Follow what runs beneath a relation: a view's query, a policy's expression."""
        with self._within(self._frame, kind, f"{relation.schema}.{relation.name}"):
            for part in self._snapshot.read(text):
                self._part(part, relation.name)

    def _part(self, part: Part, name: str) -> None:
        """Follow a statement that runs beneath the one that was asked for."""
        statement = part.statement
        kind = statement.kind
        self._parts += 1
        if kind not in TOLD or self._depth == MAX_DEPTH or self._parts > MAX_PARTS:
            self._cannot_tell(statement.reason or Reason.UNPARSED, name)
            return
        if kind not in _READS and not self._frame.trusts:
            self._refuse(statement.reason or Reason.UTILITY, name)
        if kind is Kind.SCHEMA:
            self.access.exact = False
            self.access.schema = True
        if kind in _SETS or not statement.effects <= _NO_TAINTS:
            self.access.taints = True
        if (part.clock or statement.cache_reason) and not self._frame.trusts:
            self._keep_out(statement.cache_reason or Reason.CLOCK, name)
        self._sets_names = self._sets_names or part.sets_names
        if part.is_deparsed:
            path: tuple[str, ...] = ()
        else:
            path = self._names
            self._has_bare_names = self._has_bare_names or self._is_bare(statement)
        outer = self._frame
        if kind is not Kind.CALL and not outer.is_atomic:
            self._frame = outer._replace(is_atomic=True)
        self._depth += 1
        self.statement(statement, path, part.settings)
        self._depth -= 1
        self._frame = outer

    def _is_bare(self, statement: Statement) -> bool:
        """Tell if something is named without its schema that is not the server's own."""
        routines = self._snapshot.routines
        return any(
            name.schema is None and name.name not in statement.local_names
            for name in statement.reads
        ) or any(
            call.schema is None and not routines.is_builtin_everywhere(call.name)
            for call in statement.functions
        )

    def _call(self, oid: int) -> None:
        """See the base."""
        snapshot = self._snapshot
        routine = snapshot.routines.get(oid)
        if routine is None or (oid, self._frame) in self._called:
            return
        self._called.add((oid, self._frame))
        body = snapshot.bodies[oid]
        outer = self._frame
        frame = Frame(
            outer.path if body.search_path is None else body.search_path,
            outer.users if body.owner is None else frozenset((body.owner,)),
            outer.trusts or routine.volatility == "i",
            outer.is_atomic or body.is_atomic,
        )
        with self._within(frame, "function", f"{routine.schema}.{routine.name}"):
            if routine.volatility == "v" and not frame.trusts:
                # Each statement in it has a snapshot of its own.
                self._refuse(Reason.FUNCTION, routine.name)
            meaning = snapshot.bodies.meaning(oid)
            if meaning.commits and not frame.is_atomic:
                self.access.commits = True
            self._judge_body(routine, body, meaning)
            for part in meaning.parts:
                self._part(part, routine.name)

    def _run(self, block: bytes) -> None:
        """Follow a DO into what it runs."""
        meaning = read_block(block)
        with self._within(self._frame, "block", "do"):
            self.access.commits = meaning.commits
            if meaning.opaque:
                self._cannot_tell(Reason.OPAQUE, meaning.opaque, hidden=meaning.hidden)
            for name in meaning.types & self._snapshot.types.keys():
                self._take(self._snapshot.types[name])
            for part in meaning.parts:
                self._part(part, "do")

    def _judge_body(self, routine: Routine, body: Body, meaning: Meaning) -> None:
        """Judge what a body does besides its statements."""
        snapshot = self._snapshot
        if meaning.opaque:
            self._take(judge_unread(routine), hidden=meaning.hidden)
        if meaning.leaves_cursor:
            self._refuse(Reason.FUNCTION, routine.name)
        for name in meaning.types & snapshot.types.keys():
            self._take(snapshot.types[name])
        signature = body.signature or []
        returned = signature[:1] if meaning.returns else []
        assigned = signature if meaning.takes_signature else returned
        # A text that is assigned is read, and may say now.
        if not self._frame.trusts and (
            meaning.takes_field
            or meaning.types & snapshot.times.types
            or any(snapshot.times.is_time(oid) for oid in assigned)
        ):
            self._keep_out(Reason.CLOCK, routine.name)

    def _believes_labels(self) -> bool:
        """See the base: beneath what is said to be IMMUTABLE."""
        return self._frame.trusts

    def _change(self, relation: Relation, actions: frozenset[Action]) -> None:
        """Follow a relation that is changed."""
        raise NotImplementedError


_READS: Final = frozenset({Kind.READ, Kind.EMPTY})

_SETS: Final = frozenset({Kind.SET, Kind.SET_LOCAL, Kind.RESET})

_NO_TAINTS: Final = frozenset({Effect.SEQUENCE})

_CATALOG_TYPES: Final = frozenset(
    {
        *("regclass", "regproc", "regprocedure", "regoper", "regoperator", "regtype", "regrole"),
        *("regnamespace", "regconfig", "regdictionary", "regcollation"),
    }
)
"""Types that look names up in the system catalogs, by the search path."""
