"""A client's first bytes: from the open socket to who wants what.

A dialogue with one next step, so a generator: it yields what to answer, is sent what comes, and
returns a `Startup` or a `CancelRequest`. What is wrong raises a `ClientVisibleError`; every one of
them ends the connection. How TLS is made is the shell's affair.

Sources: "Start-up" and "SSL Session Encryption" under "Message Flow" in the PostgreSQL manual.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from proxy.errors import (
    InvalidAuthorization,
    InvalidSetting,
    RemoteProtocolError,
    UnsupportedVersion,
)
from proxy.wire.postgres.backend import negotiate_protocol_version
from proxy.wire.postgres.options import read_options
from proxy.wire.postgres.packets import (
    V3_2,
    CancelRequest,
    EncryptionRequest,
    StartupMessage,
    read_packet_size,
    read_startup,
)

NO_ENCRYPTION: Final = b"N"
TLS_FOLLOWS: Final = b"S"

_TLS_HANDSHAKE: Final = b"\x16"
_TRUE: Final = (b"1", b"on", b"true", b"yes")
_FALSE: Final = (b"0", b"off", b"false", b"no")


@unique
class Replication(Enum):
    """Whether a client wants a stream of the log, and so a server of its own."""

    NO = "no"
    PHYSICAL = "physical"
    LOGICAL = "logical"


@dataclass(slots=True)
class TlsBegins:
    """Tells the shell to wrap the connection; what it sends next is what came decrypted.

    `answer` goes out in the open first. `received` is the beginning of the handshake where the
    client began it without asking.
    """

    answer: bytes = b""
    received: bytes = b""


@dataclass(slots=True)
class Startup:
    """Who wants what. Names in `settings` are lower-case; `options` are merged into them.

    `answer` goes out before authentication begins. `rest` came behind the startup packet, and
    belongs to the messages that follow.
    """

    version: int
    user: bytes
    database: bytes
    settings: dict[bytes, bytes]
    replication: Replication
    answer: bytes = b""
    rest: bytes = b""


Dialogue = Generator[bytes | TlsBegins, bytes, Startup | CancelRequest]


def client_startup(*, tls: bool) -> Dialogue:
    """Answer a client's first bytes.

    Args:
        tls: Whether TLS can be offered.

    Raises:
        RemoteProtocolError: What came is no startup packet, or one that may not come now.
        InvalidAuthorization: No user is named.
        InvalidSetting, Unsupported: In `options` or `replication`.
    """
    data = yield b""
    if tls and data[:1] == _TLS_HANDSHAKE:
        # No packet begins so: its length would be far too large.
        data = yield TlsBegins(received=data)
        tls = False
    asked: set[EncryptionRequest] = set()
    while True:
        while len(data) < 4 or len(data) < read_packet_size(data):
            data += yield b""
        size = read_packet_size(data)
        packet, rest = read_startup(data[:size]), data[size:]
        if isinstance(packet, CancelRequest):
            return packet
        if isinstance(packet, StartupMessage):
            return _begin_session(packet, rest)
        if packet in asked:
            raise _unsupported(int.from_bytes(data[4:8], "big"))
        asked.add(packet)
        # What came behind the request can't have been encrypted, and would be taken for what
        # did come encrypted: somebody in the middle could have put it there (CVE-2021-23222).
        if rest:
            raise _unencrypted_data(packet)
        if tls and packet is EncryptionRequest.SSL:
            data = yield TlsBegins(answer=TLS_FOLLOWS)
            tls = False
            asked.add(EncryptionRequest.GSSENC)
        else:
            data = yield NO_ENCRYPTION


def _unencrypted_data(request: EncryptionRequest) -> RemoteProtocolError:
    kind = "SSL" if request is EncryptionRequest.SSL else "GSSAPI encryption"
    return RemoteProtocolError(
        f"received unencrypted data after {kind} request",
        detail="This could be either a client-software bug or evidence of an attempted"
        " man-in-the-middle attack.",
    )


def _begin_session(message: StartupMessage, rest: bytes) -> Startup:
    if message.version >> 16 != V3_2 >> 16:
        raise _unsupported(message.version)
    settings = message.parameters
    unknown = [name for name in settings if name.startswith(b"_pq_.")]
    for name in unknown:
        del settings[name]
    answer = b""
    version = min(message.version, V3_2)
    if unknown or message.version > V3_2:
        answer = negotiate_protocol_version(version, unknown)
    user = settings.pop(b"user", b"")
    if not user:
        raise InvalidAuthorization("no PostgreSQL user name specified in startup packet")
    database = settings.pop(b"database", b"") or user
    replication = _read_replication(settings.pop(b"replication", b"off"))
    # PostgreSQL applies `options` first, so a setting named by itself wins.
    merged = read_options(settings.pop(b"options", b""))
    merged.update((name.lower(), value) for name, value in settings.items())
    return Startup(version, user, database, merged, replication, answer, rest)


def _unsupported(version: int) -> UnsupportedVersion:
    return UnsupportedVersion(
        f"unsupported frontend protocol {version >> 16}.{version & 0xFFFF}:"
        f" server supports 3.0 to 3.{V3_2 & 0xFFFF}"
    )


def _read_replication(value: bytes) -> Replication:
    if value == b"database":
        return Replication.LOGICAL
    word = value.lower()
    # As PostgreSQL reads a truth value: any beginning of the word, as long as it is clear.
    if word and word != b"o":
        if any(full.startswith(word) for full in _TRUE):
            return Replication.PHYSICAL
        if any(full.startswith(word) for full in _FALSE):
            return Replication.NO
    shown = value.decode("utf-8", "surrogateescape")
    raise InvalidSetting(
        f'invalid value for parameter "replication": "{shown}"',
        hint='Valid values are: "false", 0, "true", 1, "database".',
    )
