"""Reads the SQL of a catalog's definitions: as clients' texts are read, under their own modes."""

from __future__ import annotations

from typing import final

from proxy.routing.reading import UNREAD
from proxy.sql.language import MySQLLanguage
from proxy.sql.mysql import functions
from proxy.sql.mysql.scanner import ANSI_QUOTES, IGNORE_SPACE, NO_BACKSLASH_ESCAPES
from proxy.sql.routines import GOOD, Judgement, Verdict
from proxy.sql.scanner import MULTI, NOT_SURE
from proxy.sql.statement import Statement
from proxy.types import Reason

_MODES = {
    "ANSI_QUOTES": ANSI_QUOTES,
    "NO_BACKSLASH_ESCAPES": NO_BACKSLASH_ESCAPES,
    "IGNORE_SPACE": IGNORE_SPACE,
}


def modes_of(sql_mode: str) -> int:
    """What of an sql_mode changes how texts are cut."""
    return sum(_MODES.get(mode, 0) for mode in set(sql_mode.upper().split(",")))


@final
class Interpreting:
    """See `proxy.sql.mysql.bodies.Interpreter`."""

    def read(self, text: bytes, sql_mode: str) -> Statement:
        """Classify one statement; what is not understood, or is several, is opaque."""
        language = MySQLLanguage(modes_of(sql_mode))
        found = language.scan(text)
        if found.flags & (MULTI | NOT_SURE):
            return UNREAD
        return language.classify(found.fingerprint)

    def judge(self, name: str, arguments: int) -> Judgement | None:
        """Judge a call of one of the server's own functions; None: it has none of that name."""
        if not functions.is_builtin(name):
            return None
        if functions.effects_of(name, arguments):
            return Judgement(Verdict.ANYTHING, name, taints=True)
        if functions.replica_reason(name) is not None:
            return Judgement(Verdict.PRIMARY, name)
        reason = functions.cache_reason(name)
        if reason is None:
            return GOOD
        return Judgement(Verdict.CLOCK if reason is Reason.CLOCK else Verdict.DICE, name)
