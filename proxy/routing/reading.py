"""Texts in, statements out: each text is scanned once, each fingerprint classified once."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, final

from proxy.sql.language import Language, PostgresLanguage
from proxy.sql.scanner import CLOCK, MULTI, NOT_SURE
from proxy.sql.scanner import TOO_LONG as TOO_MANY_TOKENS
from proxy.sql.statement import Kind, Statement
from proxy.types import Reason

STATEMENTS: Final = 10_000
"""Fingerprints whose meaning is kept; the least recently used goes first."""

UNREAD: Final = Statement(kind=Kind.OPAQUE, text=b"", reason=Reason.UNPARSED)
"""What nothing is known of: it may write anything."""

TOO_LONG: Final = Statement(
    kind=Kind.OPAQUE, text=b"", reason=Reason.TOO_LONG, detail="its text is too long"
)


@final
class Reading:
    """What one request's text says.

    Attributes:
        statements: In their order; one that is not understood is `UNREAD`.
        texts: The text of each, as it was sent.
        clock: Whether a literal's meaning depends on the clock.
        hint: What a comment says to the proxy.
    """

    __slots__ = ("clock", "hint", "statements", "texts")

    def __init__(
        self,
        statements: tuple[Statement, ...],
        texts: tuple[bytes, ...],
        *,
        clock: bool,
        hint: bytes,
    ) -> None:
        self.statements = statements
        self.texts = texts
        self.clock = clock
        self.hint = hint


UNREADABLE: Final = Reading((UNREAD,), (b"",), clock=True, hint=b"")

LONG: Final = Reading((TOO_LONG,), (b"",), clock=True, hint=b"")
"""A text that takes too long to look at."""

MOST_STATEMENTS: Final = 2_000
"""Statements of one text that are told apart, in some 20 ms."""

LONGEST: Final = 32 * 1024
"""Bytes of a fingerprint that is remembered. What is longer no language reads."""


@final
class Reader:
    """Reads texts, and remembers fingerprints.

    Args:
        limit: How many are remembered.
        language: What they are written in.
    """

    __slots__ = ("_known", "_limit", "language")

    def __init__(self, limit: int = STATEMENTS, language: Language | None = None) -> None:
        self._limit = limit
        self.language = language or PostgresLanguage()
        self._known: OrderedDict[bytes, Statement] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def read(self, sql: bytes, modes: int = 0) -> Reading:
        """Say what a text asks for. Never raises: what is not understood is `UNREAD`.

        Args:
            sql: As the client sent it.
            modes: How its session has texts cut into tokens; see `Language.scan`.
        """
        found = self.language.scan(sql, modes)
        flags = found.flags
        if flags & NOT_SURE:
            return LONG if flags & TOO_MANY_TOKENS else UNREADABLE
        clock = bool(flags & CLOCK)
        if flags & MULTI:
            if len(found.statements) > MOST_STATEMENTS:
                return LONG
            texts = tuple(sql[start:stop] for start, stop in found.statements)
            parts = [self.read(text, modes) for text in texts]
            statements = tuple(part.statements[0] for part in parts)
            return Reading(statements, texts, clock=clock, hint=found.hint)
        statement = self.statement(found.fingerprint)
        if statement.kind is Kind.OPAQUE and statement.detail == "do":
            statement = self.language.classify_block(sql, statement)
        return Reading((statement,), (sql,), clock=clock, hint=found.hint)

    def statement(self, fingerprint: bytes) -> Statement:
        """Find or make the statement of a fingerprint."""
        known = self._known
        statement = known.get(fingerprint)
        if statement is not None:
            known.move_to_end(fingerprint)
            return statement
        if len(fingerprint) > LONGEST:
            return TOO_LONG
        statement = self.language.classify(fingerprint)
        known[fingerprint] = statement
        if len(known) > self._limit:
            known.popitem(last=False)
        return statement
