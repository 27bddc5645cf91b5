"""Queries and changes of rows: from two readings that agree to a `Statement`."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from proxy.sql import functions, nodes
from proxy.sql.groups import NotUnderstood, Token
from proxy.sql.postgres import words
from proxy.sql.postgres.changes import outline_of
from proxy.sql.postgres.outline import Outline
from proxy.sql.statement import Effect, Kind, Statement
from proxy.types import Reason

STARTS: Final = words.QUERY_STARTS | words.CHANGES | {"("}
"""What a query or a change of rows begins with."""

_LOCK_WORDS: Final = frozenset({"update", "share", "no", "key"})


def read_query(tokens: list[Token], text: bytes) -> Statement:
    """Read a query or a change of rows.

    Raises:
        NotUnderstood: It is neither, or the two readings do not agree about it.
    """
    outline = outline_of(tokens)
    _sound_alarm(tokens, outline)
    nodes.compare(tokens, outline)
    kind, reason, detail = _judge(outline)
    return Statement(
        kind=kind,
        text=text,
        reads=frozenset(outline.relations),
        writes=frozenset(outline.targets),
        actions=frozenset(outline.actions),
        functions=frozenset(outline.functions),
        attributes=frozenset(outline.attributes),
        selections=frozenset(outline.selections),
        operators=frozenset(outline.operators),
        types=frozenset(outline.types),
        casts=outline.casts,
        local_names=frozenset(outline.local_names),
        reason=reason,
        detail=detail,
        cache_reason=_cache_reason(outline),
        effects=_effects(outline),
        returns_rows=outline.returns_rows and not outline.created,
    )


def _judge(outline: Outline) -> tuple[Kind, Reason | None, str]:
    """Decide by what is worst."""
    called = sorted(
        function.name for function in outline.functions if function.schema in (None, "pg_catalog")
    )
    for name in called:
        if name in functions.RUNS_SQL or name.startswith(functions.LEAVES_THE_SERVER):
            return Kind.OPAQUE, Reason.FUNCTION, name
    if outline.created and not outline.temporary:
        return Kind.SCHEMA, Reason.SCHEMA, ""
    if outline.actions or outline.targets:
        return Kind.WRITE, Reason.WRITE, ""
    if outline.created:
        return Kind.UTILITY, Reason.TEMPORARY, ""
    if outline.locks:
        return Kind.LOCKING, Reason.LOCK, ""
    for name in called:
        if functions.acts(name):
            return Kind.UTILITY, Reason.FUNCTION, name
    for name in sorted(outline.selections):
        if functions.acts(name):  # (1).pg_sleep is a call
            return Kind.UTILITY, Reason.FUNCTION, name
    return Kind.READ, None, ""


def _cache_reason(outline: Outline) -> Reason | None:
    """Tell why not even a proven read may be kept."""
    if outline.system_columns:
        return Reason.SYSTEM_COLUMN
    if outline.samples:
        return Reason.VOLATILE
    # '10:00 Europe/Paris' as a timetz takes its offset from today's date.
    return Reason.CLOCK if "timetz" in outline.types else None


def _effects(outline: Outline) -> frozenset[Effect]:
    effects = {functions.effect_of(function.name) for function in outline.functions}
    effects |= {functions.effect_of(name) for name in outline.selections}
    if outline.temporary:
        effects.add(Effect.TEMPORARY)
    return frozenset(effect for effect in effects if effect)


def _sound_alarm(tokens: list[Token], outline: Outline) -> None:
    """Look for the words of a change, a lock or a new table with no grammar at all.

    A third reading, as crude as it is cheap: it errs only by refusing.

    Raises:
        NotUnderstood: There are such words, and the outline has nothing to show for them.
    """
    for word, following in pairwise(tokens):
        found = (
            (not outline.actions and word in ("insert", "merge") and following == "into")
            or (not outline.actions and word == "delete" and following == "from")
            or (not outline.locks and word == "for" and following in _LOCK_WORDS)
            or (not outline.created and following == "into" and word not in ("insert", "merge"))
        )
        if found:
            raise NotUnderstood(f"{word} {following} where none is expected")
