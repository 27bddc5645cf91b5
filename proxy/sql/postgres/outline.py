"""What a query or a data-modifying statement names, read from its tokens alone.

This is one of two independent readings; the other is sqlglot's syntax tree. Only where both agree
is a statement called a read (`classify.py`). The grammar followed here is that of the manual's
pages on SELECT, INSERT, UPDATE, DELETE and MERGE: clauses are told apart by their reserved words,
and inside a clause everything that can be a name is taken for one.
"""

from __future__ import annotations

from collections.abc import Callable

from proxy.sql.postgres import words
from proxy.sql.postgres.expressions import ExpressionReader, Outline, dotted, is_query
from proxy.sql.postgres.groups import (
    Group,
    Item,
    NotUnderstood,
    Token,
    grouped,
    is_group,
    is_name,
    name_of,
    split_at,
)
from proxy.sql.statement import ANY_ARGUMENTS, Action, FunctionName, RelationName


def outline_of(tokens: list[Token]) -> Outline:
    """Read a whole statement that begins with a query or a change.

    Raises:
        NotUnderstood: Something stands where the grammar has no place for it.
    """
    reader = QueryReader()
    reader.query(grouped(tokens))
    return reader.outline


class QueryReader(ExpressionReader):
    """Reads queries clause by clause."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        super().__init__()
        self._changes: dict[str, Callable[[list[Item]], None]] = {
            "insert": self._insert,
            "update": self._update,
            "delete": self._delete,
            "merge": self._merge,
        }

    def query(self, items: list[Item]) -> None:
        """Read a query: WITH, then operands joined by set operations; or a change."""
        items = self._common_tables(items)
        head = items[0] if items else None
        if isinstance(head, Token) and head in self._changes:
            self._changes[head](items)
            # Its subqueries have set this, and only a RETURNING of its own counts.
            self.outline.returns_rows = len(_parts(items, {"returning"})) > 1
            return
        for operand in _parts(items, words.SET_OPERATIONS):
            if operand and operand[0] in words.SET_OPERATIONS:
                operand = operand[2:] if operand[1:2] in (["all"], ["distinct"]) else operand[1:]
            self._operand(operand)

    def _operand(self, items: list[Item]) -> None:
        self.outline.returns_rows = True
        head = items[0] if items else None
        if isinstance(head, Group) and head.bracket == "(":
            self.query(head.items)
            nothing, *clauses = _parts(items[1:], words.SELECT_CLAUSES)
            self._end(nothing)
            self._clauses(clauses)
        elif head == "select":
            self._clauses(_parts(items, words.SELECT_CLAUSES))
        elif head == "values":
            rows, *clauses = _parts(items[1:], words.SELECT_CLAUSES)
            self.expression(rows)
            self._clauses(clauses)
        elif head == "table":
            at = self._relation(items, _behind(items, 1, "only"))
            nothing, *clauses = _parts(items[_behind(items, at, "*") :], words.SELECT_CLAUSES)
            self._end(nothing)
            self._clauses(clauses)
        else:
            raise NotUnderstood("no query where one belongs")

    def _clauses(self, clauses: list[list[Item]]) -> None:
        for clause in clauses:
            head, body = clause[0], clause[1:]
            if head == "from":
                self._from(body)
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
        at = _behind(items, 1, "recursive")
        while True:
            if not is_name(items[at] if at < len(items) else None):
                raise NotUnderstood("a common table expression without a name")
            self.outline.local_names.add(name_of(str(items[at])))
            at += 1
            if at < len(items) and is_group(items[at]):
                at += 1
            if items[at : at + 1] != ["as"]:
                raise NotUnderstood("a common table expression without AS")
            at = _behind(items, _behind(items, at + 1, "not"), "materialized")
            body = items[at] if at < len(items) else None
            if not isinstance(body, Group) or body.bracket != "(":
                raise NotUnderstood("a common table expression without its query")
            self.query(body.items)
            at += 1
            if items[at : at + 1] != [","]:
                return items[at:]
            at += 1

    def _from(self, items: list[Item]) -> None:
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
        at = self._source(items, _behind(items, 0, "lateral"))
        if items[at : at + 2] == ["with", "ordinality"]:
            at += 2
        at = self._alias(items, at)
        if items[at : at + 1] == ["tablesample"]:
            at = self._sample(items, at + 1)
        if items[at : at + 1] == ["on"]:
            self.expression(items[at + 1 :])
        elif items[at : at + 1] == ["using"]:
            at = self._alias(items, at + 2)
            self._end(items[at:])
        else:
            self._end(items[at:])

    def _source(self, items: list[Item], at: int) -> int:
        """Read what a FROM item draws its rows from."""
        head = items[at] if at < len(items) else None
        following = items[at + 1] if at + 1 < len(items) else None
        if isinstance(head, Group) and head.bracket == "(":
            if is_query(head):
                self.query(head.items)
            else:
                self._from(head.items)
            return at + 1
        if head == "only":
            if isinstance(following, Group):
                self._relation(following.items, 0)
                return at + 2
            return _behind(items, self._relation(items, at + 1), "*")
        if head == "rows" and following == "from" and at + 2 < len(items):
            functions = items[at + 2]
            if isinstance(functions, Group):
                self._from(functions.items)
                return at + 3
        _, after = dotted(items, at)
        if head in words.CALLS_WITHOUT_BRACKETS or is_group(_get(items, after)):
            return self.word(items, at)
        return _behind(items, self._relation(items, at), "*")

    def _alias(self, items: list[Item], at: int) -> int:
        """Read an alias, with or without AS, and the columns it lists or defines."""
        if items[at : at + 1] == ["as"]:
            at += 1
            if not is_group(_get(items, at)):
                at += 1
        elif is_name(_get(items, at)) and items[at] not in words.ITEM_ENDS:
            at += 1
        else:
            return at
        columns = _get(items, at)
        if not isinstance(columns, Group) or columns.bracket != "(":
            return at
        for column in split_at(columns.items, ","):
            if len(column) > 1:
                self.expression(column[self.type_name(column, 1) :])
        return at + 1

    def _sample(self, items: list[Item], at: int) -> int:
        """Read how a table is sampled; the method is a function."""
        self.outline.samples = True
        names, at = dotted(items, at)
        arguments = _get(items, at)
        if not names or not isinstance(arguments, Group):
            raise NotUnderstood("TABLESAMPLE without a method")
        schema = names[-2] if len(names) > 1 else None
        self.outline.functions.add(FunctionName(schema, names[-1], ANY_ARGUMENTS))
        self.expression(arguments.items)
        seed = _get(items, at + 2)
        if items[at + 1 : at + 2] == ["repeatable"] and isinstance(seed, Group):
            self.expression(seed.items)
            return at + 3
        return at + 1

    def _end(self, items: list[Item]) -> None:
        if items:
            raise NotUnderstood("something stands where a clause should end")

    def _relation(self, items: list[Item], at: int) -> int:
        name, at = self._name(items, at)
        self.outline.relations.add(name)
        return at

    def _name(self, items: list[Item], at: int) -> tuple[RelationName, int]:
        """Read a relation's name, and tell where it ends."""
        names, after = dotted(items, at)
        if not names or len(names) > 3 or items[at] in words.NOT_CALLED:
            raise NotUnderstood("no relation where one belongs")
        return RelationName(names[-2] if len(names) > 1 else None, names[-1]), after

    def _group_by(self, items: list[Item]) -> None:
        at = _behind(items, 1, "distinct") if items[1:2] == ["distinct"] else 1
        for part in split_at(items[_behind(items, at, "all") :], ","):
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
        name, at = self._name(items, at)
        self.outline.created.add(name)
        self._end(items[at:])

    def _target(self, items: list[Item], at: int) -> int:
        """Read the relation that is written, up to its alias."""
        name, at = self._name(items, _behind(items, at, "only"))
        self.outline.targets.add(name)
        self.outline.relations.add(name)
        return _behind(items, at, "*")

    def _insert(self, items: list[Item]) -> None:
        if items[1:2] != ["into"]:
            raise NotUnderstood("INSERT without INTO")
        self.outline.actions.add(Action.INSERT)
        at = self._target(items, 2)
        if items[at : at + 1] == ["as"]:
            at += 2
        columns = _get(items, at)
        if isinstance(columns, Group) and not is_query(columns):
            self.expression(columns.items)
            at += 1
        if items[at : at + 1] == ["overriding"]:
            at += 3
        source, *rest = _parts(items[at:], {"returning"})
        conflict = _find(source, ["on", "conflict"])
        if conflict < len(source):
            self._on_conflict(source[conflict + 2 :])
        source = source[:conflict]
        if source != ["default", "values"]:
            self.query(source)
        for returned in rest:
            self.expression(returned)

    def _on_conflict(self, items: list[Item]) -> None:
        if _find(items, ["do", "update"]) < len(items):
            self.outline.actions.add(Action.UPDATE)
        self.expression(items)

    def _update(self, items: list[Item]) -> None:
        self.outline.actions.add(Action.UPDATE)
        at = self._target(items, 1)
        if items[at : at + 1] == ["as"]:
            at += 2
        elif is_name(_get(items, at)) and items[at] != "set":
            at += 1
        if items[at : at + 1] != ["set"]:
            raise NotUnderstood("UPDATE without SET")
        changed, *rest = _parts(items[at + 1 :], {"from", "where", "returning"})
        self.expression(changed)
        for clause in rest:
            if clause[0] == "from":
                self._from(clause[1:])
            else:
                self.expression(clause[1:])

    def _delete(self, items: list[Item]) -> None:
        if items[1:2] != ["from"]:
            raise NotUnderstood("DELETE without FROM")
        self.outline.actions.add(Action.DELETE)
        at = self._alias(items, self._target(items, 2))
        using, *rest = _parts(items[at:], {"where", "returning"})
        if using[:1] == ["using"]:
            self._from(using[1:])
        else:
            self._end(using)
        for clause in rest:
            self.expression(clause[1:])

    def _merge(self, items: list[Item]) -> None:
        if items[1:2] != ["into"]:
            raise NotUnderstood("MERGE without INTO")
        for word, action in _MERGE_ACTIONS.items():
            if _find(items, ["then", word]) < len(items):
                self.outline.actions.add(action)
        at = self._alias(items, self._target(items, 2))
        if items[at : at + 1] != ["using"]:
            raise NotUnderstood("MERGE without USING")
        end = min(_find(items, ["when", "matched"]), _find(items, ["when", "not"]))
        self._from(items[at + 1 : end])
        self.expression(items[end:])


_INTO_WORDS = frozenset({"temp", "temporary", "local", "global", "unlogged", "table"})
_MERGE_ACTIONS = {
    "insert": Action.INSERT,
    "update": Action.UPDATE,
    "delete": Action.DELETE,
}


def _get(items: list[Item], at: int) -> Item | None:
    return items[at] if at < len(items) else None


def _behind(items: list[Item], at: int, word: str) -> int:
    """Step over a word that may stand at `at`."""
    return at + 1 if items[at : at + 1] == [word] else at


def _find(items: list[Item], sequence: list[str]) -> int:
    """Find words that follow each other; the end when they do not."""
    for at in range(len(items)):
        if items[at : at + len(sequence)] == sequence:
            return at
    return len(items)


def _parts(items: list[Item], starts: frozenset[str] | set[str]) -> list[list[Item]]:
    """Split items in front of every word that starts a clause.

    The first part is what stands in front of the first such word, often nothing. Behind AS or a
    point the word is a name.
    """
    parts: list[list[Item]] = [[]]
    for at, item in enumerate(items):
        if isinstance(item, Token) and item in starts and not _is_no_clause(items, at):
            parts.append([item])
        else:
            parts[-1].append(item)
    return parts


def _is_no_clause(items: list[Item], at: int) -> bool:
    before = items[at - 1] if at else None
    if before in ("as", ".", "within"):
        return True
    # IS [NOT] DISTINCT FROM
    return before == "distinct" and at > 1 and items[at - 2] in ("is", "not")
