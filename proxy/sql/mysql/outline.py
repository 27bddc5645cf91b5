"""What a query or a change of rows in MySQL's SQL names, read from its tokens alone.

This is one of two independent readings, as for PostgreSQL (`proxy.sql.postgres.outline`); only
where both agree is a statement called a read. Three readers, each on top of the one before:
`expressions`, `selects`, `changes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.sql.statement import Action, FunctionName, RelationName


@dataclass(slots=True, eq=False)
class Outline:
    """What a query or a change of rows names, gathered while it is read.

    Attributes:
        relations: Every relation, targets and common table expressions included.
        targets: Relations whose rows may be changed.
        local_names: Common table expressions.
        functions: Every call.
        calls: Where the names of calls stand, as token numbers.
        actions: What is done to the targets.
        sequences: Sequences that are moved on, which is a write.
        user_variables: Variables of the user's, `@a`, are read or set.
        system_variables: Names of the server's variables, `@@a`, that are read.
        makes_times: There is a literal or a cast of type TIME.
        locks: Rows are locked.
        file: The result goes into a file.
        into_variables: The result goes into variables.
        counts_found: SQL_CALC_FOUND_ROWS is there.
        returns_rows: The outermost statement answers with rows.
        rewritten: What stands for tokens in the second reading, by their numbers; often nothing.
    """

    relations: set[RelationName] = field(default_factory=set)
    targets: set[RelationName] = field(default_factory=set)
    local_names: set[str] = field(default_factory=set)
    functions: set[FunctionName] = field(default_factory=set)
    calls: set[int] = field(default_factory=set)
    actions: set[Action] = field(default_factory=set)
    sequences: set[RelationName] = field(default_factory=set)
    user_variables: bool = False
    system_variables: set[str] = field(default_factory=set)
    makes_times: bool = False
    locks: bool = False
    file: bool = False
    into_variables: bool = False
    counts_found: bool = False
    returns_rows: bool = False
    rewritten: dict[int, str] = field(default_factory=dict)
