"""What the readers of commands share: plain statements, and what commands hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from proxy.sql.groups import Item, NotUnderstood, Token
from proxy.sql.postgres import words
from proxy.sql.postgres.changes import ChangeReader
from proxy.sql.statement import FunctionName, Kind, RelationName, Statement
from proxy.types import Reason

Reader: TypeAlias = Callable[[list[Token], bytes], Statement]

PROXY_SETTINGS: Final = "tidegate"


def plain(kind: Kind, reason: Reason = Reason.UTILITY, *, rows: bool = False) -> Reader:
    """Make a reader for a command that its first word says enough about."""

    def read(tokens: list[Token], text: bytes) -> Statement:
        return Statement(
            kind=kind, text=text, reason=reason, detail=str(tokens[0]), returns_rows=rows
        )

    return read


utility: Final = plain(Kind.UTILITY)
schema: Final = plain(Kind.SCHEMA, Reason.SCHEMA)
opaque: Final = plain(Kind.OPAQUE, Reason.OPAQUE, rows=True)
proxy: Final = plain(Kind.PROXY, rows=True)


def as_part(inner: Statement, kind: Kind, text: bytes) -> Statement:
    """Make a command's statement of the one it holds."""
    return replace(inner, kind=kind, text=text, reason=inner.reason or Reason.UTILITY)


def with_functions(statement: Statement, functions: frozenset[FunctionName]) -> Statement:
    """Add what it calls."""
    statement.functions = functions
    return statement


def functions_of(items: list[Item]) -> frozenset[FunctionName]:
    """Find what an expression calls."""
    reader = ChangeReader()
    reader.expression(items)
    return frozenset(reader.outline.functions)


def behind(items: list[Item], word: str) -> list[Item]:
    """Find what stands behind a word; nothing where there is no such word."""
    return items[index_of(items, word) + 1 :] if word in items else []


def index_of(items: list[Token] | list[Item], word: str) -> int:
    """Find a word.

    Raises:
        NotUnderstood: It is missing.
    """
    for at, item in enumerate(items):
        if item == word:
            return at
    raise NotUnderstood(f"{word.upper()} is missing")


def closing(tokens: list[Token], at: int) -> int:
    """Find the bracket that closes the one at `at`."""
    depth = 0
    for position in range(at, len(tokens)):
        depth += (tokens[position] == "(") - (tokens[position] == ")")
        if depth == 0:
            return position
    raise NotUnderstood("brackets do not match")


def relation_of(names: list[str]) -> RelationName:
    """Read a relation's name.

    Raises:
        NotUnderstood: It is none.
    """
    if not 1 <= len(names) <= 3 or names[0] in words.NOT_CALLED:
        raise NotUnderstood("no relation where one belongs")
    return RelationName(names[-2] if len(names) > 1 else None, names[-1])
