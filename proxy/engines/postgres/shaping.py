"""Which settings shape what: the bytes of a result, or what a text means once it is prepared.

What is not named here shapes both. Sources: the manual's chapter "Server Configuration"; for what
is looked at again, `RevalidateCachedQuery` in plancache.c.
"""

from __future__ import annotations

from typing import Final

SHAPELESS: Final = frozenset(
    (
        "application_name",
        "client_connection_check_interval",
        "client_min_messages",
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "lock_timeout",
        "log_min_duration_statement",
        "log_statement",
        "statement_timeout",
        "synchronous_commit",
        "tcp_keepalives_count",
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_user_timeout",
    )
)
"""Settings that cannot change a byte of a result: they don't part the cache. All others do."""

_LOOKED_AT_AGAIN: Final = frozenset(
    ("search_path", "role", "session_authorization", "session_replication_role", "row_security")
)
"""What a server looks at whenever it runs a prepared statement, which it plans anew if need be."""


OF_TRANSACTION: Final = (
    "transaction_isolation",
    "transaction_read_only",
    "transaction_deferrable",
)
"""Settings that last as long as a transaction, by whatever they are set."""


def names_depend_on(name: str) -> bool:
    """Tell whether a setting decides what the names in a prepared statement mean."""
    return name in _LOOKED_AT_AGAIN


def constants_depend_on(name: str) -> bool:
    """Tell whether a setting may be fixed in a statement when it is prepared.

    Literals are read then. A custom setting is not read before the statement is run.
    """
    return not (name in _LOOKED_AT_AGAIN or name in SHAPELESS or "." in name)


FIXED: Final = (
    *("array_nulls", "backslash_quote", "bytea_output", "client_encoding", "datestyle"),
    *("default_text_search_config", "extra_float_digits", "intervalstyle", "lc_monetary"),
    *("lc_numeric", "lc_time", "quote_all_identifiers", "standard_conforming_strings"),
    *("timezone", "timezone_abbreviations", "transform_null_equals", "xmlbinary", "xmloption"),
)
"""Settings that literals are known to depend on: to be reset where nobody knows what is set."""
