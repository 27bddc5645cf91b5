"""From a fingerprint to a `Statement`, at its first sight.

The first word decides what reads the rest. A query or a change of rows is read twice, by the
outline (`postgres/outline.py`) and by sqlglot (`nodes.py`), and believed where both agree; every
other statement is a command with a strict reader of its own (`postgres/commands.py`). sqlglot
never sees a command, since it takes some of them for expressions.

What is not understood is opaque: it may have written anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.sql.groups import NotUnderstood
from proxy.sql.postgres.commands import read_command
from proxy.sql.postgres.definitions import block_of
from proxy.sql.postgres.groups import tokens_of
from proxy.sql.postgres.queries import STARTS, read_query
from proxy.sql.scanner import MULTI, scan
from proxy.sql.statement import Kind, Statement
from proxy.types import Reason

MAX_LENGTH: Final = 32 * 1024
"""Bounds what a first sight takes to 40 ms; a lookup with a join takes 0.2 ms. Lists of values,
which make texts long, are short in a fingerprint."""


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
        if ";" in tokens and scan(fingerprint).flags & MULTI:
            return _opaque(fingerprint, Reason.SEVERAL, "more than one statement")
        if tokens[0] in STARTS:
            return read_query(tokens, fingerprint)
        return read_command(tokens, fingerprint)
    except NotUnderstood as problem:
        return _opaque(fingerprint, problem.reason, str(problem))


def classify_block(sql: bytes, opaque: Statement) -> Statement:
    """Find out what a DO does, whose text is in a literal: no fingerprint has that.

    Args:
        sql: All of it, as it was sent.
        opaque: What its fingerprint says.
    """
    try:
        block = block_of(sql)
    except NotUnderstood:
        return opaque
    return replace(opaque, kind=Kind.CALL, block=block)


def _opaque(fingerprint: bytes, reason: Reason, detail: str) -> Statement:
    return Statement(
        kind=Kind.OPAQUE, text=fingerprint, reason=reason, detail=detail, returns_rows=True
    )
