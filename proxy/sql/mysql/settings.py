"""SET in MySQL's SQL: of what kind it is. What it says exactly is in `session_commands`.

Source: "SET Syntax for Variable Assignment" and its neighbours in MySQL's manual; SET STATEMENT,
MariaDB's, is with the commands.
"""

from __future__ import annotations

from typing import Final, TypeGuard

from proxy.sql.groups import Group, Item, NotUnderstood, Token, grouped, item_at, split_at
from proxy.sql.mysql import functions
from proxy.sql.mysql.groups import dotted, is_name
from proxy.sql.mysql.parts import PROXY_SETTINGS, plain, proxy, schema, utility, with_expressions
from proxy.sql.statement import Effect, Kind, Statement

_of_session: Final = plain(Kind.SET)
_GLOBAL: Final = frozenset({"global", "persist", "persist_only"})
_SCOPES: Final = _GLOBAL | {"session", "local"}
MEANS: Final = frozenset(
    {
        *("innodb_lock_wait_timeout", "lock_wait_timeout", "long_query_time", "log_slow_query"),
        *("log_slow_query_time", "max_statement_time", "net_read_timeout", "net_write_timeout"),
        *("slow_query_log", "join_buffer_size", "join_cache_level", "max_heap_table_size"),
        *("mrr_buffer_size", "optimizer_prune_level", "optimizer_search_depth"),
        *("optimizer_switch", "optimizer_use_condition_selectivity", "read_buffer_size"),
        *("read_rnd_buffer_size", "sort_buffer_size", "tmp_memory_table_size", "tmp_table_size"),
        *("use_stat_tables", "in_predicate_conversion_threshold"),
    }
)
"""Variables that decide how a query is run, and how long: not what it says or where."""
_TRANSACTION_WORDS: Final = frozenset(
    {
        *("isolation", "level", "serializable", "repeatable", "read", "committed"),
        *("uncommitted", "write", "only", ","),
    }
)


def read_set(tokens: list[Token], text: bytes) -> Statement:
    """Read SET.

    Raises:
        NotUnderstood: It sets what is not known here, or to what is not understood.
    """
    first = item_at(list(tokens), 1)
    scope = first if first in _SCOPES else None
    at = 2 if scope else 1
    head = item_at(list(tokens), at)
    if tokens[1:3] == [PROXY_SETTINGS, "."] or tokens[1:3] == [f"@@{PROXY_SETTINGS}", "."]:
        return proxy(tokens, text)
    if head == "transaction":
        return _transaction(tokens, at + 1, scope, text)
    if tokens[at : at + 2] == ["character", "set"] or head in ("names", "charset"):
        return _names(tokens, text)
    if head == "password" or tokens[1:3] == ["default", "role"]:
        return schema(tokens, text)
    if head == "role" and tokens[2:3] not in (["="], [":="]):
        return _effective(_of_session(tokens, text), {Effect.SETTING})
    if tokens[1:3] == ["resource", "group"]:
        return _effective(_of_session(tokens, text), {Effect.UNTRACKED})
    return _assignments(tokens, text)


def _effective(statement: Statement, effects: set[Effect]) -> Statement:
    statement.effects |= effects
    return statement


def _transaction(tokens: list[Token], at: int, scope: Item | None, text: bytes) -> Statement:
    for token in tokens[at:]:
        if token not in _TRANSACTION_WORDS:
            raise NotUnderstood("SET TRANSACTION of something else")
    if scope is None:
        return plain(Kind.SET_TRANSACTION)(tokens, text)
    if scope == "global":
        return utility(tokens, text)
    return _effective(_of_session(tokens, text), {Effect.SETTING})


def _names(tokens: list[Token], text: bytes) -> Statement:
    """SET NAMES and SET CHARACTER SET, which stand alone or in front of assignments."""
    if "," in tokens or "(" in tokens:
        raise NotUnderstood("SET NAMES and something else")
    return _effective(_of_session(tokens, text), {Effect.SETTING})


def _assignments(tokens: list[Token], text: bytes) -> Statement:
    statement = _of_session(tokens, text)
    values: list[list[Token]] = []
    are_global = True
    stays_global = False  # a scope holds for the bare names behind it
    for part in split_at(grouped(tokens)[1:], ","):
        first = part[0] if part else None
        if isinstance(first, Token) and first in _SCOPES and item_at(part, 1) not in ("=", ":="):
            stays_global = first in _GLOBAL
        is_global = first[2:] in _GLOBAL if _is_variable(first) else stays_global
        values.append(_assignment(tokens, part, statement, is_global=is_global))
        are_global &= is_global
    if are_global:
        statement.kind = Kind.UTILITY
    return with_expressions(statement, values)


def _assignment(
    tokens: list[Token], part: list[Item], statement: Statement, *, is_global: bool
) -> list[Token]:
    """Take one assignment, and give its value."""
    at = 1 if item_at(part, 0) in _SCOPES and item_at(part, 1) not in ("=", ":=", ".") else 0
    target = item_at(part, at)
    if not isinstance(target, Token):
        raise NotUnderstood("SET of nothing")
    if target[0] == "@":
        names, stop = [target.lstrip("@")], at + 1
        while item_at(part, stop) == "." and is_name(item_at(part, stop + 1)):
            names.append(str(part[stop + 1]))
            stop += 2
    else:
        names, stop = dotted(part, at)
    if not names or item_at(part, stop) not in ("=", ":=") or len(part) == stop + 1:
        raise NotUnderstood("SET without an assignment")
    if target[0] == "@" and target[:2] != "@@":
        statement.effects |= {Effect.USER_VARIABLE}
    elif not is_global:
        name = names[-1].lower()
        statement.effects |= {Effect.SETTING}
        if name == "autocommit":
            statement.ends_transaction = True  # where it was off and is set
        if name in functions.INSERT_ID_VARIABLES:
            statement.effects |= {Effect.INSERT_ID}
    first, last = part[stop + 1], part[-1]
    start = first.start if isinstance(first, Group) else first.at
    end = last.stop if isinstance(last, Group) else last.at
    return tokens[start : end + 1]


def _is_variable(item: Item | None) -> TypeGuard[Token]:
    return isinstance(item, Token) and item[0] == "@"
