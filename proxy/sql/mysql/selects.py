"""Reading queries in MySQL's SQL, clause by clause ("SELECT Statement" in the manual)."""

from __future__ import annotations

from proxy.sql.groups import (
    Group,
    Item,
    NotUnderstood,
    find_words,
    is_group,
    item_at,
    split_at,
    step_over,
)
from proxy.sql.mysql import words
from proxy.sql.mysql.expressions import ExpressionReader, is_query
from proxy.sql.mysql.groups import dotted, is_name, is_quoted, name_of
from proxy.sql.statement import RelationName

_CLAUSES = frozenset({"from", "into", "where", "having", "limit", "returning"})
_BY_TWO = frozenset(
    {
        *(("group", "by"), ("order", "by"), ("for", "update"), ("for", "share")),
        *(("lock", "in"), ("procedure", "analyse"), ("fetch", "first"), ("fetch", "next")),
    }
)
_LOCK_WORDS = frozenset({"nowait", "skip", "locked", "wait", "0", "?", "mode", "share", "in"})
_HINT_HEADS = frozenset({"use", "force", "ignore"})
_HINT_WORDS = frozenset({"index", "key", "for", "join", "order", "group", "by"})


def clauses_of(items: list[Item], extra: frozenset[str] = frozenset()) -> list[list[Item]]:
    """Split items in front of every word that begins a clause; first is what is before them."""
    parts: list[list[Item]] = [[]]
    for at, item in enumerate(items):
        if _begins_clause(items, at, extra):
            parts.append([item])
        else:
            parts[-1].append(item)
    return parts


def _begins_clause(items: list[Item], at: int, extra: frozenset[str]) -> bool:
    item = items[at]
    before = items[at - 1] if at else None
    if isinstance(item, Group) or before in ("as", "."):
        return False
    if item in _CLAUSES or item in extra:
        return True
    if item == "window":
        return items[at + 2 : at + 3] == ["as"] and is_group(item_at(items, at + 3))
    if before == "for":  # an index hint
        return False
    return (str(item), item_at(items, at + 1)) in _BY_TWO


class SelectReader(ExpressionReader):
    """Reads queries."""

    def query(self, items: list[Item]) -> None:
        """Read a query: WITH, then operands joined by set operations."""
        items = self.common_tables(items)
        operand: list[Item] = []
        for item in items:
            if item in words.SET_OPERATIONS and operand and operand[-1] not in (".", "as"):
                self._operand(operand)
                operand = []
            else:
                operand.append(item)
        self._operand(operand)

    def _operand(self, items: list[Item]) -> None:
        if items[:1] in (["all"], ["distinct"]):
            items = items[1:]
        self.outline.returns_rows = True
        head = item_at(items, 0)
        if isinstance(head, Group):
            if not is_query(head):
                raise NotUnderstood("no query where one belongs")
            self.query(head.items)
            nothing, *clauses = clauses_of(items[1:])
            self.end(nothing)
        elif head == "select":
            columns, *clauses = clauses_of(items[1:])
            self._select_list(columns)
        elif head == "values":
            rows, *clauses = clauses_of(items[1:])
            self.rewrite(items[0], "select")
            self.expression(rows)
        elif head == "table":
            at = self.relation(items, 1)
            nothing, *clauses = clauses_of(items[at:])
            self.end(nothing)
        else:
            raise NotUnderstood("no query where one belongs")
        for clause in clauses:
            self._clause(clause)

    def _select_list(self, items: list[Item]) -> None:
        at = 0
        while isinstance(word := item_at(items, at), str):
            if word == "sql_calc_found_rows":
                self.outline.counts_found = True
            if word in words.SELECT_OPTIONS:
                self.aside([items[at]])
            elif word == "distinctrow":
                self.rewrite(items[at], "distinct")
            elif word not in ("all", "distinct"):
                break
            at += 1
        self.expression(items[at:])

    def _clause(self, clause: list[Item]) -> None:
        head, body = clause[0], clause[1:]
        if head == "from":
            self.from_list(body)
        elif head == "into":
            self._into(clause)
        elif head in ("for", "lock"):
            self._lock(clause)
        elif head == "window":
            self._window(body)
        elif head in ("group", "order"):
            self._by(clause)
        elif head == "limit":
            self.limit(body)
        elif head in ("where", "having"):
            self.expression(body)
        else:
            raise NotUnderstood("no clause where one belongs")

    def _by(self, clause: list[Item]) -> None:
        for item in clause:
            if item in ("asc", "desc"):
                self.aside([item])
        self.expression(clause[2:])

    def limit(self, items: list[Item]) -> None:
        """Read what stands behind LIMIT; ROWS EXAMINED is MariaDB's."""
        if "rows" in items:
            cut = find_words(items, ["rows"])
            self.aside(items[cut:])
            items = items[:cut] + items[cut + 2 :]
        for item in items:
            if isinstance(item, Group) or item not in ("0", "?", ",", "offset"):
                raise NotUnderstood("LIMIT with something else")
            if item == "offset":
                self.rewrite(item, "offset")

    def _into(self, clause: list[Item]) -> None:
        self.aside(clause)
        head = item_at(clause, 1)
        if any(isinstance(item, Group) for item in clause):
            raise NotUnderstood("INTO something else")
        if head in ("outfile", "dumpfile") and item_at(clause, 2) == "''":
            self.outline.file = True
            return
        for part in split_at(clause[1:], ","):
            if len(part) != 1 or isinstance(part[0], Group) or part[0][0] != "@":
                raise NotUnderstood("INTO something else")
        self.outline.user_variables = True
        self.outline.into_variables = True

    def _lock(self, clause: list[Item]) -> None:
        self.outline.locks = True
        at = 2
        if clause[0] == "for" and clause[2:3] == ["of"]:
            at = 3
            while True:
                names, at = dotted(clause, at)
                if not names:
                    raise NotUnderstood("FOR UPDATE OF nothing")
                if clause[at : at + 1] != [","]:
                    break
                at += 1
        for item in clause[at:]:
            if isinstance(item, Group) or item not in _LOCK_WORDS:
                raise NotUnderstood("a lock with something else")
        self.aside(clause[2:])
        self.rewrite(clause[0], "for")
        self.rewrite(clause[1], "update")

    def _window(self, items: list[Item]) -> None:
        for part in split_at(items, ","):
            definition = part[-1] if len(part) == 3 and part[1] == "as" else None
            if not isinstance(definition, Group):
                raise NotUnderstood("WINDOW without a definition")
            self.expression(definition.items)

    def common_tables(self, items: list[Item]) -> list[Item]:
        """Read WITH, and return what stands behind it."""
        if items[:1] != ["with"]:
            return items
        at = step_over(items, 1, "recursive")
        while True:
            name = item_at(items, at)
            if not is_name(name) or name is None:
                raise NotUnderstood("a common table expression without a name")
            self.outline.local_names.add(name_of(name))
            at += 1
            if is_group(item_at(items, at)):
                at += 1
            body = item_at(items, at + 1)
            if items[at : at + 1] != ["as"] or not isinstance(body, Group):
                raise NotUnderstood("a common table expression without its query")
            self.query(body.items)
            at += 2
            if items[at : at + 1] != [","]:
                return items[at:]
            at += 1

    def from_list(self, items: list[Item]) -> None:
        """Read a list of joined tables."""
        part: list[Item] = []
        for at, item in enumerate(items):
            is_hint = at > 0 and items[at - 1] == "for"
            if not isinstance(item, Group) and not is_hint:
                if item == "straight_join":
                    self.rewrite(item, "join")
                    self._from_item(part)
                    part = []
                    continue
                if item in (",", "join"):
                    self._from_item(part)
                    part = []
                    continue
            part.append(item)
        self._from_item(part)

    def _from_item(self, items: list[Item]) -> None:
        while items and items[-1] in words.JOIN_WORDS:
            items = items[:-1]
        if items[:2] == ["{", "oj"]:
            self.aside(items[:2])
            items = items[2:]
        while items and items[-1] == "}":
            self.aside(items[-1:])
            items = items[:-1]
        at = self._source(items, step_over(items, 0, "lateral"))
        at = self._partition(items, at)
        at = self._system_time(items, at)
        at = self._alias(items, at)
        at = self._index_hints(items, at)
        condition = item_at(items, at)
        if condition == "on":
            self.expression(items[at + 1 :])
        elif condition == "using" and is_group(item_at(items, at + 1)):
            self.end(items[at + 2 :])
        else:
            self.end(items[at:])

    def _source(self, items: list[Item], at: int) -> int:
        """Read what a FROM item draws its rows from."""
        head = item_at(items, at)
        if isinstance(head, Group):
            if is_query(head):
                self.query(head.items)
            else:
                self.from_list(head.items)
            return at + 1
        if head == "json_table" and is_group(item_at(items, at + 1)):
            return self.word(items, at)
        return self.relation(items, at)

    def _partition(self, items: list[Item], at: int) -> int:
        names = item_at(items, at + 1)
        if items[at : at + 1] != ["partition"] or not isinstance(names, Group):
            return at
        if any(not is_name(item) and item != "," for item in names.items):
            raise NotUnderstood("PARTITION with something else")
        self.aside(items[at : at + 2])
        return at + 2

    def _system_time(self, items: list[Item], at: int) -> int:
        """Read FOR SYSTEM_TIME of MariaDB's, whose times are plain operands here."""
        if items[at : at + 2] != ["for", "system_time"]:
            return at
        start = at
        at += 2
        if items[at : at + 1] == ["all"]:
            at += 1
        elif items[at : at + 2] == ["as", "of"]:
            at = self._time(items, at + 2)
        elif items[at : at + 1] in (["between"], ["from"]):
            at = self._time(items, at + 1)
            if items[at : at + 1] not in (["and"], ["to"]):
                raise NotUnderstood("FOR SYSTEM_TIME without its end")
            at = self._time(items, at + 1)
        else:
            raise NotUnderstood("FOR SYSTEM_TIME of what?")
        self.aside(items[start:at])
        return at

    def _time(self, items: list[Item], at: int) -> int:
        if items[at : at + 1] in (["timestamp"], ["transaction"]):
            at += 1
        end = at + 2 if is_group(item_at(items, at + 1)) else at + 1
        operand = items[at:end]
        calls = len(self.outline.calls)
        self.expression(operand)
        if not operand or len(self.outline.calls) != calls:
            raise NotUnderstood("FOR SYSTEM_TIME of what is computed")
        return end

    def _alias(self, items: list[Item], at: int) -> int:
        """Read an alias, with or without AS, and the columns it lists."""
        alias = item_at(items, at)
        if alias == "as":
            at += 1
            alias = item_at(items, at)
            if not is_name(alias):
                raise NotUnderstood("AS and no alias")
        elif not is_name(alias) or (not is_quoted(alias) and alias in words.ITEM_ENDS):
            return at
        at += 1
        return at + 1 if is_group(item_at(items, at)) else at

    def _index_hints(self, items: list[Item], at: int) -> int:
        while item_at(items, at) in _HINT_HEADS:
            start = at
            at += 1
            while item_at(items, at) in _HINT_WORDS:
                at += 1
            names = item_at(items, at)
            if at == start + 1 or not isinstance(names, Group):
                raise NotUnderstood("an index hint without its indexes")
            if any(not is_name(item) and item != "," for item in names.items):
                raise NotUnderstood("an index hint with something else")
            at += 1
            if item_at(items, at) == "," and item_at(items, at + 1) in _HINT_HEADS:
                at += 1
            self.aside(items[start:at])
        return at

    def end(self, items: list[Item]) -> None:
        """Make sure that nothing stands where a clause should end."""
        if items:
            raise NotUnderstood("something stands where a clause should end")

    def relation(self, items: list[Item], at: int) -> int:
        """Read a relation's name, and return where it ends."""
        if item_at(items, at) == "dual":
            self.rewrite(items[at], "`dual`")
            return at + 1
        name, after = relation_at(items, at)
        self.outline.relations.add(name)
        return after


def relation_at(items: list[Item], at: int) -> tuple[RelationName, int]:
    """Read a relation's name, and tell where it ends.

    Raises:
        NotUnderstood: There is none.
    """
    names, after = dotted(items, at)
    first = item_at(items, at)
    if not 1 <= len(names) <= 2 or items[after - 1] == "*":
        raise NotUnderstood("no relation where one belongs")
    if not is_quoted(first) and first in words.RESERVED_NAMES:
        raise NotUnderstood("a reserved word where a relation belongs")
    return RelationName(names[-2] if len(names) > 1 else None, names[-1]), after
