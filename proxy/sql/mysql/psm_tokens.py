"""The tokens of a stored program's body, where they stand in its text.

Only what a body's reader must tell apart is told apart. MySQL: "Lexical Structure" and "Comment
Syntax" in the manual; an executed comment means something else on another server, so nothing is
made of a text that has one.
"""

from __future__ import annotations

import re
from enum import Enum, unique
from typing import Final, NamedTuple


class Unreadable(Exception):
    """A body is not what the manual says; the message names what stands in the way."""


@unique
class Sort(Enum):
    """What a token is."""

    WORD = "word"
    NAME = "name"
    VARIABLE = "variable"
    STRING = "string"
    SYMBOL = "symbol"


class Piece(NamedTuple):
    """A token.

    Attributes:
        sort: What it is.
        text: A word in lower case, a name without its quotes; anything else as it stands there.
        start: Where it begins.
        stop: Where it ends.
    """

    sort: Sort
    text: str
    start: int
    stop: int


_SKIPPED: Final = (
    rb"""[\x00-\x20]+ | \#[^\n]* | --(?=[\x00-\x20\x7f]|$)[^\n]* | /\*(?![!M]).*?\*/"""
)
_WORD: Final = rb"[0-9A-Za-z_$\x80-\xff]+"
_BACKTICKS: Final = rb"`(?:[^`]|``)+`"
_ESCAPING: Final = rb"""'(?:[^'\\]|''|\\.)*'"""
_PLAIN: Final = rb"""'(?:[^']|'')*'"""


def _pattern(*, ansi_quotes: bool, escapes: bool) -> re.Pattern[bytes]:
    single = _ESCAPING if escapes else _PLAIN
    double = single.replace(b"'", b'"')
    names, strings = (
        (_BACKTICKS + rb'|"(?:[^"]|"")+"', single)
        if ansi_quotes
        else (_BACKTICKS, single + b"|" + double)
    )
    return re.compile(
        b"(?P<skipped>" + _SKIPPED + b") | (?P<string>" + strings + b") | (?P<name>" + names + b")"
        b" | (?P<variable>@(?:@?[0-9A-Za-z_$.\\x80-\\xff]+|" + strings + b"|" + names + b"))"
        b" | (?P<word>" + _WORD + b") | (?P<symbol>:=|[^'\"`@])",
        re.VERBOSE | re.DOTALL,
    )


_PATTERNS: Final = {
    (ansi_quotes, escapes): _pattern(ansi_quotes=ansi_quotes, escapes=escapes)
    for ansi_quotes in (False, True)
    for escapes in (False, True)
}


def pieces_of(text: bytes, sql_mode: str) -> list[Piece]:
    """Cut a body into tokens.

    Args:
        text: In UTF-8.
        sql_mode: Under which it was written.

    Raises:
        Unreadable: It is not certain where tokens end.
    """
    modes = sql_mode.upper().split(",")
    pattern = _PATTERNS["ANSI_QUOTES" in modes, "NO_BACKSLASH_ESCAPES" not in modes]
    pieces: list[Piece] = []
    position = 0
    while position < len(text):
        found = pattern.match(text, position)
        if found is None or text[position : position + 3] in (b"/*!", b"/*M"):
            raise Unreadable("it is not certain where tokens end")
        position = found.end()
        if found.lastgroup != "skipped":
            pieces.append(_piece(found))
    return pieces


def _piece(found: re.Match[bytes]) -> Piece:
    sort = Sort(found.lastgroup)
    text = found.group().decode(errors="surrogateescape")
    if sort is Sort.WORD:
        text = text.lower()
    elif sort is Sort.NAME:
        quote = text[0]
        text = text[1:-1].replace(quote * 2, quote)
    return Piece(sort, text, found.start(), found.end())
