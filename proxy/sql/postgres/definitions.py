"""Definitions as the server writes them: what a function, a rule or a trigger runs is cut out."""

from __future__ import annotations

import re
from typing import Final

from proxy.sql.groups import NotUnderstood
from proxy.sql.postgres.pieces import Piece, Sort, depths, pieces_of, string_value, text_of

MAX_BLOCK: Final = 8 * 1024
"""Bytes of a DO that are looked at, each time it is run."""

_CUSTOM: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*(?:\.[A-Za-z_][A-Za-z0-9_$]*)+")


def sql_body(definition: bytes) -> bytes:
    """Cut the statements out of a function whose body is SQL, not a string.

    Args:
        definition: What `pg_get_functiondef` says.

    Raises:
        NotUnderstood: There is no such body.
    """
    pieces = pieces_of(definition)
    levels = depths(pieces)
    for at, piece in enumerate(pieces):
        if levels[at]:
            continue
        if piece.says("return"):
            return b"SELECT " + text_of(definition, pieces[at + 1 :])
        if piece.says("begin") and pieces[at + 1 : at + 2] and pieces[at + 1].says("atomic"):
            if not pieces[-1].says("end"):
                break
            return text_of(definition, pieces[at + 2 : -1])
    raise NotUnderstood("no body in SQL")


def block_of(statement: bytes) -> bytes:
    """Find the source in a DO, which is in PL/pgSQL.

    Raises:
        NotUnderstood: It is in another language, or no string that is certain.
    """
    source = None
    is_language = False
    for piece in pieces_of(statement)[1:]:
        value = string_value(piece) if piece.sort is Sort.STRING else piece.text
        if is_language:
            if value != "plpgsql":
                raise NotUnderstood("another language")
            is_language = False
        elif piece.says("language"):
            is_language = True
        elif piece.sort is Sort.STRING and value is not None and source is None:
            if "\\" in value and not piece.text.startswith("$"):
                raise NotUnderstood("a backslash in a string")
            source = value.encode()
        elif not piece.says(";"):
            raise NotUnderstood("a DO with something else")
    if source is None or len(source) > MAX_BLOCK:
        raise NotUnderstood("a DO without a source, or with a long one")
    return source


def rule_actions(definition: bytes) -> list[bytes]:
    """Cut the condition and the actions out of a rule.

    Args:
        definition: What `pg_get_ruledef` says: CREATE RULE ... AS ON event TO relation [WHERE
            condition] DO [INSTEAD] NOTHING | action | (action; action).

    Raises:
        NotUnderstood: It is something else.
    """
    pieces = pieces_of(definition)
    levels = depths(pieces)
    do = _find(pieces, levels, "do")
    found: list[bytes] = []
    where = _find(pieces[:do], levels[:do], "where")
    if where < do:
        found.append(b"SELECT " + text_of(definition, pieces[where + 1 : do]))
    actions = pieces[do + 1 :]
    if not actions:
        raise NotUnderstood("a rule that does nothing, not even nothing")
    if actions[0].says("instead", "also"):
        actions = actions[1:]
    if actions and actions[-1].says(";"):
        actions = actions[:-1]
    if actions and actions[0].says("(") and any(piece.says(";") for piece in actions):
        actions = actions[1:-1]
    if not (len(actions) == 1 and actions[0].says("nothing")):
        found.append(text_of(definition, actions))
    return found


def trigger_condition(definition: bytes) -> bytes | None:
    """Cut the condition out of a trigger, as a query; None when it has none.

    Args:
        definition: What `pg_get_triggerdef` says.

    Raises:
        NotUnderstood: Its brackets do not match.
    """
    pieces = pieces_of(definition)
    levels = depths(pieces)
    start = _find(pieces, levels, "when")
    if start == len(pieces):
        return None
    stop = _find(pieces, levels, "execute")
    return b"SELECT " + text_of(definition, pieces[start + 1 : stop])


def _find(pieces: list[Piece], levels: list[int], word: str) -> int:
    for at, piece in enumerate(pieces):
        if levels[at] == 0 and piece.says(word):
            return at
    return len(pieces)


def custom_settings(pieces: list[Piece], function: str) -> frozenset[str] | None:
    """List the custom settings that calls of a function name by a string each.

    Args:
        pieces: A statement.
        function: `current_setting` or `set_config`.

    Returns:
        None when one of the calls may name any other setting.
    """
    found = set()
    for at, piece in enumerate(pieces):
        if not (piece.is_name and piece.text == function):
            continue
        name = _named_in(pieces[at + 1 : at + 6])
        if name is None:
            return None
        found.add(name.lower())
    return frozenset(found)


def _named_in(pieces: list[Piece]) -> str | None:
    """Read `('a.b')`, `('a.b', ...` and the same with `::text`."""
    if len(pieces) < 3 or not pieces[0].says("(") or pieces[1].sort is not Sort.STRING:
        return None
    rest = pieces[2:]
    if len(rest) == 3 and rest[0].says("::") and rest[1].says("text"):
        rest = rest[2:]
    name = string_value(pieces[1])
    if not rest[0].says(")", ",") or name is None or _CUSTOM.fullmatch(name) is None:
        return None
    return name
