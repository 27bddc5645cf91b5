"""What a rule makes of a statement's text. Pure.

The new text is one statement that reads or writes rows, as the old one was, and has the same
parameters: a driver binds what it has prepared. What can't be made into such is made into one that
its server refuses, so that what a rule was to change is never run unchanged.
"""

from __future__ import annotations

import re
from typing import Final, final

from proxy.routing.reading import Reader, Reading
from proxy.sql.language import Language
from proxy.sql.statement import Kind

KINDS: Final = frozenset((Kind.READ, Kind.LOCKING, Kind.WRITE))
"""Of statements that may be rewritten, and that they may become."""

LONGEST: Final = 32 * 1024
"""Bytes of a text that regular expressions are shown, which bounds what they may cost."""

_LONGEST_NAME: Final = 63


@final
class Rewrite:
    """A rule's `rewrite`.

    Args:
        name: Of the rule.
        text: What is said instead.
        pattern: Of what is replaced by that; None: all of it.
    """

    __slots__ = ("_name", "_pattern", "_text")

    def __init__(self, name: str, text: str, pattern: str | None) -> None:
        self._name = name
        self._text = text
        self._pattern = None if pattern is None else re.compile(pattern)

    def apply(self, reader: Reader, sql: bytes, modes: int = 0) -> bytes:
        """Say what is run in a statement's place; the same object: the statement itself."""
        if len(sql) > LONGEST:
            return self._failing(reader.language)
        try:
            new = self._replaced(sql.decode()).encode()
        except (UnicodeDecodeError, re.error, IndexError):
            return self._failing(reader.language)
        if new == sql:
            return sql
        if _is_like(
            reader.read(new, modes), reader.read(sql, modes)
        ) and reader.language.has_same_parameters(new, sql):
            return new
        return self._failing(reader.language)

    def _replaced(self, text: str) -> str:
        return self._text if self._pattern is None else self._pattern.sub(self._text, text)

    def _failing(self, language: Language) -> bytes:
        """A statement that fails by a column's name, which says why."""
        why = f"rule {self._name} can not rewrite this"
        return f"SELECT {language.quote(why[:_LONGEST_NAME])}".encode()


def _is_like(new: Reading, old: Reading) -> bool:
    return len(new.statements) == 1 and all(
        reading.statements[0].kind in KINDS for reading in (new, old)
    )
