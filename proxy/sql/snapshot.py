"""The definitions of one database, sorted for look-up. Built once, never changed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from proxy.sql.classify import classify
from proxy.sql.relations import Changes, Families, Names
from proxy.sql.routines import Judgement, Routines, Verdict, worst
from proxy.sql.scanner import CLOCK, scan
from proxy.sql.statement import Statement
from proxy.sql.times import Times

Rows: TypeAlias = Iterable[Any]

IMPLICIT_OPERATORS: Final = frozenset(
    {"=", "<>", "<", ">", "<=", ">=", "~~", "!~~", "~~*", "!~~*", "~", "!~", "+", "-"}
)
"""Operators that other syntax stands for: LIKE, IN, BETWEEN, ORDER BY, GROUP BY, USING."""


@dataclass(slots=True, eq=False)
class Snapshot:
    """See the module. What is judged good is left out of the judgements.

    Attributes:
        names: Relations by name.
        families: Who inherits from whom.
        changes: What a change of a table sets off.
        routines: Functions.
        definitions: The queries of views and materialized views.
        policies: The expressions of row security.
        column_calls: What defaults, constraints and domains call when a row is written.
        types: What calls something when a value becomes one of it, by the type's name.
        operators: Operators by their symbols.
        implicit: What every statement may call without a word: casts, common operators.
        times: What reads text as a date or a time, and what is known to hold no text.
    """

    names: Names
    families: Families
    changes: Changes
    routines: Routines
    definitions: dict[int, list[str]]
    policies: dict[int, list[str]]
    column_calls: dict[int, Judgement]
    types: dict[str, Judgement]
    operators: dict[str, Judgement]
    implicit: Judgement
    times: Times
    _read: dict[str, tuple[Statement, bool]] = field(default_factory=dict)

    def read(self, text: str) -> tuple[Statement, bool]:
        """Classify a definition, once; and tell whether a literal in it depends on the clock."""
        known = self._read.get(text)
        if known is None:
            found = scan(text.encode())
            known = (classify(found.fingerprint), bool(found.flags & CLOCK))
            self._read[text] = known
        return known


def build(
    *,
    relations: Rows,
    inheritance: Rows,
    definitions: Rows,
    policies: Rows,
    rules: Rows,
    triggers: Rows,
    foreign_keys: Rows,
    column_calls: Rows,
    domain_calls: Rows,
    types: Rows,
    column_types: Rows,
    routines: Rows,
    routine_types: Rows,
    aggregate_calls: Rows,
    operators: Rows,
    casts: Rows,
    implicit_casts: Rows,
    time_types: Rows,
    time_columns: Rows,
) -> Snapshot:
    """Sort the rows of `catalog_queries.QUERIES`, by their names there."""
    known = Routines(routines, aggregate_calls)
    types = list(types)
    column_types = list(column_types)
    unsafe = _unsafe_types(_judged(known, domain_calls), types, column_types)
    for routine, type_oid in routine_types:
        if type_oid in unsafe:
            known.distrust(routine)
    operators = list(operators)
    symbols = _judged(known, operators)
    times = Times(
        time_types,
        time_columns,
        own_types=(name for _, name, *_ in types),
        own_operators=(symbol for symbol, _ in operators),
    )
    written = [(relation, unsafe[oid]) for relation, oid in column_types if oid in unsafe]
    written += _judged(known, column_calls).items()
    implicit = [symbols[symbol] for symbol in IMPLICIT_OPERATORS if symbol in symbols]
    return Snapshot(
        names=Names(relations),
        families=Families(inheritance),
        changes=Changes(foreign_keys, triggers, rules),
        routines=known,
        definitions=_texts(definitions),
        policies=_texts(policies),
        column_calls=_worst_by_key(written),
        types=_worst_by_key((name, unsafe[oid]) for oid, name, *_ in types if oid in unsafe),
        operators=symbols,
        implicit=worst(
            (
                *implicit,
                *(known.judge_oid(routine) for (routine,) in casts),
                *(times.judge_implicit(type_oid) for (type_oid,) in implicit_casts),
            )
        ),
        times=times,
    )


def _judged(routines: Routines, calls: Rows) -> dict[Any, Judgement]:
    """Judge what each key calls; keys that call nothing but good functions are left out."""
    judged = _worst_by_key((key, routines.judge_oid(routine)) for key, routine in calls)
    return {key: judgement for key, judgement in judged.items() if not _is_good(judgement)}


def _worst_by_key(pairs: Iterable[tuple[Any, Judgement]]) -> dict[Any, Judgement]:
    result: dict[Any, Judgement] = {}
    for key, judgement in pairs:
        before = result.get(key)
        result[key] = judgement if before is None else worst((before, judgement))
    return result


def _is_good(judgement: Judgement) -> bool:
    return judgement.verdict is Verdict.DATA and not judgement.taints


def _unsafe_types(
    domains: dict[int, Judgement], types: list[Any], column_types: list[Any]
) -> dict[int, Judgement]:
    """Spread what domains call to the types made of them: arrays, domains, rows."""
    unsafe = dict(domains)
    if not unsafe:
        return unsafe
    row_types = {relation: oid for oid, _, _, _, relation in types if relation}
    made_of = [(oid, part) for oid, _, element, base, _ in types for part in (element, base)]
    made_of += [(row_types[rel], part) for rel, part in column_types if rel in row_types]
    changed = True
    while changed:
        changed = False
        for oid, part in made_of:
            if part in unsafe and oid not in unsafe:
                unsafe[oid] = unsafe[part]
                changed = True
    return unsafe


def _texts(rows: Rows) -> dict[int, list[str]]:
    result: dict[int, list[str]] = {}
    for oid, text in rows:
        # A text that can't be had is one that can't be read.
        result.setdefault(oid, []).append(text if text is not None else "?")
    return result
