"""Every statement that is no query and no change of rows, by its leading words.

Each command has a reader that knows its grammar as far as it decides anything: what is written,
what is executed, what is left in the session. An unknown first word, or a known one followed by
what the grammar does not have there, is not understood.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.sql.groups import Group, Item, NotUnderstood, Token, grouped, is_group, split_before
from proxy.sql.postgres import words
from proxy.sql.postgres.groups import dotted, is_name, name_of, tokens_of
from proxy.sql.postgres.parts import (
    PROXY_SETTINGS,
    Reader,
    as_part,
    behind,
    closing,
    functions_of,
    index_of,
    opaque,
    plain,
    proxy,
    relation_of,
    schema,
    utility,
    with_functions,
)
from proxy.sql.postgres.queries import STARTS, read_query
from proxy.sql.statement import Action, Effect, Kind, RelationName, Statement
from proxy.types import Reason

_TRANSACTION_WORDS: Final = frozenset(
    {
        *("work", "transaction", "isolation", "level", "serializable", "repeatable", "read"),
        *("committed", "uncommitted", "write", "only", "not", "deferrable", ","),
    }
)
_CODE: Final = frozenset(
    {"generated", "check", "exclude", "including", "inherits", "of", "partition", "view"}
)
"""Words behind which a definition has expressions, of its own or of another relation's."""

_BEHIND_DEFAULT: Final = frozenset(
    {"not", "primary", "unique", "constraint", "references", "collate", "storage"}
)
_VALUES: Final = words.LITERALS | words.CONSTANTS | words.CALLS_WITHOUT_BRACKETS

_ENDING_WORDS: Final = frozenset({"work", "transaction", "and", "no", "chain"})


def read_command(tokens: list[Token], text: bytes) -> Statement:
    """Read a command.

    Raises:
        NotUnderstood: It begins with no command's word, or does not go on as that command does.
    """
    reader = _READERS.get(tokens[0])
    if reader is None:
        raise NotUnderstood(f"no statement begins with {tokens[0][:20]}")
    return reader(tokens, text)


def _only(tokens: list[Token], allowed: frozenset[str]) -> None:
    for token in tokens:
        if token not in allowed:
            raise NotUnderstood(f"{token[:20]} in transaction control")


def _begin(tokens: list[Token], text: bytes) -> Statement:
    _only(tokens[1:], _TRANSACTION_WORDS)
    return plain(Kind.BEGIN)(tokens, text)


def _commit(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:] == ["prepared", "''"]:
        return opaque(tokens, text)
    _only(tokens[1:], _ENDING_WORDS)
    return plain(Kind.COMMIT)(tokens, text)


def _rollback(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:] == ["prepared", "''"]:
        return utility(tokens, text)
    rest = tokens[2:] if tokens[1:2] in (["work"], ["transaction"]) else tokens[1:]
    if rest[:1] == ["to"] and len(rest) in (2, 3):
        return plain(Kind.ROLLBACK_TO)(tokens, text)
    _only(rest, _ENDING_WORDS)
    return plain(Kind.ROLLBACK)(tokens, text)


def _set(tokens: list[Token], text: bytes) -> Statement:
    rest = tokens[1:]
    kind = Kind.SET
    if rest[:1] == ["local"]:
        kind, rest = Kind.SET_LOCAL, rest[1:]
    elif rest[:1] == ["session"] and rest[1:2] not in (["authorization"], ["characteristics"]):
        rest = rest[1:]
    if rest[:2] == [PROXY_SETTINGS, "."]:
        return proxy(tokens, text)
    if rest[:1] == ["constraints"]:
        return utility(tokens, text)
    if rest[:1] == ["transaction"]:
        kind = Kind.SET_TRANSACTION
    return plain(kind)(tokens, text)


def _of_setting(kind: Kind) -> Reader:
    """Make a reader for SHOW and RESET, which may name a setting of the proxy's own."""
    other = plain(kind, rows=kind is Kind.SHOW)

    def read(tokens: list[Token], text: bytes) -> Statement:
        return (proxy if tokens[1:3] == [PROXY_SETTINGS, "."] else other)(tokens, text)

    return read


def _prepare(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:] == ["transaction", "''"]:
        return plain(Kind.PREPARE_TRANSACTION)(tokens, text)
    return plain(Kind.PREPARE)(tokens, text)


def _execute(tokens: list[Token], text: bytes) -> Statement:
    """EXECUTE evaluates its arguments; what it runs is the session's to know."""
    functions = functions_of(grouped(tokens)[2:])
    return with_functions(plain(Kind.EXECUTE, rows=True)(tokens, text), functions)


def _call(tokens: list[Token], text: bytes) -> Statement:
    """CALL evaluates its arguments, and runs what looks like a function of them."""
    inner = _inner([Token("select"), *tokens[1:]])
    kind = Kind.CALL if inner.kind in (Kind.READ, Kind.UTILITY) else Kind.OPAQUE
    statement = as_part(inner, kind, text)
    statement.detail = inner.detail or "call"
    return statement


def _load(tokens: list[Token], text: bytes) -> Statement:
    statement = utility(tokens, text)
    statement.effects = frozenset({Effect.UNTRACKED})
    return statement


def _change(tokens: list[Token], text: bytes) -> Statement:
    """ALTER and DROP: a database must be free of sessions for some of it."""
    statement = schema(tokens, text)
    if tokens[1:2] == ["database"]:
        at = 4 if tokens[2:4] == ["if", "exists"] else 2
        change = tokens[at + 1 : at + 3]
        if tokens[0] == "drop" or change in (["rename", "to"], ["set", "tablespace"]):
            statement.vacated = _name_at(tokens, at)
    return statement


def _name_at(tokens: list[Token], at: int) -> frozenset[str]:
    return frozenset(name_of(token) for token in tokens[at : at + 1])


def _lock(tokens: list[Token], text: bytes) -> Statement:
    return plain(Kind.UTILITY, Reason.LOCK)(tokens, text)


def _declare(tokens: list[Token], text: bytes) -> Statement:
    """DECLARE is where a cursor's query is judged; FETCH only runs it."""
    start = index_of(tokens, "for")
    inner = _inner(tokens[start + 1 :])
    if inner.kind not in (Kind.READ, Kind.LOCKING, Kind.UTILITY):
        return as_part(inner, inner.kind, text)
    statement = as_part(inner, Kind.DECLARE, text)
    statement.returns_rows = False
    if tokens[start - 2 : start] == ["with", "hold"]:
        statement.effects |= {Effect.HOLD_CURSOR}
    return statement


def _copy(tokens: list[Token], text: bytes) -> Statement:
    items = grouped(tokens)
    at = 2 if items[1:2] == ["binary"] else 1
    source = items[at] if at < len(items) else None
    if isinstance(source, Group):
        end = closing(tokens, at)
        return _copy_out(_inner(tokens[at + 1 : end]), items[at + 1 :], text)
    names, at = dotted(items, at)
    relation = relation_of(names)
    if at < len(items) and is_group(items[at]):
        at += 1
    if items[at : at + 1] == ["from"]:
        return Statement(
            kind=Kind.WRITE,
            text=text,
            reads=frozenset({relation}),
            writes=frozenset({relation}),
            actions=frozenset({Action.INSERT}),
            functions=functions_of(behind(items, "where")),
            reason=Reason.WRITE,
            detail="copy",
        )
    table = Statement(kind=Kind.READ, text=text, reads=frozenset({relation}))
    return _copy_out(table, items[at:], text)


def _copy_out(query: Statement, rest: list[Item], text: bytes) -> Statement:
    if rest[:1] != ["to"]:
        raise NotUnderstood("COPY goes nowhere")
    kind = Kind.COPY_OUT if rest[1:2] == ["stdout"] else Kind.UTILITY
    statement = as_part(query, kind if query.kind is Kind.READ else query.kind, text)
    statement.returns_rows = False
    return statement


def _explain(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:2] == ["route"]:
        return proxy(tokens, text)
    at = 1
    analyze = False
    if tokens[1:2] == ["("] and STARTS.isdisjoint(tokens[2:3]):
        at = closing(tokens, 1) + 1
        analyze = not {"analyze", "analyse"}.isdisjoint(tokens[1:at])
    while tokens[at : at + 1] and tokens[at] in ("analyze", "analyse", "verbose"):
        analyze |= tokens[at] != "verbose"
        at += 1
    if not analyze:
        return plain(Kind.EXPLAIN, rows=True)(tokens, text)
    inner = _inner(tokens[at:])
    kind = _EXPLAINED.get(inner.kind)
    if kind is None:
        raise NotUnderstood(f"EXPLAIN ANALYZE of {inner.kind.value}")
    statement = as_part(inner, kind, text)
    statement.returns_rows = True
    return statement


_EXPLAINED: Final = {
    Kind.READ: Kind.EXPLAIN,
    Kind.LOCKING: Kind.LOCKING,
    Kind.UTILITY: Kind.UTILITY,
    Kind.WRITE: Kind.WRITE,
    Kind.SCHEMA: Kind.SCHEMA,
    Kind.OPAQUE: Kind.OPAQUE,
    Kind.DECLARE: Kind.EXPLAIN,
}
"""What EXPLAIN ANALYZE of a statement is: it runs it."""


def _truncate(tokens: list[Token], text: bytes) -> Statement:
    items: list[Item] = list(tokens)
    at = 2 if items[1:2] == ["table"] else 1
    relations: set[RelationName] = set()
    while True:
        at += items[at : at + 1] == ["only"]
        names, at = dotted(items, at)
        relations.add(relation_of(names))
        at += items[at : at + 1] == ["*"]
        if items[at : at + 1] != [","]:
            break
        at += 1
    return Statement(
        kind=Kind.WRITE,
        text=text,
        reads=frozenset(relations),
        writes=frozenset(relations),
        actions=frozenset({Action.TRUNCATE}),
        reason=Reason.WRITE,
        detail="truncate",
    )


def _refresh(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:3] != ["materialized", "view"]:
        raise NotUnderstood("REFRESH of something else")
    names, _ = dotted(list(tokens), 4 if tokens[3:4] == ["concurrently"] else 3)
    relation = frozenset({relation_of(names)})
    return Statement(
        kind=Kind.WRITE,
        text=text,
        reads=relation,
        writes=relation,
        actions=frozenset({Action.REFRESH}),
        reason=Reason.WRITE,
        detail="refresh",
    )


def _create(tokens: list[Token], text: bytes) -> Statement:
    at = 3 if tokens[1:3] == ["or", "replace"] else 1
    at += tokens[at : at + 1] in (["local"], ["global"])
    if tokens[at : at + 1] in (["temp"], ["temporary"]):
        statement = plain(Kind.UTILITY, Reason.TEMPORARY)(tokens, text)
        statement.effects = frozenset({Effect.TEMPORARY})
        at += 1
    else:
        statement = schema(tokens, text)
        if tokens[1:2] == ["database"] and "template" in tokens[3:]:
            template = index_of(tokens, "template") + 1
            statement.vacated = _name_at(
                tokens, template + (tokens[template : template + 1] == ["="])
            )
        at += tokens[at : at + 1] in (["unlogged"], ["materialized"])
    makes_rows = tokens[at : at + 1] == ["table"] or tokens[at - 1 : at] == ["materialized"]
    if makes_rows and "as" in grouped(tokens):
        return _with_source(statement, tokens[index_of(tokens, "as") + 1 :])
    if Effect.TEMPORARY in statement.effects:
        _add_code(statement, tokens)
    return statement


def _add_code(statement: Statement, tokens: list[Token]) -> None:
    """Add what the definition of something temporary may run when that is used.

    Defaults that are a value, or a call with no arguments but values, are told by the function's
    name; domains by the names of all types that there may be.
    """
    statement.types = frozenset(name_of(token) for token in tokens if is_name(token))
    is_told = _CODE.isdisjoint(tokens)
    defaults = [
        split_before(default[1:], _BEHIND_DEFAULT)[0]
        for group in grouped(tokens)
        if isinstance(group, Group) and "default" in group.items
        for column in split_before(group.items, {","})
        for default in split_before(column, {"default"})[1:]
    ]
    for default in defaults:
        if not default:
            raise NotUnderstood("DEFAULT and no value")
        *name, last = default
        if isinstance(last, Group):
            is_told = is_told and all(item in (*_VALUES, ",") for item in last.items)
            is_told = is_told and all(isinstance(item, Token) for item in name)
            statement.functions |= functions_of(default)
        else:
            is_told = is_told and not name and last in _VALUES
    if not is_told:
        statement.effects |= {Effect.TEMPORARY_CODE}


def _with_source(statement: Statement, source: list[Token]) -> Statement:
    """Add what CREATE TABLE ... AS runs to fill the table."""
    if source[-2:] == ["with", "data"]:
        source = source[:-2]
    elif source[-3:] == ["with", "no", "data"]:
        source = source[:-3]
    inner = _inner(source)
    kind, reason = statement.kind, statement.reason
    if inner.kind in (Kind.OPAQUE, Kind.EXECUTE):
        kind, reason = Kind.OPAQUE, Reason.OPAQUE
    elif inner.kind is Kind.WRITE and kind is Kind.UTILITY:
        kind, reason = Kind.WRITE, Reason.WRITE
    return replace(
        inner,
        kind=kind,
        text=statement.text,
        reason=reason,
        detail=statement.detail,
        effects=inner.effects | statement.effects,
        returns_rows=False,
    )


def _inner(tokens: list[Token]) -> Statement:
    """Read the statement that a command holds."""
    text = " ".join(tokens).encode()
    if not text:
        raise NotUnderstood("a statement is missing")
    numbered = tokens_of(text)
    return (read_query if numbered[0] in STARTS else read_command)(numbered, text)


_READERS: Final[dict[str, Reader]] = {
    **dict.fromkeys(("begin", "start"), _begin),
    **dict.fromkeys(("commit", "end"), _commit),
    **dict.fromkeys(("rollback", "abort"), _rollback),
    "savepoint": plain(Kind.SAVEPOINT),
    "release": plain(Kind.RELEASE),
    "set": _set,
    "reset": _of_setting(Kind.RESET),
    "show": _of_setting(Kind.SHOW),
    "discard": plain(Kind.DISCARD),
    "prepare": _prepare,
    "execute": _execute,
    "deallocate": plain(Kind.DEALLOCATE),
    "listen": plain(Kind.LISTEN),
    "unlisten": plain(Kind.UNLISTEN),
    "declare": _declare,
    **dict.fromkeys(("fetch", "move"), plain(Kind.FETCH, rows=True)),
    "close": plain(Kind.CLOSE),
    "copy": _copy,
    "explain": _explain,
    "truncate": _truncate,
    "refresh": _refresh,
    "lock": _lock,
    "load": _load,
    "do": opaque,
    "call": _call,
    "create": _create,
    **dict.fromkeys(("grant", "revoke", "comment", "security", "import", "reassign"), schema),
    **dict.fromkeys(("alter", "drop"), _change),
    **dict.fromkeys(
        ("notify", "vacuum", "analyze", "analyse", "cluster", "reindex", "checkpoint", "wait"),
        utility,
    ),
}
