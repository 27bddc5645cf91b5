"""What an operator can do about a reason, in one sentence each; and the reason in plain words."""

from __future__ import annotations

from typing import Final

from proxy.types import Reason

MEANINGS: Final[dict[Reason, str]] = {
    Reason.HIT: "answered from the cache",
    Reason.REPLICA: "any replica that has what it must see may serve it",
    Reason.WRITE: "it writes",
    Reason.SCHEMA: "it changes definitions, rights or roles",
    Reason.OPAQUE: "it may do anything",
    Reason.UTILITY: "a command for the primary",
    Reason.LOCK: "it locks rows",
    Reason.FUNCTION: "it calls a function that may do more than read its arguments",
    Reason.VARIABLE: "it uses a variable of its session, or of its server",
    Reason.NODE: "it uses a form of SQL that is not known here",
    Reason.UNPARSED: "its text is not understood",
    Reason.SEVERAL: "several statements in one text",
    Reason.TOO_LONG: "its text is too long to be looked at",
    Reason.SYSTEM_CATALOG: "it asks the server about itself",
    Reason.UNKNOWN_RELATION: "it names a table that is not found",
    Reason.UNLOGGED: "it reads an unlogged table, which replicas do not have",
    Reason.TEMPORARY: "it reads a temporary table",
    Reason.FOREIGN: "it reads a foreign table",
    Reason.SEQUENCE: "it reads a sequence",
    Reason.CATALOG_LOADING: "the definitions are still being read",
    Reason.TRANSACTION: "its transaction is open at the primary",
    Reason.PINNED: "its session has something that lives on one connection",
    Reason.PIPELINE: "it is part of a larger batch",
    Reason.ISOLATION: "its session has another isolation level than READ COMMITTED",
    Reason.SETTINGS: "its session has settings that change what names or values mean",
    Reason.RULE: "a rule of the configuration says so",
    Reason.HINT: "a hint in its text says so",
    Reason.PENDING: "a commit on one of its tables is under way",
    Reason.BEHIND: "no replica has what it must see yet",
    Reason.NO_REPLICA: "there is no replica to be used",
    Reason.INVALIDATED: "a commit came in between",
    Reason.UNCONFIRMED: "the primary's log was not read far enough in time",
    Reason.REPLICA_FAILED: "a replica failed while answering",
    Reason.AUDIT: "the audit has found a fast read of one of its tables to be wrong",
    Reason.CACHE_OFF: "there is no cache for it",
    Reason.VOLATILE: "its result is another each time",
    Reason.CLOCK: "its result depends on the time",
    Reason.SYSTEM_COLUMN: "it reads a system column",
    Reason.PARAMETER: "one of its parameters means the present moment",
    Reason.TOO_LARGE: "its result is too large",
    Reason.NOT_WORTH: "its results have left the cache unused so far",
}
"""Every reason in words; a test proves that none is missing."""

ADVICE: Final[dict[Reason, str]] = {
    Reason.LOCK: "leave FOR UPDATE or FOR SHARE out where the rows are not changed afterwards",
    Reason.FUNCTION: "declare it STABLE, if it only reads; IMMUTABLE, if its arguments only",
    Reason.NODE: "write it in plainer SQL, or report its form",
    Reason.UNPARSED: "write it in plainer SQL, or report its form",
    Reason.SEVERAL: "send the statements one by one",
    Reason.TOO_LONG: "send values as parameters, or in smaller lists",
    Reason.SYSTEM_CATALOG: "let the application ask once and remember; drivers and ORMs often can",
    Reason.UNKNOWN_RELATION: "check the search path and the database it is looked up in",
    Reason.UNLOGGED: "ALTER TABLE ... SET LOGGED, if replicas shall serve it",
    Reason.TEMPORARY: "read the permanent table where it will do",
    Reason.FOREIGN: "copy it into a table or a materialized view, if replicas shall serve it",
    Reason.SEQUENCE: "ask a sequence for numbers only",
    Reason.TRANSACTION: "read before the first write of the transaction, or outside of it",
    Reason.PINNED: "drop temporary tables when they are done with (DISCARD TEMP)",
    Reason.PIPELINE: "send reads in batches of their own",
    Reason.ISOLATION: "use READ COMMITTED where one snapshot for several statements is not needed",
    Reason.SETTINGS: "use a UTF-8 client_encoding and standard_conforming_strings = on",
    Reason.PENDING: "nothing: it is over when the commit is",
    Reason.BEHIND: "nothing, if it is rare; else look at the replicas' lag",
    Reason.NO_REPLICA: "look at tidegate_server_banned and tidegate_server_role",
    Reason.AUDIT: 'docs/operating.md, "When the audit fires"',
    Reason.CLOCK: "send the time as a parameter, rounded to what matters, and it can be kept",
    Reason.VOLATILE: "draw random values in the application, and it can be kept",
}
"""What can be done, where something can."""


def in_words(reason: Reason, detail: str) -> str:
    """Put a reason with the name behind it on one line: its label first, for the metrics."""
    name = f" ({detail})" if detail else ""
    return f"{reason.value}{name}"
