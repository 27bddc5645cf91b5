"""What a value is made of that the statement casts.

A text that says now or today is another moment each time it is cast to a date. Literals and
parameters are looked at for such words; for the rest of an operand it is told here what it is made
of, and the catalog says whether any of that can be text (`times.py`). Only what is known here is
told: everything else is `UNKNOWN`, which may be anything.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from proxy.sql.functions import CALLED_TYPES
from proxy.sql.groups import Group, Item, is_group, item_at
from proxy.sql.postgres import words
from proxy.sql.postgres.groups import dotted, is_name
from proxy.sql.statement import Cast, Origin, Source

Sources: TypeAlias = frozenset[Source]

UNKNOWN: Final[Sources] = frozenset({Source(Origin.UNKNOWN, "")})
_NOTHING: Final[Sources] = frozenset()

_NEVER_TEXT: Final = frozenset(
    {
        *("age", "count", "date_bin", "date_part", "date_trunc", "extract", "generate_series"),
        *("make_date", "make_interval", "make_time", "make_timestamp", "make_timestamptz", "now"),
        *("to_date", "to_timestamp"),
    }
)
"""Functions whose result is no text, whatever they are given."""

_GIVE_ON: Final = frozenset(
    {
        *("coalesce", "first_value", "greatest", "lag", "last_value", "lead", "least", "max"),
        *("min", "nth_value", "nullif"),
    }
)
"""Functions whose result is one of their arguments."""

_NO_OPERANDS: Final = words.CONSTANTS | words.LITERALS | {",", "distinct"}
_ARITHMETIC: Final = frozenset({"+", "-", "*", "/"})
_BEHIND_TYPES: Final = words.TYPE_WORDS | {"with"}


MAX_TOKENS: Final = 60
"""A longer bracket is not looked into: one in another is read again at every cast around it."""


class Scope:
    """A SELECT, for what the names of columns can mean in it.

    Attributes:
        outer: The SELECT around it, where its columns can be named too.
        is_derived: Whether it draws rows from something that is no relation of the catalog, or
            names the columns of one anew.
    """

    __slots__ = ("is_derived", "outer")

    def __init__(self, outer: Scope | None = None) -> None:
        """Open a SELECT."""
        self.outer = outer
        self.is_derived = False

    def has_only_relations(self) -> bool:
        """Tell whether every column that can be named is one of a relation of the catalog."""
        scope: Scope | None = self
        while scope is not None:
            if scope.is_derived:
                return False
            scope = scope.outer
        return True


class Casts:
    """The casts of a statement, gathered while it is read."""

    def __init__(self) -> None:
        """Begin with none."""
        self._noted: list[tuple[Cast, Scope]] = []

    def note(self, type_name: str, sources: Sources, scope: Scope) -> None:
        """Take a cast of what is made of `sources`; where that is nothing, it is forgotten."""
        if sources:
            self._noted.append((Cast(type_name, sources), scope))

    def found(self) -> frozenset[Cast]:
        """Give what was noted, now that it is known what every SELECT draws its rows from."""
        return frozenset(
            cast if scope.has_only_relations() else Cast(cast.type, _without_columns(cast.sources))
            for cast, scope in self._noted
        )


def _without_columns(sources: Sources) -> Sources:
    return UNKNOWN if any(origin is Origin.COLUMN for origin, _ in sources) else sources


def sources_of(items: list[Item]) -> Sources:
    """Tell what an operand is made of, besides literals and parameters."""
    found: Sources = _NOTHING
    last: Sources = _NOTHING  # of the part that a cast behind it takes
    at = 0
    while at < len(items):
        item = items[at]
        if item == "::":
            last = sources_as_type(items, at + 1, last)
            at = _end_of_type(items, at + 1)
            continue
        found |= last
        if is_name(item) and item not in _NO_OPERANDS:
            last, at = _word(items, at)
        else:
            last = _part(item)
            at += 1
    return found | last


def _part(item: Item) -> Sources:
    if isinstance(item, Group):
        return _list(item) if item.bracket == "(" else UNKNOWN
    if item in _NO_OPERANDS:
        return _NOTHING
    return _single(Origin.OPERATOR, item) if item in _ARITHMETIC else UNKNOWN


def _list(group: Group) -> Sources:
    """Take everything in a bracket; a query in it begins with a word that no column has."""
    return UNKNOWN if group.stop - group.start > MAX_TOKENS else sources_of(group.items)


def _word(items: list[Item], at: int) -> tuple[Sources, int]:
    """Tell what a word begins, and where that ends."""
    word = items[at]
    names, after = dotted(items, at)
    following = item_at(items, after)
    if items[at : at + 3] == ["at", "time", "zone"]:
        return _NOTHING, at + 3
    if isinstance(following, Group):
        if is_group(following):
            return _call(names, following), after + 1
        return (_list(following) if word == "array" else UNKNOWN), after + 1
    if following == "''":
        return (_NOTHING if word in CALLED_TYPES or word == "interval" else UNKNOWN), after + 1
    if not names or word in words.NOT_CALLED or word in words.CALLS_WITHOUT_BRACKETS:
        return UNKNOWN, max(after, at + 1)
    return _single(Origin.COLUMN, names[-1]), after


def _call(names: list[str], arguments: Group) -> Sources:
    name = names[-1]
    if names[:-1] not in ([], ["pg_catalog"]):
        return UNKNOWN
    if name in ("cast", "treat"):
        is_long = arguments.stop - arguments.start > MAX_TOKENS
        return UNKNOWN if is_long else _cast(arguments.items)
    if name in _NEVER_TEXT:
        return _single(Origin.FUNCTION, name)
    if name in _GIVE_ON:
        return _list(arguments) | _single(Origin.FUNCTION, name)
    if name in CALLED_TYPES and "," not in arguments.items:
        return _single(Origin.FUNCTION, name) | _single(Origin.TYPE, name)
    return UNKNOWN


def _cast(items: list[Item]) -> Sources:
    cut = max((at for at, item in enumerate(items) if item == "as"), default=len(items))
    return sources_as_type(items, cut + 1, sources_of(items[:cut]))


def sources_as_type(items: list[Item], at: int, sources: Sources) -> Sources:
    """Tell what a value is made of once it is cast: as text it says what it said before."""
    names, _ = dotted(items, at)
    if not names:
        return UNKNOWN
    as_type = _single(Origin.TYPE, names[-1])
    if names[-1] == "text":
        return sources | as_type if len(names) == 1 else UNKNOWN
    return as_type


def _end_of_type(items: list[Item], at: int) -> int:
    at = max(dotted(items, at)[1], at + 1)
    while at < len(items) and (isinstance(items[at], Group) or items[at] in _BEHIND_TYPES):
        at += 1
    return at


def _single(origin: Origin, name: str) -> Sources:
    return frozenset((Source(origin, str(name)),))
