"""From a fingerprint of MySQL's SQL to a `Statement`, at its first sight.

As `proxy.sql.classify` for PostgreSQL: a query or a change of rows is read twice and believed where
both readings agree; every other statement is a command with a strict reader of its own
(`commands`). What is not understood is opaque: it may have written anything.

SQL modes do not matter here: `scanner` has seen to it that a fingerprint has one meaning. But for
ORACLE, MariaDB's, which has another grammar; who has such a session must not ask.
"""

from __future__ import annotations

from typing import Final

from proxy.sql.groups import NotUnderstood
from proxy.sql.mysql.commands import read_command
from proxy.sql.mysql.groups import tokens_of
from proxy.sql.mysql.queries import STARTS, read_query
from proxy.sql.statement import Kind, Statement
from proxy.types import Reason

MAX_LENGTH: Final = 32 * 1024
"""Bounds what a first sight takes; lists of values, which make texts long, are short in a
fingerprint."""


def classify(fingerprint: bytes) -> Statement:
    """Find out what a statement does.

    Args:
        fingerprint: What `scan` made of one statement.
    """
    if not fingerprint.strip(b" "):
        return Statement(kind=Kind.EMPTY, text=fingerprint, reason=Reason.UTILITY)
    if len(fingerprint) > MAX_LENGTH:
        return _opaque(fingerprint, Reason.TOO_LONG, f"more than {MAX_LENGTH} bytes")
    try:
        tokens = tokens_of(fingerprint)
        if ";" in tokens:
            statement = _opaque(fingerprint, Reason.SEVERAL, "more than one statement")
            statement.ends_transaction = tokens[0] in ("create", "alter")
            return statement
        if tokens[0] in STARTS:
            return read_query(tokens, fingerprint)
        return read_command(tokens, fingerprint)
    except NotUnderstood as problem:
        return _opaque(fingerprint, problem.reason, str(problem))


def _opaque(fingerprint: bytes, reason: Reason, detail: str) -> Statement:
    return Statement(
        kind=Kind.OPAQUE, text=fingerprint, reason=reason, detail=detail, returns_rows=True
    )
