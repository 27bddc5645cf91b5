"""What the readers of commands share: plain statements, and what commands hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from proxy.sql.groups import NotUnderstood, Token
from proxy.sql.mysql import words
from proxy.sql.mysql.groups import Word, is_name, tokens_of
from proxy.sql.mysql.queries import STARTS, read_query
from proxy.sql.statement import Kind, Statement
from proxy.types import Reason

Reader: TypeAlias = Callable[[list[Token], bytes], Statement]

PROXY_SETTINGS: Final = "tidegate"


def plain(
    kind: Kind, reason: Reason = Reason.UTILITY, *, rows: bool = False, ends: bool = False
) -> Reader:
    """Make a reader for a command that its first word says enough about."""

    def read(tokens: list[Token], text: bytes) -> Statement:
        return Statement(
            kind=kind,
            text=text,
            reason=reason,
            detail=str(tokens[0]),
            returns_rows=rows,
            ends_transaction=ends,
        )

    return read


utility: Final = plain(Kind.UTILITY)
schema: Final = plain(Kind.SCHEMA, Reason.SCHEMA, ends=True)
opaque: Final = plain(Kind.OPAQUE, Reason.OPAQUE, rows=True)
proxy: Final = plain(Kind.PROXY, rows=True)


def closed(tokens: list[Token]) -> None:
    """Refuse a command with a bracket, where a call might stand.

    Raises:
        NotUnderstood: It has one.
    """
    if "(" in tokens:
        raise NotUnderstood("a bracket where none is expected")


def written(token: Token) -> str:
    """Give a token as it stands in the text."""
    return token.written if isinstance(token, Word) else str(token)


def renumbered(tokens: list[Token]) -> list[Token]:
    """Number tokens anew, as if nothing stood in front of them."""
    return tokens_of(" ".join(written(token) for token in tokens).encode())


def inner(tokens: list[Token]) -> Statement:
    """Read the query or the change that a command holds.

    Raises:
        NotUnderstood: It is none, or is not understood itself.
    """
    numbered = renumbered(tokens) if tokens else []
    if not numbered or numbered[0] not in STARTS:
        raise NotUnderstood("a query is missing")
    return read_query(numbered, " ".join(written(token) for token in tokens).encode())


def part_of(found: Statement, kind: Kind, text: bytes, detail: str) -> Statement:
    """Make a command's statement of the one it holds."""
    reason = found.reason or Reason.UTILITY
    return replace(found, kind=kind, text=text, reason=reason, detail=found.detail or detail)


def expressions_of(values: list[list[Token]]) -> Statement | None:
    """Read values as a query would; None when all of them are plain.

    Raises:
        NotUnderstood: One of them is not understood.
    """
    computed = [value for value in values if not is_plain(value)]
    if not computed:
        return None
    joined = [Token("select")]
    for at, value in enumerate(computed):
        joined += [Token(","), *value] if at else value
    return inner(joined)


def with_expressions(statement: Statement, values: list[list[Token]]) -> Statement:
    """Add to a command what its values name.

    Raises:
        NotUnderstood: They are not understood, or do more than a command may without a word.
    """
    found = expressions_of(values)
    if found is None:
        return statement
    if found.kind not in (Kind.READ, Kind.UTILITY, Kind.LOCKING):
        raise NotUnderstood(f"{found.kind.value} in a value")
    statement.reads |= found.reads
    statement.functions |= found.functions
    statement.local_names |= found.local_names
    statement.effects |= found.effects
    return statement


def is_plain(value: list[Token]) -> bool:
    """Whether a value is one literal, with or without a sign, or one word."""
    if len(value) == 2 and value[0] in ("-", "+", "binary"):
        value = value[1:]
    if len(value) == 2 and value[0][0] == "_":
        value = value[1:]
    return len(value) == 1 and (
        value[0] in words.LITERALS
        or (is_name(value[0]) and value[0] not in words.CALLS_WITHOUT_BRACKETS)
    )
