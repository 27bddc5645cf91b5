"""Queries and changes of rows in MySQL's SQL: from two readings that agree to a `Statement`."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from proxy.sql.groups import NotUnderstood, Token
from proxy.sql.mysql import functions, nodes, words
from proxy.sql.mysql.changes import outline_of
from proxy.sql.mysql.outline import Outline
from proxy.sql.statement import Action, Effect, Kind, Statement
from proxy.types import Reason

STARTS: Final = words.QUERY_STARTS | words.CHANGES | {"("}
"""What a query or a change of rows begins with."""

_LOCK_WORDS: Final = frozenset({"update", "share"})


def read_query(tokens: list[Token], text: bytes) -> Statement:
    """Read a query or a change of rows.

    Raises:
        NotUnderstood: It is neither, or the two readings do not agree about it.
    """
    outline = outline_of(tokens)
    _sound_alarm(tokens, outline)
    nodes.compare(tokens, outline)
    kind, reason, detail = _judge(outline)
    moved = outline.sequences if _moves_sequence(outline) else set()
    actions = outline.actions | ({Action.UPDATE} if moved else set())
    return Statement(
        kind=kind,
        text=text,
        reads=frozenset(outline.relations | outline.sequences),
        writes=frozenset(outline.targets | moved),
        actions=frozenset(actions),
        functions=frozenset(outline.functions),
        local_names=frozenset(outline.local_names),
        reason=reason,
        detail=detail,
        cache_reason=_cache_reason(outline),
        effects=effects_of(outline),
        returns_rows=outline.returns_rows and not outline.file and not outline.into_variables,
    )


def _cache_reason(outline: Outline) -> Reason | None:
    """Tell why not even a proven read may be kept: a time of day takes its date from today."""
    made = any(function.name in functions.MAKES_TIMES for function in outline.functions)
    return Reason.CLOCK if made or outline.makes_times else None


def _moves_sequence(outline: Outline) -> bool:
    return any(
        function.schema is None and function.name in functions.SEQUENCE_WRITES
        for function in outline.functions
    )


def _judge(outline: Outline) -> tuple[Kind, Reason | None, str]:
    """Decide by what is worst."""
    if outline.actions or outline.targets or _moves_sequence(outline):
        return Kind.WRITE, Reason.WRITE, ""
    if outline.locks:
        return Kind.LOCKING, Reason.LOCK, ""
    for function in sorted(outline.functions, key=str):
        if function.schema is None and functions.acts(function.name):
            return Kind.UTILITY, Reason.FUNCTION, function.name
    if outline.file:
        return Kind.UTILITY, Reason.UTILITY, "into a file"
    if outline.user_variables:
        return Kind.UTILITY, Reason.VARIABLE, "@"
    if outline.system_variables:
        return Kind.UTILITY, Reason.VARIABLE, f"@@{min(outline.system_variables)}"
    if outline.counts_found:
        return Kind.UTILITY, Reason.UTILITY, "sql_calc_found_rows"
    return Kind.READ, None, ""


def effects_of(outline: Outline) -> frozenset[Effect]:
    """Tell what an outline's statement leaves in its session, or wants to find there."""
    effects: set[Effect] = set()
    for function in outline.functions:
        if function.schema is None:
            effects |= functions.effects_of(function.name, function.arguments)
    if outline.user_variables:
        effects.add(Effect.USER_VARIABLE)
    if outline.counts_found:
        effects.add(Effect.FOUND_ROWS)
    if outline.system_variables & functions.ASKING_VARIABLES:
        effects.add(Effect.ASKS_BEFORE)
    if outline.system_variables & functions.INSERT_ID_VARIABLES:
        effects.add(Effect.ASKS_INSERT_ID)
    return frozenset(effects)


def _sound_alarm(tokens: list[Token], outline: Outline) -> None:
    """Look for the words of a change, a lock or a target with no grammar at all.

    A third reading, as crude as it is cheap: it errs only by refusing.

    Raises:
        NotUnderstood: There are such words, and the outline has nothing to show for them.
    """
    into = outline.actions or outline.file or outline.into_variables
    for word, following in pairwise(tokens):
        found = (
            (not into and following == "into")
            or (not outline.actions and word == "delete" and following != "(")
            or (not outline.locks and word == "for" and following in _LOCK_WORDS)
            or (not outline.locks and word == "lock" and following == "in")
            or (word == "procedure" and following == "analyse")
        )
        if found:
            raise NotUnderstood(f"{word} {following} where none is expected")
