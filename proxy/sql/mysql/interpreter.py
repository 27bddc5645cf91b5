"""Reads SQL for a catalog: whatever stands in bodies and views, as the server understands it."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, final

from proxy.sql.mysql import functions
from proxy.sql.mysql.classify import classify
from proxy.sql.mysql.scanner import (
    ANSI_QUOTES,
    IGNORE_SPACE,
    NO_BACKSLASH_ESCAPES,
    scan,
)
from proxy.sql.routines import GOOD, Judgement, Verdict
from proxy.sql.scanner import NOT_SURE
from proxy.sql.statement import Effect, Kind, Statement
from proxy.types import Reason

KEPT: Final = 10_000
"""Statements that are kept, at about 2 kB each."""

_MODES: Final = {
    "ANSI_QUOTES": ANSI_QUOTES,
    "NO_BACKSLASH_ESCAPES": NO_BACKSLASH_ESCAPES,
    "IGNORE_SPACE": IGNORE_SPACE,
}
_VERDICTS: Final = {Reason.CLOCK: Verdict.CLOCK, Reason.VOLATILE: Verdict.DICE}


@final
class ServerInterpreter:
    """See `proxy.sql.mysql.bodies.Interpreter`."""

    __slots__ = ()

    def read(self, text: bytes, sql_mode: str) -> Statement:
        """Classify one statement; what is not understood, or is several, is opaque."""
        modes = sum(_MODES.get(mode, 0) for mode in sql_mode.upper().split(","))
        found = scan(text, modes)
        if found.flags & NOT_SURE or len(found.statements) != 1:
            return _UNREADABLE
        return _classified(found.fingerprint)

    def judge(self, name: str, arguments: int) -> Judgement | None:
        """Judge a call of one of the server's own functions; None: it has none of that name."""
        if name in functions.SEQUENCE_WRITES:
            return Judgement(Verdict.PRIMARY, name)
        if not functions.is_builtin(name):
            return None
        if functions.replica_reason(name) is not None:
            effects = functions.effects_of(name, arguments) - {Effect.ASKS_NUMBER}
            return Judgement(Verdict.PRIMARY, name, taints=bool(effects))
        reason = functions.cache_reason(name)
        return GOOD if reason is None else Judgement(_VERDICTS[reason], name)


_UNREADABLE: Final = Statement(kind=Kind.OPAQUE, text=b"", reason=Reason.UNPARSED)


@lru_cache(maxsize=KEPT)
def _classified(fingerprint: bytes) -> Statement:
    """Classify once, however often a catalog is read again."""
    return classify(fingerprint)
