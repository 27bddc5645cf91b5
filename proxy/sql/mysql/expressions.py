"""What an expression in MySQL's SQL names: functions, variables, and the queries inside it.

This is no parser: it finds every name that makes something happen when the expression runs, and
where it has to choose it takes the reading that names more. What the grammar of MySQL has and SQL
at large has not is noted for the second reading in plainer words (`Outline.rewritten`).
"""

from __future__ import annotations

from proxy.sql.groups import (
    Group,
    Item,
    NotUnderstood,
    Token,
    find_words,
    is_group,
    item_at,
    split_at,
)
from proxy.sql.mysql import words
from proxy.sql.mysql.groups import Word, dotted, is_name, is_quoted, name_of, tokens_in
from proxy.sql.mysql.outline import Outline
from proxy.sql.statement import ANY_ARGUMENTS, FunctionName, RelationName

_SEQUENCE_CALLS = frozenset({"nextval", "setval"})
_PLAIN_OPERATORS = {
    **dict.fromkeys(("div", "<<", ">>", "^", "&", "|"), "+"),
    **dict.fromkeys(("->", "->>"), "-"),
    **dict.fromkeys(("!", "~"), "-"),
    **dict.fromkeys(("xor", "||"), "or"),
    **dict.fromkeys(("regexp", "rlike"), "like"),
    **dict.fromkeys(("<=>", ":="), "="),
    "&&": "and",
    "sounds": "",
    "distinctrow": "distinct",
    "unknown": "null",
}
"""Operators that are read a second time as others, since it matters only that they are some."""


class ExpressionReader:
    """Reads expressions; the queries inside them are the subclass's business."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self.outline = Outline()

    def query(self, items: list[Item]) -> None:
        """Read a query."""
        raise NotImplementedError

    def aside(self, items: list[Item]) -> None:
        """Keep items from the second reading."""
        for at in tokens_in(items):
            self.outline.rewritten[at] = ""

    def rewrite(self, item: Item, text: str) -> None:
        """Give the second reading something else to read."""
        assert isinstance(item, Token)
        self.outline.rewritten[item.at] = text

    def expression(self, items: list[Item]) -> None:
        """Read any list of expressions, with the words between them."""
        at = 0
        while at < len(items):
            item = items[at]
            if isinstance(item, Group):
                self.bracket(item)
                at += 1
            elif item in words.LITERALS:
                if item == "''" and _ends_operand(items, at):
                    self.aside([item])  # a label
                at += 1
            elif item[0] == "@":
                at = self._variable(items, at)
            elif item in ("{", "}"):
                at = self._escape(items, at)
            elif item == "as":
                at = self._label(items, at)
            elif is_name(item):
                at = self.word(items, at)
            else:
                self._symbol(items, at)
                at += 1

    def bracket(self, group: Group) -> None:
        """Read a bracket that is no call's: a subquery, a row, a list, or just a bracket."""
        if is_query(group):
            self.query(group.items)
        else:
            self.expression(group.items)

    def _symbol(self, items: list[Item], at: int) -> None:
        item = items[at]
        assert isinstance(item, Token)
        if item in (".", ";", ":"):
            raise NotUnderstood(f"a stray {item}")
        if item in _PLAIN_OPERATORS:
            self.rewrite(item, _PLAIN_OPERATORS[item])

    def _label(self, items: list[Item], at: int) -> int:
        """Pass over AS and a label, whatever word it is, or a string."""
        label = item_at(items, at + 1)
        if not (is_name(label) or label == "''"):
            raise NotUnderstood("AS and no label")
        assert label is not None
        self.rewrite(label, "x")
        return at + 2

    def _variable(self, items: list[Item], at: int) -> int:
        first = items[at]
        assert isinstance(first, Token)
        self.rewrite(first, "v")
        if not first.startswith("@@"):
            self.outline.user_variables = True
            return at + 1
        names = [str(first[2:])]
        stop = at + 1
        while items[stop : stop + 1] == ["."] and is_name(item_at(items, stop + 1)):
            names.append(name_of(items[stop + 1]).lower())
            stop += 2
        self.aside(items[at + 1 : stop])
        self.outline.system_variables.add(names[-1])
        return stop

    def _escape(self, items: list[Item], at: int) -> int:
        """Pass over the frame of an ODBC escape: `{d '...'}`, `{fn now()}`."""
        is_open = items[at] == "{"
        if is_open and not is_name(item_at(items, at + 1)):
            raise NotUnderstood("a brace and no name")
        self.outline.makes_times |= is_open and items[at + 1] == "t"
        stop = at + 2 if is_open else at + 1
        self.aside(items[at:stop])
        return stop

    def word(self, items: list[Item], at: int) -> int:
        """Read what begins with a word: a keyword, a column, a call, a typed literal."""
        first = items[at]
        assert isinstance(first, Word)
        names, after = dotted(items, at)
        following = item_at(items, after)
        is_single = after == at + 1
        if is_single and not is_quoted(first):
            special = self._special(items, at, first, following)
            if special:
                return special
        if isinstance(following, Group) and (not is_single or first not in words.NOT_CALLED):
            return self._call(items, after, names, following)
        return after

    def _special(self, items: list[Item], at: int, word: Word, following: Item | None) -> int:
        """Read what a keyword begins; 0 when the word is none that matters."""
        if word in ("select", "into", "insert") and not is_group(following):
            raise NotUnderstood(f"{word.upper()} inside an expression")
        if word in words.CALLS_WITHOUT_BRACKETS:
            return self._call_without_bracket(items, at, word, following)
        if (following == "''" and word in words.TYPED_LITERALS) or (
            word[0] == "_" and following in ("''", "0")
        ):
            self.aside([word])
            self.outline.makes_times |= word == "time"
        elif word in ("next", "previous") and items[at + 1 : at + 3] == ["value", "for"]:
            return self._sequence_value(items, at)
        elif word == "interval":
            return self._interval(items, at, following)
        elif word == "match" and items[at + 2 : at + 3] == ["against"]:
            return self._match(items, at)
        elif word == "collate":
            if not (is_name(following) or following == "''"):
                raise NotUnderstood("COLLATE without a collation")
            self.aside(items[at : at + 2])
            return at + 2
        elif word == "binary":
            self.aside([word])
        elif word == "member" and following == "of":
            self.rewrite(word, "=")
            self.aside(items[at + 1 : at + 2])
            return at + 2
        elif word == "mod" and _ends_operand(items, at):
            self.rewrite(word, "+")
            return at + 1
        elif word == "row" and is_group(following):
            self.aside([word])
        elif word in _PLAIN_OPERATORS:
            self.rewrite(word, _PLAIN_OPERATORS[word])
        elif word == "with" and following == "rollup":
            self.aside(items[at : at + 2])
            return at + 2
        elif word == "default" and isinstance(following, Group):
            self.aside([word])
        return 0

    def _call_without_bracket(
        self, items: list[Item], at: int, word: Word, following: Item | None
    ) -> int:
        self.outline.functions.add(FunctionName(None, str(word), 0))
        self.rewrite(word, "v")
        if isinstance(following, Group):
            self.aside([following])
            self.expression(following.items)
            return at + 2
        return at + 1

    def _sequence_value(self, items: list[Item], at: int) -> int:
        names, after = dotted(items, at + 3)
        first = items[at]
        if not 1 <= len(names) <= 2:
            raise NotUnderstood("no sequence where one belongs")
        self._move_sequence("nextval" if first == "next" else "lastval", names)
        self.aside(items[at:after])
        self.rewrite(first, "0")
        return after

    def _move_sequence(self, function: str, names: list[str]) -> None:
        self.outline.functions.add(FunctionName(None, function, 1))
        name = RelationName(names[-2] if len(names) > 1 else None, names[-1])
        self.outline.sequences.add(name)

    def _interval(self, items: list[Item], at: int, following: Item | None) -> int:
        """Read INTERVAL, a function or the head of `INTERVAL 1 DAY`."""
        if isinstance(following, Group) and "," in following.items:
            return self._call(items, at + 1, ["interval"], following)
        for stop in range(at + 1, len(items)):
            unit = items[stop]
            if unit in words.UNITS and not is_group(item_at(items, stop + 1)) and stop > at + 1:
                self.aside([items[at], unit])
                self.expression(items[at + 1 : stop])
                return stop + 1
        raise NotUnderstood("INTERVAL of what?")

    def _match(self, items: list[Item], at: int) -> int:
        """Read MATCH (...) AGAINST (... IN BOOLEAN MODE)."""
        columns, search = item_at(items, at + 1), item_at(items, at + 3)
        if not isinstance(columns, Group) or not isinstance(search, Group):
            raise NotUnderstood("MATCH without its brackets")
        self.aside([items[at]])
        self.rewrite(items[at + 2], "=")
        self.expression(columns.items)
        cut = len(search.items)
        for word in ("in", "with"):
            if word in search.items:
                cut = min(cut, find_words(search.items, [word]))
        if any(not is_name(item) for item in search.items[cut:]):
            raise NotUnderstood("AGAINST with something else")
        self.aside(search.items[cut:])
        self.expression(search.items[:cut])
        return at + 4

    def _call(self, items: list[Item], at: int, names: list[str], group: Group) -> int:
        """Read a call whose bracket is at `at`."""
        schema = names[-2] if len(names) > 1 else None
        name = names[-1].lower()
        at_name = items[at - 1]
        assert isinstance(at_name, Token)
        self.outline.calls.add(at_name.at)
        if name != "values":  # of ON DUPLICATE KEY UPDATE
            self.outline.functions.add(FunctionName(schema, name, _count_of(group)))
        if schema is not None or is_quoted(at_name):
            self.expression(group.items)
        elif name in _SEQUENCE_CALLS or name == "lastval":
            self._sequence_call(name, group)
        else:
            self._arguments(name, group)
        return at + 1

    def _sequence_call(self, name: str, group: Group) -> None:
        names, after = dotted(group.items, 0)
        if 1 <= len(names) <= 2 and item_at(group.items, after) in (None, ","):
            self._move_sequence(name, names)
        self.expression(group.items)

    def _arguments(self, name: str, group: Group) -> None:
        items = group.items
        if name in ("cast", "weight_string", "json_value") and self._has_type(items):
            cut = self._type_at(items)
            self.aside(items[cut + 1 :])
            self.rewrite(items[cut], "")
            items = items[:cut]
        elif name == "convert" and "using" not in items and "," in items:
            cut = len(items) - 1 - find_words(items[::-1], [","])
            self._type(items[cut + 1 :])
            self.aside(items[cut:])
            items = items[:cut]
        elif name == "get_format" and items:
            self.rewrite(items[0], "0")
            items = items[1:]
        elif name == "json_table":
            self._json_table(items)
            return
        rewritten = words.ARGUMENT_WORDS.get(name)
        if rewritten is not None:
            for item in items:
                if isinstance(item, Token) and item in rewritten:
                    self.rewrite(item, rewritten[str(item)])
            items = [item for item in items if isinstance(item, Group) or item not in rewritten]
        self.expression(items)

    def _has_type(self, items: list[Item]) -> bool:
        return "as" in items or "returning" in items

    def _type_at(self, items: list[Item]) -> int:
        cut = max(at for at, item in enumerate(items) if item in ("as", "returning"))
        self._type(items[cut + 1 :])
        return cut

    def _type(self, items: list[Item]) -> None:
        """Take a type, or the columns of JSON_TABLE."""
        self.outline.makes_times |= _check_type(items)

    def _json_table(self, items: list[Item]) -> None:
        if "columns" not in items:
            raise NotUnderstood("JSON_TABLE without columns")
        cut = find_words(items, ["columns"])
        definition = item_at(items, cut + 1)
        if not isinstance(definition, Group) or len(items) != cut + 2:
            raise NotUnderstood("JSON_TABLE with something else")
        self._type(definition.items)
        self.aside(items[cut:])
        self.expression(items[:cut])


def _check_type(items: list[Item]) -> bool:
    """Refuse what is no type and no list of columns: nothing in it may be computed.

    Returns:
        Whether TIME may be among the types.
    """
    before: Item | None = None
    has_time = "time" in items
    for item in items:
        if isinstance(item, Group):
            if before == "columns":
                has_time |= _check_type(item.items)
            elif any(part not in words.LITERALS and part != "," for part in item.items):
                raise NotUnderstood("a type with something else in it")
        elif not (is_name(item) or item in words.LITERALS or item == ","):
            raise NotUnderstood("a type with something else in it")
        before = item
    return has_time


def is_query(group: Group) -> bool:
    """Whether a bracket holds a query, rather than expressions or joined tables."""
    items = group.items
    first = item_at(items, 0)
    if isinstance(first, Group):
        # ((query) UNION ...) or ((query) ORDER BY ...) or ((query)).
        following = item_at(items, 1)
        is_end = following is None or following in words.SET_OPERATIONS
        return is_query(first) and (is_end or following in ("order", "limit", "into", "for"))
    if first == "values":
        return item_at(items, 1) == "row" or is_group(item_at(items, 1))
    return first in words.QUERY_STARTS


def _count_of(group: Group) -> int:
    """Count the arguments that a call writes down."""
    if not group.items:
        return 0
    if any(isinstance(item, Token) and item in words.KEYWORDS for item in group.items):
        return ANY_ARGUMENTS
    return len(split_at(group.items, ","))


def _ends_operand(items: list[Item], at: int) -> bool:
    """Whether an operand ends in front of `at`."""
    before = item_at(items, at - 1) if at else None
    if before is None:
        return False
    if isinstance(before, Group) or before in words.LITERALS or before[0] == "@":
        return True
    if item_at(items, at - 2 if at > 1 else len(items)) == ".":
        return True
    if not is_name(before):
        return before == "}"
    if before in ("null", "true", "false", "end"):
        return True
    if before[0] == "_" or before in words.TYPED_LITERALS:
        return False
    return before not in words.KEYWORDS and before not in words.OPERATORS
