"""What a statement does to its session, read from the text as it was sent.

`classify` says of what kind a statement is; here is what it says exactly, with its values, for
those kinds that live in a session: SET, RESET, DISCARD, PREPARE, DEALLOCATE, BEGIN and the like. A
text that is not read exactly gives None, and the session then takes nothing for granted.

Source: the manual's pages on these commands ("SQL Commands").
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from proxy.sql.postgres.groups import cut

_TOKEN: Final = re.compile(
    r"""
      (?P<space>[ \t\n\r\f\v]+|--[^\n\r]*|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/)
    | (?P<string>'(?:[^']|'')*')
    | (?P<name>"(?:[^"]|"")+")
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    | (?P<mark>[=,.();*])
    """,
    re.VERBOSE,
)
"""No E'' or U& strings, no dollar quotes, no nested comments: what holds one is not read."""


@dataclass(slots=True, frozen=True)
class Set:
    """SET name TO value, until the session ends.

    Attributes:
        value: The text behind TO, as it was written.
        is_local: Only until the transaction ends.
    """

    name: str
    value: str
    is_local: bool = False


@dataclass(slots=True, frozen=True)
class Reset:
    """RESET name; all settings where it is None."""

    name: str | None


@dataclass(slots=True, frozen=True)
class Discard:
    """DISCARD: `all`, `temp`, `plans` or `sequences`."""

    what: str


@dataclass(slots=True, frozen=True)
class Prepare:
    """PREPARE name AS ...; `text` is the whole command, `body` what is prepared."""

    name: str
    text: str
    body: str


@dataclass(slots=True, frozen=True)
class Execute:
    """EXECUTE name(...)."""

    name: str


@dataclass(slots=True, frozen=True)
class Deallocate:
    """DEALLOCATE name; all where it is None."""

    name: str | None


Command = Set | Reset | Discard | Prepare | Execute | Deallocate


@dataclass(slots=True, frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    stop: int

    @property
    def word(self) -> str:
        """The keyword this may be; empty for anything that is no bare word."""
        return fold(self.text) if self.kind == "word" else ""

    @property
    def name(self) -> str | None:
        """The name this may be, as the server folds it."""
        if self.kind == "word":
            return cut(fold(self.text))
        if self.kind == "name":
            return cut(self.text[1:-1].replace('""', '"'))
        return None


def fold(word: str) -> str:
    """Fold a bare word as the server does: the letters of ASCII, and no others."""
    return word.translate(_LOWER)


_LOWER: Final = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def read_command(sql: bytes) -> Command | None:
    """Read one statement; None: not one of these, or not read exactly."""
    try:
        text = sql.decode()
    except UnicodeDecodeError:
        return None
    head = _head(text)
    first = head[0].word if head else ""
    if first in _BY_HEAD:
        return _BY_HEAD[first](text, head)
    tokens = _tokens(text)
    reader = _READERS.get(first)
    return reader(text, tokens) if reader is not None and tokens else None


def read_name_list(raw: str) -> tuple[str, ...] | None:
    """Read a list of names, as in a search path; None: not read exactly.

    A string is a name as it stands; a bare word is folded; a quoted name is not.
    """
    tokens = _tokens(raw)
    if tokens is None:
        return None
    names: list[str] = []
    for index, token in enumerate(tokens):
        if index % 2:
            if token.text != ",":
                return None
            continue
        name = token.text[1:-1].replace("''", "'") if token.kind == "string" else token.name
        if name is None:
            return None
        names.append(name)
    if tokens and len(tokens) % 2 == 0:
        return None
    return tuple(name for name in names if name)


def _head(text: str) -> list[_Token]:
    """Cut the beginning of a text into tokens, up to what is not known here."""
    return _cut(text)[0]


def _cut(text: str) -> tuple[list[_Token], int]:
    tokens: list[_Token] = []
    pos = 0
    while match := _TOKEN.match(text, pos):
        kind = match.lastgroup or ""
        if kind != "space":
            tokens.append(_Token(kind, match.group(), pos, match.end()))
        pos = match.end()
    return tokens, pos


def _tokens(text: str) -> list[_Token] | None:
    """Cut a text into tokens; None when something in it is not known here."""
    tokens, pos = _cut(text)
    if pos < len(text):
        return None
    while tokens and tokens[-1].text == ";":
        tokens.pop()
    if any(token.text == ";" for token in tokens):
        return None
    return tokens


def _set(text: str, tokens: list[_Token]) -> Command | None:
    at = 1
    is_local = False
    if len(tokens) > 2 and tokens[1].word in ("session", "local"):
        if tokens[1].word == "session" and tokens[2].word == "characteristics":
            return None
        if not (tokens[1].word == "session" and tokens[2].word == "authorization"):
            is_local = tokens[1].word == "local"
            at = 2
    if at >= len(tokens):
        return None
    special = _SPECIAL.get(tokens[at].word)
    if special is not None and (found := special(text, tokens, at, is_local)) is not None:
        return found
    return _set_plain(text, tokens, at, is_local)


def _set_plain(text: str, tokens: list[_Token], at: int, is_local: bool) -> Set | None:
    name, at = _dotted(tokens, at)
    if name is None or at + 1 >= len(tokens):
        return None
    if tokens[at].text != "=" and tokens[at].word != "to":
        return None
    return Set(name, text[tokens[at + 1].start : tokens[-1].stop], is_local)


def _dotted(tokens: list[_Token], at: int) -> tuple[str | None, int]:
    """Read the name of a setting; the server knows no case in it, not even in quotes."""
    parts: list[str] = []
    while at < len(tokens) and (part := tokens[at].name) is not None:
        parts.append(fold(part))
        at += 1
        if at >= len(tokens) or tokens[at].text != ".":
            break
        at += 1
    return ".".join(parts) or None, at


def _time_zone(text: str, tokens: list[_Token], at: int, is_local: bool) -> Set | None:
    if at + 2 >= len(tokens) or tokens[at + 1].word != "zone":
        return None
    value = text[tokens[at + 2].start : tokens[-1].stop]
    if tokens[at + 2].word == "interval":
        return None
    if value.lower() in ("local", "default"):
        value = "DEFAULT"
    return Set("timezone", value, is_local)


def _names(text: str, tokens: list[_Token], at: int, is_local: bool) -> Set | None:
    if at + 1 == len(tokens):
        return Set("client_encoding", "DEFAULT", is_local)
    if at + 2 == len(tokens) and (tokens[at + 1].kind == "string" or tokens[at + 1].word):
        return Set("client_encoding", tokens[at + 1].text, is_local)
    return None


def _role(text: str, tokens: list[_Token], at: int, is_local: bool) -> Set | None:
    if at + 2 == len(tokens) and tokens[at + 1].kind in ("word", "name", "string"):
        return Set("role", tokens[at + 1].text, is_local)
    return None


def _authorization(text: str, tokens: list[_Token], at: int, is_local: bool) -> Set | None:
    at += 1
    if at + 2 == len(tokens) and tokens[at].word == "authorization":
        return Set("session_authorization", tokens[at + 1].text, is_local)
    return None


def _schema(text: str, tokens: list[_Token], at: int, is_local: bool) -> Set | None:
    if at + 2 == len(tokens) and tokens[at + 1].kind == "string":
        return Set("search_path", tokens[at + 1].text, is_local)
    return None


_SPECIAL: Final[dict[str, Callable[[str, list[_Token], int, bool], Set | None]]] = {
    "time": _time_zone,
    "names": _names,
    "role": _role,
    "session": _authorization,
    "schema": _schema,
}


def _reset(text: str, tokens: list[_Token]) -> Command | None:
    words = [token.word for token in tokens[1:]]
    if words == ["all"]:
        return Reset(None)
    if words == ["session", "authorization"]:
        return Reset("session_authorization")
    if words == ["time", "zone"]:
        return Reset("timezone")
    name, at = _dotted(tokens, 1)
    return Reset(name) if name is not None and at == len(tokens) else None


def _discard(text: str, tokens: list[_Token]) -> Command | None:
    if len(tokens) != 2:
        return None
    what = {"temporary": "temp"}.get(tokens[1].word, tokens[1].word)
    return Discard(what) if what in ("all", "temp", "plans", "sequences") else None


def _prepare(text: str, tokens: list[_Token]) -> Command | None:
    name = tokens[1].name if len(tokens) > 2 else None
    if name is None or tokens[1].word == "transaction":
        return None
    at = 2
    if tokens[at].text == "(":
        depth = 0
        while at < len(tokens):
            depth += {"(": 1, ")": -1}.get(tokens[at].text, 0)
            at += 1
            if depth == 0:
                break
    if at >= len(tokens) or tokens[at].word != "as":
        return None
    # What follows is not read here: it may hold anything.
    body = text[tokens[at].stop :].strip().rstrip(";")
    return Prepare(name, text[tokens[0].start :].strip().rstrip(";"), body)


def _execute(text: str, tokens: list[_Token]) -> Command | None:
    name = tokens[1].name if len(tokens) > 1 else None
    return Execute(name) if name is not None else None


def _deallocate(text: str, tokens: list[_Token]) -> Command | None:
    rest = tokens[2:] if len(tokens) > 2 and tokens[1].word == "prepare" else tokens[1:]
    if len(rest) != 1:
        return None
    if rest[0].word == "all":
        return Deallocate(None)
    name = rest[0].name
    return Deallocate(name) if name is not None else None


_READERS: Final[dict[str, Callable[[str, list[_Token]], Command | None]]] = {
    "set": _set,
    "reset": _reset,
    "discard": _discard,
    "deallocate": _deallocate,
}

_BY_HEAD: Final[dict[str, Callable[[str, list[_Token]], Command | None]]] = {
    "prepare": _prepare,
    "execute": _execute,
}
"""Those that are told by how they begin."""
