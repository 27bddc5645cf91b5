"""A statement as it was sent, cut into tokens that keep their values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxy.sql.lexical import LOWER, UNSURE
from proxy.sql.mysql import lexical
from proxy.sql.mysql.lexical import CLASS
from proxy.sql.mysql.scanner import ANSI_QUOTES, NO_BACKSLASH_ESCAPES

_ESCAPES: Final = {"n": "\n", "t": "\t", "r": "\r", "0": "\0", "b": "\b", "Z": "\x1a"}


@dataclass(slots=True, frozen=True)
class Piece:
    """One token.

    Attributes:
        kind: `word`, `name` (quoted), `string`, `number`, `variable`, `mark`.
        text: As it was written.
        value: What a string says, or what a name is.
    """

    kind: str
    text: str
    value: str
    start: int
    stop: int

    @property
    def word(self) -> str:
        """The keyword this may be; empty for anything that is no bare word."""
        return self.text.lower() if self.kind == "word" else ""

    @property
    def name(self) -> str | None:
        """The name this may be."""
        return self.value if self.kind in ("word", "name") else None


def pieces_of(sql: bytes, modes: int) -> list[Piece] | None:
    """Cut one statement into tokens; None when something in it is not certain."""
    pieces: list[Piece] = []
    pos = 0
    in_executed = False
    while pos < len(sql):
        two = sql[pos : pos + 2]
        if CLASS[sql[pos]] == lexical.SPACE:
            pos += 1
        elif sql[pos] == ord("#") or (two == b"--" and lexical.is_comment_of_dashes(sql, pos)):
            pos = lexical.end_of_line(sql, pos)
        elif two == b"/*" and sql[pos + 2 : pos + 3] == b"!" and not in_executed:
            in_executed = True
            pos = lexical.start_of_executed(sql, pos)
        elif two == b"/*":
            pos = lexical.end_of_comment(sql, pos)
        elif two == b"*/" and in_executed:
            in_executed = False
            pos += 2
        else:
            piece = _piece(sql, pos, modes)
            if piece is None:
                return None
            pieces.append(piece)
            pos = piece.stop
        if pos == UNSURE:
            return None
    while pieces and pieces[-1].text == ";":
        pieces.pop()
    return None if any(piece.text == ";" for piece in pieces) else pieces


def _piece(sql: bytes, pos: int, modes: int) -> Piece | None:
    kind, stop = _end(sql, pos, modes)
    if stop == UNSURE:
        return None
    try:
        text = sql[pos:stop].decode()
    except UnicodeDecodeError:
        return None
    value = text
    if kind == "string":
        value = _said(text, escapes=not modes & NO_BACKSLASH_ESCAPES)
    elif kind == "name":
        value = text[1:-1].replace(text[0] * 2, text[0])
    return Piece(kind, text, value, pos, stop)


def _end(sql: bytes, pos: int, modes: int) -> tuple[str, int]:
    escapes = not modes & NO_BACKSLASH_ESCAPES
    ansi_quotes = bool(modes & ANSI_QUOTES)
    group = CLASS[sql[pos]]
    if group == lexical.WORD:
        stop = lexical.end_of_word(sql, pos)
        # A prefix makes a string of another kind, which is not read here.
        touches = stop == pos + 1 and LOWER[sql[pos]] in b"nxb" and sql[stop : stop + 1] == b"'"
        return "word", UNSURE if touches else stop
    if group == lexical.QUOTE or (group == lexical.DOUBLE_QUOTE and not ansi_quotes):
        return "string", lexical.end_of_string(sql, pos, escapes)
    if group in (lexical.DOUBLE_QUOTE, lexical.BACKTICK):
        return "name", lexical.end_of_quoted(sql, pos)
    if group == lexical.DIGIT or (group == lexical.SELF and _is_fraction(sql, pos)):
        return "number", lexical.end_of_number(sql, pos)
    if group == lexical.AT and sql[pos + 1 : pos + 2] == b"@":
        return "variable", max(lexical.end_of_word(sql, pos + 2), pos + 2)
    if group == lexical.AT:
        return "variable", lexical.end_of_variable(sql, pos, escapes, ansi_quotes)
    if group == lexical.OPERATOR:
        return "mark", lexical.end_of_operator(sql, pos)
    if sql[pos : pos + 2] == b":=":
        return "mark", pos + 2
    return "mark", UNSURE if group == lexical.BAD else pos + 1


def _is_fraction(sql: bytes, pos: int) -> bool:
    return sql[pos] == ord(".") and sql[pos + 1 : pos + 2].isdigit()


def _said(text: str, *, escapes: bool) -> str:
    """Read a string ("String Literals" in the manual)."""
    quote, body = text[0], text[1:-1].replace(text[0] * 2, text[0])
    if not escapes or "\\" not in body:
        return body
    body = text[1:-1]
    said: list[str] = []
    at = 0
    while at < len(body):
        if body[at] == "\\":
            following = body[at + 1]
            said.append(_ESCAPES.get(following, following))
            at += 2
        else:
            said.append(body[at])
            at += 2 if body[at] == quote else 1
    return "".join(said)
