"""The packets that open a connection: a length, a number that says the kind, no tag.

"Message Formats" in the manual: StartupMessage, SSLRequest, GSSENCRequest, CancelRequest. Which of
them may follow which is known to `startup`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres.codec import INT32, read_int32, string

V3_0: Final = 0x0003_0000
V3_2: Final = 0x0003_0002

MAX_PACKET: Final = 10_004
"""PostgreSQL's limit (MAX_STARTUP_PACKET_LENGTH), and the length itself."""

_CANCEL: Final = 1234 << 16 | 5678
_SSL: Final = 1234 << 16 | 5679
_GSSENC: Final = 1234 << 16 | 5680

SSL_REQUEST: Final = INT32.pack(8) + INT32.pack(_SSL)
GSSENC_REQUEST: Final = INT32.pack(8) + INT32.pack(_GSSENC)


@unique
class EncryptionRequest(Enum):
    """The first word of a client that would rather not speak in the open."""

    SSL = "SSLRequest"
    GSSENC = "GSSENCRequest"


@dataclass(slots=True)
class CancelRequest:
    """A wish that the statement of another connection be stopped."""

    pid: int
    secret: bytes


@dataclass(slots=True)
class StartupMessage:
    """The beginning of a session. `version` holds the major number above the minor one."""

    version: int
    parameters: dict[bytes, bytes]


Packet = EncryptionRequest | CancelRequest | StartupMessage


def startup_message(parameters: Mapping[bytes, bytes], version: int = V3_0) -> bytes:
    """Build the packet that begins a session."""
    pieces = [string(word) for pair in parameters.items() for word in pair]
    return _packet(version, *pieces, b"\0")


def cancel_request(pid: int, secret: bytes) -> bytes:
    """Build the packet that cancels another connection's statement."""
    return _packet(_CANCEL, INT32.pack(pid), secret)


def _packet(kind: int, *body: bytes) -> bytes:
    return b"".join((INT32.pack(8 + sum(map(len, body))), INT32.pack(kind), *body))


def read_packet_size(data: bytes) -> int:
    """The size of the packet that begins with these four bytes or more."""
    size = read_int32(data, 0)
    if not 8 <= size <= MAX_PACKET:
        raise RemoteProtocolError("invalid length of startup packet")
    return size


def read_startup(packet: bytes) -> Packet:
    """What a whole packet, its length included, asks for."""
    kind = read_int32(packet, 4)
    if kind == _SSL:
        return EncryptionRequest.SSL
    if kind == _GSSENC:
        return EncryptionRequest.GSSENC
    if kind == _CANCEL:
        return _read_cancel(packet)
    if kind >> 16 != 3:
        # Other versions lay their parameters out differently; the number is all we can tell.
        return StartupMessage(kind & 0xFFFF_FFFF, {})
    return StartupMessage(kind, _read_parameters(packet))


def _read_cancel(packet: bytes) -> CancelRequest:
    secret = packet[12:]
    if not 4 <= len(secret) <= 256:
        raise RemoteProtocolError("invalid length of cancel request packet")
    return CancelRequest(read_int32(packet, 8), secret)


def _read_parameters(packet: bytes) -> dict[bytes, bytes]:
    # Every string ends with a NUL, and an empty name ends the list: two NULs at the end, or one
    # when the list is empty.
    words = packet[8:].split(b"\0")
    if words.pop() or not words or words.pop():
        raise _bad_layout()
    if len(words) % 2 or not all(words[::2]):
        raise _bad_layout()
    return dict(zip(words[::2], words[1::2], strict=True))


def _bad_layout() -> RemoteProtocolError:
    return RemoteProtocolError("invalid startup packet layout: expected terminator as last byte")
