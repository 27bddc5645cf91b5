"""Settings of a MySQL session: how they are written, and which of them mean what.

A session's settings are its system variables, by name, and its schema, which is no variable. What
the server says that they have become is written as the SQL text that sets it.

Source: "Server System Variables" in the MySQL manual, and MariaDB's.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.sql.mysql.scanner import ANSI_QUOTES, IGNORE_SPACE, NO_BACKSLASH_ESCAPES

SCHEMA: Final = "schema"
"""The session's schema, by a name that no variable has."""

NOWHERE: Final = "/nowhere"
"""Behind the name of a pool: of connections that are in no schema. One that has been in a schema
can't be in none again, but by another login."""

CHARSETS: Final = (
    "character_set_client",
    "character_set_results",
    "character_set_connection",
    "collation_connection",
)
"""What a session's character set is made of; the last two say the same, the second of them all."""

ISOLATIONS: Final = ("transaction_isolation", "tx_isolation")
"""MySQL's name, and MariaDB's before 11.1."""

OURS: Final = frozenset(
    (
        "session_track_gtids",
        "session_track_schema",
        "session_track_state_change",
        "session_track_system_variables",
        "session_track_transaction_info",
    )
)
"""What we count on; a client's own wish is not followed."""

OF_THE_MOMENT: Final = frozenset(
    (
        "error_count",
        "identity",
        "insert_id",
        "last_gtid",
        "last_insert_id",
        "pseudo_thread_id",
        "rand_seed1",
        "rand_seed2",
        "timestamp",
        "warning_count",
    )
)
"""Variables that a connection can't be given again: what was set stays where it was set."""

SHAPELESS: Final = frozenset(
    (
        "autocommit",
        "innodb_lock_wait_timeout",
        "interactive_timeout",
        "lock_wait_timeout",
        "long_query_time",
        "max_execution_time",
        "max_statement_time",
        "net_read_timeout",
        "net_write_timeout",
        "wait_timeout",
    )
)
"""Settings that cannot change a byte of a result, but for the flags of its end."""

UNREADABLE_CHARSETS: Final = frozenset(("big5", "cp932", "gb18030", "gbk", "sjis"))
"""Character sets in which a byte below 128 may be the second half of a character."""

UNREADABLE_MODES: Final = frozenset(("db2", "maxdb", "mssql", "oracle", "postgresql"))
"""SQL modes of MariaDB's that have, or may have, a grammar of their own."""

CUTTING_MODES: Final = {
    "ansi_quotes": ANSI_QUOTES,
    "no_backslash_escapes": NO_BACKSLASH_ESCAPES,
    "ignore_space": IGNORE_SPACE,
}
"""SQL modes that decide where tokens end. Others make no difference to what is read and written:
PIPES_AS_CONCAT and HIGH_NOT_PRECEDENCE, by which values are computed otherwise."""

UNICODE: Final = frozenset(("utf8", "utf8mb3", "utf8mb4"))

_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


def quote(value: str) -> str:
    """Write a value as an SQL string that is read alike in every mode."""
    if "\\" not in value:
        return "'" + value.replace("'", "''") + "'"
    return "CONVERT(0x" + value.encode("utf-8", "surrogateescape").hex() + " USING utf8mb4)"


def quote_name(name: str) -> str:
    """Write a name so that it can't be anything else."""
    return "`" + name.replace("`", "``") + "`"


def written(name: str, value: str) -> str:
    """Write a variable's value, as a server has told it, as the text that sets it."""
    if name == "character_set_results" and not value:
        return "NULL"
    if _NUMBER.fullmatch(value):
        return value
    return quote(value)


def plain(text: str | None, default: str = "") -> str:
    """Read the plain value of what `written` wrote, in lower case."""
    if text is None:
        return default
    if text.startswith("'"):
        return text[1:-1].replace("''", "'").lower()
    return text.lower()
