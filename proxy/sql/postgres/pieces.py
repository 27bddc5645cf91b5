"""A text cut into tokens that know where they stand, for what no fingerprint can be made of.

Bodies of functions, and definitions as the server writes them, are not statements: they hold
statements, which are cut out here and read like any other. Where it is not certain how the server
would cut the text, nothing is believed.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final, NamedTuple

from proxy.sql import lexical
from proxy.sql.groups import NotUnderstood
from proxy.sql.lexical import CLASS, LOWER, UNSURE

_STRING_PREFIX: Final = b"eEbBxXnN"


@unique
class Sort(Enum):
    """What a token is."""

    WORD = "word"
    QUOTED = "quoted"
    STRING = "string"
    OTHER = "other"


class Piece(NamedTuple):
    """A token.

    Attributes:
        text: A word in lower case, a quoted name without its quotes; anything else as written.
        sort: What it is.
        start: Where it begins in the text.
        stop: Where it ends.
    """

    text: str
    sort: Sort
    start: int
    stop: int

    @property
    def is_name(self) -> bool:
        """Whether it can be a name."""
        return self.sort is Sort.WORD or self.sort is Sort.QUOTED

    def says(self, *words: str) -> bool:
        """Whether it is one of these words or symbols, and no quoted name."""
        return self.text in words and self.sort in (Sort.WORD, Sort.OTHER)


def pieces_of(text: bytes) -> list[Piece]:
    """Cut a text.

    Raises:
        NotUnderstood: It is not certain where a token ends, or it is not UTF-8.
    """
    found = []
    pos, end = 0, len(text)
    while pos < end:
        byte = text[pos]
        group = CLASS[byte]
        if group == lexical.SPACE:
            pos += 1
        elif text.startswith(b"--", pos):
            pos = lexical.end_of_line(text, pos)
        elif text.startswith(b"/*", pos):
            pos = _sure(lexical.end_of_comment(text, pos))
        else:
            piece = _piece(text, pos, group)
            found.append(piece)
            pos = piece.stop
    return found


def _piece(text: bytes, pos: int, group: int) -> Piece:
    if group == lexical.WORD:
        return _word(text, pos)
    if group == lexical.QUOTE:
        return _string(text, pos, pos, escapes=False)
    if group == lexical.DOUBLE_QUOTE:
        stop = _sure(lexical.end_of_quoted(text, pos))
        name = _decoded(text[pos + 1 : stop - 1]).replace('""', '"')
        return Piece(name, Sort.QUOTED, pos, stop)
    if group == lexical.DOLLAR:
        if CLASS[text[pos + 1]] == lexical.DIGIT if pos + 1 < len(text) else False:
            return _other(text, pos, _sure(lexical.end_of_parameter(text, pos)))
        stop = _sure(lexical.end_of_dollar_quoted(text, pos))
        return Piece(_decoded(text[pos:stop]), Sort.STRING, pos, stop)
    if group == lexical.DIGIT:
        return _other(text, pos, _sure(lexical.end_of_number(text, pos)))
    if group == lexical.OPERATOR:
        return _other(text, pos, _sure(lexical.end_of_operator(text, pos)))
    if group == lexical.SELF:
        return _symbol(text, pos)
    raise NotUnderstood("a byte that is in no token")


def _word(text: bytes, pos: int) -> Piece:
    stop = lexical.end_of_word(text, pos)
    if stop == pos + 1 and stop < len(text):
        if text[stop] == ord("'") and text[pos] in _STRING_PREFIX:
            return _string(text, pos, stop, escapes=LOWER[text[pos]] == ord("e"))
        if (
            text[stop] == ord("&")
            and LOWER[text[pos]] == ord("u")
            and text[stop + 1 :][:1]
            in (
                b"'",
                b'"',
            )
        ):
            raise NotUnderstood("an escape of Unicode")
    return Piece(_decoded(text[pos:stop].translate(LOWER)), Sort.WORD, pos, stop)


def _string(text: bytes, start: int, pos: int, *, escapes: bool) -> Piece:
    while True:
        stop = _sure(lexical.end_of_string(text, pos, escapes))
        pos = lexical.start_of_continuation(text, stop)
        if pos == UNSURE:
            return Piece(_decoded(text[start:stop]), Sort.STRING, start, stop)


def _symbol(text: bytes, pos: int) -> Piece:
    two = text[pos : pos + 2]
    if two in (b":=", b"::", b".."):
        return _other(text, pos, pos + 2)
    if text[pos] == ord(".") and two[1:].isdigit():
        return _other(text, pos, _sure(lexical.end_of_number(text, pos)))
    return _other(text, pos, pos + 1)


def _other(text: bytes, pos: int, stop: int) -> Piece:
    return Piece(_decoded(text[pos:stop]), Sort.OTHER, pos, stop)


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise NotUnderstood("a text is not UTF-8") from None


def _sure(position: int) -> int:
    if position == UNSURE:
        raise NotUnderstood("a token without an end")
    return position


def depths(pieces: list[Piece]) -> list[int]:
    """Tell how many brackets are open at each token; a bracket counts as outside of itself.

    Raises:
        NotUnderstood: They do not match.
    """
    found = []
    depth = 0
    for piece in pieces:
        if piece.says(")", "]"):
            depth -= 1
        if depth < 0:
            raise NotUnderstood("brackets do not match")
        found.append(depth)
        if piece.says("(", "["):
            depth += 1
    if depth:
        raise NotUnderstood("brackets do not match")
    return found


def split_at(pieces: list[Piece], *separators: str) -> list[list[Piece]]:
    """Split tokens where a separator stands outside of brackets."""
    parts: list[list[Piece]] = [[]]
    for piece, depth in zip(pieces, depths(pieces), strict=True):
        if depth == 0 and piece.says(*separators):
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts


def text_of(source: bytes, pieces: list[Piece]) -> bytes:
    """Give the text from the first token to the last."""
    return source[pieces[0].start : pieces[-1].stop] if pieces else b""


def string_value(piece: Piece) -> str | None:
    """Give what a string says; None for one with escapes or in several parts."""
    text = piece.text
    if text.startswith("$"):
        tag = text[: text.index("$", 1) + 1]
        return text[len(tag) : -len(tag)]
    if text.startswith("'") and "'" not in text[1:-1].replace("''", ""):
        return text[1:-1].replace("''", "'")
    return None
