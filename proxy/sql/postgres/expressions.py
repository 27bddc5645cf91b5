"""What an expression names: functions, operators, types, and the queries inside it.

This is no parser. It does not know what binds to what; it only finds every name that makes
something happen when the expression runs, and where it has to choose it takes the reading that
names more.
"""

from __future__ import annotations

from proxy.sql.functions import CALLED_TYPES
from proxy.sql.groups import Group, Item, NotUnderstood, Token, is_group, split_at
from proxy.sql.postgres import words
from proxy.sql.postgres.casts import Casts, Scope, Sources, sources_as_type, sources_of
from proxy.sql.postgres.groups import dotted, is_name, name_of
from proxy.sql.postgres.outline import Outline
from proxy.sql.statement import ANY_ARGUMENTS, FunctionName

_BUILTIN = "pg_catalog"


class ExpressionReader:
    """Reads expressions; the queries inside them are the subclass's business."""

    def __init__(self) -> None:
        """Begin with nothing read."""
        self.outline = Outline()
        self.casts = Casts()
        self.scope = Scope()

    def query(self, items: list[Item]) -> None:
        """Read a query, a data-modifying statement included."""
        raise NotImplementedError

    def expression(self, items: list[Item]) -> None:
        """Read any list of expressions, with the words between them."""
        at = 0
        operand = 0  # where begins what a cast takes
        chained: Sources | None = None  # what that is made of, once it is cast
        while at < len(items):
            item = items[at]
            if item == "::":
                sources = sources_of(items[operand:at]) if chained is None else chained
                chained = sources_as_type(items, at + 1, sources)
                at = self.cast(sources, items, at + 1)
                continue
            if not (isinstance(item, Group) and item.bracket == "["):
                operand, chained = at, None
            if isinstance(item, Group):
                self.bracket(item)
                at = self._selection(items, at + 1)
            elif item in words.LITERALS:
                at += 1
            elif item == "as" and at + 1 < len(items) and is_name(items[at + 1]):
                at += 2  # a label, whatever word it is
            elif is_name(item):
                at = self.word(items, at)
            else:
                self._symbol(item)
                at += 1

    def bracket(self, group: Group) -> None:
        """Read a bracket that is no call's: a subquery, a row, a list, or just a bracket."""
        if group.bracket == "(" and is_query(group):
            self.query(group.items)
        else:
            self.expression(group.items)

    def cast(self, sources: Sources, items: list[Item], at: int) -> int:
        """Read the type at `at` that something becomes, and return where it ends."""
        self.casts.note(next(reversed(dotted(items, at)[0]), ""), sources, self.scope)
        return self.type_name(items, at)

    def type_name(self, items: list[Item], at: int) -> int:
        """Read the type that begins at `at`, and return where it ends."""
        if at < len(items) and items[at] == "setof":
            at += 1
        start = at
        names, at = dotted(items, at)
        if not names:
            raise NotUnderstood("a type is missing")
        self.outline.types.add(names[-1])
        if items[start] not in words.TYPES_OF_GRAMMAR:
            return self._named_type(items, start, at)
        first = at
        while at < len(items):
            item = items[at]
            if isinstance(item, Group):
                if item.bracket != "(":
                    break
                _check_modifiers(item)
            elif item == "with":
                if items[at + 1 : at + 3] != ["time", "zone"]:
                    break
            elif item not in words.TYPE_WORDS and not (item == "to" and at > first):
                break
            at += 1
        if names[-1] in ("time", "timestamp") and "with" in items[first:at]:
            self.outline.types.add(names[-1] + "tz")
        return at

    def _named_type(self, items: list[Item], start: int, at: int) -> int:
        """Pass over a type that the grammar has no words for, and its modifiers."""
        first = items[start]
        assert isinstance(first, Token)
        self.outline.type_names.add(first.at)
        self.outline.asides.update(range(first.at + 1, first.at + at - start))
        modifiers = items[at] if at < len(items) else None
        if isinstance(modifiers, Group) and modifiers.bracket == "(":
            _check_modifiers(modifiers)
            self.outline.asides.update(range(modifiers.start, modifiers.stop + 1))
            at += 1
        return at

    def _symbol(self, item: Token) -> None:
        if item in (".", ";"):
            raise NotUnderstood(f"a stray {item}")
        if item not in (",", ":", ":=", "=>"):
            self.outline.operators.add(str(item))

    def _selection(self, items: list[Item], at: int) -> int:
        """Read the names behind a bracket: `(a).b.c`."""
        while items[at : at + 1] == ["."] and at + 1 < len(items):
            item = items[at + 1]
            if is_name(item):
                self.outline.selections.add(name_of(str(item)))
                self._note_column(str(item))
            elif item != "*":
                raise NotUnderstood("no name behind a point")
            at += 2
        return at

    def _note_column(self, name: str) -> None:
        if name in words.SYSTEM_COLUMNS:
            self.outline.system_columns = True

    def word(self, items: list[Item], at: int) -> int:
        """Read what begins with a word: a keyword, a column, a call, a typed literal."""
        first = items[at]
        assert isinstance(first, Token)
        names, after = dotted(items, at)
        following = items[after] if after < len(items) else None
        if len(names) == 1:
            special = self._special(items, at, first, following)
            if special:
                return special
        if is_group(following):
            assert isinstance(following, Group)
            return self._call(items, after, names, following)
        if following == "''" and first not in words.NOT_CALLED:
            self.outline.types.add(names[-1])
            if first not in words.TYPES_OF_GRAMMAR | words.BEFORE_STRINGS:
                self.outline.asides.update(range(first.at, first.at + after - at))
        elif len(names) > 1:
            self.outline.attributes.add(names[-1])
        self._note_column(names[-1])
        return after

    def _special(self, items: list[Item], at: int, word: Token, following: Item | None) -> int:
        """Read what a keyword begins; 0 when the word is none that matters."""
        if word == "collate":
            return dotted(items, at + 1)[1]
        if word == "at" and following == "time" and items[at + 2 : at + 3] == ["zone"]:
            self.builtin("timezone", 2)
            return at + 3
        if word == "at" and following == "local":
            self.builtin("timezone", 1)
            return at + 2
        if word == "overlaps":
            self.builtin("overlaps", 4)
        if word == "select":
            raise NotUnderstood("SELECT inside an expression")
        if word in words.CALLS_WITHOUT_BRACKETS:
            if is_group(following):
                self.outline.functions.add(FunctionName(None, str(word), 0))
            self.builtin(str(word), 0)
            return at + 2 if is_group(following) else at + 1
        if word in words.TYPES_WITH_MODIFIERS:
            return self._selection(items, self.type_name(items, at))
        if isinstance(following, Group) and following.bracket == "(":
            return self._word_with_bracket(items, at, word, following)
        return 0

    def _word_with_bracket(self, items: list[Item], at: int, word: Token, group: Group) -> int:
        """Read a keyword in front of a bracket; 0 when it is a function's name."""
        before = items[at - 1] if at else None
        if word in words.CALLS_WITH_GRAMMAR:
            self._call_with_grammar(word, group)
        elif word == "operator" and group.items and not is_name(group.items[-1]):
            self.outline.operators.add(str(group.items[-1]))
        elif (word, before) in words.NOT_CALLED_BEHIND or (
            word in ("over", "filter") and is_group(before)
        ):
            self.expression(group.items)
        elif word == "insert" and before == "then" and self.outline.actions:
            self.expression(group.items)  # of MERGE: the columns
        elif word in words.NOT_CALLED or (word in words.INFIX and _ends_operand(items, at)):
            self.bracket(group)
        else:
            return 0
        return self._selection(items, at + 2)

    def _call(self, items: list[Item], at: int, names: list[str], group: Group) -> int:
        """Read a call whose bracket is at `at`."""
        schema = names[-2] if len(names) > 1 else None
        count = _count_of(group)
        if items[at + 1 : at + 3] == ["within", "group"] or (
            schema is None and names[-1] in words.CALLS_OF_ANY_LENGTH
        ):
            count = ANY_ARGUMENTS
        name = items[at - 1]
        assert isinstance(name, Token)
        self.outline.calls.add(name.at)
        self.outline.functions.add(FunctionName(schema, names[-1], count))
        if count == 1 and names[-1] in CALLED_TYPES:
            self.casts.note(names[-1], sources_of(group.items), self.scope)
        self.expression(group.items)
        return self._selection(items, at + 1)

    def _call_with_grammar(self, word: Token, group: Group) -> None:
        for name in words.CALLS_WITH_GRAMMAR[str(word)]:
            self.builtin(name, ANY_ARGUMENTS)
        if word in ("substring", "overlay"):
            # Written with commas it is a call like any other.
            self.outline.functions.add(FunctionName(None, str(word), ANY_ARGUMENTS))
        items = group.items
        if word in ("cast", "treat"):
            cut = max((at for at, item in enumerate(items) if item == "as"), default=-1)
            if cut < 0:
                raise NotUnderstood("CAST without AS")
            self.expression(items[:cut])
            self.cast(sources_of(items[:cut]), items, cut + 1)
        else:
            self.expression(items)

    def builtin(self, name: str, arguments: int) -> None:
        """Note a function that a keyword stands for."""
        self.outline.functions.add(FunctionName(_BUILTIN, name, arguments))


def is_query(group: Group) -> bool:
    """Whether a bracket holds a query, rather than expressions or joined tables."""
    items = group.items
    if not items:
        return False
    first = items[0]
    if isinstance(first, Group):
        # ((query) UNION ...) or ((query) ORDER BY ...) or ((query)).
        follows = items[1] if len(items) > 1 else None
        if follows is None:
            return first.bracket == "(" and is_query(first)
        return isinstance(follows, Token) and (
            follows in words.SET_OPERATIONS or follows in words.SELECT_CLAUSES
        )
    if first == "values":
        return len(items) > 1 and is_group(items[1])
    return first in words.QUERY_STARTS or (first in words.CHANGES and _is_change(items))


def _check_modifiers(group: Group) -> None:
    """Refuse what is no modifier of a type, as in numeric(10, 2) or geometry(point)."""
    for item in group.items:
        if item != "," and item not in words.LITERALS and not is_name(item):
            raise NotUnderstood("a type's modifier is an expression")


def _is_change(items: list[Item]) -> bool:
    """Whether insert, update, delete or merge begins a statement, and is no column's name."""
    if items[0] == "update":
        return "set" in items
    return len(items) > 1 and items[1] in ("into", "from")


def _count_of(group: Group) -> int:
    """Count the arguments that a call writes down."""
    if not group.items or group.items == ["*"]:
        return 0
    return len(split_at(group.items, ","))


def _ends_operand(items: list[Item], at: int) -> bool:
    """Whether an operand ends in front of `at`, so that the word there is an operator."""
    before = items[at - 1] if at else None
    if before == "not":
        before = items[at - 2] if at > 1 else None
    if before is None or isinstance(before, Group):
        return before is not None
    return before in words.LITERALS or (
        is_name(before) and (before not in words.NOT_CALLED or before in ("end", "null"))
    )
