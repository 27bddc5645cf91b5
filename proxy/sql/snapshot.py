"""The definitions of one database, sorted for look-up. Built once, never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from proxy.sql.bodies import Bodies, Declarations, Part, read_parts
from proxy.sql.groups import NotUnderstood
from proxy.sql.relations import Changes, Families, Names
from proxy.sql.routines import Judgement, Routines, worst
from proxy.sql.statement import Kind, Statement
from proxy.sql.times import Times
from proxy.types import Reason

Rows: TypeAlias = Iterable[Any]
Cut: TypeAlias = Callable[[bytes], list[bytes]]

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
        bodies: What they run, where it can be told.
        definitions: The queries of views and materialized views.
        policies: The expressions of row security.
        column_calls: What defaults, constraints and domains call when a row is written.
        types: What calls something when a value becomes one of it, by the type's name.
        operators: Operators by their symbols.
        implicit: What every statement may call without a word: casts, common operators.
        times: What reads text as a date or a time, and what is known to hold no text.
        definers: What event triggers call.
        problems: What is said of functions and can't be true.
    """

    names: Names
    families: Families
    changes: Changes
    routines: Routines
    bodies: Bodies
    definitions: dict[int, list[str]]
    policies: dict[int, list[str]]
    column_calls: dict[int, Judgement]
    types: dict[str, Judgement]
    operators: dict[str, Judgement]
    implicit: Judgement
    times: Times
    definers: Judgement
    problems: list[str]
    _read: dict[str, tuple[Part, ...]] = field(default_factory=dict)

    @property
    def schemas(self) -> tuple[str, ...]:
        """Every schema that has a relation or a function."""
        return tuple(self.names.schemas | self.routines.schemas)

    def read(
        self, text: str, cut: Callable[[bytes], list[bytes]] | None = None
    ) -> tuple[Part, ...]:
        """Read what the server wrote of a definition, once.

        Args:
            text: The definition.
            cut: How the statements are cut out of it; None: it is a statement as it is.
        """
        known = self._read.get(text)
        if known is None:
            try:
                source = text.encode()
                texts = [source] if cut is None else cut(source)
                known = tuple(part for each in texts for part in read_parts(each, is_deparsed=True))
            except NotUnderstood:
                known = (UNREADABLE,)
            self._read[text] = known
        return known


UNREADABLE: Final = Part(
    Statement(kind=Kind.OPAQUE, text=b"", reason=Reason.UNPARSED), clock=True, is_deparsed=True
)
"""What nothing is known of."""


def build(
    declarations: Declarations,
    *,
    relations: Rows,
    inheritance: Rows,
    definitions: Rows,
    policies: Rows,
    rules: Rows,
    triggers: Rows,
    event_triggers: Rows,
    foreign_keys: Rows,
    column_calls: Rows,
    domain_calls: Rows,
    types: Rows,
    column_types: Rows,
    routines: Rows,
    routine_types: Rows,
    bodies: Rows,
    aggregate_calls: Rows,
    operators: Rows,
    casts: Rows,
    implicit_casts: Rows,
    time_types: Rows,
    time_columns: Rows,
) -> Snapshot:
    """Sort the rows of `catalog_queries.QUERIES`, by their names there.

    Args:
        declarations: What is said of functions.
    """
    told = Bodies(bodies)
    known = Routines(routines, aggregate_calls, told)
    names = Names(relations)
    problems = list(_declare(declarations, names, known, told))
    types = list(types)
    column_types = list(column_types)
    unsafe = _unsafe_types(_judged(known, domain_calls), types, column_types)
    for routine, type_oid in routine_types:
        if type_oid in unsafe:
            known.add_call(routine, unsafe[type_oid])
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
        names=names,
        families=Families(inheritance),
        changes=Changes(foreign_keys, triggers, rules),
        routines=known,
        bodies=told,
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
        definers=worst(known.judge_oid(routine) for (routine,) in event_triggers),
        problems=problems,
    )


def _declare(
    declarations: Declarations, names: Names, known: Routines, told: Bodies
) -> Iterator[str]:
    """Believe what is said of functions, and tell where it can't be true."""
    for (schema, name), declaration in declarations.items():
        unknown = [
            f"{relation.schema}.{relation.name}"
            for relation in sorted(declaration.reads | declaration.writes)
            if not names.find(relation.schema, relation.name, ())
        ]
        problem = f"{schema}.{name}: there is no {', '.join(unknown)}" if unknown else ""
        if problem:
            yield problem
        for routine in known.find(schema, name):
            told.declare(routine.oid, declaration, problem)
            known.relabel(routine, None if problem else declaration.volatility)


def _judged(routines: Routines, calls: Rows) -> dict[Any, Judgement]:
    """Judge what each key calls; keys that call nothing but good functions are left out."""
    judged = _worst_by_key((key, routines.judge_oid(routine)) for key, routine in calls)
    return {key: judgement for key, judgement in judged.items() if not judgement.is_good}


def _worst_by_key(pairs: Iterable[tuple[Any, Judgement]]) -> dict[Any, Judgement]:
    result: dict[Any, Judgement] = {}
    for key, judgement in pairs:
        before = result.get(key)
        result[key] = judgement if before is None else worst((before, judgement))
    return result


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
