"""Reading INSERT, REPLACE, UPDATE and DELETE in MySQL's SQL."""

from __future__ import annotations

from proxy.sql.groups import (
    Group,
    Item,
    NotUnderstood,
    Token,
    find_words,
    grouped,
    is_group,
    item_at,
    split_at,
    step_over,
)
from proxy.sql.mysql.expressions import is_query
from proxy.sql.mysql.groups import dotted, is_name
from proxy.sql.mysql.outline import Outline
from proxy.sql.mysql.selects import SelectReader, clauses_of, relation_at
from proxy.sql.statement import Action, RelationName

_OPTIONS = frozenset({"low_priority", "delayed", "high_priority", "quick", "ignore"})
_SET = frozenset({"set"})
_USING = frozenset({"using"})


def outline_of(tokens: list[Token]) -> Outline:
    """Read a whole statement that begins with a query or a change.

    Raises:
        NotUnderstood: Something stands where the grammar has no place for it.
    """
    reader = ChangeReader()
    reader.statement(grouped(tokens))
    return reader.outline


class ChangeReader(SelectReader):
    """Reads queries and changes; a change stands at the top, never in a query."""

    def statement(self, items: list[Item]) -> None:
        """Read a query or a change."""
        behind_with = self.common_tables(items)
        head = item_at(behind_with, 0)
        has_with = len(behind_with) != len(items)
        if head == "update":
            self._update(behind_with)
        elif head == "delete":
            self._delete(behind_with)
        elif head in ("insert", "replace") and not has_with:
            self._insert(items)
        else:
            self.query(behind_with)
            return
        self.outline.returns_rows = "returning" in items

    def _options(self, items: list[Item], at: int) -> int:
        while item_at(items, at) in _OPTIONS:
            self.aside([items[at]])
            at += 1
        return at

    def _insert(self, items: list[Item]) -> None:
        actions = self.outline.actions
        actions.add(Action.INSERT)
        if items[0] == "replace":
            actions.add(Action.DELETE)
            self.rewrite(items[0], "insert")
        at = self._options(items, 1)
        at = step_over(items, at, "into")
        start = at
        name, at = relation_at(items, at)
        if items[start - 1] != "into":
            self.rewrite(items[start - 1], "insert into")
        self._target(name)
        at = self._partition(items, at)
        columns = item_at(items, at)
        if isinstance(columns, Group) and not is_query(columns):
            if not columns.items:
                self.aside([columns])
            self.expression(columns.items)
            at += 1
        self._source_of_rows(items[at:])

    def _source_of_rows(self, items: list[Item]) -> None:
        returning = find_words(items, ["returning"])
        if returning < len(items):
            self.expression(items[returning + 1 :])
            self.aside(items[returning:])
        items = items[:returning]
        duplicate = find_words(items, ["on", "duplicate", "key", "update"])
        if duplicate < len(items):
            self.outline.actions.add(Action.UPDATE)
            self.expression(items[duplicate + 4 :])
        source = items[:duplicate]
        head = item_at(source, 0)
        if head in ("values", "value"):
            self.rewrite(source[0], "values")
            self._rows(source[1:])
        elif head == "set":
            self._assignments(self._without_alias(source[1:]))
        else:
            self.query(source)

    def _rows(self, items: list[Item]) -> None:
        for part in split_at(self._without_alias(items), ","):
            if part[:1] == ["row"]:
                self.aside(part[:1])
                part = part[1:]
            row = part[0] if len(part) == 1 else None
            if not isinstance(row, Group):
                raise NotUnderstood("VALUES without a row")
            if not row.items:
                self.outline.rewritten[row.start] = "( 0"
            self.expression(row.items)

    def _without_alias(self, items: list[Item]) -> list[Item]:
        """Cut off the alias of the new row, `AS new(a, b)`."""
        cut = find_words(items, ["as"])
        rest = items[cut:]
        if not rest:
            return items
        if not is_name(item_at(rest, 1)) or len(rest) > 3:
            raise NotUnderstood("AS and no alias")
        if len(rest) == 3 and not is_group(rest[2]):
            raise NotUnderstood("AS and no alias")
        self.aside(rest)
        return items[:cut]

    def _assignments(self, items: list[Item]) -> None:
        for part in split_at(items, ","):
            names, at = dotted(part, 0)
            if not names or item_at(part, at) not in ("=", ":="):
                raise NotUnderstood("SET without an assignment")
        self.expression(items)

    def _target(self, name: RelationName) -> None:
        self.outline.relations.add(name)
        self.outline.targets.add(name)

    def _update(self, items: list[Item]) -> None:
        self.outline.actions.add(Action.UPDATE)
        at = self._options(items, 1)
        tables, *clauses = clauses_of(items[at:], _SET)
        self._targets_among(tables)
        if not clauses or clauses[0][0] != "set":
            raise NotUnderstood("UPDATE without SET")
        self._assignments(clauses[0][1:])
        self._rest(clauses[1:])

    def _targets_among(self, tables: list[Item]) -> None:
        """Read joined tables: which of them change is not told apart."""
        inner = ChangeReader()
        inner.from_list(tables)
        self.outline.targets |= inner.outline.relations
        self.from_list(tables)

    def _delete(self, items: list[Item]) -> None:
        self.outline.actions.add(Action.DELETE)
        at = self._options(items, 1)
        named, *clauses = clauses_of(items[at:], _USING)
        if named:  # DELETE a, b FROM ...
            self._names(named)
            self.aside(named)
            tables = clauses.pop(0) if clauses and clauses[0][0] == "from" else []
            self._targets_among(tables[1:])
        elif clauses[1:2] and clauses[1][0] == "using":  # DELETE FROM a, b USING ...
            self._names(clauses[0][1:])
            self.aside(clauses[0][1:] + clauses[1][:1])
            self._targets_among(clauses[1][1:])
            clauses = clauses[2:]
        else:
            tables = clauses.pop(0) if clauses and clauses[0][0] == "from" else []
            if "," in tables or "join" in tables:
                raise NotUnderstood("DELETE from several without saying which")
            self._targets_among(tables[1:])
        self._rest(clauses)

    def _names(self, items: list[Item]) -> None:
        for part in split_at(items, ","):
            names, at = dotted(part, 0)
            if not names or at != len(part):
                raise NotUnderstood("DELETE of what is no table")

    def _rest(self, clauses: list[list[Item]]) -> None:
        for clause in clauses:
            if clause[0] == "returning":
                self.expression(clause[1:])
                self.aside(clause)
            elif clause[0] in ("where", "order", "limit"):
                self._clause(clause)
                if clause[0] != "where":
                    self.aside(clause)
            else:
                raise NotUnderstood("no clause where one belongs")
