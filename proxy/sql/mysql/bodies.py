"""What routines, triggers and views run: read at first need, and judged elsewhere."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, final

from proxy.sql.mysql.psm import read_program
from proxy.sql.mysql.psm_script import Script
from proxy.sql.mysql.psm_tokens import Unreadable
from proxy.sql.mysql.relations import Program
from proxy.sql.routines import Judgement
from proxy.sql.statement import Action, Effect, Kind, Statement

MAX_PARTS: Final = 500
"""Statements in one body: reading them for the first time takes up to 0.1 s."""

TOLD: Final = frozenset(
    {
        *(Kind.READ, Kind.LOCKING, Kind.WRITE, Kind.SCHEMA, Kind.UTILITY, Kind.EXPLAIN, Kind.SHOW),
        *(Kind.CALL, Kind.SET, Kind.SET_LOCAL, Kind.EMPTY),
    }
)
"""What can be told of a statement inside of another."""

_STAYS: Final = frozenset(
    {Kind.READ, Kind.LOCKING, Kind.WRITE, Kind.CALL, Kind.SET, Kind.SHOW, Kind.EXPLAIN, Kind.EMPTY}
)
"""Kinds none of which commits by itself, but for TRUNCATE."""


class Interpreter(Protocol):
    """Who reads SQL, as the server does."""

    def read(self, text: bytes, sql_mode: str) -> Statement:
        """Classify one statement; what is not understood, or is several, is opaque.

        Args:
            text: In UTF-8.
            sql_mode: Under which it was written.
        """

    def judge(self, name: str, arguments: int) -> Judgement | None:
        """Judge a call of one of the server's own functions; None: it has none of that name.

        Args:
            name: In lower case.
            arguments: How many; `ANY_ARGUMENTS` where the syntax does not tell.
        """


@dataclass(slots=True, frozen=True)
class Meaning:
    """What a body does.

    Attributes:
        parts: Its statements.
        temporary: Names of temporary tables that it makes.
        opaque: Why there may be more; empty when that is all.
        commits: Whether it may end its transaction, and begin another.
        leaves: Whether it leaves something in the session.
    """

    parts: tuple[Statement, ...] = ()
    temporary: frozenset[str] = frozenset()
    opaque: str = ""
    commits: bool = False
    leaves: bool = False


@final
class Bodies:
    """The bodies of one server's programs.

    Args:
        programs: All of them.
        parameters: Names of what they are called with, by their numbers.
        interpreter: Reads what is in them.
    """

    __slots__ = ("_by_oid", "_interpreter", "_meanings", "_parameters", "_views")

    def __init__(
        self,
        programs: Iterable[Program],
        parameters: dict[int, list[str]],
        interpreter: Interpreter,
    ) -> None:
        """Take them in unread."""
        self._by_oid = {program.oid: program for program in programs}
        self._parameters = parameters
        self._interpreter = interpreter
        self._meanings: dict[int, Meaning] = {}
        self._views: dict[str, Statement] = {}

    def get(self, oid: int) -> Program | None:
        """Find a program."""
        return self._by_oid.get(oid)

    def meaning(self, program: Program) -> Meaning:
        """Read a body, once."""
        known = self._meanings.get(program.oid)
        if known is None:
            known = self._meanings[program.oid] = self._read(program)
        return known

    def query(self, text: str) -> Statement:
        """Read what the server wrote of a view or a column, once.

        It writes it in a way that means the same in the mode that it reads it with: none of those
        that change what a text means (`mysql_make_view` in sql_view.cc).
        """
        known = self._views.get(text)
        if known is None:
            known = self._views[text] = self._interpreter.read(_encoded(text), "")
        return known

    def _read(self, program: Program) -> Meaning:
        if not program.source:
            return Meaning(opaque="a body that can't be seen", commits=True, leaves=True)
        parameters = self._parameters.get(program.oid, ())
        try:
            script = read_program(_encoded(program.source), program.sql_mode, parameters)
        except Unreadable as problem:
            return Meaning(opaque=str(problem), commits=True, leaves=True)
        if len(script.queries) > MAX_PARTS:
            return Meaning(opaque=f"more than {MAX_PARTS} statements", commits=True, leaves=True)
        parts = [self._interpreter.read(query, program.sql_mode) for query in script.queries]
        return _of_script(script, parts)


def _of_script(script: Script, parts: list[Statement]) -> Meaning:
    hidden = [part for part in parts if part.kind not in TOLD]
    opaque = script.opaque or (hidden[0].detail or "unparsed" if hidden else "")
    return Meaning(
        parts=tuple(part for part in parts if part.kind in TOLD),
        temporary=frozenset(script.temporary),
        opaque=opaque,
        commits=script.commits or bool(hidden) or any(map(_commits, parts)),
        leaves=script.leaves or bool(hidden),
    )


def _commits(part: Statement) -> bool:
    """Tell if it commits what was done before ("Statements That Cause an Implicit Commit")."""
    if Effect.TEMPORARY in part.effects:
        return False
    return part.kind not in _STAYS or Action.TRUNCATE in part.actions


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
