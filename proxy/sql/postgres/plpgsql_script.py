"""What is found in a body in PL/pgSQL, and how its tokens are walked.

SQL is cut out as its compiler does (`read_sql_construct` in pl_gram.y): up to a keyword or a
semicolon outside of brackets, whatever stands between. An expression is run by the server as
`SELECT` and its text, and so it is given here. Which statements hold what is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from proxy.sql.groups import NotUnderstood
from proxy.sql.postgres.pieces import (
    Piece,
    Sort,
    depths,
    pieces_of,
    split_at,
    string_value,
    text_of,
)

FIELD: Final = "?"
"""Stands for a field of a row among what is assigned to: it may be of any type."""


@dataclass(slots=True)
class Script:
    """What a body runs.

    Attributes:
        queries: Statements and expressions, each as a statement of SQL.
        types: Every word in the types of its variables.
        targets: What it assigns to, `NEW` and the variables it declares left out.
        opaque: Why it may do more than that; empty when it does not.
        skips: Whether a statement in it was not looked into.
        commits: Whether it ends its transaction, and begins another.
        leaves_cursor: It opens a cursor, which is still open when it is done.
    """

    queries: list[bytes] = field(default_factory=list)
    types: set[str] = field(default_factory=set)
    targets: set[str] = field(default_factory=set)
    opaque: str = ""
    skips: bool = False
    commits: bool = False
    leaves_cursor: bool = False


class Walk:
    """One way through a body, from its first token on."""

    def __init__(self, source: bytes) -> None:
        self.script = Script()
        self._source = source
        self._pieces = pieces_of(source)
        self._at = 0

    # Tokens

    def _peek(self, ahead: int = 0) -> Piece | None:
        at = self._at + ahead
        return self._pieces[at] if at < len(self._pieces) else None

    def _is(self, *words: str, ahead: int = 0) -> bool:
        piece = self._peek(ahead)
        return piece is not None and piece.says(*words)

    def _take(self) -> Piece:
        piece = self._peek()
        if piece is None:
            raise NotUnderstood("the body ends too early")
        self._at += 1
        return piece

    def _may(self, *words: str) -> bool:
        if not self._is(*words):
            return False
        self._at += 1
        return True

    def _must(self, *words: str) -> None:
        for word in words:
            if not self._may(word):
                raise NotUnderstood(f"{word.upper()} is missing")

    def _name(self) -> str:
        piece = self._take()
        if not piece.is_name:
            raise NotUnderstood("no name where one belongs")
        return piece.text

    def _until(self, *words: str) -> list[Piece]:
        """Take everything in front of a word outside of brackets, and that word."""
        start, depth = self._at, 0
        while True:
            piece = self._take()
            if depth == 0 and piece.says(*words):
                return self._pieces[start : self._at - 1]
            if piece.says(";"):
                raise NotUnderstood(f"{words[0].upper()} is missing")
            depth += piece.says("(", "[") - piece.says(")", "]")
            if depth < 0:
                raise NotUnderstood("brackets do not match")

    # What is found

    def _query(self, pieces: list[Piece]) -> None:
        if not pieces:
            raise NotUnderstood("a statement is missing")
        self.script.queries.append(text_of(self._source, pieces))

    def _expression(self, pieces: list[Piece]) -> None:
        if not pieces:
            raise NotUnderstood("an expression is missing")
        if len(pieces) > 1 or not pieces[0].says("new", "old", "null", "true", "false"):
            self.script.queries.append(b"SELECT " + text_of(self._source, pieces))

    def _expressions(self, pieces: list[Piece]) -> None:
        """Take a list of expressions, which may have names: `a := 1, b => 2`."""
        for part in split_at(pieces, ","):
            named = len(part) > 2 and part[0].is_name and part[1].says(":=", "=>")
            self._expression(part[2:] if named else part)

    def _conceal(self, why: str) -> None:
        self.script.opaque = self.script.opaque or why

    def _dynamic(self, pieces: list[Piece]) -> None:
        """Take what follows EXECUTE; a text that is only a string is known."""
        text, *rest = parts_before(pieces, "into", "using")
        value = string_value(text[0]) if len(text) == 1 and text[0].sort is Sort.STRING else None
        if value is None:
            self._conceal("execute")
            self._expression(text)
        else:
            self.script.queries.append(value.encode())
        for part in rest:
            if part[0].says("using"):
                self._expressions(part[1:])
            else:
                self._targets(part[1:])

    def _targets(self, pieces: list[Piece]) -> None:
        for part in split_at(pieces, ","):
            if part and part[0].says("strict") and len(part) > 1:
                part = part[1:]
            self._target(part)

    def _target(self, pieces: list[Piece]) -> None:
        """Take what is assigned to: `a`, `a.b`, `a[1].b`."""
        if not pieces:
            raise NotUnderstood("nothing to assign to")
        is_field = any(piece.says(".") for piece in pieces) and not pieces[0].says("new", "old")
        self.script.targets.add(FIELD if is_field else pieces[0].text)
        opened: list[int] = []
        for at, piece in enumerate(pieces):
            if piece.says("["):
                opened.append(at)
            elif piece.says("]") and opened:
                start = opened.pop()
                if not opened:
                    for bound in split_at(pieces[start + 1 : at], ":"):
                        if bound:
                            self._expression(bound)
            elif piece.says("(", ")") and not opened:
                raise NotUnderstood("a call is assigned to")


def parts_before(pieces: list[Piece], *words: str) -> list[list[Piece]]:
    """Split tokens in front of some words outside of brackets; the first part has none of them."""
    parts: list[list[Piece]] = [[]]
    for piece, depth in zip(pieces, depths(pieces), strict=True):
        if depth == 0 and piece.says(*words):
            parts.append([piece])
        else:
            parts[-1].append(piece)
    return parts
