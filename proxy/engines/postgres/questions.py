"""What lives in a server's session, as the server itself says: the questions, and the answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from proxy.engines.postgres.quoting import quote
from proxy.engines.postgres.shaping import OF_TRANSACTION
from proxy.types import PinReason

QUESTION: Final = b"""
SELECT (SELECT count(*) FROM pg_catalog.pg_listening_channels()) > 0,
       EXISTS (SELECT FROM pg_catalog.pg_class
               WHERE relnamespace = pg_catalog.pg_my_temp_schema()),
       EXISTS (SELECT FROM pg_catalog.pg_cursors WHERE is_holdable),
       EXISTS (SELECT FROM pg_catalog.pg_locks
               WHERE locktype = 'advisory' AND pid = pg_catalog.pg_backend_pid()),
       (SELECT pg_catalog.string_agg(name, ' ') FROM pg_catalog.pg_prepared_statements
        WHERE pg_catalog.left(name, 9) = 'tidegate_')
"""
"""What lives in this session, in the order of `ANSWERS`; then what is prepared there for all
clients, as a function may have deallocated it."""

ANSWERS: Final = (
    PinReason.LISTEN,
    PinReason.TEMPORARY_TABLE,
    PinReason.HOLD_CURSOR,
    PinReason.ADVISORY_LOCK,
)

_SET: Final = b"""
SELECT name, setting FROM pg_catalog.pg_settings
WHERE source OPERATOR(pg_catalog.=) 'session'
  AND name OPERATOR(pg_catalog.<>) ALL ('{%b}')
UNION ALL SELECT 'role', pg_catalog.current_setting('role')
UNION ALL SELECT 'session_authorization', pg_catalog.current_setting('session_authorization')
""" % ",".join(OF_TRANSACTION).encode()


def settings_question(names: Iterable[str]) -> bytes:
    """Ask what is set in this session.

    Args:
        names: Custom settings that may be; a server shows them to those only who know their names.
    """
    literals = (quote(name).encode("utf-8", "surrogateescape") for name in sorted(names))
    return _SET + b"".join(
        b"UNION ALL SELECT %b, pg_catalog.current_setting(%b, true)\n" % (name, name)
        for name in literals
    )


def read_answer(row: Sequence[bytes | None]) -> set[PinReason]:
    """Say which pins the server's answer to `QUESTION` stands for."""
    return {reason for reason, value in zip(ANSWERS, row[:-1], strict=True) if value == b"t"}


def read_prepared(row: Sequence[bytes | None]) -> frozenset[bytes]:
    """Say which statements there are on the server, from the same answer."""
    return frozenset((row[-1] or b"").split())
