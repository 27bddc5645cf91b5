"""What a statement does, as far as its text alone can tell.

A `Statement` belongs to a fingerprint, is made once, and is shared by everyone
who sends that text. It names things the way the text does; what the names mean
is the catalog's business (`catalog.py`), because that depends on the database,
the search path and the user. Nothing here knows an engine.

The kinds are ordered by what they ask of the rest of the house, not by grammar:
a read may leave the primary, a write tells its tables, a schema change counts for
every table, an opaque statement may have written anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final, NamedTuple

from proxy.types import Reason


class _Word(Enum):
    """A word that is looked up with every statement: by what it is, which needs no Python."""

    __hash__ = object.__hash__


@unique
class Kind(_Word):
    """What a statement asks of the session, the router and the ledger."""

    # A proven read, by syntax; its relations and functions are still to be judged.
    READ = "read"
    # Reads under row locks: the primary, writes nothing that anyone can read.
    LOCKING = "locking"
    # Changes rows of the tables it names (and of those the catalog adds).
    WRITE = "write"
    # Changes definitions, rights or roles.
    SCHEMA = "schema"
    # Runs a procedure or a DO, whose body says what it writes; it may commit in the middle of it.
    CALL = "call"
    # May write anything: what does not parse, for one.
    OPAQUE = "opaque"
    # Needs the primary and changes no table's content.
    UTILITY = "utility"
    # COPY ... TO STDOUT of a table or a proven read.
    COPY_OUT = "copy_out"
    # EXPLAIN of anything that is not executed, or of an executed read.
    EXPLAIN = "explain"

    # Transaction control.
    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    RELEASE = "release"
    ROLLBACK_TO = "rollback_to"
    PREPARE_TRANSACTION = "prepare_transaction"
    # Anything of XA but what settles a transaction that is prepared.
    XA = "xa"

    # What lives in a session.
    SET = "set"
    SET_LOCAL = "set_local"
    SET_TRANSACTION = "set_transaction"
    USE = "use"
    RESET = "reset"
    DISCARD = "discard"
    SHOW = "show"
    PREPARE = "prepare"
    EXECUTE = "execute"
    DEALLOCATE = "deallocate"
    LISTEN = "listen"
    UNLISTEN = "unlisten"
    DECLARE = "declare"
    FETCH = "fetch"
    CLOSE = "close"

    # Nothing but space and comments.
    EMPTY = "empty"
    # Meant for the proxy itself: EXPLAIN ROUTE, SHOW and SET tidegate.x.
    PROXY = "proxy"


@unique
class Action(_Word):
    """What a write does to its tables: which cascades and triggers it can set off."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"
    REFRESH = "refresh"


@unique
class Effect(_Word):
    """What a statement leaves behind in its session, as far as its text shows."""

    ADVISORY_LOCK = "advisory_lock"
    SETTING = "setting"
    SEQUENCE = "sequence"
    TEMPORARY = "temporary"
    # With a definition that may run something when it is used: a view, a column's default.
    TEMPORARY_CODE = "temporary_code"
    HOLD_CURSOR = "hold_cursor"
    # A variable of the user's own is set, or read: it is on one connection.
    USER_VARIABLE = "user_variable"
    # LOCK TABLES, FLUSH TABLES WITH READ LOCK and the like.
    TABLE_LOCK = "table_lock"
    # A HANDLER is open.
    HANDLER = "handler"
    # What FOUND_ROWS() will say: SQL_CALC_FOUND_ROWS.
    FOUND_ROWS = "found_rows"
    # What LAST_INSERT_ID() will say, set by no insert.
    INSERT_ID = "insert_id"
    # It asks what the statement before it left: that one's connection.
    ASKS_BEFORE = "asks_before"
    # It asks for the last insert's id: the connection of that.
    ASKS_INSERT_ID = "asks_insert_id"
    # It asks for the number of its connection.
    ASKS_NUMBER = "asks_number"
    # It ends another connection, or what that runs, by the number of it.
    KILLS = "kills"
    # Something no replay can restore, such as a loaded library.
    UNTRACKED = "untracked"


class RelationName(NamedTuple):
    """A relation as the text names it, folded and without quotes."""

    schema: str | None
    name: str


class FunctionName(NamedTuple):
    """A function as the text calls it.

    `arguments` is how many the call writes down; `ANY_ARGUMENTS` when the syntax
    does not tell (ordered-set aggregates, functions with a grammar of their own).
    """

    schema: str | None
    name: str
    arguments: int


ANY_ARGUMENTS: Final = -1


@unique
class Origin(Enum):
    """What kind of thing a value is made of."""

    COLUMN = "column"
    FUNCTION = "function"
    OPERATOR = "operator"
    # Whatever it was, it has become one of this type.
    TYPE = "type"
    UNKNOWN = "unknown"


class Source(NamedTuple):
    """A part of what a value is made of, by its name there; functions are the server's own."""

    origin: Origin
    name: str


class Cast(NamedTuple):
    """A value that becomes one of a type, and what it is made of besides literals."""

    type: str
    sources: frozenset[Source]


NO_NAMES: Final[frozenset[str]] = frozenset()
NO_RELATIONS: Final[frozenset[RelationName]] = frozenset()
NO_FUNCTIONS: Final[frozenset[FunctionName]] = frozenset()
NO_ACTIONS: Final[frozenset[Action]] = frozenset()
NO_EFFECTS: Final[frozenset[Effect]] = frozenset()
NO_CASTS: Final[frozenset[Cast]] = frozenset()


@dataclass(slots=True, eq=False, kw_only=True)
class Statement:
    """One fingerprint's meaning; compared by identity, shared, never changed.

    The sets may hold too much, never too little: `reads` also holds the names of
    common table expressions, `functions` whatever could be a call.

    Attributes:
        kind: What it asks of the house.
        text: The fingerprint it was made from.
        reads: Relations named anywhere, `writes` included.
        writes: Relations named as the target of a write.
        actions: What is done to `writes`; which of them is not told apart.
        functions: Calls in function syntax, and the keywords that are calls.
        attributes: Names after a dot, `a.b`: a function of a row can be called so.
        selections: Names after a bracket, `(a).b`: any function of one argument can.
        operators: Operator symbols, those that keywords stand for not included.
        types: Names of types that a cast or a typed literal mentions.
        casts: Every cast of what is no literal and no parameter.
        local_names: Names of common table expressions: as relations they may mean nothing.
        reason: Why it is not a fast read; None for a proven read.
        detail: The name behind `reason`, for people.
        cache_reason: Why a proven read may not be kept; None when it may.
        effects: What it leaves in its session.
        vacated: Databases that nobody may be connected to while it runs.
        returns_rows: Whether a result set follows.
        ends_transaction: Whether it commits what is open before it runs, though it is no COMMIT.
            What is opaque or a call may do so too, and says nothing here.
        block: The source of a DO, in PL/pgSQL.
        for_itself: Settings that it has for as long as it runs, and that are then as before.
    """

    kind: Kind
    text: bytes
    reads: frozenset[RelationName] = NO_RELATIONS
    writes: frozenset[RelationName] = NO_RELATIONS
    actions: frozenset[Action] = NO_ACTIONS
    functions: frozenset[FunctionName] = NO_FUNCTIONS
    attributes: frozenset[str] = NO_NAMES
    selections: frozenset[str] = NO_NAMES
    operators: frozenset[str] = NO_NAMES
    types: frozenset[str] = NO_NAMES
    casts: frozenset[Cast] = NO_CASTS
    local_names: frozenset[str] = NO_NAMES
    reason: Reason | None = None
    detail: str = ""
    cache_reason: Reason | None = None
    effects: frozenset[Effect] = NO_EFFECTS
    vacated: frozenset[str] = NO_NAMES
    returns_rows: bool = False
    ends_transaction: bool = False
    block: bytes | None = None
    for_itself: frozenset[str] = NO_NAMES
