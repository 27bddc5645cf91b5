"""What PostgreSQL's grammar says of a statement, through libpg_query, and what ours leaves out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pg

from proxy.sql.statement import Kind, Statement

CHANGES = (pg.InsertStmt, pg.UpdateStmt, pg.DeleteStmt, pg.MergeStmt, pg.RefreshMatViewStmt)

# Calls the grammar makes of other syntax. All are immutable builtins, so that nothing is lost when
# they are not seen.
IMMUTABLE_GRAMMAR = frozenset(
    {"like_escape", "similar_to_escape", "is_normalized", "pg_collation_for", "xmlexists"}
)


@dataclass
class Facts:
    """What a parse tree shows."""

    root: str
    changes: bool = False
    runs: bool = True  # EXPLAIN runs nothing unless it is to analyze
    locks: bool = False
    into: bool = False
    relations: set[tuple[str | None, str]] = field(default_factory=set)
    targets: set[tuple[str | None, str]] = field(default_factory=set)
    functions: set[tuple[str | None, str]] = field(default_factory=set)
    local_names: set[str] = field(default_factory=set)

    @property
    def is_plain_read(self) -> bool:
        """Whether it is a query that neither writes, nor locks, nor makes a table."""
        return self.root == "SelectStmt" and not (self.changes or self.locks or self.into)


def keywords() -> list[str]:
    """List every keyword of the grammar."""
    names = {name.lower().removesuffix("_p") for name in pg.Token.keys()}  # noqa: SIM118
    return sorted(name for name in names if _is_keyword(name))


def _is_keyword(name: str) -> bool:
    tokens = postgast.scan(name).tokens
    return len(tokens) == 1 and bool(tokens[0].keyword_kind)


def split(sql: str) -> list[str] | None:
    """Part statements; None when PostgreSQL refuses the text."""
    try:
        return [part.strip() for part in postgast.split(sql)]
    except postgast.PgQueryError:
        return None


def facts(sql: str) -> Facts | None:
    """Parse one statement; None when PostgreSQL refuses it."""
    try:
        tree = postgast.parse(sql)
    except postgast.PgQueryError:
        return None
    if len(tree.stmts) != 1:
        return None
    _, root = next(iter(postgast.walk(tree.stmts[0].stmt)))
    found = Facts(type(root).__name__)
    if isinstance(root, pg.ExplainStmt):
        found.runs = any(option.def_elem.defname == "analyze" for option in root.options)
    for _, node in postgast.walk(tree):
        _take(found, node)
    # FOR UPDATE OF names aliases in the shape of relations.
    aliases = Counter(
        _name(relation)
        for clause in postgast.find_nodes(tree, pg.LockingClause)
        for relation in postgast.find_nodes(clause, pg.RangeVar)
    )
    found.relations = set(Counter(map(_name, postgast.find_nodes(tree, pg.RangeVar))) - aliases)
    return found


def _take(found: Facts, node: Message) -> None:
    if isinstance(node, CHANGES) or (isinstance(node, pg.CopyStmt) and node.is_from):
        found.changes = True
        found.targets.add(_name(node.relation))
    elif isinstance(node, pg.TruncateStmt):
        found.changes = True
        found.targets |= {_name(relation.range_var) for relation in node.relations}
    elif isinstance(node, pg.SelectStmt):
        found.locks |= bool(node.locking_clause)
        if node.HasField("into_clause"):
            found.into = True
    elif isinstance(node, pg.FuncCall):
        names = [part.string.sval for part in node.funcname]
        if names[-1] not in IMMUTABLE_GRAMMAR:
            found.functions.add((names[-2] if len(names) > 1 else None, names[-1]))
    elif isinstance(node, pg.CreateTableAsStmt):
        found.into = True
    elif isinstance(node, pg.CommonTableExpr):
        found.local_names.add(node.ctename)


def _name(node: pg.RangeVar) -> tuple[str | None, str]:
    return (node.schemaname or None, node.relname)


OUTRIGHT = {
    Kind.READ: "SelectStmt",
    Kind.COPY_OUT: "CopyStmt",
    Kind.EXPLAIN: "ExplainStmt",
    Kind.SHOW: "VariableShowStmt",
    Kind.SET: "VariableSetStmt",
    Kind.SET_LOCAL: "VariableSetStmt",
    Kind.SET_TRANSACTION: "VariableSetStmt",
    Kind.RESET: "VariableSetStmt",
    Kind.DISCARD: "DiscardStmt",
    Kind.DECLARE: "DeclareCursorStmt",
    Kind.FETCH: "FetchStmt",
    Kind.CLOSE: "ClosePortalStmt",
    Kind.EXECUTE: "ExecuteStmt",
    Kind.PREPARE: "PrepareStmt",
    Kind.DEALLOCATE: "DeallocateStmt",
    Kind.LISTEN: "ListenStmt",
    Kind.UNLISTEN: "UnlistenStmt",
    Kind.BEGIN: "TransactionStmt",
    Kind.COMMIT: "TransactionStmt",
    Kind.ROLLBACK: "TransactionStmt",
    Kind.SAVEPOINT: "TransactionStmt",
    Kind.RELEASE: "TransactionStmt",
    Kind.ROLLBACK_TO: "TransactionStmt",
    Kind.PREPARE_TRANSACTION: "TransactionStmt",
}
"""What the grammar must call a statement of a kind."""

QUERIES = frozenset(
    {
        *("SelectStmt", "InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"),
        *("CopyStmt", "TruncateStmt", "RefreshMatViewStmt", "DeclareCursorStmt", "ExecuteStmt"),
    }
)
"""Roots whose names ours must have."""

MAY_CHANGE = frozenset({Kind.WRITE, Kind.SCHEMA, Kind.OPAQUE, Kind.PREPARE, Kind.PROXY})
MAY_LOCK = frozenset(Kind) - {Kind.READ, Kind.COPY_OUT, Kind.EXPLAIN}


def shortfalls(statement: Statement, facts: Facts) -> list[str]:
    """Say where a statement was taken for less than it is."""
    if statement.kind is Kind.OPAQUE:
        return []
    kind = statement.kind
    found = []
    root = OUTRIGHT.get(kind, facts.root)
    if root != facts.root:
        found.append(f"{facts.root} is called {kind.value}")
    if kind is Kind.READ and not facts.is_plain_read:
        found.append("no plain read is called one")
    if facts.runs and facts.changes and kind not in MAY_CHANGE:
        found.append(f"a change is called {kind.value}")
    if facts.runs and facts.locks and kind not in MAY_LOCK:
        found.append(f"a lock is called {kind.value}")
    if facts.root in QUERIES or (facts.root == "ExplainStmt" and facts.runs):
        found += _missing(statement, facts)
    return found


def _missing(statement: Statement, facts: Facts) -> list[str]:
    called = {(name.schema, name.name) for name in statement.functions}
    called |= {("pg_catalog", name) for schema, name in called if schema is None}
    missing = {
        "reads": set() if facts.into else facts.relations - set(statement.reads),
        "writes": facts.targets - set(statement.writes),
        "functions": facts.functions - called,
        "local names": facts.local_names - statement.local_names,
    }
    return [f"{what} lack {sorted(map(str, names))}" for what, names in missing.items() if names]
