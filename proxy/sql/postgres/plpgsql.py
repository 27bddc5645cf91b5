"""What a body in PL/pgSQL runs: its statements and expressions, cut out as SQL.

The walk follows the grammar of the manual's chapter on PL/pgSQL and the way its compiler cuts out
SQL (`make_execsql_stmt` in pl_gram.y). Variables are not told from columns: they only add names.

What is made as text while it runs is `opaque`: the rest is still given. What is not understood
raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.sql.groups import NotUnderstood
from proxy.sql.postgres.pieces import Piece, Sort, depths, split_at, text_of
from proxy.sql.postgres.plpgsql_script import Script, Walk, parts_before

MAX_DEPTH: Final = 100
"""Blocks within blocks; far above what people write, far below our stack."""

_RESERVED: Final = frozenset(
    {
        *("all", "begin", "by", "case", "declare", "else", "end", "execute", "for", "foreach"),
        *("from", "if", "in", "into", "loop", "not", "null", "or", "strict", "then", "to"),
        *("using", "when", "while"),
    }
)
"""Words that are no variable's name (pl_reserved_kwlist.h)."""

_ASSIGNS: Final = (":=", "=")
_INSERTS: Final = ("insert", "merge", "import")
_DIRECTIONS: Final = frozenset(
    {"next", "prior", "first", "last", "absolute", "relative", "forward", "backward", "all"}
)


def read_plpgsql(source: bytes) -> Script:
    """Read a body.

    Raises:
        NotUnderstood: It is not what the manual says.
    """
    reader = _Reader(source)
    reader.whole()
    return reader.script


class _Reader(Walk):
    def __init__(self, source: bytes) -> None:
        super().__init__(source)
        self._depth = 0
        self._declared = {"new", "old", "found"}
        self._cursors: set[str] = set()

    def whole(self) -> None:
        while self._is("#"):  # #variable_conflict use_column
            self._at += 3
        self._label()
        self._block()
        if self._is(";"):
            self._at += 1
        if self._at != len(self._pieces):
            raise NotUnderstood("more behind the last block")
        self.script.targets -= self._declared

    # Blocks

    def _label(self) -> None:
        if self._may("<<"):
            self._name()
            self._must(">>")

    def _block(self) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotUnderstood("blocks lie too deep in each other")
        if self._may("declare"):
            while not self._is("begin"):
                if not self._may("declare"):
                    self._declaration()
        self._must("begin")
        self._statements("end", "exception")
        if self._may("exception"):
            while self._may("when"):
                self._until("then")
                self._statements("when", "end")
        self._must("end")
        if not self._is(";") and self._peek() is not None:
            self._name()
        self._depth -= 1

    def _declaration(self) -> None:
        name = self._name()
        self._declared.add(name)
        if self._may("alias"):
            self._until(";")
            # What is assigned to it is assigned to the other.
            self._declared.discard(name)
            return
        if self._is("no", "scroll", "cursor"):
            self._may("no")
            self._may("scroll")
            self._must("cursor")
            self._cursors.add(name)
            if self._is("("):
                self.script.types |= {piece.text for piece in self._bracket() if piece.is_name}
            if not self._may("is"):
                self._must("for")
            self._query(self._until(";"))
            return
        rest = self._until(";")
        kind, *values = parts_before(rest, "default", *_ASSIGNS)
        self.script.types |= {piece.text for piece in kind if piece.is_name}
        if values:
            self._expression([piece for value in values for piece in value][1:])

    def _bracket(self) -> list[Piece]:
        self._must("(")
        start, depth = self._at, 1
        while depth:
            piece = self._take()
            depth += piece.says("(", "[") - piece.says(")", "]")
        return self._pieces[start : self._at - 1]

    def _statements(self, *ends: str) -> None:
        while not self._is(*ends) or self._is_assignment():
            self._statement()

    def _is_assignment(self) -> bool:
        first = self._peek()
        if first is None or not self._is(*_ASSIGNS, ".", "[", ahead=1):
            return False
        if first.sort is Sort.WORD:
            return first.text not in _RESERVED
        return first.sort is Sort.QUOTED or first.text.startswith("$")

    def _statement(self) -> None:
        if self._is_assignment():
            target = self._until(*_ASSIGNS)
            self._target(target)
            self._expression(self._until(";"))
            return
        self._label()
        first = self._peek()
        if first is None or first.sort is not Sort.WORD:
            raise NotUnderstood("no statement where one belongs")
        if first.text in ("begin", "declare"):
            self._block()
            self._must(";")
            return
        reader = _STATEMENTS.get(first.text)
        if reader is None:
            self._sql()
            return
        self._at += 1
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotUnderstood("statements lie too deep in each other")
        reader(self)
        self._depth -= 1

    # Statements of SQL

    def _sql(self) -> None:
        pieces = self._until(";")
        into = next(
            (
                at
                for at in range(1, len(pieces))
                if pieces[at].says("into") and not pieces[at - 1].says(*_INSERTS)
            ),
            0,
        )
        if not into:
            self._query(pieces)
            return
        stop = _end_of_targets(pieces, into + 1)
        self._targets(pieces[into + 1 : stop])
        before, behind = pieces[:into], pieces[stop:]
        text = text_of(self._source, before) + b" " + text_of(self._source, behind)
        self.script.queries.append(text.strip())

    def _perform(self) -> None:
        self._expression(self._until(";"))

    def _call(self) -> None:
        self._at -= 1
        self._query(self._until(";"))

    def _control(self) -> None:
        self._until(";")
        self.script.commits = True

    def _execute(self) -> None:
        self._dynamic(self._until(";"))

    def _opaque(self) -> None:
        why = self._pieces[self._at - 1].text
        self._until(";")
        self._conceal(why)
        self.script.skips = True

    # Control

    def _if(self) -> None:
        self._expression(self._until("then"))
        self._statements("elsif", "elseif", "else", "end")
        while self._may("elsif", "elseif"):
            self._expression(self._until("then"))
            self._statements("elsif", "elseif", "else", "end")
        if self._may("else"):
            self._statements("end")
        self._must("end", "if", ";")

    def _case(self) -> None:
        if not self._may("when"):
            self._expression(self._until("when"))
        while True:
            self._expression(self._until("then"))
            self._statements("when", "else", "end")
            if not self._may("when"):
                break
        if self._may("else"):
            self._statements("end")
        self._must("end", "case", ";")

    def _loop(self) -> None:
        self._statements("end")
        self._must("end", "loop")
        self._until(";")

    def _while(self) -> None:
        self._expression(self._until("loop"))
        self._loop()

    def _for(self) -> None:
        targets = self._until("in")
        source = self._until("loop")
        if source[:1] and source[0].says("execute"):
            self._targets(targets)
            self._dynamic(source[1:])
        elif any(
            piece.says("..") and depth == 0
            for piece, depth in zip(source, depths(source), strict=True)
        ):
            self._range(source)
        elif source[:1] and source[0].text in self._cursors and _is_call_at_most(source):
            self._cursor_arguments(source[1:])
        else:
            self._targets(targets)
            self._query(source)
        self._loop()

    def _range(self, source: list[Piece]) -> None:
        if source[0].says("reverse"):
            source = source[1:]
        for part in split_at(source, "..", "by"):
            self._expression(part)

    def _cursor_arguments(self, pieces: list[Piece]) -> None:
        if len(pieces) > 2:
            self._expressions(pieces[1:-1])

    def _foreach(self) -> None:
        targets = self._until("in")
        for part in parts_before(targets, "slice")[:1]:
            self._targets(part)
        self._must("array")
        self._expression(self._until("loop"))
        self._loop()

    def _exit(self) -> None:
        _, *conditions = parts_before(self._until(";"), "when")
        for condition in conditions:
            self._expression(condition[1:])

    def _return(self) -> None:
        rest = self._until(";")
        if rest[:1] and rest[0].says("query") and len(rest) > 1:
            if rest[1].says("execute"):
                self._dynamic(rest[2:])
            else:
                self._query(rest[1:])
            return
        if rest[:1] and rest[0].says("next"):
            rest = rest[1:]
        if rest:
            self._expression(rest)

    # Messages

    def _raise(self) -> None:
        message, *options = parts_before(self._until(";"), "using")
        _, *values = split_at(message, ",")
        for value in values:
            self._expression(value)
        for option in options:
            for setting in split_at(option[1:], ","):
                if len(setting) < 3 or not setting[1].says(*_ASSIGNS):
                    raise NotUnderstood("an option of RAISE")
                self._expression(setting[2:])

    def _assert(self) -> None:
        self._expressions(self._until(";"))

    def _get(self) -> None:
        rest = self._until(";")
        if any(piece.says("(") for piece in rest):
            raise NotUnderstood("GET of something else")
        at = next((at for at, piece in enumerate(rest) if piece.says("diagnostics")), len(rest))
        for item in split_at(rest[at + 1 :], ","):
            self._target(parts_before(item, *_ASSIGNS)[0])

    # Cursors

    def _open(self) -> None:
        name = self._name()
        self.script.leaves_cursor = True
        if self._is("("):
            self._expressions(self._bracket())
            self._must(";")
            return
        if name in self._cursors and self._may(";"):
            return
        self._cursors.add(name)
        self._may("no")
        self._may("scroll")
        self._must("for")
        query = self._until(";")
        if query[:1] and query[0].says("execute"):
            self._dynamic(query[1:])
        else:
            self._query(query)

    def _fetch(self) -> None:
        source, *targets = parts_before(self._until(";"), "into")
        for target in targets:
            self._targets(target[1:])
        direction, *named = parts_before(source, "from", "in")
        if named:
            cursor = named[-1][1:]
            if direction and direction[0].says(*_DIRECTIONS):
                direction = direction[1:]
            if direction and not direction[0].says("all"):
                self._expression(direction)
        else:
            cursor = source[-1:]
        if len(cursor) != 1 or cursor[0].text not in self._cursors:
            self._conceal("a cursor of somebody else")

    def _skip(self) -> None:
        self._until(";")


def _end_of_targets(pieces: list[Piece], at: int) -> int:
    """Find where the list behind INTO ends: `[STRICT] a, b.c`."""
    if at < len(pieces) and pieces[at].says("strict"):
        at += 1
    while True:
        if at >= len(pieces) or not (pieces[at].is_name or pieces[at].text.startswith("$")):
            raise NotUnderstood("INTO goes nowhere")
        at += 1
        while at + 1 < len(pieces) and pieces[at].says(".") and pieces[at + 1].is_name:
            at += 2
        if at >= len(pieces) or not pieces[at].says(","):
            return at
        at += 1


def _is_call_at_most(pieces: list[Piece]) -> bool:
    """Whether it is a name, or a name and one bracket."""
    return len(pieces) == 1 or (
        pieces[1].says("(")
        and pieces[-1].says(")")
        and sum(depth == 0 for depth in depths(pieces)) == 3
    )


_STATEMENTS: Final[dict[str, Callable[[_Reader], None]]] = {
    "if": _Reader._if,
    "case": _Reader._case,
    "loop": _Reader._loop,
    "while": _Reader._while,
    "for": _Reader._for,
    "foreach": _Reader._foreach,
    **dict.fromkeys(("exit", "continue"), _Reader._exit),
    "return": _Reader._return,
    "raise": _Reader._raise,
    "assert": _Reader._assert,
    "perform": _Reader._perform,
    "call": _Reader._call,
    "execute": _Reader._execute,
    "get": _Reader._get,
    "open": _Reader._open,
    **dict.fromkeys(("fetch", "move"), _Reader._fetch),
    **dict.fromkeys(("close", "null"), _Reader._skip),
    **dict.fromkeys(("commit", "rollback"), _Reader._control),
    **dict.fromkeys(("do", "prepare", "deallocate"), _Reader._opaque),
}
