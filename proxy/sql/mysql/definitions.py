"""CREATE, ALTER and DROP in MySQL's SQL."""

from __future__ import annotations

from typing import Final

from proxy.sql.groups import Group, Item, NotUnderstood, Token, grouped
from proxy.sql.mysql.expressions import is_query
from proxy.sql.mysql.parts import inner, part_of, plain, schema
from proxy.sql.statement import Effect, Kind, Statement
from proxy.types import Reason

_temporary: Final = plain(Kind.UTILITY, Reason.TEMPORARY)
_EXECUTED: Final = frozenset({Kind.READ, Kind.UTILITY, Kind.LOCKING})


def create(tokens: list[Token], text: bytes) -> Statement:
    """Read CREATE; a table may be filled by a query."""
    at = 3 if tokens[1:3] == ["or", "replace"] else 1
    is_temporary = tokens[at : at + 1] == ["temporary"]
    if is_temporary:
        at += 1
    if tokens[at : at + 1] != ["table"]:
        return _marked(tokens, text) if is_temporary else schema(tokens, text)
    statement = _marked(tokens, text) if is_temporary else schema(tokens, text)
    source = _source(grouped(tokens), at + 1)
    return statement if source is None else _with_source(statement, inner(tokens[source:]))


def _marked(tokens: list[Token], text: bytes) -> Statement:
    statement = _temporary(tokens, text)
    statement.effects = frozenset({Effect.TEMPORARY})
    return statement


def _source(items: list[Item], at: int) -> int | None:
    """Find the token where the query begins that fills a table; None where there is none."""
    for position in range(at, len(items)):
        item = items[position]
        if isinstance(item, Group):
            if is_query(item):
                return item.start
        elif item in ("select", "values") or (
            item in ("table", "with") and _begins_query(items, position)
        ):
            return item.at
    return None


def _begins_query(items: list[Item], at: int) -> bool:
    """Whether TABLE or WITH begins a query here: WITH SYSTEM VERSIONING and others do not."""
    if items[at] == "table":
        return items[at - 1] in ("as", "ignore", "replace") or isinstance(items[at - 1], Group)
    return "as" in items[at + 1 : at + 5]


def _with_source(statement: Statement, found: Statement) -> Statement:
    """Add what fills the table."""
    if found.kind not in _EXECUTED:
        raise NotUnderstood(f"a table filled by {found.kind.value}")
    filled = part_of(found, statement.kind, statement.text, statement.detail)
    filled.reason = statement.reason
    filled.effects |= statement.effects
    filled.ends_transaction = statement.ends_transaction
    filled.returns_rows = False
    return filled


def alter(tokens: list[Token], text: bytes) -> Statement:
    """Read ALTER."""
    return schema(tokens, text)


def drop(tokens: list[Token], text: bytes) -> Statement:
    """Read DROP."""
    if tokens[1:2] == ["temporary"]:
        return _marked(tokens, text)
    return schema(tokens, text)
