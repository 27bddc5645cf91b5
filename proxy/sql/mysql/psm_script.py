"""What is found in a stored program's body, and how its tokens are walked.

An expression is given as a SELECT of it. Variables are not told from columns: they only add names;
where the grammar asks for a variable, behind INTO and LIMIT, they are taken out. Which statements
hold what is not known here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from proxy.sql.mysql.psm_tokens import Piece, Sort, Unreadable

_QUERIES: Final = frozenset({"select", "with", "values", "table"})


@dataclass(slots=True)
class Script:
    """What a body runs.

    Attributes:
        queries: Statements and expressions, each as a statement of SQL.
        temporary: Names of temporary tables that it makes.
        opaque: Why it may do more than that; empty when it does not.
        commits: Whether it may end its transaction, and begin another.
        leaves: Whether it leaves something in the session: a variable, a prepared statement.
    """

    queries: list[bytes] = field(default_factory=list)
    temporary: set[str] = field(default_factory=set)
    opaque: str = ""
    commits: bool = False
    leaves: bool = False


class Walk:
    """One way through a body, from its first token on.

    Args:
        source: The body.
        pieces: Its tokens.
        parameters: Names of what it is called with.
    """

    def __init__(self, source: bytes, pieces: list[Piece], parameters: Iterable[str]) -> None:
        self.script = Script()
        self._source = source
        self._pieces = pieces
        self._at = 0
        self._locals = {name.lower() for name in parameters}

    # Tokens

    def _peek(self, ahead: int = 0) -> Piece | None:
        at = self._at + ahead
        return self._pieces[at] if at < len(self._pieces) else None

    def _word(self, ahead: int = 0) -> str:
        """The word there, the symbol there, or nothing."""
        piece = self._peek(ahead)
        return piece.text if piece and piece.sort in (Sort.WORD, Sort.SYMBOL) else ""

    def _take(self, *words: str) -> None:
        for word in words:
            if self._word() != word:
                raise self._surprised()
            self._at += 1

    def _try(self, word: str) -> bool:
        if self._word() != word:
            return False
        self._at += 1
        return True

    def _name(self) -> str:
        piece = self._peek()
        if piece is None or piece.sort not in (Sort.WORD, Sort.NAME):
            raise self._surprised()
        self._at += 1
        return piece.text.lower()

    def _surprised(self) -> Unreadable:
        piece = self._peek()
        return Unreadable(f"unexpected {piece.text[:40]!r}" if piece else "unexpected end")

    def _end(self) -> None:
        """Take the semicolon that ends a statement; the last one of a body has none."""
        if self._at < len(self._pieces):
            self._take(";")

    def _end_of(self, word: str) -> None:
        """Take END, what is ended, and the label that may follow."""
        self._take("end", *([word] if word else []))
        if self._peek() and self._word() != ";":
            self._name()
        self._end()

    def _until(self, stops: Iterable[str]) -> list[Piece]:
        """Take what stands before a word outside of brackets and of CASE; or a semicolon."""
        start = self._at
        depth = cases = 0
        behind_point = False
        while (piece := self._peek()) is not None:
            word = self._word()
            if word == ";" or (word in stops and not (depth or cases or behind_point)):
                break
            if word == "case" and not behind_point:
                cases += 1
            elif word == "end" and cases and not behind_point:
                cases -= 1
            elif word == "(":
                depth += 1
            elif word == ")":
                depth -= 1
            behind_point = piece.text == "." and piece.sort is Sort.SYMBOL
            self._at += 1
        if depth:
            raise self._surprised()
        return self._pieces[start : self._at]

    # What is run

    def _run(self, pieces: list[Piece], prefix: bytes = b"", suffix: bytes = b"") -> None:
        """Note a statement, without the variables that stand where only these may stand."""
        if not pieces:
            raise self._surprised()
        text = bytearray(prefix)
        at = pieces[0].start
        for start, stop, instead in self._variables(pieces):
            text += self._source[at:start] + instead
            at = stop
        text += self._source[at : pieces[-1].stop] + suffix
        self.script.queries.append(bytes(text))

    def _variables(self, pieces: list[Piece]) -> Iterator[tuple[int, int, bytes]]:
        """Find them: where, and what is put there."""
        is_query = pieces[0].text in _QUERIES
        depth = 0
        for index, piece in enumerate(pieces):
            if piece.sort is Sort.SYMBOL:
                depth += (piece.text == "(") - (piece.text == ")")
            elif piece.sort is Sort.WORD and piece.text == "into" and is_query and not depth:
                stop = self._end_of_into(pieces, index + 1)
                yield piece.start, stop, b""
            elif piece.sort in (Sort.WORD, Sort.NAME) and _is_limit(pieces, index):
                yield piece.start, piece.stop, b"0"

    def _end_of_into(self, pieces: list[Piece], index: int) -> int:
        """Pass over the variables that a query's row goes to."""
        if index < len(pieces) and pieces[index].text in ("outfile", "dumpfile"):
            raise Unreadable("INTO a file")
        while index < len(pieces):
            if pieces[index].sort not in (Sort.WORD, Sort.NAME, Sort.VARIABLE):
                break
            self.script.leaves |= pieces[index].sort is Sort.VARIABLE
            if index + 1 == len(pieces) or pieces[index + 1].text not in (",", "."):
                return pieces[index].stop
            index += 2
        raise Unreadable("INTO what is no variable")

    def _expression(self, pieces: list[Piece]) -> None:
        if len(pieces) == 1 and (
            pieces[0].sort is Sort.STRING
            or pieces[0].text.lower() in self._locals
            or pieces[0].text.isdigit()
        ):
            return
        self._run(pieces, b"SELECT (", b")")


def _is_limit(pieces: list[Piece], index: int) -> bool:
    """Tell if a name stands where LIMIT or OFFSET has a number."""
    if index == 0 or pieces[index].text.isdigit():
        return False
    before = pieces[index - 1]
    if before.sort is Sort.WORD and before.text in ("limit", "offset"):
        return pieces[index].text not in ("rows", "row")
    return (
        index >= 3
        and before.text == ","
        and pieces[index - 3].sort is Sort.WORD
        and pieces[index - 3].text == "limit"
    )
