"""What a stored program runs: its statements and expressions, cut out as SQL.

The walk follows "Compound Statement Syntax" in MySQL's manual and "Programmatic & Compound
Statements" in MariaDB's. An expression is given as a SELECT of it. Variables are not told from
columns: they only add names; where the grammar asks for a variable, behind INTO and LIMIT, they are
taken out.

What is made as text while it runs is `opaque`; the rest is still given. What is not understood
raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from proxy.sql.mysql.catalog_queries import TIME
from proxy.sql.mysql.psm_tokens import Piece, Sort, Unreadable, pieces_of

MAX_DEPTH: Final = 100
"""Blocks within blocks; far above what people write, far below our stack."""

_LABELLED: Final = frozenset({"begin", "loop", "while", "repeat", "for"})
_QUERIES: Final = frozenset({"select", "with", "values", "table"})
_OTHER_SETS: Final = frozenset(
    {"names", "character", "charset", "password", "role", "default", "transaction", "statement"}
    | {"resource"}
)
"""Words behind SET that make it another statement than an assignment."""
_SCOPES: Final = frozenset({"session", "local", "global", "persist", "persist_only"})
_NOT_PASSED: Final = frozenset({"(", "select", "with", "for"})
_ROWS: Final = frozenset({"new", "old"})


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


def read_program(source: bytes, sql_mode: str, parameters: Iterable[str] = ()) -> Script:
    """Read a body.

    Args:
        source: What information_schema says of a routine or a trigger, in UTF-8.
        sql_mode: Under which it was made.
        parameters: Names of what it is called with.

    Raises:
        Unreadable: It is not what the manual says.
    """
    if "ORACLE" in sql_mode.upper().split(","):
        raise Unreadable("sql_mode ORACLE")
    reader = _Reader(source, pieces_of(source, sql_mode), parameters)
    reader.whole()
    return reader.script


class _Reader:
    def __init__(self, source: bytes, pieces: list[Piece], parameters: Iterable[str]) -> None:
        self.script = Script()
        self._source = source
        self._pieces = pieces
        self._at = 0
        self._depth = 0
        self._locals = {name.lower() for name in parameters}
        self._readers: dict[str, Callable[[], None]] = {
            "begin": self._block,
            "declare": self._declare,
            "if": self._if,
            "case": self._case,
            "loop": self._loop,
            "while": self._while,
            "repeat": self._repeat,
            "for": self._for,
            "set": self._set,
            "return": self._return,
            "start": self._start,
            "commit": self._commit,
            "rollback": self._rollback,
            "savepoint": self._pass,
            "release": self._pass,
            "prepare": self._dynamic,
            "execute": self._dynamic,
            "deallocate": self._dynamic,
            "drop": self._drop,
            "create": self._create,
            **dict.fromkeys(("leave", "iterate", "open", "fetch", "close"), self._pass),
            **dict.fromkeys(("signal", "resignal", "get"), self._pass),
        }

    def whole(self) -> None:
        """Read all of it: one statement."""
        self._statement()
        if self._at < len(self._pieces):
            raise self._surprised()

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

    def _statement(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise Unreadable(f"more than {MAX_DEPTH} blocks within each other")
        if self._word(1) == ":" and self._word(2) in _LABELLED:
            self._name()
            self._take(":")
        reader = self._readers.get(self._word())
        if reader is None:
            self._embedded()
        else:
            reader()
        self._depth -= 1

    def _statements(self, *stops: str) -> None:
        while self._word() not in stops:
            if self._peek() is None:
                raise self._surprised()
            self._statement()

    def _embedded(self) -> None:
        if self._word() in ("xa", "lock", "unlock"):
            self.script.commits = True
        self._run(self._until(()))
        self._end()

    def _pass(self) -> None:
        """A statement with nothing in it but names, constants and variables."""
        for piece in self._until(()):
            if piece.sort is Sort.VARIABLE:
                self.script.leaves = True
            if piece.text in _NOT_PASSED and piece.sort in (Sort.SYMBOL, Sort.WORD):
                raise Unreadable("an expression where none is expected")
        self._end()

    # Statements of their own

    def _block(self) -> None:
        self._take("begin")
        if self._try("not"):
            self._take("atomic")
        self._statements("end")
        self._end_of("")

    def _declare(self) -> None:
        self._take("declare")
        if self._word(1) == "handler":
            self._handler()
            return
        names = [self._name()]
        if self._try("cursor"):
            if self._word() == "(":
                self._until(("for",))
            self._take("for")
            self._run(self._until(()))
        elif self._word() == "condition":
            self._until(())
        else:
            while self._try(","):
                names.append(self._name())
            kind = self._until(("default", ":="))
            if any(piece.text == "time" and piece.sort is Sort.WORD for piece in kind):
                self.script.queries.append(b"SELECT %b" % TIME.encode())
            if self._try("default") or self._try(":="):
                self._expression(self._until(()))
            self._locals.update(names)
        self._end()

    def _handler(self) -> None:
        self._at += 2
        self._take("for")
        while True:
            if self._try("sqlstate"):
                self._try("value")
                self._at += 1
            elif self._try("not"):
                self._take("found")
            else:
                self._name()
            if not self._try(","):
                break
        self._statement()

    def _if(self) -> None:
        self._take("if")
        self._expression(self._until(("then",)))
        self._take("then")
        self._statements("elseif", "else", "end")
        while self._try("elseif"):
            self._expression(self._until(("then",)))
            self._take("then")
            self._statements("elseif", "else", "end")
        if self._try("else"):
            self._statements("end")
        self._take("end", "if")
        self._end()

    def _case(self) -> None:
        self._take("case")
        if self._word() != "when":
            self._expression(self._until(("when",)))
        while self._try("when"):
            self._expression(self._until(("then",)))
            self._take("then")
            self._statements("when", "else", "end")
        if self._try("else"):
            self._statements("end")
        self._take("end", "case")
        self._end()

    def _loop(self) -> None:
        self._take("loop")
        self._statements("end")
        self._end_of("loop")

    def _while(self) -> None:
        self._take("while")
        self._expression(self._until(("do",)))
        self._take("do")
        self._statements("end")
        self._end_of("while")

    def _repeat(self) -> None:
        self._take("repeat")
        self._statements("until")
        self._take("until")
        self._expression(self._until(("end",)))
        self._end_of("repeat")

    def _for(self) -> None:
        """MariaDB's: over a range of numbers, a cursor, or a query in brackets."""
        self._take("for")
        self._locals.add(self._name())
        self._take("in")
        self._try("reverse")
        pieces = self._until(("do",))
        middle = [
            index
            for index in range(1, len(pieces))
            if pieces[index - 1].text == "." and pieces[index].text == "."
        ]
        if middle:
            self._expression(pieces[: middle[0] - 1])
            self._expression(pieces[middle[0] + 1 :])
        elif len(pieces) > 1:
            self._run(pieces)
        self._take("do")
        self._statements("end")
        self._end_of("for")

    def _return(self) -> None:
        self._take("return")
        pieces = self._until(())
        if pieces:
            self._expression(pieces)
        self._end()

    def _set(self) -> None:
        if self._word(1) in _OTHER_SETS and self._word(2) not in ("=", ":=", "."):
            self._embedded()
            self.script.leaves = True
            return
        self._take("set")
        while True:
            self._target(self._until(("=", ":=")))
            self._at += 1
            self._expression(self._until((",",)))
            if not self._try(","):
                break
        self._end()

    def _target(self, pieces: list[Piece]) -> None:
        """Judge what is assigned to."""
        if not pieces or self._peek() is None:
            raise self._surprised()
        first = pieces[0].text.lower()
        is_row = len(pieces) == 3 and pieces[1].text == "."
        if (is_row and first in _ROWS | self._locals) or (
            len(pieces) == 1 and first in self._locals
        ):
            return
        if pieces[0].sort is not Sort.VARIABLE and len(pieces) > (1 + (first in _SCOPES)):
            raise self._surprised()
        self.script.leaves = True
        if "autocommit" in pieces[-1].text.lower():
            self.script.commits = True

    def _start(self) -> None:
        if self._word(1) == "transaction":
            self.script.commits = True
            self._pass()
        else:
            self._embedded()

    def _commit(self) -> None:
        self.script.commits = True
        self._pass()

    def _rollback(self) -> None:
        words = [piece.text for piece in self._until(())]
        if "to" not in words:
            self.script.commits = True
        self._end()

    def _dynamic(self) -> None:
        """A statement that is made as text. It may be a COMMIT, too."""
        self.script.opaque = "dynamic SQL"
        self.script.commits = True
        self.script.leaves = True
        self._until(())
        self._end()

    def _create(self) -> None:
        self._temporary(("or", "replace"))

    def _drop(self) -> None:
        self._temporary(())

    def _temporary(self, between: tuple[str, ...]) -> None:
        """Note the names of temporary tables; whatever else is made is made of this statement."""
        at = 1
        if between and self._word(at) == between[0]:
            at += len(between)
        is_temporary = self._word(at) == "temporary" and self._word(at + 1) == "table"
        if is_temporary and self._word() == "create":
            at += 2
            at += 3 if self._word(at) == "if" else 0
            piece = self._peek(at)
            if piece is not None and self._word(at + 1) != ".":
                self.script.temporary.add(piece.text)
        self.script.leaves = self.script.leaves or is_temporary
        self.script.commits = self.script.commits or not is_temporary
        self._embedded()


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
