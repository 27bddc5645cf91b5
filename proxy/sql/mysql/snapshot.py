"""The definitions of one server, sorted for look-up. Built once, never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from proxy.sql.mysql.bodies import Bodies, Interpreter
from proxy.sql.mysql.catalog_queries import TIME
from proxy.sql.mysql.relations import Fold, ForeignKey, Names, Program, oid_of
from proxy.sql.statement import Action

Rows: TypeAlias = Iterable[Sequence[Any]]

_ACTIONS: Final = {
    "INSERT": Action.INSERT,
    "UPDATE": Action.UPDATE,
    "DELETE": Action.DELETE,
}


@dataclass(slots=True, eq=False)
class Snapshot:
    """See the module.

    Attributes:
        fold: How names are compared.
        names: Relations by name.
        bodies: What routines and triggers run.
        views: The queries of views, by the view's number.
        columns: Expressions for what is read of columns, by the number of the table or view; and
            for what goes into a routine and comes out of it, by the routine's.
        triggers: By the table, each with what fires it.
        keys: Foreign keys, by the table that is referenced.
        labels: How deterministic functions are said to be, for people.
        libraries: Names of functions that are loaded from libraries.
        interpreter: Reads SQL, and knows the server's own functions.
    """

    fold: Fold
    names: Names
    bodies: Bodies
    views: dict[int, str]
    columns: dict[int, list[str]]
    triggers: dict[int, list[tuple[Action, Program]]]
    keys: dict[int, list[ForeignKey]]
    labels: dict[int, str]
    libraries: frozenset[str]
    interpreter: Interpreter

    def routine(self, kind: str, schema: str, name: str) -> Program | None:
        """Find a function or a procedure; their names are the same in every case."""
        return self.bodies.get(oid_of(self.fold.schema(schema), name.lower(), kind))


def build(
    interpreter: Interpreter,
    *,
    settings: Rows,
    tables: Rows,
    views: Rows,
    columns: Rows,
    foreign_keys: Rows,
    triggers: Rows,
    routines: Rows,
    parameters: Rows,
    libraries: Rows,
) -> Snapshot:
    """Sort the rows of `catalog_queries.queries`, by their names there.

    Args:
        interpreter: Reads what is in them.
    """
    ((lower_case_table_names, *_),) = settings
    fold = Fold(int(lower_case_table_names))
    names = Names(((schema, name, kind, engine) for schema, name, kind, engine in tables), fold)
    programs: list[Program] = []
    labels: dict[int, str] = {}
    for schema, name, kind, source, sql_mode, deterministic in routines:
        program = _program(fold, kind, schema, name.lower(), source, sql_mode)
        programs.append(program)
        labels[program.oid] = "deterministic" if deterministic == "YES" else "not deterministic"
    fired: dict[int, list[tuple[Action, Program]]] = {}
    for schema, table, name, event, source, sql_mode in triggers:
        program = _program(fold, "TRIGGER", schema, fold.table(name), source, sql_mode)
        programs.append(program)
        fired.setdefault(names.number(schema, table), []).append((_ACTIONS[event], program))
    keys: dict[int, list[ForeignKey]] = {}
    for schema, child, other, parent, on_update, on_delete in foreign_keys:
        key = ForeignKey(names.number(schema, child), on_update, on_delete)
        keys.setdefault(names.number(other, parent), []).append(key)
    computed: dict[int, list[str]] = {}
    for schema, table, expression in columns:
        computed.setdefault(names.number(schema, table), []).append(expression)
    called: dict[int, list[str]] = {}
    for schema, name, kind, parameter, data_type in parameters:
        oid = oid_of(fold.schema(schema), name.lower(), kind)
        if parameter is not None:
            called.setdefault(oid, []).append(parameter)
        if data_type == "time":
            computed.setdefault(oid, []).append(TIME)
    return Snapshot(
        fold=fold,
        names=names,
        bodies=Bodies(programs, called, interpreter),
        views={names.number(schema, name): text for schema, name, text in views},
        columns=computed,
        triggers=fired,
        keys=keys,
        labels=labels,
        libraries=frozenset(name.lower() for (name,) in libraries),
        interpreter=interpreter,
    )


def _program(
    fold: Fold, kind: str, schema: str, name: str, source: str | None, sql_mode: str
) -> Program:
    schema = fold.schema(schema)
    return Program(oid_of(schema, name, kind), schema, name, kind, source, sql_mode)
