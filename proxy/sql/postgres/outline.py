"""What a query or a data-modifying statement names, read from its tokens alone.

This is one of two independent readings; the other is sqlglot's syntax tree. Only where both agree
is a statement called a read (`classify.py`). The grammar followed is that of the manual's pages on
SELECT, INSERT, UPDATE, DELETE and MERGE: clauses are told apart by their reserved words, and inside
a clause everything that can be a name is taken for one. Three readers, each on top of the one
before: `expressions`, `selects`, `changes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.sql.statement import Action, Cast, FunctionName, RelationName


@dataclass(slots=True, eq=False)
class Outline:
    """What a query or a data-modifying statement names, gathered while it is read.

    Attributes:
        relations: Every relation, targets and common table expressions included.
        targets: Relations whose rows are changed.
        created: The table that SELECT INTO makes; it is no relation yet.
        local_names: Common table expressions.
        functions: Every call.
        calls: Where the names of calls stand, as token numbers.
        type_names: Where the names of types stand that a server may not know.
        asides: Where tokens stand that only say more about a type or a literal.
        attributes: Names behind a point, `a.b`.
        selections: Names behind a bracket and a point, `(a).b`.
        operators: Operator symbols as written.
        types: Names of types.
        casts: Casts of what is no literal and no parameter.
        actions: What is done to the targets.
        locks: Rows are locked.
        temporary: The table that is made is a temporary one.
        samples: TABLESAMPLE is used.
        system_columns: A column is named that shows where a row lies.
        returns_rows: The outermost statement answers with rows.
    """

    relations: set[RelationName] = field(default_factory=set)
    targets: set[RelationName] = field(default_factory=set)
    created: set[RelationName] = field(default_factory=set)
    local_names: set[str] = field(default_factory=set)
    functions: set[FunctionName] = field(default_factory=set)
    calls: set[int] = field(default_factory=set)
    type_names: set[int] = field(default_factory=set)
    asides: set[int] = field(default_factory=set)
    attributes: set[str] = field(default_factory=set)
    selections: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    casts: frozenset[Cast] = frozenset()
    actions: set[Action] = field(default_factory=set)
    locks: bool = False
    temporary: bool = False
    samples: bool = False
    system_columns: bool = False
    returns_rows: bool = False
