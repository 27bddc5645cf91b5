"""What functions, rules and triggers run: their texts, read at first need and judged elsewhere.

A body is read into `Part`s, statements that were classified like any that a client sends. What a
body does besides its statements is in its `Meaning`. Only as many are kept as fit; what was
forgotten is read again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias, final

from proxy.sql.classify import classify
from proxy.sql.groups import NotUnderstood
from proxy.sql.postgres import definitions
from proxy.sql.postgres.pieces import pieces_of
from proxy.sql.postgres.plpgsql import read_plpgsql
from proxy.sql.postgres.plpgsql_script import FIELD, Script
from proxy.sql.scanner import CLOCK, NOT_SURE, scan
from proxy.sql.session_commands import read_name_list
from proxy.sql.statement import Action, Effect, Kind, RelationName, Statement
from proxy.types import Reason

MAX_PARTS: Final = 500
"""Statements in one body: reading them for the first time takes up to 0.1 s."""

KEPT: Final = 10_000
"""Statements that are kept, at about 2 kB each; and how many parts of bodies."""

TOLD: Final = frozenset(
    {
        *(Kind.READ, Kind.LOCKING, Kind.WRITE, Kind.SCHEMA, Kind.UTILITY, Kind.EXPLAIN, Kind.SHOW),
        *(Kind.CALL, Kind.SET, Kind.SET_LOCAL, Kind.RESET, Kind.EMPTY),
    }
)
"""What can be told of a statement inside of another; no function may run most of the others."""

_CHANGES_ROWS: Final = frozenset({Action.INSERT, Action.UPDATE, Action.DELETE})

_CHANGES_MEANING: Final = frozenset(
    {"role", "session_authorization", "standard_conforming_strings", "client_encoding"}
)
"""Settings of a function under which its text, or `"$user"`, means something else."""

_CHANGES_NAMES: Final = frozenset(
    {"search_path", "schema", "role", "session", "all", "standard_conforming_strings"}
)
"""Words behind SET and RESET after which names may mean something else."""


class Part(NamedTuple):
    """A statement of a body.

    Attributes:
        statement: What it does.
        clock: Whether a literal in it depends on the clock.
        is_deparsed: Whether the server wrote it, with the schema in front of every name.
        settings: Custom settings that it asks for by their names; None: it may ask for any.
        sets_names: Whether it may set what names mean.
    """

    statement: Statement
    clock: bool
    is_deparsed: bool = False
    settings: frozenset[str] | None = None
    sets_names: bool = False


@dataclass(slots=True, frozen=True)
class Meaning:
    """What a body does.

    Attributes:
        parts: Its statements.
        opaque: Why there may be more; empty when that is all.
        hidden: Whether that may be done past its transaction, by a connection of its own.
        commits: Whether it ends its transaction, and begins another.
        types: Names of types that it turns values into without a word.
        takes_signature: Whether it turns values into the types of its arguments.
        takes_field: Whether it turns values into types that nobody knows, those of fields.
        returns: Whether it turns a value into the type that it returns.
        leaves_cursor: Whether it leaves a cursor open.
    """

    parts: tuple[Part, ...] = ()
    opaque: str = ""
    hidden: bool = False
    commits: bool = False
    types: frozenset[str] = frozenset()
    takes_signature: bool = False
    takes_field: bool = False
    returns: bool = False
    leaves_cursor: bool = False


class Body(NamedTuple):
    """A row of `catalog_queries.BODIES`."""

    oid: int
    language: str
    source: str | None
    definition: str | None
    settings: list[str] | None
    owner: str | None
    defaults: str | None
    signature: list[int] | None

    @property
    def search_path(self) -> tuple[str, ...] | None:
        """Its own search path; None when it is the caller's."""
        for name, value in self._settings():
            if name == "search_path":
                return _names_in(value) or ()
        return None

    @property
    def is_atomic(self) -> bool:
        """Whether the server lets nothing in it end the transaction (ExecuteCallStmt)."""
        return self.language == "sql" or self.owner is not None or bool(self.settings)

    def changes_meaning(self) -> bool:
        """Whether its own settings make its text mean something else."""
        return any(
            name in _CHANGES_MEANING or (name == "search_path" and _names_in(value) is None)
            for name, value in self._settings()
        )

    def _settings(self) -> list[tuple[str, str]]:
        parts = [setting.partition("=") for setting in self.settings or ()]
        return [(name.lower(), value) for name, _, value in parts]


def _names_in(path: str) -> tuple[str, ...] | None:
    return () if path == '""' else read_name_list(path)


class Declaration(NamedTuple):
    """What somebody says that a function does.

    Attributes:
        reads: Relations that it reads.
        writes: Relations that it writes to.
        volatility: As in pg_proc; None: as it is there.
    """

    reads: frozenset[RelationName]
    writes: frozenset[RelationName]
    volatility: str | None = None


Declarations: TypeAlias = Mapping[RelationName, Declaration]
"""By schema and name of the function."""


@final
class Bodies:
    """The bodies of one database's functions.

    Args:
        rows: See `catalog_queries.BODIES`.
    """

    __slots__ = ("_by_oid", "_declared", "_held", "_meanings")

    def __init__(self, rows: Iterable[Iterable[Any]]) -> None:
        """Take them in unread."""
        self._by_oid = {body.oid: body for body in (Body(*row) for row in rows)}
        self._meanings: OrderedDict[int, Meaning] = OrderedDict()
        self._declared: dict[int, Meaning] = {}
        self._held = 0

    def declare(self, oid: int, declaration: Declaration, problem: str = "") -> None:
        """Believe what is said of a function, or nothing of it if there is a problem."""
        self._by_oid[oid] = Body(oid, "", None, None, None, None, None, None)
        statement = Statement(
            kind=Kind.WRITE if declaration.writes else Kind.READ,
            text=b"",
            reads=declaration.reads | declaration.writes,
            writes=declaration.writes,
            actions=_CHANGES_ROWS,
            reason=Reason.WRITE if declaration.writes else None,
        )
        part = Part(statement, clock=False, is_deparsed=True)
        self._declared[oid] = Meaning((part,), opaque=problem, hidden=bool(problem), commits=True)

    def __contains__(self, oid: object) -> bool:
        """Whether a function has a text that may be understood."""
        return oid in self._by_oid

    def __getitem__(self, oid: int) -> Body:
        """Find a body."""
        return self._by_oid[oid]

    def meaning(self, oid: int) -> Meaning:
        """Read a body, once."""
        known = self._declared.get(oid) or self._meanings.get(oid)
        if known is not None:
            if oid in self._meanings:
                self._meanings.move_to_end(oid)
            return known
        meaning = self._meanings[oid] = read_body(self._by_oid[oid])
        self._held += 1 + len(meaning.parts)
        while self._held > KEPT and len(self._meanings) > 1:
            _, forgotten = self._meanings.popitem(last=False)
            self._held -= 1 + len(forgotten.parts)
        return meaning


def read_body(body: Body) -> Meaning:
    """Read a function's body, with the defaults of its arguments."""
    if body.changes_meaning():
        return Meaning(opaque="settings", hidden=True)
    try:
        meaning = _read(body)
        if body.defaults is not None:
            more = read_parts(b"SELECT " + body.defaults.encode(), is_deparsed=True)
            meaning = _with_parts(meaning, more)
    except NotUnderstood as problem:
        return Meaning(opaque=str(problem), hidden=True)
    return meaning


def _read(body: Body) -> Meaning:
    if body.definition is not None:
        text = definitions.sql_body(body.definition.encode())
        return _with_parts(Meaning(), read_parts(text, is_deparsed=True))
    if not body.source:
        raise NotUnderstood("a text that is too long, or was not there any more")
    if body.language == "sql":
        return _with_parts(Meaning(), read_parts(body.source.encode()))
    return _of_source(body.source.encode())


def read_block(source: bytes) -> Meaning:
    """Read the source of a DO."""
    try:
        return _of_source(source)
    except NotUnderstood as problem:
        return Meaning(opaque=str(problem), hidden=True)


def _of_source(source: bytes) -> Meaning:
    script = read_plpgsql(source)
    parts = tuple(part for query in script.queries for part in read_parts(query))
    return _with_parts(_of_script(script), parts)


def _of_script(script: Script) -> Meaning:
    return Meaning(
        opaque=script.opaque,
        hidden=script.skips,
        commits=script.commits,
        types=frozenset(script.types),
        takes_signature=bool(script.targets - {FIELD}),
        takes_field=FIELD in script.targets,
        returns=True,
        leaves_cursor=script.leaves_cursor,
    )


def _with_parts(meaning: Meaning, parts: tuple[Part, ...]) -> Meaning:
    if len(meaning.parts) + len(parts) > MAX_PARTS:
        raise NotUnderstood(f"more than {MAX_PARTS} statements")
    hidden = [part for part in parts if part.statement.kind not in TOLD]
    opaque = meaning.opaque or (hidden[0].statement.detail or "unparsed" if hidden else "")
    told = tuple(part for part in parts if part.statement.kind in TOLD)
    return replace(
        meaning,
        parts=meaning.parts + told,
        opaque=opaque,
        hidden=meaning.hidden or bool(hidden),
    )


def read_parts(text: bytes, *, is_deparsed: bool = False) -> tuple[Part, ...]:
    """Read statements.

    Raises:
        NotUnderstood: It is not certain what they are.
    """
    found = scan(text)
    if found.flags & NOT_SURE:
        raise NotUnderstood("it is not certain where tokens end")
    if len(found.statements) > MAX_PARTS:
        raise NotUnderstood(f"more than {MAX_PARTS} statements")
    if len(found.statements) > 1:
        return tuple(
            _part(text[start:stop], is_deparsed=is_deparsed) for start, stop in found.statements
        )
    return (_part(text, is_deparsed=is_deparsed),)


@lru_cache(maxsize=KEPT)
def _classified(fingerprint: bytes) -> Statement:
    """Classify once, however often a catalog is read again."""
    return classify(fingerprint)


def _part(text: bytes, *, is_deparsed: bool) -> Part:
    found = scan(text)
    statement = _classified(found.fingerprint)
    settings: frozenset[str] | None = frozenset()
    sets_names = False
    called = {function.name for function in statement.functions}
    if "current_setting" in called or "current_setting" in statement.selections:
        settings = definitions.custom_settings(pieces_of(text), "current_setting")
    if Effect.SETTING in statement.effects:
        sets_names = definitions.custom_settings(pieces_of(text), "set_config") is None
    if statement.kind in (Kind.SET, Kind.SET_LOCAL, Kind.RESET):
        words = statement.text.decode().lower().replace('"', "").split(" ")
        sets_names = not _CHANGES_NAMES.isdisjoint(words[1:3])
    return Part(
        statement, bool(found.flags & CLOCK), is_deparsed=is_deparsed, settings=settings,
        sets_names=sets_names,
    )  # fmt: skip
