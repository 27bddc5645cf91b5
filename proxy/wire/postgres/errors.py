"""What went wrong, said as PostgreSQL says it: from `Fault` to SQLSTATE and an ErrorResponse."""

from __future__ import annotations

from typing import Final

from proxy.errors import ClientVisibleError, Fault, ServerRefused
from proxy.wire.postgres.backend import DETAIL, HINT, MESSAGE, SQLSTATE, error_response, read_error

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
    Fault.NO_PRIMARY: b"08006",
    Fault.SERVER_LOST: b"08006",
    Fault.OUTCOME_UNKNOWN: b"08007",
    Fault.SHUTTING_DOWN: b"57P01",
    Fault.IDLE_TIMEOUT: b"57P05",
    Fault.IDLE_TRANSACTION_TIMEOUT: b"25P03",
    Fault.UNKNOWN_PREPARED_STATEMENT: b"26000",
    Fault.INVALID_SETTING: b"22023",
    Fault.UNKNOWN_SETTING: b"42704",
    Fault.CANCELLED: b"57014",
    Fault.NOT_SERIALIZABLE: b"40001",
    Fault.REJECTED: b"42501",
    Fault.FAILED_TRANSACTION: b"25P02",
}

_PASSING: Final = (b"57P03", b"57P01", b"57P02")
"""A server that starts or stops."""

_FAULTS: Final = {
    **{sqlstate: fault for fault, sqlstate in reversed(SQLSTATES.items())},
    **dict.fromkeys(_PASSING, Fault.SHUTTING_DOWN),
}
"""The way back; of several faults with one SQLSTATE, the first."""


class LoginRefused(ServerRefused):
    """A server did not let us in. Its own words are kept, to be relayed as they came.

    Args:
        raw: The ErrorResponse, whole.
        ours: Whether it was not the server that said it.
    """

    def __init__(self, raw: bytes, *, ours: bool = False) -> None:
        self.raw = raw
        self.ours = ours
        self.fields = read_error(raw)
        self.sqlstate = self.fields.get(SQLSTATE, b"")
        self.fault = _FAULTS.get(self.sqlstate, Fault.INVALID_AUTHORIZATION)
        super().__init__(
            _decode(self.fields.get(MESSAGE, b"")),
            detail=_decode(self.fields.get(DETAIL, b"")),
            hint=_decode(self.fields.get(HINT, b"")),
        )

    @property
    def is_full(self) -> bool:
        """See the base: the class of SQLSTATEs of insufficient resources."""
        return self.sqlstate.startswith(b"53")

    @property
    def is_passing(self) -> bool:
        """See the base."""
        return self.sqlstate in _PASSING

    @classmethod
    def by_us(cls, text: str, *, hint: str = "") -> LoginRefused:
        """Refuse in a server's place, because it asks for what we do not have."""
        sqlstate = SQLSTATES[Fault.INVALID_AUTHORIZATION]
        raw = error_response(b"FATAL", sqlstate, _encode(text), {HINT: _encode(hint)})
        return cls(raw, ours=True)


def error_message(error: ClientVisibleError, *, fatal: bool = False) -> bytes:
    """Build the ErrorResponse that tells a client of an error.

    Args:
        error: What went wrong.
        fatal: The connection ends with it even if such errors commonly do not end one, as every
            error does before the session has begun.
    """
    if isinstance(error, LoginRefused):
        return error.raw
    severity = b"FATAL" if fatal or error.closes_client else b"ERROR"
    more = {DETAIL: _encode(error.detail), HINT: _encode(error.hint)}
    return error_response(severity, SQLSTATES[error.fault], _encode(error.message), more)


def _encode(text: str) -> bytes:
    # Names that are no UTF-8 were decoded with surrogateescape, and go out as they came in.
    return text.encode("utf-8", "surrogateescape").replace(b"\0", b"")


def _decode(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")
