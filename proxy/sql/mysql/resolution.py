"""From one statement's names to tables and verdicts: the walk that `Catalog.resolve` starts.

What runs beneath a statement is walked like the statement itself: queries of views, bodies of
functions, procedures and triggers. A name without a schema means what lies in the current one;
within a program or a view, that is its own schema, whoever runs it. Rights decide who may do it,
not what it does: SQL SECURITY changes nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from proxy.sql.gathering import MAX_DEPTH, MAX_PARTS, Gathering, Step
from proxy.sql.mysql.bodies import TOLD
from proxy.sql.mysql.relations import SYSTEM_SCHEMAS, VIEW, ForeignKey, Program, Relation
from proxy.sql.mysql.snapshot import Snapshot
from proxy.sql.routines import GOOD, Judgement, Verdict, worst
from proxy.sql.statement import Action, Effect, FunctionName, Kind, RelationName, Statement
from proxy.types import Reason

FUNCTION: Final = "FUNCTION"
PROCEDURE: Final = "PROCEDURE"

_READS: Final = frozenset({Kind.READ, Kind.EMPTY})
_SETS: Final = frozenset({Kind.SET, Kind.SET_LOCAL})
_NO_TAINTS: Final = frozenset({Effect.SEQUENCE})
_REPLACES: Final = frozenset({Action.INSERT, Action.DELETE})
_UPDATES: Final = frozenset({Action.UPDATE})
_DUAL: Final = "dual"


class Frame(NamedTuple):
    """Where a body is run.

    Attributes:
        schema: The current one; None: there is none.
        is_atomic: Whether nothing can end the transaction there: beneath a function or a trigger.
    """

    schema: str | None
    is_atomic: bool = False


class Resolution(Gathering):
    """Gathers what a statement touches."""

    def __init__(self, snapshot: Snapshot, frame: Frame) -> None:
        """Begin with nothing touched."""
        super().__init__()
        self._snapshot = snapshot
        self._frame = frame
        self._seen: set[int] = set()
        self._run: set[tuple[int, bool]] = set()
        self._changed: set[tuple[int, frozenset[Action]]] = set()
        self._temporary: set[str] = set()

    def whole(self, statement: Statement) -> None:
        """Take everything that a statement names, and draw the sum."""
        self.statement(statement)
        if self.writes:
            self._refuse(Reason.WRITE, "")

    @contextmanager
    def _within(self, frame: Frame, kind: str, name: str) -> Iterator[None]:
        outer = self._frame
        self._frame = frame
        self._trail.append(Step(kind, name))
        self._depth += 1
        yield
        self._depth -= 1
        self._trail.pop()
        self._frame = outer

    def statement(self, statement: Statement) -> None:
        """Take everything that a statement names."""
        if statement.kind is Kind.CALL:
            self._calls(statement)
        else:
            for call in statement.functions:
                self._take(self._judge(call))
        for name in statement.reads:
            relation = self._find(name, statement)
            if relation is not None:
                self._read(relation)
        for name in statement.writes:
            relation = self._find(name, statement)
            if relation is not None:
                self._change(relation, statement.actions)
            elif not self._is_temporary(name, statement):
                self.access.exact = False

    # Names

    def _find(self, named: RelationName, statement: Statement) -> Relation | None:
        """Find what a name means; note it when that is nothing."""
        schema = named.schema if named.schema is not None else self._frame.schema
        found = None if schema is None else self._snapshot.names.find(schema, named.name)
        if found is not None or self._is_temporary(named, statement):
            return found
        if named.schema is None and (
            named.name in statement.local_names or named.name.lower() == _DUAL
        ):
            return None
        label = f"{named.schema}.{named.name}" if named.schema is not None else named.name
        if schema is not None and schema.lower() in SYSTEM_SCHEMAS:
            self._refuse(Reason.SYSTEM_CATALOG, label)
        else:
            self._refuse(Reason.UNKNOWN_RELATION, label)
        return None

    def _is_temporary(self, named: RelationName, statement: Statement) -> bool:
        """Tell if what nobody else has by that name is a table of this session alone."""
        return named.schema is None and (
            named.name in self._temporary or Effect.TEMPORARY in statement.effects
        )

    # Calls

    def _judge(self, call: FunctionName) -> Judgement:
        """Judge a call by all that it can mean: a name may be one of the server's own, too."""
        snapshot = self._snapshot
        name = call.name.lower()
        own = schema = None
        if call.schema is None:
            own = snapshot.interpreter.judge(name, call.arguments)
            if own is None and name in snapshot.libraries:
                return _anything(call.name)
            schema = self._frame.schema
        else:
            schema = call.schema
        routine = None if schema is None else snapshot.routine(FUNCTION, schema, name)
        if routine is None:
            return own if own is not None else _anything(call.name)
        followed = Judgement(Verdict.DATA, follow=frozenset((routine.oid,)))
        return worst((own or GOOD, followed))

    def _calls(self, statement: Statement) -> None:
        """Follow a CALL: one of the names is the procedure's, the others are in its arguments."""
        snapshot = self._snapshot
        is_found = False
        for call in statement.functions:
            schema = call.schema if call.schema is not None else self._frame.schema
            found = None if schema is None else snapshot.routine(PROCEDURE, schema, call.name)
            if found is not None:
                is_found = True
                self._follow(found)
            if found is None or snapshot.routine(FUNCTION, found.schema, call.name):
                self._take(self._judge(call))
        if not is_found:
            self._cannot_tell(Reason.FUNCTION, statement.detail or PROCEDURE)
            self.access.commits = True

    def _call(self, oid: int) -> None:
        """See the base."""
        program = self._snapshot.bodies.get(oid)
        assert program is not None
        self._follow(program)

    def _follow(self, program: Program) -> None:
        """Follow a program into what it runs."""
        frame = Frame(program.schema, self._frame.is_atomic or program.kind != PROCEDURE)
        if (program.oid, frame.is_atomic) in self._run:
            return
        self._run.add((program.oid, frame.is_atomic))
        name = f"{program.schema}.{program.name}"
        self._compute(program.oid, frame, program.kind.lower(), name)
        with self._within(frame, program.kind.lower(), name):
            meaning = self._snapshot.bodies.meaning(program)
            if meaning.commits and not frame.is_atomic:
                # Even within its caller's transaction: what was written is committed then, and no
                # lock of the transaction tells of it any more.
                self.access.commits = True
                self.access.hidden = True
            if meaning.opaque:
                self._cannot_tell(Reason.FUNCTION, name, hidden=not frame.is_atomic)
            if meaning.leaves:
                self.access.taints = True
                self._refuse(Reason.FUNCTION, name)
            self._temporary |= meaning.temporary
            for part in meaning.parts:
                self._part(part, name)

    def _part(self, part: Statement, name: str) -> None:
        """Follow a statement that runs beneath the one that was asked for."""
        kind = part.kind
        self._parts += 1
        if kind not in TOLD or self._depth >= MAX_DEPTH or self._parts > MAX_PARTS:
            self._cannot_tell(
                part.reason or Reason.UNPARSED, name, hidden=not self._frame.is_atomic
            )
            return
        if kind not in _READS:
            self._refuse(part.reason or Reason.UTILITY, name)
        if kind is Kind.SCHEMA and Effect.TEMPORARY not in part.effects:
            self.access.exact = False
            self.access.schema = True
        if kind in _SETS or not part.effects <= _NO_TAINTS:
            self.access.taints = True
        if part.cache_reason is not None:
            self._keep_out(part.cache_reason, name)
        self.statement(part)

    # Tables

    def _read(self, relation: Relation) -> None:
        """Follow a relation that is read."""
        oid = relation.oid
        if oid in self._seen:
            return
        self._seen.add(oid)
        self._compute(relation.oid, Frame(relation.schema, True), "column of", _label(relation))
        if relation.kind == VIEW:
            self._read_view(relation)
            return
        if relation.reason is not None:
            self._refuse(relation.reason, relation.name)
        self.reads.add(oid)
        if self.ways is not None:
            self._record((oid,), is_written=False)

    def _compute(self, oid: int, frame: Frame, kind: str, name: str) -> None:
        """Take what is said of a relation's columns, or of a routine's parameters."""
        for expression in self._snapshot.columns.get(oid, ()):
            with self._within(frame, kind, name):
                self._part(self._snapshot.bodies.query(f"SELECT {expression}"), name)

    def _read_view(self, relation: Relation) -> None:
        query = self._query_of(relation)
        with self._within(Frame(relation.schema, True), "view", _label(relation)):
            self._part(query, relation.name)

    def _query_of(self, view: Relation) -> Statement:
        return self._snapshot.bodies.query(self._snapshot.views.get(view.oid) or "?")

    def _change(self, relation: Relation, actions: frozenset[Action]) -> None:
        """Follow a relation that is changed."""
        if self._depth >= MAX_DEPTH:
            self._cannot_tell(Reason.OPAQUE, relation.name, hidden=False)
        elif relation.schema in SYSTEM_SCHEMAS:
            # Rights, definitions and settings are rows there.
            self._cannot_tell(Reason.SYSTEM_CATALOG, relation.name)
        elif relation.kind == VIEW:
            self._change_view(relation, actions)
        elif relation.reason is not Reason.SEQUENCE:
            self._change_table(relation, actions)

    def _change_view(self, relation: Relation, actions: frozenset[Action]) -> None:
        """A view that is changed changes its tables, one of them or several."""
        if (relation.oid, actions) in self._changed:
            return
        self._changed.add((relation.oid, actions))
        query = self._query_of(relation)
        with self._within(Frame(relation.schema, self._frame.is_atomic), "view", _label(relation)):
            if query.kind not in _READS:
                self._cannot_tell(Reason.UNPARSED, relation.name, hidden=False)
            for name in query.reads:
                beneath = self._find(name, query)
                if beneath is not None:
                    self._change(beneath, actions)

    def _change_table(self, relation: Relation, actions: frozenset[Action]) -> None:
        """Change a table, and whatever follows from that."""
        oid = relation.oid
        if (oid, actions) in self._changed:
            return
        self._changed.add((oid, actions))
        self._write(oid)
        snapshot = self._snapshot
        if relation.is_foreign:
            self._cannot_tell(Reason.FOREIGN, relation.name)
        frame = Frame(relation.schema, True)
        for action, trigger in snapshot.triggers.get(oid, ()):
            if action in actions:
                self.access.counted = False
                with self._within(frame, "trigger on", _label(relation)):
                    self._follow(trigger)
        if actions >= _REPLACES:
            actions |= (
                _UPDATES  # which is how a server may do it, where no key tells the difference
            )
        for key in snapshot.keys.get(oid, ()):
            follows = frozenset().union(*(key.follows(action) for action in actions))
            if follows:
                self._cascade(key, follows)

    def _cascade(self, key: ForeignKey, actions: frozenset[Action]) -> None:
        child = self._snapshot.names.get(key.child)
        if child is None:
            self.access.exact = False
            return
        with self._within(self._frame, "cascade to", _label(child)):
            self._change(child, actions)


def _label(relation: Relation) -> str:
    return f"{relation.schema}.{relation.name}"


def _anything(detail: str) -> Judgement:
    return Judgement(Verdict.ANYTHING, detail, taints=True)
