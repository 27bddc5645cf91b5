"""Reading queries, clause by clause: what they draw their rows from, and their expressions."""

from __future__ import annotations

from proxy.sql.groups import (
    Group,
    Item,
    NotUnderstood,
    is_group,
    item_at,
    split_at,
    split_before,
    step_over,
)
from proxy.sql.postgres import words
from proxy.sql.postgres.casts import UNKNOWN, Scope
from proxy.sql.postgres.expressions import ExpressionReader, is_query
from proxy.sql.postgres.groups import dotted, is_name, name_of
from proxy.sql.statement import ANY_ARGUMENTS, FunctionName, RelationName

_INTO_WORDS = frozenset({"temp", "temporary", "local", "global", "unlogged", "table"})


class SelectReader(ExpressionReader):
    """Reads queries; changes among them are the subclass's business."""

    def change(self, items: list[Item]) -> None:
        """Read INSERT, UPDATE, DELETE or MERGE."""
        raise NotImplementedError

    def query(self, items: list[Item]) -> None:
        """Read a query: WITH, then operands joined by set operations; or a change."""
        items = self._common_tables(items)
        head = items[0] if items else None
        if head in words.CHANGES:
            self.change(items)
            return
        for operand in split_before(items, words.SET_OPERATIONS):
            if operand and operand[0] in words.SET_OPERATIONS:
                operand = operand[2:] if operand[1:2] in (["all"], ["distinct"]) else operand[1:]
            self._operand(operand)

    def _operand(self, items: list[Item]) -> None:
        outer = self.scope
        self.scope = Scope(outer)
        self._operand_in(outer, items)
        self.scope = outer

    def _operand_in(self, outer: Scope, items: list[Item]) -> None:
        self.outline.returns_rows = True
        head = items[0] if items else None
        if isinstance(head, Group) and head.bracket == "(":
            self._query_in(outer, head)
            self.scope.is_derived = True
            nothing, *clauses = split_before(items[1:], words.SELECT_CLAUSES)
            self.end(nothing)
            self._clauses(clauses)
        elif head == "select":
            self._clauses(split_before(items, words.SELECT_CLAUSES))
        elif head == "values":
            rows, *clauses = split_before(items[1:], words.SELECT_CLAUSES)
            self.expression(rows)
            self._clauses(clauses)
        elif head == "table":
            at = self._relation(items, step_over(items, 1, "only"))
            nothing, *clauses = split_before(
                items[step_over(items, at, "*") :], words.SELECT_CLAUSES
            )
            self.end(nothing)
            self._clauses(clauses)
        else:
            raise NotUnderstood("no query where one belongs")

    def _clauses(self, clauses: list[list[Item]]) -> None:
        for clause in clauses:
            head, body = clause[0], clause[1:]
            if head == "from":
                self.from_list(body)
            elif head == "into":
                self._into(body)
            elif head == "group":
                self._group_by(body)
            elif head == "window":
                self._window(body)
            elif head == "for":
                self.outline.locks = True
            elif head == "select" or head in words.SELECT_CLAUSES:
                self.expression(body)
            else:
                raise NotUnderstood("no clause where one belongs")

    def _common_tables(self, items: list[Item]) -> list[Item]:
        """Read WITH, and return what stands behind it."""
        if items[:1] != ["with"]:
            return items
        at = step_over(items, 1, "recursive")
        while True:
            if not is_name(items[at] if at < len(items) else None):
                raise NotUnderstood("a common table expression without a name")
            self.outline.local_names.add(name_of(str(items[at])))
            at += 1
            if at < len(items) and is_group(items[at]):
                at += 1
            if items[at : at + 1] != ["as"]:
                raise NotUnderstood("a common table expression without AS")
            at = step_over(items, step_over(items, at + 1, "not"), "materialized")
            body = items[at] if at < len(items) else None
            if not isinstance(body, Group) or body.bracket != "(":
                raise NotUnderstood("a common table expression without its query")
            self.query(body.items)
            at += 1
            if items[at : at + 1] != [","]:
                return items[at:]
            at += 1

    def from_list(self, items: list[Item]) -> None:
        """Read a list of joined tables."""
        item: list[Item] = []
        for part in items:
            if part in (",", "join"):
                self._from_item(item)
                item = []
            else:
                item.append(part)
        self._from_item(item)

    def _from_item(self, items: list[Item]) -> None:
        while items and items[-1] in words.JOIN_WORDS:
            items = items[:-1]
        at = self._source(items, step_over(items, 0, "lateral"))
        if items[at : at + 2] == ["with", "ordinality"]:
            at += 2
        at = self.alias(items, at)
        if items[at : at + 1] == ["tablesample"]:
            at = self._sample(items, at + 1)
        if items[at : at + 1] == ["on"]:
            self.expression(items[at + 1 :])
        elif items[at : at + 1] == ["using"]:
            at = self.alias(items, at + 2)
            self.end(items[at:])
        else:
            self.end(items[at:])

    def _source(self, items: list[Item], at: int) -> int:
        """Read what a FROM item draws its rows from."""
        head = items[at] if at < len(items) else None
        following = items[at + 1] if at + 1 < len(items) else None
        if isinstance(head, Group) and head.bracket == "(":
            if is_query(head):
                self.scope.is_derived = True
                is_lateral = items[:at] == ["lateral"]
                self._query_in(self.scope if is_lateral else self.scope.outer, head)
            else:
                self.from_list(head.items)
            return at + 1
        if head == "only":
            if isinstance(following, Group):
                self._relation(following.items, 0)
                return at + 2
            return step_over(items, self._relation(items, at + 1), "*")
        if head == "rows" and following == "from" and at + 2 < len(items):
            functions = items[at + 2]
            if isinstance(functions, Group):
                self.from_list(functions.items)
                return at + 3
        _, after = dotted(items, at)
        if head in words.CALLS_WITHOUT_BRACKETS or is_group(item_at(items, after)):
            self.scope.is_derived = True
            return self.word(items, at)
        return step_over(items, self._relation(items, at), "*")

    def _query_in(self, outer: Scope | None, group: Group) -> None:
        """Read a query that can name the columns of `outer`."""
        scope = self.scope
        self.scope = outer or Scope()
        self.query(group.items)
        self.scope = scope

    def alias(self, items: list[Item], at: int) -> int:
        """Read an alias, with or without AS, and the columns it lists or defines."""
        if items[at : at + 1] == ["as"]:
            at += 1
            if not is_group(item_at(items, at)):
                at += 1
        elif is_name(item_at(items, at)) and items[at] not in words.ITEM_ENDS:
            at += 1
        else:
            return at
        columns = item_at(items, at)
        if not isinstance(columns, Group) or columns.bracket != "(":
            return at
        self.scope.is_derived = True
        for column in split_at(columns.items, ","):
            if len(column) > 1:
                self.expression(column[self.cast(UNKNOWN, column, 1) :])
        return at + 1

    def _sample(self, items: list[Item], at: int) -> int:
        """Read how a table is sampled; the method is a function."""
        self.outline.samples = True
        names, at = dotted(items, at)
        arguments = item_at(items, at)
        if not names or not isinstance(arguments, Group):
            raise NotUnderstood("TABLESAMPLE without a method")
        schema = names[-2] if len(names) > 1 else None
        self.outline.functions.add(FunctionName(schema, names[-1], ANY_ARGUMENTS))
        self.expression(arguments.items)
        seed = item_at(items, at + 2)
        if items[at + 1 : at + 2] == ["repeatable"] and isinstance(seed, Group):
            self.expression(seed.items)
            return at + 3
        return at + 1

    def end(self, items: list[Item]) -> None:
        """Make sure that nothing stands where a clause should end."""
        if items:
            raise NotUnderstood("something stands where a clause should end")

    def _relation(self, items: list[Item], at: int) -> int:
        name, at = self.name(items, at)
        self.outline.relations.add(name)
        if name.name in self.outline.local_names:
            self.scope.is_derived = True
        return at

    def name(self, items: list[Item], at: int) -> tuple[RelationName, int]:
        """Read a relation's name, and tell where it ends."""
        names, after = dotted(items, at)
        if not names or len(names) > 3 or items[at] in words.NOT_CALLED:
            raise NotUnderstood("no relation where one belongs")
        return RelationName(names[-2] if len(names) > 1 else None, names[-1]), after

    def _group_by(self, items: list[Item]) -> None:
        at = step_over(items, 1, "distinct") if items[1:2] == ["distinct"] else 1
        for part in split_at(items[step_over(items, at, "all") :], ","):
            self._grouping(part)

    def _grouping(self, items: list[Item]) -> None:
        """Read a part of GROUP BY; ROLLUP, CUBE and GROUPING SETS are no functions there."""
        last = items[-1] if items else None
        if isinstance(last, Group) and items[:-1] in (["rollup"], ["cube"]):
            self.expression(last.items)
        elif isinstance(last, Group) and items[:-1] == ["grouping", "sets"]:
            for part in split_at(last.items, ","):
                self._grouping(part)
        else:
            self.expression(items)

    def _window(self, items: list[Item]) -> None:
        for part in split_at(items, ","):
            definition = part[-1] if len(part) == 3 and part[1] == "as" else None
            if not isinstance(definition, Group):
                raise NotUnderstood("WINDOW without a definition")
            self.expression(definition.items)

    def _into(self, items: list[Item]) -> None:
        at = 0
        while items[at : at + 1] and items[at] in _INTO_WORDS:
            self.outline.temporary |= items[at] in ("temp", "temporary")
            at += 1
        name, at = self.name(items, at)
        self.outline.created.add(name)
        self.end(items[at:])
