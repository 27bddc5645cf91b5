"""What a statement of MySQL's SQL does to its session, read from the text as it was sent.

As `proxy.sql.session_commands` is for PostgreSQL. A text that is not read exactly gives None, and
the session then takes nothing for granted.

Source: the manual's pages on SET, USE and the prepared statements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from proxy.sql.mysql.pieces import Piece, pieces_of


@unique
class Scope(Enum):
    """Whose variable an assignment is for."""

    SESSION = "session"
    GLOBAL = "global"
    PERSIST = "persist"
    PERSIST_ONLY = "persist_only"
    # @a
    USER = "user"
    # SET @@transaction_isolation: for the next transaction only, as SET TRANSACTION is.
    NEXT = "next"


@dataclass(slots=True, frozen=True)
class Assignment:
    """One variable and what it becomes.

    Attributes:
        name: Folded to lower case, as the server knows it; of a structured variable `a.b`.
        value: The text behind the equals sign, as it was written.
    """

    scope: Scope
    name: str
    value: str


@dataclass(slots=True, frozen=True)
class Set:
    """SET, SET NAMES, SET CHARACTER SET; in the order in which they take place."""

    assignments: tuple[Assignment, ...]


@dataclass(slots=True, frozen=True)
class SetRole:
    """SET ROLE; `text` is what stands behind it."""

    text: str


@dataclass(slots=True, frozen=True)
class Use:
    """USE schema."""

    schema: str


@dataclass(slots=True, frozen=True)
class Prepare:
    """PREPARE name FROM; `body` is what is prepared, None when a variable holds it."""

    name: str
    body: str | None


@dataclass(slots=True, frozen=True)
class Execute:
    """EXECUTE name."""

    name: str


@dataclass(slots=True, frozen=True)
class Deallocate:
    """DEALLOCATE PREPARE name, or DROP PREPARE."""

    name: str


Command = Set | SetRole | Use | Prepare | Execute | Deallocate

_SCOPES: Final = {
    "session": Scope.SESSION,
    "local": Scope.SESSION,
    "global": Scope.GLOBAL,
    "persist": Scope.PERSIST,
    "persist_only": Scope.PERSIST_ONLY,
}
_OF_NEXT: Final = frozenset(
    {"transaction_isolation", "transaction_read_only", "tx_isolation", "tx_read_only"}
)
"""Variables that `SET @@name`, without a scope, sets for the next transaction only."""

_NAMES: Final = ("character_set_client", "character_set_results", "character_set_connection")


def read_command(sql: bytes, modes: int = 0) -> Command | None:
    """Read one statement; None: not one of these, or not read exactly.

    Args:
        sql: As it was sent.
        modes: See `scanner.scan`.
    """
    pieces = pieces_of(sql, modes)
    if not pieces:
        return None
    reader = _READERS.get(pieces[0].word)
    return reader(sql, pieces) if reader is not None else None


def _set(sql: bytes, pieces: list[Piece]) -> Command | None:
    words = [piece.word for piece in pieces]
    if words[1:2] in (["statement"], ["password"], ["transaction"], ["default"], ["resource"]):
        if pieces[2:3] and pieces[2].text not in ("=", ":="):
            return None
        if words[1] == "password":
            return None
    if words[2:3] == ["transaction"]:
        return None
    if words[1:2] == ["names"]:
        return _set_names(pieces[2:])
    if words[1:3] == ["character", "set"] or words[1:2] == ["charset"]:
        return _set_character_set(pieces[3 if words[1] == "character" else 2 :])
    if words[1:2] == ["role"] and len(pieces) > 2 and pieces[2].text not in ("=", ":="):
        return SetRole(_text(sql, pieces[2:]))
    assignments: list[Assignment] = []
    scope = Scope.SESSION  # one that is named holds for the bare names behind it
    for part in _split(pieces[1:]):
        if len(part) > 1 and part[0].word in _SCOPES and part[1].text not in ("=", ":="):
            scope = _SCOPES[part[0].word]
            part = part[1:]
        assignment = _assignment(sql, part, scope)
        if assignment is None:
            return None
        assignments.append(assignment)
    return Set(tuple(assignments))


def _set_names(pieces: list[Piece]) -> Set | None:
    """SET NAMES: the collation follows the character set where none is named."""
    value = _charset(pieces[:1])
    if value is None:
        return None
    assignments = [_of_session(name, value) for name in _NAMES]
    if len(pieces) == 3 and pieces[1].word == "collate":
        collation = _charset(pieces[2:])
        if collation is None:
            return None
        assignments.append(_of_session("collation_connection", collation))
    elif len(pieces) != 1:
        return None
    return Set(tuple(assignments))


def _set_character_set(pieces: list[Piece]) -> Set | None:
    """SET CHARACTER SET: the connection's becomes that of the default schema."""
    value = _charset(pieces)
    if value is None:
        return None
    return Set(
        (
            _of_session("character_set_client", value),
            _of_session("character_set_results", value),
            _of_session("collation_connection", "@@collation_database"),
        )
    )


def _charset(pieces: list[Piece]) -> str | None:
    if len(pieces) != 1 or pieces[0].kind not in ("word", "string"):
        return None
    return pieces[0].text


def _of_session(name: str, value: str) -> Assignment:
    return Assignment(Scope.SESSION, name, value)


def _split(pieces: list[Piece]) -> list[list[Piece]]:
    parts: list[list[Piece]] = [[]]
    depth = 0
    for piece in pieces:
        depth += {"(": 1, ")": -1}.get(piece.text, 0)
        if piece.text == "," and depth == 0:
            parts.append([])
        else:
            parts[-1].append(piece)
    return parts


def _assignment(sql: bytes, part: list[Piece], bare: Scope) -> Assignment | None:
    at = next((i for i, piece in enumerate(part) if piece.text in ("=", ":=")), 0)
    target, value = part[:at], part[at + 1 :]
    if not target or not value:
        return None
    scope, name = _target(target, bare)
    if name is None:
        return None
    return Assignment(scope, name, _text(sql, value))


def _target(target: list[Piece], scope: Scope) -> tuple[Scope, str | None]:
    """Read whose variable this is, and its name; `scope` is that of a bare name."""
    first = target[0]
    if first.kind == "variable" and not first.text.startswith("@@"):
        name = first.text[1:]
        is_quoted = name[0] in "'\"`"
        return Scope.USER, (name[1:-1] if is_quoted else name).lower() if len(target) == 1 else None
    rest = target
    if first.text.startswith("@@"):
        word = first.text[2:].lower()
        if word in _SCOPES and len(target) > 2 and target[1].text == ".":
            scope, rest = _SCOPES[word], target[2:]
        else:
            scope = Scope.SESSION
            rest = [Piece("word", word, word, first.start, first.stop), *target[1:]] if word else []
            if word in _OF_NEXT and len(target) == 1:
                scope = Scope.NEXT
    names = [piece.name for piece in rest[::2]]
    dots = [piece.text for piece in rest[1::2]]
    if not names or None in names or any(dot != "." for dot in dots) or len(rest) % 2 == 0:
        return scope, None
    return scope, ".".join(str(name) for name in names).lower()


def _text(sql: bytes, pieces: list[Piece]) -> str:
    return sql[pieces[0].start : pieces[-1].stop].decode()


def _use(sql: bytes, pieces: list[Piece]) -> Command | None:
    name = pieces[1].name if len(pieces) == 2 else None
    return Use(name) if name is not None else None


def _prepare(sql: bytes, pieces: list[Piece]) -> Command | None:
    name = pieces[1].name if len(pieces) == 4 else None
    if name is None or pieces[2].word != "from":
        return None
    source = pieces[3]
    if source.kind == "string":
        return Prepare(name.lower(), source.value)
    return Prepare(name.lower(), None) if source.kind == "variable" else None


def _execute(sql: bytes, pieces: list[Piece]) -> Command | None:
    name = pieces[1].name if len(pieces) > 1 else None
    if name is None or (len(pieces) > 2 and pieces[2].word != "using"):
        return None
    return Execute(name.lower())


def _deallocate(sql: bytes, pieces: list[Piece]) -> Command | None:
    if len(pieces) != 3 or pieces[1].word != "prepare":
        return None
    name = pieces[2].name
    return Deallocate(name.lower()) if name is not None else None


_READERS: Final[dict[str, Callable[[bytes, list[Piece]], Command | None]]] = {
    "set": _set,
    "use": _use,
    "prepare": _prepare,
    "execute": _execute,
    "deallocate": _deallocate,
    "drop": _deallocate,
}
