"""What a stored program runs: its statements and expressions, cut out as SQL.

The walk follows "Compound Statement Syntax" in MySQL's manual and "Programmatic & Compound
Statements" in MariaDB's.

What is made as text while it runs is `opaque`; the rest is still given. What is not understood
raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from proxy.sql.mysql.catalog_queries import TIME
from proxy.sql.mysql.psm_script import Script, Walk
from proxy.sql.mysql.psm_tokens import Piece, Sort, Unreadable, pieces_of

MAX_DEPTH: Final = 100
"""Blocks within blocks; far above what people write, far below our stack."""

_LABELLED: Final = frozenset({"begin", "loop", "while", "repeat", "for"})
_OTHER_SETS: Final = frozenset(
    {"names", "character", "charset", "password", "role", "default", "transaction", "statement"}
    | {"resource"}
)
"""Words behind SET that make it another statement than an assignment."""
_SCOPES: Final = frozenset({"session", "local", "global", "persist", "persist_only"})
_NOT_PASSED: Final = frozenset({"(", "select", "with", "for"})
_ROWS: Final = frozenset({"new", "old"})


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


class _Reader(Walk):
    def __init__(self, source: bytes, pieces: list[Piece], parameters: Iterable[str]) -> None:
        super().__init__(source, pieces, parameters)
        self._depth = 0
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

    # Any statement

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
