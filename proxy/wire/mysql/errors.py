"""What went wrong, said as MySQL says it: from `Fault` to errno, SQLSTATE and an ERR packet.

Sources: "ERR_Packet" in the MySQL source documentation; "Server Error Message Reference" in the
MySQL manual, whose numbers MariaDB shares up to 1900.
"""

from __future__ import annotations

from typing import ClassVar, Final

from proxy.errors import (
    AuthenticationFailed,
    ClientVisibleError,
    Fault,
    InvalidAuthorization,
    RemoteProtocolError,
    ServerRefused,
    Unsupported,
    UnsupportedVersion,
)
from proxy.wire.mysql import ok

CODES: Final[dict[Fault, tuple[int, bytes]]] = {
    Fault.INTERNAL: (1105, b"HY000"),
    Fault.PROTOCOL_VIOLATION: (1835, b"HY000"),
    Fault.MESSAGE_TOO_LARGE: (1153, b"08S01"),
    Fault.UNSUPPORTED: (1235, b"42000"),
    Fault.AUTHENTICATION_FAILED: (1045, b"28000"),
    Fault.INVALID_AUTHORIZATION: (1045, b"28000"),
    Fault.UNKNOWN_DATABASE: (1049, b"42000"),
    Fault.TOO_MANY_CLIENTS: (1040, b"08004"),
    # Not 1040: its SQLSTATE is of the class that says to drivers that the connection is gone.
    Fault.POOL_TIMEOUT: (1203, b"42000"),
    # 2003 and 2013 are a client library's own. Drivers and pools decide by them that the server
    # can't be reached, and that a connection is of no more use.
    Fault.NO_PRIMARY: (2003, b"HY000"),
    Fault.SERVER_LOST: (2013, b"HY000"),
    # The SQL standard's "transaction resolution unknown" tells it from a statement merely lost.
    Fault.OUTCOME_UNKNOWN: (2013, b"08007"),
    Fault.SHUTTING_DOWN: (1053, b"08S01"),
    Fault.IDLE_TIMEOUT: (4031, b"HY000"),
    Fault.IDLE_TRANSACTION_TIMEOUT: (4031, b"HY000"),
    Fault.UNKNOWN_PREPARED_STATEMENT: (1243, b"HY000"),
    Fault.INVALID_SETTING: (1231, b"42000"),
    Fault.UNKNOWN_SETTING: (1193, b"HY000"),
    Fault.CANCELLED: (1317, b"70100"),
    Fault.NOT_SERIALIZABLE: (1213, b"40001"),
    Fault.REJECTED: (1227, b"42000"),
    Fault.FAILED_TRANSACTION: (1568, b"25001"),
}
"""A driver decides by these whether it may try again, and whether the connection can be kept."""

_FAULTS: Final = {errno: fault for fault, (errno, _) in reversed(CODES.items())} | {
    1044: Fault.INVALID_AUTHORIZATION,  # no rights on the database
    1130: Fault.INVALID_AUTHORIZATION,  # no account for this host
    1203: Fault.TOO_MANY_CLIENTS,  # of this user
    1226: Fault.TOO_MANY_CLIENTS,  # a resource of this user's is used up
}
"""The way back, of what a server says to a login; of several faults with one errno, the first."""

_NO_STATE: Final = b"HY000"


class BadHandshake(RemoteProtocolError):
    """A packet of the connection phase is not laid out as it should be."""

    code: ClassVar[tuple[int, bytes]] = (1043, b"08S01")

    def __init__(self, detail: str) -> None:
        super().__init__("Bad handshake", detail=detail)


class OutOfOrder(RemoteProtocolError):
    """A packet has another number than the next one."""

    code: ClassVar[tuple[int, bytes]] = (1156, b"08S01")

    def __init__(self) -> None:
        super().__init__("Got packets out of order")


class UnknownCommand(Unsupported):
    """A command that there is not, or is no more: the connection goes on."""

    code: ClassVar[tuple[int, bytes]] = (1047, b"08S01")

    def __init__(self) -> None:
        super().__init__("Unknown command")


class MalformedChange(RemoteProtocolError):
    """A COM_CHANGE_USER that can't be read, in servers' words."""

    code: ClassVar[tuple[int, bytes]] = (1047, b"08S01")

    def __init__(self) -> None:
        super().__init__("Unknown command")


class MalformedPacket(Unsupported):
    """A command that is not laid out as it should be: the connection goes on."""

    code: ClassVar[tuple[int, bytes]] = (1835, b"HY000")

    def __init__(self) -> None:
        super().__init__("Malformed communication packet")


class UnknownThread(Unsupported):
    """A KILL of a connection that there is not."""

    code: ClassVar[tuple[int, bytes]] = (1094, b"HY000")


class NotOwner(Unsupported):
    """A KILL of somebody else's connection."""

    code: ClassVar[tuple[int, bytes]] = (1095, b"HY000")


class OldClient(UnsupportedVersion):
    """A client that logs in as MySQL 4.0 did, or with a password hash from then."""

    code: ClassVar[tuple[int, bytes]] = (1251, b"08004")

    def __init__(self) -> None:
        super().__init__(
            "Client does not support authentication protocol requested by server;"
            " consider upgrading MySQL client"
        )


class TlsRequired(InvalidAuthorization):
    """A client that does not encrypt, where it has to."""

    code: ClassVar[tuple[int, bytes]] = (3159, b"HY000")


class AccessDenied(AuthenticationFailed):
    """A wrong password, or no such account: in one and the same words, MySQL's.

    Args:
        user: The name that was given.
        host: Where from, as MySQL shows it in an account's name.
        used_password: Whether a password was given at all.
        hint: What could be done, where it is not the password that is wrong.
    """

    def __init__(self, user: bytes, host: str, *, used_password: bool, hint: str = "") -> None:
        said = "YES" if used_password else "NO"
        super().__init__(
            f"Access denied for user '{shown(user)}'@'{host}' (using password: {said})", hint=hint
        )


_FULL: Final = (1040, 1203, 1226)
"""Server Error Message Reference: too many connections; of this user, by either limit."""

_STOPPING: Final = 1053


class LoginRefused(ServerRefused):
    """A server did not let us in. Its own words are kept, to be relayed as they came.

    Args:
        said: What is in the ERR packet.
        ours: Whether it was not the server that said it.
        wants_password: Whether the password itself would have been the answer.
    """

    def __init__(self, said: ok.Error, *, ours: bool = False, wants_password: bool = False) -> None:
        self.said = said
        self.ours = ours
        self.wants_password = wants_password
        self.errno = said.code
        self.sqlstate = said.sqlstate or _NO_STATE
        self.fault = _FAULTS.get(self.errno, Fault.INVALID_AUTHORIZATION)
        super().__init__(shown(said.message))

    @property
    def is_full(self) -> bool:
        """See the base."""
        return self.errno in _FULL

    @property
    def is_passing(self) -> bool:
        """See the base."""
        return self.errno == _STOPPING

    @classmethod
    def by_us(cls, text: str, *, wants_password: bool = False) -> LoginRefused:
        """Refuse in a server's place, because it asks for what we do not have."""
        errno, sqlstate = CODES[Fault.INVALID_AUTHORIZATION]
        said = ok.Error(errno, sqlstate, _encode(text))
        return cls(said, ours=True, wants_password=wants_password)


_WITH_CODES: Final = (
    *(BadHandshake, OutOfOrder, OldClient, TlsRequired, UnknownCommand, UnknownThread, NotOwner),
    *(MalformedChange, MalformedPacket),
)


def error_code(error: ClientVisibleError) -> tuple[int, bytes]:
    """The errno and the SQLSTATE of an error."""
    if isinstance(error, LoginRefused):
        return error.errno, error.sqlstate
    if isinstance(error, _WITH_CODES):
        return error.code
    return CODES[error.fault]


def error_packet(error: ClientVisibleError, sequence: int, *, is_41: bool = True) -> bytes:
    """Build the ERR packet that tells a client of an error.

    Args:
        error: What went wrong.
        sequence: The number of the packet.
        is_41: Whether the client is known to speak protocol 4.1. Before it has said so, and
            already in place of the greeting, no SQLSTATE is sent: it would be shown as text.
    """
    errno, sqlstate = error_code(error)
    parts = (error.message, error.detail, error.hint)
    text = _encode("; ".join(part for part in parts if part))
    return ok.error_packet(sequence, ok.Error(errno, sqlstate if is_41 else b"", text))


def shown(name: bytes) -> str:
    """Decode what a peer said, to be shown; `error_packet` sends it out as it came in."""
    return name.decode("utf-8", "surrogateescape")


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
