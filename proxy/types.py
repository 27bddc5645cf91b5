"""Words that every floor of the house uses, and no behaviour.

Where a name comes from: the vocabulary of docs/architecture.md. Nothing here
knows an engine, a protocol or a setting.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final, NamedTuple, NewType

Token = NewType("Token", int)
"""A random 128-bit id for "a commit on these tables"."""

Position = NewType("Position", int)
"""A point in the primary's log, ordered within one epoch. PostgreSQL: the LSN as an integer."""


class Table(NamedTuple):
    """A table as the ledger knows it: the root of its partitions or its inheritance.

    `oid` 0 and 1 are the pseudo-tables `SCHEMA` and `ALL`.
    """

    database: str
    oid: int


class Epoch(NamedTuple):
    """A history of the primary, as a fleet names it: of two, the greater is the later."""

    number: int
    token: Token  # its versions' base comes from it, the same for all


NO_EPOCH: Final = Epoch(0, Token(0))
"""Of a member that has not heard of any."""


SCHEMA_OID = 0
ALL_OID = 1


@unique
class Role(Enum):
    """What a server is, as it said itself when last asked."""

    PRIMARY = "primary"
    REPLICA = "replica"
    UNKNOWN = "unknown"


@unique
class Consistency(Enum):
    """What a read may count on: docs/freshness.md, "Contracts"."""

    __hash__ = object.__hash__

    STRONG = "strong"
    SESSION = "session"
    BOUNDED = "bounded"
    EVENTUAL = "eventual"


@unique
class Reason(Enum):
    """Why a decision fell as it did. The values label metrics, logs and EXPLAIN ROUTE."""

    # By identity, as members are compared: Enum's own is Python code, and three times as slow.
    __hash__ = object.__hash__

    # Served away from the primary.
    HIT = "hit"
    REPLICA = "replica"
    # The primary, for what the statement is.
    WRITE = "write"
    SCHEMA = "schema"
    OPAQUE = "opaque"
    UTILITY = "utility"
    LOCK = "lock"
    FUNCTION = "function"
    VARIABLE = "variable"
    NODE = "node"
    UNPARSED = "unparsed"
    SEVERAL = "several_statements"
    TOO_LONG = "too_long"
    # The primary, for what it touches.
    SYSTEM_CATALOG = "system_catalog"
    UNKNOWN_RELATION = "unknown_relation"
    UNLOGGED = "unlogged"
    TEMPORARY = "temporary"
    FOREIGN = "foreign"
    SEQUENCE = "sequence"
    CATALOG_LOADING = "catalog_loading"
    # The primary, for the state its session is in.
    TRANSACTION = "transaction"
    PINNED = "pinned"
    PIPELINE = "pipeline"
    ISOLATION = "isolation"
    SETTINGS = "settings"
    RULE = "rule"
    HINT = "hint"
    # The primary, for the state its servers are in.
    PENDING = "pending"
    BEHIND = "behind"
    NO_REPLICA = "no_replica"
    INVALIDATED = "invalidated"
    UNCONFIRMED = "unconfirmed"
    REPLICA_FAILED = "replica_failed"
    # The primary, since a fast read of its tables was found to be wrong.
    AUDIT = "audit"
    # Served, but not kept in the cache.
    CACHE_OFF = "cache_off"
    VOLATILE = "volatile"
    CLOCK = "clock"
    SYSTEM_COLUMN = "system_column"
    PARAMETER = "parameter"
    TOO_LARGE = "too_large"
    NOT_WORTH = "not_worth"


@unique
class Ending(Enum):
    """Why a client connection ended, when nothing went wrong that has a name in `proxy.errors`."""

    GOODBYE = "goodbye"
    HUNG_UP = "hung_up"
    CANCEL_REQUEST = "cancel_request"
    LOGIN_TIMEOUT = "login_timeout"
    TLS_FAILED = "tls_failed"


@unique
class Mirrored(Enum):
    """What has become of a statement that was to be sent to another server group too."""

    __hash__ = object.__hash__

    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


@unique
class Audited(Enum):
    """What has come of a fast read that was to be repeated on the primary."""

    __hash__ = object.__hash__

    SAME = "same"
    DIFFERENT = "different"
    CHANGED = "changed"  # somebody wrote in between, or may have: nothing can be compared
    FOREIGN = "foreign"  # it was different, and somebody has written past the proxy
    LOOSE = "loose"  # it was different, and the statement may answer differently each time
    SKIPPED = "skipped"  # it was not repeated


@unique
class PinReason(Enum):
    """Why a client must keep its server connection between transactions."""

    __hash__ = object.__hash__

    SESSION_POOL = "session_pool"
    LISTEN = "listen"
    TEMPORARY_TABLE = "temporary_table"
    HOLD_CURSOR = "hold_cursor"
    ADVISORY_LOCK = "advisory_lock"
    SETTINGS = "settings"
    USER_VARIABLE = "user_variable"
    TABLE_LOCK = "table_lock"
    HANDLER = "handler"
    FOUND_ROWS = "found_rows"
    PREPARED_STATEMENT = "prepared_statement"
    NEXT_TRANSACTION = "next_transaction"
    DIAGNOSTICS = "diagnostics"
    UNKNOWN = "unknown"
