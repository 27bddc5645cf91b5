"""Every statement of MySQL's SQL that is no query and no change of rows, by its leading words.

Each command has a reader that knows its grammar as far as it decides anything: what is written,
what is executed, what is left in the session, whether it commits what is open ("Statements That
Cause an Implicit Commit" in MySQL's manual; MariaDB's list differs, and what either commits is said
to commit). An unknown first word, or a known one followed by what the grammar does not have there,
is not understood.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeAlias

from proxy.sql.groups import (
    Group,
    Item,
    NotUnderstood,
    Token,
    find_words,
    grouped,
    item_at,
    split_at,
)
from proxy.sql.mysql import settings
from proxy.sql.mysql.definitions import alter, create, drop
from proxy.sql.mysql.groups import dotted, is_name, name_of
from proxy.sql.mysql.parts import (
    PROXY_SETTINGS,
    closed,
    inner,
    is_plain,
    opaque,
    part_of,
    plain,
    proxy,
    renumbered,
    schema,
    utility,
    with_expressions,
)
from proxy.sql.mysql.queries import STARTS
from proxy.sql.mysql.selects import relation_at
from proxy.sql.statement import Action, Effect, FunctionName, Kind, RelationName, Statement
from proxy.types import Reason

Reader: TypeAlias = Callable[[list[Token], bytes], Statement]

_BEGIN_WORDS: Final = frozenset(
    {"transaction", "with", "consistent", "snapshot", "read", "only", "write", ","}
)
_END_WORDS: Final = frozenset({"work", "and", "no", "chain", "release"})
_KILL_WORDS: Final = frozenset({"connection", "query", "hard", "soft", "id", "user"})
_EXPLAINED: Final = {
    Kind.READ: Kind.EXPLAIN,
    Kind.LOCKING: Kind.LOCKING,
    Kind.UTILITY: Kind.UTILITY,
    Kind.WRITE: Kind.WRITE,
}
"""What a query or a change is when it is explained and executed."""
_CONTROL: Final = frozenset(
    {
        *(Kind.BEGIN, Kind.COMMIT, Kind.ROLLBACK, Kind.SAVEPOINT, Kind.RELEASE),
        *(Kind.ROLLBACK_TO, Kind.XA, Kind.DISCARD),
    }
)
"""What is known by the text that it is said in, and has nothing in front of it."""


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
    if tokens[1:2] == ["not"]:
        return opaque(tokens, text)
    if tokens[1:] not in ([], ["work"]):
        raise NotUnderstood("BEGIN with something else")
    return plain(Kind.BEGIN, ends=True)(tokens, text)


def _start(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:2] != ["transaction"]:
        return _replication(tokens, text)
    _only(tokens[1:], _BEGIN_WORDS)
    return plain(Kind.BEGIN, ends=True)(tokens, text)


def _commit(tokens: list[Token], text: bytes) -> Statement:
    _only(tokens[1:], _END_WORDS)
    return plain(Kind.COMMIT)(tokens, text)


def _rollback(tokens: list[Token], text: bytes) -> Statement:
    rest = tokens[2:] if tokens[1:2] == ["work"] else tokens[1:]
    if rest[:1] == ["to"] and len(rest) in (2, 3):
        return plain(Kind.ROLLBACK_TO)(tokens, text)
    _only(rest, _END_WORDS)
    return plain(Kind.ROLLBACK)(tokens, text)


def _release(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:2] != ["savepoint"]:
        raise NotUnderstood("RELEASE of something else")
    return plain(Kind.RELEASE)(tokens, text)


def _xa(tokens: list[Token], text: bytes) -> Statement:
    """XA: who commits a prepared transaction does not say what that wrote."""
    word = item_at(list(tokens), 1)
    if word == "commit":
        return opaque(tokens, text)
    return plain(Kind.XA, rows=word == "recover")(tokens, text)


def _show(tokens: list[Token], text: bytes) -> Statement:
    """SHOW, whose WHERE may call any function."""
    if tokens[1:3] == [PROXY_SETTINGS, "."]:
        return proxy(tokens, text)
    statement = plain(Kind.SHOW, rows=True)(tokens, text)
    if not {"warnings", "errors"}.isdisjoint(tokens[1:6]) and "where" not in tokens:
        statement.effects = frozenset({Effect.ASKS_BEFORE})
    if "where" in tokens:
        cut = find_words(list(tokens), ["where"])
        with_expressions(statement, [tokens[cut + 1 :]])
    return statement


def _use(tokens: list[Token], text: bytes) -> Statement:
    if len(tokens) != 2:
        raise NotUnderstood("USE of something else")
    return plain(Kind.USE)(tokens, text)


def _prepare(tokens: list[Token], text: bytes) -> Statement:
    statement = plain(Kind.PREPARE)(tokens, text)
    if tokens[2:3] != ["from"]:
        raise NotUnderstood("PREPARE without FROM")
    return with_expressions(statement, [tokens[3:]])


def _execute(tokens: list[Token], text: bytes) -> Statement:
    """EXECUTE; what it runs is the session's to know."""
    if tokens[1:2] == ["immediate"]:
        return opaque(tokens, text)
    statement = plain(Kind.EXECUTE, rows=True)(tokens, text)
    if tokens[2:3] == ["using"]:
        values = split_at(list(tokens[3:]), ",")
        if any("(" in value for value in values):
            raise NotUnderstood("EXECUTE USING what is computed")
        return with_expressions(statement, [tokens[3:]])
    if len(tokens) != 2:
        raise NotUnderstood("EXECUTE with something else")
    return statement


def _deallocate(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:2] != ["prepare"] or len(tokens) != 3:
        raise NotUnderstood("DEALLOCATE of something else")
    return plain(Kind.DEALLOCATE)(tokens, text)


def _drop(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:2] == ["prepare"]:
        return _deallocate(tokens, text)
    return drop(tokens, text)


def _call(tokens: list[Token], text: bytes) -> Statement:
    """CALL: its procedure is told among the functions; procedures have names of their own."""
    items = grouped(tokens)
    names, at = dotted(items, 1)
    if not 1 <= len(names) <= 2 or len(items) > at + 1:
        raise NotUnderstood("CALL of something else")
    arguments = item_at(items, at)
    statement = plain(Kind.CALL, Reason.OPAQUE, rows=True)(tokens, text)
    count = 0
    if arguments is not None:
        if not isinstance(arguments, Group):
            raise NotUnderstood("CALL of something else")
        if arguments.items:
            count = len(split_at(arguments.items, ","))
            with_expressions(statement, [tokens[arguments.start + 1 : arguments.stop]])
    schema_name = names[0] if len(names) > 1 else None
    statement.functions |= {FunctionName(schema_name, names[-1].lower(), count)}
    return statement


def _do(tokens: list[Token], text: bytes) -> Statement:
    """DO: SELECT without its result."""
    found = inner([Token("select"), *tokens[1:]])
    kind = Kind.UTILITY if found.kind is Kind.READ else found.kind
    statement = part_of(found, kind, text, "do")
    statement.returns_rows = False
    return statement


def _handler(tokens: list[Token], text: bytes) -> Statement:
    relation, at = relation_at(list(tokens), 1)
    word = item_at(list(tokens), at)
    statement = plain(Kind.UTILITY, rows=word == "read")(tokens, text)
    if word == "open":
        statement.effects = frozenset({Effect.HANDLER})
        statement.reads = frozenset({relation})
    elif word == "read":
        if "where" in tokens:
            cut = find_words(list(tokens), ["where"])
            stop = find_words(list(tokens), ["limit"])
            with_expressions(statement, [tokens[cut + 1 : max(stop, cut + 1)]])
    elif word != "close":
        raise NotUnderstood("HANDLER of something else")
    return statement


def _load(tokens: list[Token], text: bytes) -> Statement:
    """LOAD DATA and LOAD XML; whether the file is the client's is in `detail`."""
    if tokens[1:2] == ["index"]:
        return _maintenance(tokens, text)
    items = grouped(tokens)
    into = find_words(items, ["into", "table"])
    if tokens[1:2] not in (["data"], ["xml"]) or "infile" not in tokens[:into]:
        raise NotUnderstood("LOAD of something else")
    relation, _ = relation_at(items, into + 2)
    actions = {Action.INSERT}
    if "replace" in items[:into]:
        actions.add(Action.DELETE)
    statement = Statement(
        kind=Kind.WRITE,
        text=text,
        reads=frozenset({relation}),
        writes=frozenset({relation}),
        actions=frozenset(actions),
        reason=Reason.WRITE,
        detail="load local" if "local" in items[:into] else "load",
    )
    if "@" in "".join(tokens):
        statement.effects |= {Effect.USER_VARIABLE}
    cut = find_words(items, ["set"])
    if cut < len(items):
        values = [part[2:] for part in split_at(items[cut + 1 :], ",")]
        with_expressions(statement, [_flat(tokens, value) for value in values])
    return statement


def _flat(tokens: list[Token], items: list[Item]) -> list[Token]:
    """Give the tokens that items were made of."""
    if not items:
        raise NotUnderstood("an assignment of nothing")
    first, last = items[0], items[-1]
    start = first.start if isinstance(first, Group) else first.at
    stop = last.stop if isinstance(last, Group) else last.at
    return tokens[start : stop + 1]


def _truncate(tokens: list[Token], text: bytes) -> Statement:
    relation, at = relation_at(list(tokens), 2 if tokens[1:2] == ["table"] else 1)
    rest = tokens[at:]
    if rest and rest != ["nowait"] and rest[:1] != ["wait"]:
        raise NotUnderstood("TRUNCATE with something else")
    return Statement(
        kind=Kind.WRITE,
        text=text,
        reads=frozenset({relation}),
        writes=frozenset({relation}),
        actions=frozenset({Action.TRUNCATE}),
        reason=Reason.WRITE,
        detail="truncate",
        ends_transaction=True,
    )


def _explain(tokens: list[Token], text: bytes) -> Statement:
    """EXPLAIN, DESCRIBE and DESC.

    MariaDB fills derived tables to explain what reads them: what functions they call is told.
    """
    if tokens[1:2] == ["route"]:
        return proxy(tokens, text)
    at = 1
    executes = False
    effects: frozenset[Effect] = frozenset()
    while word := item_at(list(tokens), at):
        if word == "format" and tokens[at + 1 : at + 2] == ["="]:
            at += 3
        elif word == "into" and tokens[at + 1][:1] == "@":
            effects = frozenset({Effect.USER_VARIABLE})
            at += 2
        elif word in ("extended", "partitions", "analyze") and len(tokens) > at + 1:
            executes |= word == "analyze"
            at += 1
        elif word == "for" and tokens[at + 1 : at + 2] in (["schema"], ["database"]):
            at += 3
        else:
            break
    statement = _explained(tokens, at, text, executes)
    statement.returns_rows = not effects
    statement.effects |= effects
    return statement


def _explained(tokens: list[Token], at: int, text: bytes, executes: bool) -> Statement:
    head = item_at(list(tokens), at)
    if head == "for":
        return plain(Kind.EXPLAIN, rows=True)(tokens, text)
    if head not in STARTS:
        relation, _ = relation_at(list(tokens), at)
        statement = plain(Kind.EXPLAIN, rows=True)(tokens, text)
        statement.reads = frozenset({relation})
        return statement
    found = inner(tokens[at:])
    if executes:
        return part_of(found, _EXPLAINED[found.kind], text, "analyze")
    statement = part_of(found, Kind.EXPLAIN, text, "explain")
    statement.writes, statement.actions = frozenset(), frozenset()
    return statement


def _analyze(tokens: list[Token], text: bytes) -> Statement:
    """ANALYZE TABLE, or MariaDB's ANALYZE of a statement, which runs it."""
    rest = tokens[2:] if tokens[1:2] in (["no_write_to_binlog"], ["local"]) else tokens[1:]
    if rest[:1] in (["table"], ["tables"]):
        return _maintenance(tokens, text)
    at = 4 if tokens[1:3] == ["format", "="] else 1
    if item_at(list(tokens), at) not in STARTS:
        raise NotUnderstood("ANALYZE of something else")
    statement = _explained(tokens, at, text, executes=True)
    statement.returns_rows = True
    return statement


def _maintenance(tokens: list[Token], text: bytes) -> Statement:
    return plain(Kind.UTILITY, rows=True, ends=True)(tokens, text)


def _flush(tokens: list[Token], text: bytes) -> Statement:
    closed(tokens)
    ends = tokens[:2] != ["reset", "persist"]
    statement = plain(Kind.UTILITY, ends=ends)(tokens, text)
    if tokens[-1:] == ["lock"] or tokens[-1:] == ["export"]:
        statement.effects = frozenset({Effect.TABLE_LOCK})
    return statement


def _reset(tokens: list[Token], text: bytes) -> Statement:
    """RESET; of the connection only in our words for what the protocol has a command for."""
    if tokens[1:] == ["connection"]:
        return plain(Kind.DISCARD)(tokens, text)
    return _flush(tokens, text)


def _lock(tokens: list[Token], text: bytes) -> Statement:
    """LOCK and UNLOCK, of tables or of the instance; BACKUP too."""
    closed(tokens)
    ends = tokens[1:2] != ["instance"]
    statement = plain(Kind.UTILITY, Reason.LOCK, ends=ends)(tokens, text)
    statement.effects = frozenset({Effect.TABLE_LOCK})
    return statement


def _kill(tokens: list[Token], text: bytes) -> Statement:
    for token in tokens[1:]:
        if token not in _KILL_WORDS and token not in ("0", "?", "''") and len(tokens) > 3:
            raise NotUnderstood("KILL of something else")
    closed(tokens)
    statement = utility(tokens, text)
    statement.effects = frozenset({Effect.KILLS})
    return statement


def _diagnostics(tokens: list[Token], text: bytes) -> Statement:
    statement = utility(tokens, text)
    closed(tokens)
    statement.effects = frozenset({Effect.ASKS_BEFORE})
    if any(token[0] == "@" for token in tokens):
        statement.effects |= {Effect.USER_VARIABLE}
    return statement


def _closed_utility(tokens: list[Token], text: bytes) -> Statement:
    closed(tokens)
    statement = utility(tokens, text)
    if any(token[0] == "@" for token in tokens):
        statement.effects |= {Effect.USER_VARIABLE}
    return statement


def _replication(tokens: list[Token], text: bytes) -> Statement:
    """What starts, stops and sets up replication, or has to do with the server's logs."""
    return plain(Kind.UTILITY, ends=True)(tokens, text)


def _purge(tokens: list[Token], text: bytes) -> Statement:
    closed(tokens)
    return utility(tokens, text)


def _help(tokens: list[Token], text: bytes) -> Statement:
    if len(tokens) != 2:
        raise NotUnderstood("HELP with something else")
    return plain(Kind.UTILITY, rows=True)(tokens, text)


def _checksum(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:2] not in (["table"], ["tables"]):
        raise NotUnderstood("CHECKSUM of something else")
    relations: set[RelationName] = set()
    for part in split_at(list(tokens[2:]), ","):
        relations.add(relation_at(part, 0)[0])
    statement = plain(Kind.UTILITY, rows=True)(tokens, text)
    statement.reads = frozenset(relations)
    return statement


def _set(tokens: list[Token], text: bytes) -> Statement:
    if tokens[1:2] != ["statement"]:
        return settings.read_set(tokens, text)
    items = grouped(tokens)
    cut = find_words(items, ["for"])
    if cut == len(items):
        raise NotUnderstood("SET STATEMENT without its statement")
    first = items[cut]
    assert isinstance(first, Token)
    parts = split_at(items[2:cut], ",")
    if any(not is_name(item_at(part, 0)) or item_at(part, 1) != "=" for part in parts):
        raise NotUnderstood("SET STATEMENT without an assignment")
    rest = tokens[first.at + 1 :]
    if not rest:
        raise NotUnderstood("a statement is missing")
    found = inner(rest) if rest[0] in STARTS else read_command(renumbered(rest), text)
    names = frozenset(name_of(part[0]).lower() for part in parts)
    values = [_flat(tokens, part[2:]) for part in parts]
    statement = _for_itself(found, names, values, text)
    statement.for_itself = names | found.for_itself
    return with_expressions(statement, values)


def _for_itself(
    found: Statement, names: frozenset[str], values: list[list[Token]], text: bytes
) -> Statement:
    """What a statement is with settings of its own.

    A read that only takes other means is that read. The server tells of its settings with its
    result, which is not kept for that.
    """
    if found.kind is Kind.PROXY:
        raise NotUnderstood("SET STATEMENT for what the proxy does itself")
    if found.kind in _CONTROL:
        return Statement(kind=Kind.OPAQUE, text=text, reason=Reason.OPAQUE, detail="set statement")
    if found.kind is not Kind.READ:
        return part_of(found, found.kind, text, "set statement")
    if not (names <= settings.MEANS and all(map(is_plain, values))):
        return part_of(found, Kind.UTILITY, text, "set statement")
    return replace(found, text=text, cache_reason=found.cache_reason or Reason.SETTINGS)


_READERS: Final[dict[str, Reader]] = {
    "begin": _begin,
    "start": _start,
    "commit": _commit,
    "rollback": _rollback,
    "savepoint": plain(Kind.SAVEPOINT),
    "release": _release,
    "xa": _xa,
    "set": _set,
    "show": _show,
    "use": _use,
    "prepare": _prepare,
    "execute": _execute,
    "deallocate": _deallocate,
    "call": _call,
    "do": _do,
    "handler": _handler,
    "load": _load,
    "truncate": _truncate,
    **dict.fromkeys(("explain", "describe", "desc"), _explain),
    "analyze": _analyze,
    "checksum": _checksum,
    **dict.fromkeys(("optimize", "check", "cache"), _maintenance),
    "flush": _flush,
    "reset": _reset,
    **dict.fromkeys(("lock", "unlock", "backup"), _lock),
    "kill": _kill,
    **dict.fromkeys(("signal", "resignal"), _closed_utility),
    "get": _diagnostics,
    "help": _help,
    "create": create,
    "alter": alter,
    "drop": _drop,
    **dict.fromkeys(("grant", "revoke", "rename", "install", "uninstall", "repair"), schema),
    "import": schema,
    **dict.fromkeys(("stop", "change"), _replication),
    "purge": _purge,
    **dict.fromkeys(("shutdown", "restart"), _closed_utility),
    **dict.fromkeys(("binlog", "clone"), opaque),
}
