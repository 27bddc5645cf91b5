"""What PostgreSQL's own grammar says of a statement, through libpg_query."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import postgast
from google.protobuf.message import Message
from postgast import pg_query_pb2 as pg

CHANGES = (pg.InsertStmt, pg.UpdateStmt, pg.DeleteStmt, pg.MergeStmt)

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
    if isinstance(node, CHANGES):
        found.changes = True
        found.targets.add(_name(node.relation))
    elif isinstance(node, pg.SelectStmt):
        found.locks |= bool(node.locking_clause)
        if node.HasField("into_clause"):
            found.into = True
    elif isinstance(node, pg.FuncCall):
        names = [part.string.sval for part in node.funcname]
        if names[-1] not in IMMUTABLE_GRAMMAR:
            found.functions.add((names[-2] if len(names) > 1 else None, names[-1]))
    elif isinstance(node, pg.CommonTableExpr):
        found.local_names.add(node.ctename)


def _name(node: pg.RangeVar) -> tuple[str | None, str]:
    return (node.schemaname or None, node.relname)
