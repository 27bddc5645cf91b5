"""From one statement's names to tables and verdicts: the walk that `Catalog.resolve` starts.

Here is what a change sets off: triggers, rules, foreign keys, and what inherits.
"""

from __future__ import annotations

from typing import Final

from proxy.sql.postgres.definitions import rule_actions, trigger_condition
from proxy.sql.relations import SYSTEM_SCHEMAS, ForeignKey, Relation, Trigger
from proxy.sql.statement import Action, Effect, Kind, Statement
from proxy.sql.walk import USER, Frame, Walk
from proxy.types import Reason

_INSERTS: Final = frozenset({Action.INSERT})

_MOVES_ROWS: Final = frozenset({Action.INSERT, Action.DELETE})
"""What an UPDATE that moves a row to another partition does there."""

_WRITES_VALUES: Final = frozenset({Action.INSERT, Action.UPDATE})


class Resolution(Walk):
    """Gathers what a statement touches."""

    def whole(self, statement: Statement) -> None:
        """Take everything that a statement names, and draw the sum."""
        self.statement(statement, self._names)
        if self.writes:
            # Whatever its label says: IMMUTABLE functions may call what writes.
            self._refuse(Reason.WRITE, "")
        sets_names = self._sets_names or Effect.SETTING in statement.effects
        if sets_names and self._has_bare_names:
            # In what runs after that, names mean something else.
            self._cannot_tell(Reason.FUNCTION, "set_config", hidden=False)

    def _fire(self, trigger: Trigger, relation: Relation) -> None:
        """Follow a trigger into its function."""
        self.access.counted = False
        frame = self._frame
        if trigger.waits:
            frame = Frame(None, frame.users, frame.trusts)
        with self._within(frame, "trigger on", f"{relation.schema}.{relation.name}"):
            if trigger.definition is not None:
                for part in self._snapshot.read(trigger.definition, _condition):
                    self._part(part, relation.name)
            self._take(self._snapshot.routines.judge_oid(trigger.function))

    def _apply(self, rule: str, relation: Relation) -> None:
        """Follow a rule into its actions."""
        self.access.counted = False
        with self._within(self._frame, "rule on", f"{relation.schema}.{relation.name}"):
            for part in self._snapshot.read(rule, rule_actions):
                self._part(part, relation.name)

    def _change(self, relation: Relation, actions: frozenset[Action]) -> None:
        """Follow a relation that is changed."""
        snapshot = self._snapshot
        if relation.schema in SYSTEM_SCHEMAS or relation.kind in ("f", "S"):
            self.access.exact = False
        elif relation.kind == "v":
            self._change_view(relation, actions)
        elif relation.kind == "m":
            self._write(relation.oid)
            # It is filled by its owner, whoever that is.
            frame = self._frame
            path = frame.path
            anybody = Frame(None if path and USER in path else path, frame.users, frame.trusts)
            with self._within(anybody, "refresh of", relation.name):
                for text in snapshot.definitions.get(relation.oid, ["?"]):
                    self._definition(text, "materialized view", relation)
        else:
            for root in snapshot.families.roots(relation.oid):
                self._change_family(root, actions)

    def _change_view(self, relation: Relation, actions: frozenset[Action]) -> None:
        """A view that is changed changes its tables, if no trigger or rule sees to it."""
        snapshot = self._snapshot
        if (relation.oid, actions, self._frame) in self._changed:
            return
        self._changed.add((relation.oid, actions, self._frame))
        self._follow_change(relation, actions)
        with self._within(self._frame, "view", f"{relation.schema}.{relation.name}"):
            for text in snapshot.definitions.get(relation.oid, ["?"]):
                for part in snapshot.read(text):
                    if part.statement.kind is Kind.OPAQUE:
                        self._cannot_tell(Reason.UNPARSED, relation.name)
                    for name in part.statement.reads:
                        for beneath in self._find(name, part.statement, ()):
                            self._change(beneath, actions)

    def _follow_change(self, relation: Relation, actions: frozenset[Action]) -> None:
        """Follow what a user has put on a relation."""
        changes = self._snapshot.changes
        for trigger in changes.triggers(relation.oid, actions):
            self._fire(trigger, relation)
        for rule in changes.rules(relation.oid, actions):
            self._apply(rule, relation)

    def _change_family(self, root: int, actions: frozenset[Action]) -> None:
        """Change a root with all its members, and whatever follows from that."""
        snapshot = self._snapshot
        relation = snapshot.names.get(root)
        if relation is not None and relation.kind == "p" and Action.UPDATE in actions:
            actions |= _MOVES_ROWS
        if (root, actions, self._frame) in self._changed:
            return
        self._changed.add((root, actions, self._frame))
        self._write(root)
        for member in snapshot.families.below(root):
            if actions != _INSERTS:  # which leaves what inherits alone
                for above in snapshot.families.roots(member):
                    self._write(above)  # its rows are seen through other parents too
            found = snapshot.names.get(member)
            if found is None or found.kind == "f":
                self.access.exact = False
            if found is not None:
                self._follow_change(found, actions)
            judgement = snapshot.column_calls.get(member)
            if judgement is not None and actions & _WRITES_VALUES:
                self._take(judgement)
            for key in snapshot.changes.cascades(member):
                follows = frozenset().union(*(key.follows(action) for action in actions))
                if follows:
                    self._cascade(key, follows)

    def _cascade(self, key: ForeignKey, actions: frozenset[Action]) -> None:
        """Change a referencing table, which its owner does."""
        snapshot = self._snapshot
        frame = self._frame
        if frame.path is not None and USER in frame.path:
            frame = Frame(frame.path, frame.users | {key.owner}, frame.trusts)
        for child in snapshot.families.roots(key.child):
            relation = snapshot.names.get(child)
            name = f"{relation.schema}.{relation.name}" if relation else str(child)
            with self._within(frame, "cascade to", name):
                self._change_family(child, actions)


def _condition(definition: bytes) -> list[bytes]:
    condition = trigger_condition(definition)
    return [] if condition is None else [condition]
