"""What went wrong, said as PostgreSQL says it: from `Fault` to SQLSTATE and an ErrorResponse."""

from __future__ import annotations

from typing import Final

from proxy.errors import ClientVisibleError, Fault
from proxy.wire.postgres.backend import DETAIL, HINT, error_response

# "PostgreSQL Error Codes" in the manual. A driver decides by these whether it may try again.
SQLSTATES: Final[dict[Fault, bytes]] = {
    Fault.INTERNAL: b"XX000",
    Fault.PROTOCOL_VIOLATION: b"08P01",
    Fault.MESSAGE_TOO_LARGE: b"54000",
    Fault.UNSUPPORTED: b"0A000",
    Fault.AUTHENTICATION_FAILED: b"28P01",
    Fault.INVALID_AUTHORIZATION: b"28000",
    Fault.UNKNOWN_DATABASE: b"3D000",
    Fault.TOO_MANY_CLIENTS: b"53300",
    Fault.POOL_TIMEOUT: b"53300",
    Fault.POOL_CLOSED: b"57P03",
    Fault.NO_PRIMARY: b"08006",
    Fault.SERVER_LOST: b"08006",
    Fault.OUTCOME_UNKNOWN: b"08007",
    Fault.SHUTTING_DOWN: b"57P01",
    Fault.IDLE_TIMEOUT: b"57P05",
    Fault.IDLE_TRANSACTION_TIMEOUT: b"25P03",
    Fault.DUPLICATE_PREPARED_STATEMENT: b"42P05",
    Fault.UNKNOWN_PREPARED_STATEMENT: b"26000",
    Fault.INVALID_SETTING: b"22023",
}


def error_message(error: ClientVisibleError, *, fatal: bool = False) -> bytes:
    """Build the ErrorResponse that tells a client of our own error.

    Args:
        error: What went wrong.
        fatal: The connection ends with it even if such errors commonly do not end one, as every
            error does before the session has begun.
    """
    severity = b"FATAL" if fatal or error.closes_client else b"ERROR"
    more = {DETAIL: _encode(error.detail), HINT: _encode(error.hint)}
    return error_response(severity, SQLSTATES[error.fault], _encode(error.message), more)


def _encode(text: str) -> bytes:
    # Names that are no UTF-8 were decoded with surrogateescape, and go out as they came in.
    return text.encode("utf-8", "surrogateescape").replace(b"\0", b"")
