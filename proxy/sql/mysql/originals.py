r"""Bodies of MySQL's programs as they were written, out of SHOW CREATE.

information_schema shows strings in them as they are, not as they were written: of `'\''` it makes
`'''`, and whatever stands up to the next such string seems to be part of it. MariaDB doubles the
quote, so that there a text with its escapes gone is as good as the original.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from proxy.sql.mysql.psm_tokens import Piece, Sort, Unreadable, pieces_of

_TEXT_COLUMNS: Final = {"FUNCTION": 2, "PROCEDURE": 2, "TRIGGER": 2}
_MODE_COLUMN: Final = 1

_TYPE_WORDS: Final = frozenset(
    {"unsigned", "zerofill", "signed", "binary", "precision", "varying", "ascii", "unicode"}
)
_CHARACTERISTICS: Final = (
    *(("deterministic",), ("not", "deterministic"), ("contains", "sql"), ("no", "sql")),
    *(("reads", "sql", "data"), ("modifies", "sql", "data"), ("language", "sql")),
    *(("sql", "security", "definer"), ("sql", "security", "invoker")),
)


class Hidden(NamedTuple):
    """A program whose body has to be asked for by itself.

    Attributes:
        query: The name of the rows it is among, in `catalog_queries.queries`.
        row: Its number there.
        column: Where in its row the body belongs.
        kind: What it is.
        question: How to ask.
    """

    query: str
    row: int
    column: int
    kind: str
    question: str


def hidden_in(rows: Mapping[str, Sequence[Sequence[Any]]]) -> Iterator[Hidden]:
    """Find the programs whose bodies were left out, as the queries for MySQL do with doubtful ones.

    Args:
        rows: Those of `catalog_queries.queries`.
    """
    for number, (schema, name, kind, body, *_) in enumerate(rows["routines"]):
        if body is None:
            yield Hidden("routines", number, 3, kind, _question(kind, schema, name))
    for number, (schema, _, name, _, body, *_) in enumerate(rows["triggers"]):
        if body is None:
            yield Hidden("triggers", number, 4, "TRIGGER", _question("TRIGGER", schema, name))


def _question(kind: str, schema: str, name: str) -> str:
    quoted = ".".join("`" + part.replace("`", "``") + "`" for part in (schema, name))
    return f"SHOW CREATE {kind} {quoted}"


def body_of(kind: str, answer: Sequence[Any]) -> str | None:
    """Cut the body out of an answer; None where it can't be seen, or found.

    Args:
        kind: What it is of.
        answer: The row.
    """
    text: str | None = answer[_TEXT_COLUMNS[kind]]
    if text is None:
        return None
    source = text.encode(errors="surrogateescape")
    try:
        pieces = pieces_of(source, answer[_MODE_COLUMN])
        start = _start_of_body(kind, pieces)
    except (Unreadable, IndexError, ValueError):
        return None
    return source[pieces[start].start :].decode(errors="surrogateescape")


def _words(pieces: list[Piece]) -> list[str]:
    return [piece.text if piece.sort in (Sort.WORD, Sort.SYMBOL) else "" for piece in pieces]


def _start_of_body(kind: str, pieces: list[Piece]) -> int:
    words = _words(pieces)
    if kind == "TRIGGER":
        at = words.index("each") + 1
        if words[at - 2] != "for" or words[at] != "row":
            raise ValueError("no FOR EACH ROW")
        return at + (3 if words[at + 1] in ("follows", "precedes") else 1)
    at = _end_of_group(words, words.index("(", words.index(kind.lower())))
    if kind == "FUNCTION":
        at = _end_of_type(words, at)
    return _end_of_characteristics(words, at)


def _end_of_group(words: list[str], at: int) -> int:
    depth = 0
    while True:
        depth += (words[at] == "(") - (words[at] == ")")
        at += 1
        if not depth:
            return at


def _end_of_type(words: list[str], at: int) -> int:
    if words[at] != "returns":
        raise ValueError("no RETURNS")
    at += 2
    if words[at] == "(":
        at = _end_of_group(words, at)
    while True:
        if words[at] in _TYPE_WORDS:
            at += 1
        elif words[at] in ("charset", "collate"):
            at += 2
        else:
            return at


def _end_of_characteristics(words: list[str], at: int) -> int:
    while True:
        for words_of_one in _CHARACTERISTICS:
            if tuple(words[at : at + len(words_of_one)]) == words_of_one:
                at += len(words_of_one)
                break
        else:
            if words[at] != "comment" or words[at + 1]:
                return at
            at += 2
