"""Calls whose value only the proxy knows, said as that value.

A client's connection has our number, and what it did before it asks for ROW_COUNT() may have been
done on another connection than the one that is asked. So the call is said as a number, in the text
as it was sent; the columns of its result keep the names they would have had.

Left as they are: statements that keep the call for later (a view's, a routine's), and those that
look at the server's own lists of connections, whose numbers are the server's.

Source: "SELECT Statement" in the MySQL manual, on the names of columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from proxy.sql.mysql.pieces import Piece, pieces_of
from proxy.sql.mysql.words import KEYWORDS

_STARTS: Final = frozenset(
    {"select", "with", "insert", "replace", "update", "delete", "set", "do", "call", "("}
)
_OF_THE_SERVER: Final = frozenset(
    {"information_schema", "performance_schema", "sys", "mysql", "processlist"}
)
_MODIFIERS: Final = frozenset(
    {
        *("all", "distinct", "distinctrow", "high_priority", "straight_join", "sql_small_result"),
        *("sql_big_result", "sql_buffer_result", "sql_no_cache", "sql_cache"),
        "sql_calc_found_rows",
    }
)
_BEHIND_ITEMS: Final = frozenset(
    {
        *("from", "into", "where", "group", "having", "order", "limit", "union", "except"),
        *("intersect", "for", "lock", "procedure", "window", "offset", "fetch"),
    }
)
_NO_OPERAND: Final = KEYWORDS - {"end", "null", "true", "false"}
"""Words behind which no alias can stand."""

LONGEST_NAME: Final = 256
"""Characters of a column's name; of a longer expression the server makes a shorter one."""

LONGEST: Final = 64 * 1024
"""Bytes of a text that is looked at: it takes some 50 ms."""


def say_values(sql: bytes, modes: int, values: Mapping[str, str]) -> bytes:
    """Say calls without arguments as their values; `sql` itself where there are none.

    Args:
        sql: One statement, as it was sent.
        modes: See `scanner.scan`.
        values: What is said in their place, by the functions' names.
    """
    pieces = pieces_of(sql, modes) if len(sql) <= LONGEST else None
    if not pieces or (pieces[0].word or pieces[0].text) not in _STARTS:
        return sql
    if any((piece.name or "").lower() in _OF_THE_SERVER for piece in pieces):
        return sql
    calls = _calls(pieces, values)
    if not calls:
        return sql
    changes = [
        (pieces[at].start, pieces[at + 2].stop, values[pieces[at].word].encode()) for at in calls
    ]
    for item in _items(pieces):
        if not item or _has_alias(item) or not any(pieces[at] in item for at in calls):
            continue
        name = sql[item[0].start : item[-1].stop]
        if len(name) <= LONGEST_NAME:
            alias = b" AS `%b`" % name.replace(b"`", b"``")
            changes.append((item[-1].stop, item[-1].stop, alias))
    said: list[bytes] = []
    pos = 0
    for start, stop, text in sorted(changes):
        said += (sql[pos:start], text)
        pos = stop
    return b"".join((*said, sql[pos:]))


def _calls(pieces: Sequence[Piece], values: Mapping[str, str]) -> list[int]:
    """Where calls begin; behind a point stands the name of somebody's own function."""
    return [
        at
        for at, piece in enumerate(pieces[:-2])
        if piece.word in values
        and (pieces[at + 1].text, pieces[at + 2].text) == ("(", ")")
        and (at == 0 or pieces[at - 1].text != ".")
    ]


def _items(pieces: Sequence[Piece]) -> list[Sequence[Piece]]:
    """What the first SELECT selects that is in no brackets, or all in brackets: it names the
    columns of a result."""
    items: list[Sequence[Piece]] = []
    lowest = 0
    while pieces[lowest].text == "(":
        lowest += 1
    depth = lowest
    start = -1
    for at in range(lowest, len(pieces)):
        piece = pieces[at]
        if piece.text == "(":
            depth += 1
        elif piece.text == ")":
            depth -= 1
        if depth > lowest or piece.text == ")":
            if depth >= lowest:
                continue
        elif start < 0:
            if piece.word == "select":
                start = at + 1
            continue
        elif start == at and piece.word in _MODIFIERS:
            start = at + 1
            continue
        is_over = depth < lowest or piece.word in _BEHIND_ITEMS
        if start >= 0 and (is_over or piece.text == ","):
            items.append(pieces[start:at])
            start = at + 1
        if is_over:
            return items
    if start >= 0:
        items.append(pieces[start:])
    return items


def _has_alias(item: Sequence[Piece]) -> bool:
    """Whether an item of a SELECT ends with a name for its column."""
    if len(item) < 2:
        return False
    before, last = item[-2], item[-1]
    if before.word == "as":
        return True
    if last.word == "end" and sum(piece.word == "case" for piece in item) == sum(
        piece.word == "end" for piece in item
    ):
        return False
    if last.kind not in ("word", "name", "string") or last.word in KEYWORDS:
        return False
    if before.kind in ("number", "name", "string") or before.text == ")":
        return True
    return before.kind == "word" and before.word not in _NO_OPERAND
