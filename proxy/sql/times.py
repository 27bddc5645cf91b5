"""What reads text as a date or a time in one database, and what is known to hold no text.

PostgreSQL takes now, today, tomorrow and yesterday in such a text, and what is shown for them can't
be kept. In a row nobody sees them; so what is cast to a date must be proven not to be text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, final

from proxy.sql.routines import GOOD, Judgement, Verdict
from proxy.sql.statement import Origin, Source

_NO_TEXT: Final = frozenset({"date", "time", "timestamp", "timestamptz", "interval", "text"})
"""Types that say no such word. What is cast to text is told with what it was made of."""


@final
class Times:
    """See the module.

    Args:
        types: See `catalog_queries.TIME_TYPES`.
        columns: See `catalog_queries.TIME_COLUMNS`.
        own_types: Names of the types that are not the server's own.
        own_operators: Symbols of such operators.

    Attributes:
        types: Names of the types that read text as a date or a time.
    """

    __slots__ = ("_columns", "_oids", "_others", "_own_operators", "_own_types", "types")

    def __init__(
        self,
        types: Iterable[tuple[int, str]],
        columns: Iterable[tuple[int, str, bool]],
        *,
        own_types: Iterable[str],
        own_operators: Iterable[str],
    ) -> None:
        """Sort them by name."""
        types = list(types)
        self.types = frozenset(name for _, name in types)
        self._oids = frozenset(oid for oid, _ in types)
        self._columns: dict[str, set[int]] = {}
        self._others: dict[str, set[int]] = {}
        for relation, column, is_time in columns:
            kind = self._columns if is_time else self._others
            kind.setdefault(column, set()).add(relation)
        self._own_types = frozenset(own_types)
        self._own_operators = frozenset(own_operators)

    def is_time(self, type_oid: int) -> bool:
        """Tell whether a type reads text as a date or a time."""
        return type_oid in self._oids

    def is_column(self, name: str, relations: list[int]) -> bool:
        """Tell whether a column of one of these relations holds a date or a time for sure."""
        here = self._columns.get(name, _NOWHERE)
        others = self._others.get(name, _NOWHERE)
        return not here.isdisjoint(relations) and others.isdisjoint(relations)

    def is_no_text(self, source: Source) -> bool:
        """Tell whether an operator or a type gives no text, as far as its name can tell."""
        if source.origin is Origin.OPERATOR:
            return source.name not in self._own_operators
        if source.origin is Origin.TYPE:
            return source.name in _NO_TEXT and source.name not in self._own_types
        return False

    def judge_implicit(self, type_oid: int) -> Judgement:
        """Judge a cast that happens without a word, by the text of the value."""
        return Judgement(Verdict.CLOCK, "a cast") if type_oid in self._oids else GOOD


_NOWHERE: Final[frozenset[int]] = frozenset()
