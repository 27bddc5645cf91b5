"""The second reading: sqlglot's syntax tree of MySQL's SQL, to be compared with the outline.

As `proxy.sql.nodes` is for PostgreSQL. sqlglot's grammar for MySQL has many gaps, so it is given a
plainer text than the fingerprint (`Outline.rewritten`), and in it every call is one of `f`. What is
left for it to judge is what decides: statements, clauses, relations, calls, locks.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp
from sqlglot.dialects.mysql import MySQL

from proxy.sql.groups import NotUnderstood, Token
from proxy.sql.mysql import words
from proxy.sql.mysql.groups import Word, is_name, is_quoted
from proxy.sql.mysql.outline import Outline
from proxy.sql.statement import RelationName
from proxy.sql.trees import Disagreement, UnknownNode, agree, parse

ROOTS: Final[frozenset[type[exp.Expr]]] = frozenset(
    {
        *(exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Subquery, exp.Values),
        *(exp.Insert, exp.Update, exp.Delete),
    }
)

ALLOWED: Final[frozenset[type[exp.Expr]]] = ROOTS | frozenset(
    {
        # Clauses.
        *(exp.From, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit),
        *(exp.Offset, exp.Distinct, exp.With, exp.CTE, exp.Join, exp.Lateral, exp.Window),
        *(exp.WindowSpec, exp.Lock, exp.OnConflict, exp.Schema),
        # Names.
        *(exp.Identifier, exp.Column, exp.Table, exp.TableAlias, exp.Alias, exp.Aliases, exp.Star),
        *(exp.Dot, exp.Var),
        # Values.
        *(exp.Literal, exp.Placeholder, exp.Boolean, exp.Null, exp.Tuple, exp.Paren, exp.National),
        # Operators.
        *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.EQ, exp.NEQ, exp.GT, exp.GTE),
        *(exp.LT, exp.LTE, exp.And, exp.Or, exp.Not, exp.Is, exp.In, exp.Between, exp.Like),
        *(exp.Escape, exp.Any, exp.All, exp.Exists, exp.Case, exp.If, exp.Anonymous),
    }
)

_CHANGES: Final = (exp.Insert, exp.Update, exp.Delete)
_SYMBOLS: Final = frozenset({*"+-*/%=<>(),.", "<=", ">=", "<>", "!="})
_WORDS: Final = frozenset(word.lower() for word in MySQL.Tokenizer.KEYWORDS if word.isidentifier())
_FOREIGN: Final = frozenset(
    {"anti", "asof", "describe", "glob", "ilike", "pivot", "qualify", "semi", "unpivot", "offset"}
)
_OWN: Final = frozenset(
    {
        *("as", "by", "end", "first", "last", "offset", "row", "rows", "share", "key", "unbounded"),
        *("preceding", "following", "current", "any", "some", "duplicate", "escape"),
    }
)
_DIALECT: Final = MySQL()


def compare(tokens: list[Token], outline: Outline) -> None:
    """Read a statement a second time and compare.

    Raises:
        NotUnderstood: sqlglot does not parse it, its tree has an unknown node, or it names other
            relations, calls, changes or locks than the outline.
    """
    text, starts = _simplified(tokens, outline)
    reading = _Reading(starts)
    for node in parse(_DIALECT, text, ROOTS).walk():
        reading.take(node)
    reading.compare(outline)


def _simplified(tokens: list[Token], outline: Outline) -> tuple[str, dict[int, int]]:
    """Write the statement for sqlglot, and tell which token begins at which character."""
    starts: dict[int, int] = {}
    parts: list[str] = []
    position = 0
    for at, token in enumerate(tokens):
        part = outline.rewritten.get(at)
        if part == "":
            continue
        if part is None:
            part = "f" if at in outline.calls else _plain(token, tokens[at - 1] if at else "")
        starts[position] = at
        parts.append(part)
        position += len(part) + 1
    return " ".join(parts), starts


def _plain(token: Token, before: str) -> str:
    """Write a token so that sqlglot takes it for what it is: a name that it has for a word of its
    own gets quotes."""
    assert isinstance(token, Word)
    if is_quoted(token):
        return token if token[0] == "`" else "`" + token[1:-1].replace("`", "``") + "`"
    if not is_name(token):
        if token not in _SYMBOLS and token not in words.LITERALS:
            raise NotUnderstood(f"{token[:20]} where none is expected")
        return token
    if before == "." or token in _FOREIGN:
        return f"`{token.written}`"
    if token in words.KEYWORDS or token in _OWN:
        return token
    return f"`{token.written}`" if token in _WORDS else token.written


class _Reading:
    """What the tree names, gathered node by node."""

    def __init__(self, starts: dict[int, int]) -> None:
        self._starts = starts
        self._relations: set[RelationName] = set()
        self._targets: set[RelationName] = set()
        self._local_names: set[str] = set()
        self._calls: set[int] = set()
        self._changes = self._locks = False

    def take(self, node: exp.Expr) -> None:
        kind = type(node)
        if kind not in ALLOWED:
            raise UnknownNode(kind.__name__)
        if isinstance(node, exp.Table):
            name = _relation(node)
            if name and name != (None, "dual"):
                self._relations.add(name)
        elif isinstance(node, exp.CTE):
            self._local_names.add(node.alias)
        elif isinstance(node, exp.Lock):
            self._locks = True
        elif isinstance(node, _CHANGES):
            self._take_change(node)
        elif isinstance(node, exp.Anonymous):
            self._take_call(node)

    def _take_change(self, node: exp.Expr) -> None:
        target = node.this
        if isinstance(target, exp.Schema):
            target = target.this
        self._changes = True
        name = _relation(target)
        if name is not None:
            self._targets.add(name)

    def _take_call(self, node: exp.Anonymous) -> None:
        start = node.meta.get("start") if node._meta else None
        at = self._starts.get(start) if start is not None else None
        if at is None:
            raise Disagreement("a call that begins nowhere")
        self._calls.add(at)

    def compare(self, outline: Outline) -> None:
        calls = {at for at in outline.calls if at in self._starts.values()}
        agree(
            ("relations", self._relations, outline.relations),
            ("common table expressions", self._local_names, outline.local_names),
            ("calls", self._calls, calls),
            ("changes", self._changes, bool(outline.actions)),
            ("locks", self._locks, outline.locks),
        )
        if not self._targets <= outline.targets:
            raise Disagreement("two readings differ: targets")


def _relation(node: exp.Expr | None) -> RelationName | None:
    """Name a table; None for a function among the tables."""
    if not isinstance(node, exp.Table) or not isinstance(node.this, exp.Identifier):
        return None
    return RelationName(node.db or None, node.name)
