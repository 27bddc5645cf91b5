"""Reading INSERT, UPDATE, DELETE and MERGE, at the top or as common table expressions."""

from __future__ import annotations

from proxy.sql.groups import (
    Group,
    Item,
    NotUnderstood,
    Token,
    find_words,
    grouped,
    item_at,
    split_before,
    step_over,
)
from proxy.sql.postgres.expressions import is_query
from proxy.sql.postgres.groups import is_name
from proxy.sql.postgres.outline import Outline
from proxy.sql.postgres.selects import SelectReader
from proxy.sql.statement import Action

_MERGE_ACTIONS = {
    "insert": Action.INSERT,
    "update": Action.UPDATE,
    "delete": Action.DELETE,
}


def outline_of(tokens: list[Token]) -> Outline:
    """Read a whole statement that begins with a query or a change.

    Raises:
        NotUnderstood: Something stands where the grammar has no place for it.
    """
    reader = ChangeReader()
    reader.query(grouped(tokens))
    reader.outline.casts = reader.casts.found()
    return reader.outline


class ChangeReader(SelectReader):
    """Reads queries and changes."""

    def change(self, items: list[Item]) -> None:
        """Read a change of rows."""
        {
            "insert": self._insert,
            "update": self._update,
            "delete": self._delete,
            "merge": self._merge,
        }[str(items[0])](items)
        # Its subqueries have set this, and only a RETURNING of its own counts.
        self.outline.returns_rows = len(split_before(items, {"returning"})) > 1

    def _insert(self, items: list[Item]) -> None:
        if items[1:2] != ["into"]:
            raise NotUnderstood("INSERT without INTO")
        self.outline.actions.add(Action.INSERT)
        at = self._target(items, 2)
        if items[at : at + 1] == ["as"]:
            at += 2
        columns = item_at(items, at)
        if isinstance(columns, Group) and not is_query(columns):
            self.expression(columns.items)
            at += 1
        if items[at : at + 1] == ["overriding"]:
            at += 3
        source, *rest = split_before(items[at:], {"returning"})
        conflict = find_words(source, ["on", "conflict"])
        if conflict < len(source):
            self._on_conflict(source[conflict + 2 :])
        source = source[:conflict]
        if source != ["default", "values"]:
            self.query(source)
        for returned in rest:
            self.expression(returned)

    def _on_conflict(self, items: list[Item]) -> None:
        if find_words(items, ["do", "update"]) < len(items):
            self.outline.actions.add(Action.UPDATE)
        self.expression(items)

    def _update(self, items: list[Item]) -> None:
        self.outline.actions.add(Action.UPDATE)
        at = self._target(items, 1)
        if items[at : at + 1] == ["as"]:
            at += 2
        elif is_name(item_at(items, at)) and items[at] != "set":
            at += 1
        if items[at : at + 1] != ["set"]:
            raise NotUnderstood("UPDATE without SET")
        changed, *rest = split_before(items[at + 1 :], {"from", "where", "returning"})
        self.expression(changed)
        for clause in rest:
            if clause[0] == "from":
                self.from_list(clause[1:])
            else:
                self.expression(clause[1:])

    def _delete(self, items: list[Item]) -> None:
        if items[1:2] != ["from"]:
            raise NotUnderstood("DELETE without FROM")
        self.outline.actions.add(Action.DELETE)
        at = self.alias(items, self._target(items, 2))
        using, *rest = split_before(items[at:], {"where", "returning"})
        if using[:1] == ["using"]:
            self.from_list(using[1:])
        else:
            self.end(using)
        for clause in rest:
            self.expression(clause[1:])

    def _merge(self, items: list[Item]) -> None:
        if items[1:2] != ["into"]:
            raise NotUnderstood("MERGE without INTO")
        for word, action in _MERGE_ACTIONS.items():
            if find_words(items, ["then", word]) < len(items):
                self.outline.actions.add(action)
        if not self.outline.actions:
            self.outline.actions.add(Action.UPDATE)  # only DO NOTHING: it still is no read
        at = self.alias(items, self._target(items, 2))
        if items[at : at + 1] != ["using"]:
            raise NotUnderstood("MERGE without USING")
        end = min(find_words(items, ["when", "matched"]), find_words(items, ["when", "not"]))
        self.from_list(items[at + 1 : end])
        self.expression(items[end:])

    def _target(self, items: list[Item], at: int) -> int:
        """Read the relation that is written, up to its alias."""
        name, at = self.name(items, step_over(items, at, "only"))
        self.outline.targets.add(name)
        self.outline.relations.add(name)
        return step_over(items, at, "*")
