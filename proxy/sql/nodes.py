"""The second reading: sqlglot's syntax tree, to be compared with the outline.

The outline finds names without knowing the grammar between them; sqlglot knows the grammar and
is wrong about PostgreSQL here and there. They share no code, so that both make the same mistake
is unlikely. What sqlglot is given is the fingerprint in a simpler form: a call's name is `f`, a
type's is `text`, an operator that SQL at large does not have is a minus, since those names are the
outline's business. Every class of node that may occur is listed; any other ends the reading.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp
from sqlglot.dialects.postgres import Postgres

from proxy.sql.groups import Token
from proxy.sql.postgres import words
from proxy.sql.postgres.groups import cut, is_name
from proxy.sql.postgres.outline import Outline
from proxy.sql.statement import RelationName
from proxy.sql.trees import Disagreement, UnknownNode, agree, parse

ROOTS: Final[frozenset[type[exp.Expr]]] = frozenset(
    {
        *(exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Subquery, exp.Values),
        *(exp.Insert, exp.Update, exp.Delete, exp.Merge),
    }
)

ALLOWED: Final[frozenset[type[exp.Expr]]] = ROOTS | frozenset(
    {
        # Clauses.
        *(exp.From, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit),
        *(exp.LimitOptions, exp.Offset, exp.Fetch, exp.Distinct, exp.With, exp.CTE, exp.Join),
        *(exp.Lateral, exp.Window, exp.WindowSpec, exp.Filter, exp.WithinGroup, exp.TableSample),
        *(exp.GroupingSets, exp.Rollup, exp.Cube, exp.Lock, exp.Into, exp.Returning),
        *(exp.OnConflict, exp.When, exp.Whens, exp.Schema),
        # Names.
        *(exp.Identifier, exp.Column, exp.Table, exp.TableAlias, exp.Alias, exp.Star, exp.Dot),
        *(exp.Var, exp.DataType, exp.DataTypeParam, exp.ColumnDef, exp.Kwarg, exp.PropertyEQ),
        # Values.
        *(exp.Literal, exp.Parameter, exp.Boolean, exp.Null, exp.Interval, exp.Tuple, exp.Paren),
        *(exp.Array, exp.Bracket, exp.Slice, exp.IntervalSpan, exp.Pseudocolumn),
        # Operators.
        *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Pow, exp.Neg, exp.DPipe, exp.Operator),
        *(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ),
        *(exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between, exp.Like, exp.ILike),
        *(exp.SimilarTo, exp.Escape, exp.Any, exp.All, exp.Exists, exp.Overlaps, exp.Collate),
        *(exp.AtTimeZone, exp.Cast, exp.Variadic),
        # Calls, and what looks like one.
        *(exp.Anonymous, exp.Case, exp.If, exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least),
        *(exp.Extract, exp.Substring, exp.StrPosition, exp.Trim, exp.Overlay, exp.Normalize),
        *(exp.Grouping, exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime),
        *(exp.Localtimestamp, exp.CurrentUser, exp.CurrentRole, exp.CurrentSchema),
        *(exp.CurrentCatalog, exp.SessionUser),
    }
)

_CHANGES: Final = (exp.Insert, exp.Update, exp.Delete, exp.Merge)
_TELLING: Final = (exp.Table, exp.CTE, exp.Lock, exp.Into, exp.Func, *_CHANGES)

_SILENT: Final = frozenset(kind for kind in ALLOWED if not issubclass(kind, _TELLING))

# What sqlglot reads as PostgreSQL does.
_PLAIN_SYMBOLS: Final = frozenset(
    {
        *("+", "-", "*", "/", "%", "^", "=", "<", ">", "<=", ">=", "<>", "!=", "||"),
        *(",", ".", "(", ")", "[", "]", "::", ":", ":=", "=>"),
    }
)
# Words of other dialects; in PostgreSQL they are plain names.
_FOREIGN_WORDS: Final = frozenset(
    {
        *("anti", "asof", "connect_by_root", "describe", "glob", "partitioned_by", "qualify"),
        *("regexp", "rlike", "semi", "straight_join", "uncache", "xor"),
    }
)
_QUOTED_LABELS: Final = (words.NOT_CALLED | words.SELECT_CLAUSES) - {"not"}

_DIALECT: Final = Postgres()


def compare(tokens: list[Token], outline: Outline) -> None:
    """Read a statement a second time and compare.

    Raises:
        NotUnderstood: sqlglot does not parse it, its tree has an unknown node, or it names other
            relations, calls, changes or locks than the outline.
    """
    text, starts = _simplified(tokens, outline)
    reading = _Reading(tokens, starts)
    for node in parse(_DIALECT, text, ROOTS).walk():
        reading.take(node)
    reading.compare(outline)


def _simplified(tokens: list[Token], outline: Outline) -> tuple[str, dict[int, int]]:
    """Write the statement for sqlglot, and tell which token begins at which character."""
    starts: dict[int, int] = {}
    parts: list[str] = []
    position = 0
    skip = 0
    for at, token in enumerate(tokens):
        if skip:
            skip -= 1
            continue
        before = tokens[at - 1] if at else ""
        part: str = token
        if at in outline.asides:
            continue
        if at in outline.calls:
            part = "f"
        elif at in outline.type_names:
            part = "text"
        elif token in words.LITERALS or token in _PLAIN_SYMBOLS:
            pass
        elif not is_name(token):
            part = "-"
        elif token in _FOREIGN_WORDS or (before == "as" and token in _QUOTED_LABELS):
            part = f'"{token}"'
        elif token == "overriding" and tokens[at + 2 : at + 3] == ["value"]:
            skip = 2
            continue
        elif token == "current" and before == "where" and tokens[at + 1 : at + 2] == ["of"]:
            skip = 2
            part = "true"
        starts[position] = at
        parts.append(part)
        position += len(part) + 1
    return " ".join(parts), starts


class _Reading:
    """What the tree names, gathered node by node."""

    def __init__(self, tokens: list[Token], starts: dict[int, int]) -> None:
        self._tokens = tokens
        self._starts = starts
        self._relations: set[RelationName] = set()
        self._targets: set[RelationName] = set()
        self._created: set[RelationName] = set()
        self._local_names: set[str] = set()
        self._calls: set[int] = set()
        self._changes = self._locks = False

    def take(self, node: exp.Expr) -> None:
        kind = type(node)
        if kind in _SILENT:
            return
        if kind not in ALLOWED:
            raise UnknownNode(kind.__name__)
        if isinstance(node, exp.Table):
            name = _relation(node)
            if name and not isinstance(node.parent, exp.Lock):  # which names an alias
                self._relations.add(name)
        elif isinstance(node, exp.CTE):
            self._local_names.add(cut(node.alias))
        elif isinstance(node, exp.Lock):
            self._locks = True
        elif isinstance(node, (exp.Into, *_CHANGES)):
            self._take_change(node)
        elif isinstance(node, exp.Func):
            self._take_call(node)

    def _take_change(self, node: exp.Expr) -> None:
        if isinstance(node.parent, exp.When):
            return  # what MERGE does to its own target
        target = node.this
        if isinstance(target, exp.Schema):
            target = target.this
        name = _relation(target)
        if name is None:
            raise Disagreement("a change without a target")
        if isinstance(node, exp.Into):
            self._created.add(name)
        else:
            self._changes = True
            self._targets.add(name)

    def _take_call(self, node: exp.Func) -> None:
        start = node.meta.get("start") if node._meta else None
        if start is None:
            return
        at = self._starts.get(start)
        if at is None:
            raise Disagreement("a call that begins inside a token")
        token = self._tokens[at]
        if token not in words.NOT_CALLED and token not in words.CALLS_WITHOUT_BRACKETS:
            self._calls.add(at)

    def compare(self, outline: Outline) -> None:
        agree(
            ("relations", self._relations, outline.relations | outline.created),
            ("new tables", self._created, outline.created),
            ("targets", self._targets, outline.targets),
            ("common table expressions", self._local_names, outline.local_names),
            ("calls", self._calls, outline.calls),
            ("changes", self._changes, bool(outline.actions)),
            ("locks", self._locks, outline.locks),
        )


def _relation(node: exp.Expr) -> RelationName | None:
    """Name a table; None for a function among the tables."""
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        return None
    return RelationName(cut(node.db) if node.db else None, cut(node.name))
