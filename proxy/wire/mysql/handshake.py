"""The packets that open a connection: a server's greeting, and what a client says to it.

MySQL 5.7 to 9 and MariaDB. Payloads without headers. A client lays its packet out by what both
sides can do; a MariaDB server says so by *not* claiming LONG_PASSWORD, and then both have a second
word of capabilities in bytes that MySQL reserves.

Sources: "Connection Phase Packets" in the MySQL source documentation; "Connection" in MariaDB's
description of the protocol.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import capabilities as can
from proxy.wire.mysql.codec import (
    lenenc_string,
    read_lenenc_int,
    read_lenenc_string,
    read_null_string,
)
from proxy.wire.mysql.errors import BadHandshake, OldClient

NONCE_SIZE: Final = 20
FIXED_SIZE: Final = 32
"""What a client's packet begins with; an SSLRequest is no more than that."""

_PROTOCOL_VERSION: Final = 10
_FIRST_PART: Final = 8  # bytes of the nonce that came before there were more
_SECOND_PART: Final = 13  # at least, with a zero at the end
_REPLICATION_HACK: Final = b"5.5.5-"
"""MariaDB 10 puts this in front: older replicas took the first digit for the whole version."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """A server's first packet (HandshakeV10).

    Args:
        server_version: As it is sent, MariaDB's prefix included.
        connection_id: The one that KILL takes.
        nonce: What the client's first answer is made with; commonly `NONCE_SIZE` bytes.
        capabilities: Of the server, MariaDB's own in the bits from 32.
        charset: The server's collation; the low byte of its number.
        status: The flags of an OK packet.
        plugin: By which it would let a client prove who it is.
    """

    server_version: bytes
    connection_id: int
    nonce: bytes = field(repr=False)
    capabilities: int
    charset: int
    status: int
    plugin: bytes

    @property
    def is_mariadb(self) -> bool:
        """Whether it comes from MariaDB."""
        return not self.capabilities & can.LONG_PASSWORD or b"MariaDB" in self.server_version

    @property
    def version(self) -> bytes:
        """The version without what MariaDB puts in front."""
        return self.server_version.removeprefix(_REPLICATION_HACK)


def build_greeting(greeting: Greeting) -> bytes:
    """Build a HandshakeV10."""
    flags = greeting.capabilities & 0xFFFF_FFFF
    nonce = greeting.nonce
    extended = 0 if flags & can.LONG_PASSWORD else greeting.capabilities >> 32
    pieces = [
        bytes((_PROTOCOL_VERSION,)) + greeting.server_version + b"\0",
        greeting.connection_id.to_bytes(4, "little"),
        nonce[:_FIRST_PART] + b"\0",
        (flags & 0xFFFF).to_bytes(2, "little"),
        bytes((greeting.charset & 0xFF,)),
        greeting.status.to_bytes(2, "little"),
        (flags >> 16).to_bytes(2, "little"),
        bytes((len(nonce) + 1 if flags & can.PLUGIN_AUTH else 0,)),
        bytes(6) + extended.to_bytes(4, "little"),
        (nonce[_FIRST_PART:] + b"\0").ljust(_SECOND_PART, b"\0"),
    ]
    if flags & can.PLUGIN_AUTH:
        pieces.append(greeting.plugin + b"\0")
    return b"".join(pieces)


def read_greeting(payload: bytes) -> Greeting:
    """Read a HandshakeV10.

    Raises:
        RemoteProtocolError: It is none.
    """
    if payload[:1] != bytes((_PROTOCOL_VERSION,)):
        said = payload[0] if payload else "none"
        raise RemoteProtocolError(f"the server speaks protocol version {said}, not 10")
    version, pos = read_null_string(payload, 1)
    rest = payload[pos:]
    if len(rest) < 15:
        raise RemoteProtocolError("the server's greeting is too short")
    flags = _int(rest, 13, 2)
    rest = rest.ljust(31, b"\0")
    flags |= _int(rest, 18, 2) << 16
    if not flags & can.LONG_PASSWORD:
        flags |= _int(rest, 27, 4) << 32
    nonce, plugin = rest[4:12], b""
    size = rest[20] if flags & can.PLUGIN_AUTH else 0
    stop = 31 + max(_SECOND_PART, size - _FIRST_PART)
    if flags & can.SECURE_CONNECTION:
        nonce += rest[31 : stop - 1]
    if flags & can.PLUGIN_AUTH:
        plugin = rest[stop:].split(b"\0", 1)[0]  # old servers leave out the zero
    return Greeting(
        server_version=version,
        connection_id=_int(rest, 0, 4),
        nonce=nonce,
        capabilities=flags,
        charset=rest[15],
        status=_int(rest, 16, 2),
        plugin=plugin,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a client says to a greeting (HandshakeResponse41).

    Args:
        capabilities: What the packet is laid out by; of a client's, what both sides can do.
        max_packet: The longest packet that the client takes.
        charset: Its collation, which is its character set too.
        user: Whom it wants to be.
        answer: To the nonce, by `plugin`.
        database: Where it wants to go; empty: nowhere yet.
        plugin: How it would prove who it is; empty: it does not know of plugins.
        attributes: What it says of itself.
        zstd_level: For compression by zstd.
    """

    capabilities: int
    max_packet: int
    charset: int
    user: bytes
    answer: bytes = field(default=b"", repr=False)
    database: bytes = b""
    plugin: bytes = b""
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)
    zstd_level: int = 0


def build_ssl_request(response: Response) -> bytes:
    """Build what a client says first when it wants to go on encrypted."""
    extended = 0 if response.capabilities & can.LONG_PASSWORD else response.capabilities >> 32
    return b"".join(
        (
            (response.capabilities & 0xFFFF_FFFF).to_bytes(4, "little"),
            response.max_packet.to_bytes(4, "little"),
            bytes((response.charset & 0xFF,)),
            bytes(19),
            extended.to_bytes(4, "little"),
        )
    )


def build_response(response: Response) -> bytes:
    """Build a HandshakeResponse41."""
    flags = response.capabilities
    pieces = [build_ssl_request(response), response.user + b"\0"]
    if flags & can.PLUGIN_AUTH_LENENC_CLIENT_DATA:
        pieces.append(lenenc_string(response.answer))
    elif flags & can.SECURE_CONNECTION:
        pieces.append(bytes((len(response.answer),)) + response.answer)
    else:
        pieces.append(response.answer + b"\0")
    if flags & can.CONNECT_WITH_DB:
        pieces.append(response.database + b"\0")
    if flags & can.PLUGIN_AUTH:
        pieces.append(response.plugin + b"\0")
    if flags & can.CONNECT_ATTRS:
        pieces.append(build_attributes(response.attributes))
    if flags & can.ZSTD_COMPRESSION:
        pieces.append(bytes((response.zstd_level,)))
    return b"".join(pieces)


def read_flags(payload: bytes) -> int:
    """What a client's first packet says that it can do, whichever that packet is.

    Raises:
        OldClient: It is from before protocol 4.1, and laid out differently.
        BadHandshake: It is too short.
    """
    if len(payload) < 2:
        raise BadHandshake("the packet ends before the capabilities")
    if not payload[1] << 8 & can.PROTOCOL_41:
        raise OldClient
    if len(payload) < FIXED_SIZE:
        raise BadHandshake(f"the packet has {len(payload)} bytes of at least {FIXED_SIZE}")
    flags = _int(payload, 0, 4)
    if not flags & can.LONG_PASSWORD:
        flags |= _int(payload, 28, 4) << 32
    return flags


def read_response(payload: bytes, offered: int) -> Response:
    """Read a HandshakeResponse41.

    Args:
        payload: Of the packet.
        offered: The capabilities of the greeting that it answers.

    Raises:
        RemoteProtocolError: It is none, or of an old kind.
    """
    flags = read_flags(payload) & offered
    try:
        return _read_response(payload, flags)
    except RemoteProtocolError as error:
        raise BadHandshake(error.message) from None


def _read_response(payload: bytes, flags: int) -> Response:
    user, pos = read_null_string(payload, FIXED_SIZE)
    if flags & can.PLUGIN_AUTH_LENENC_CLIENT_DATA:
        answer, pos = read_lenenc_string(payload, pos)
    else:
        answer, pos = _read_answer(payload, pos, flags)
    response = Response(
        capabilities=flags,
        max_packet=_int(payload, 4, 4),
        charset=payload[8],
        user=user,
        answer=answer,
    )
    if flags & can.CONNECT_WITH_DB and pos < len(payload):
        database, pos = read_null_string(payload, pos)
        response = replace(response, database=database)
    plugin, attributes, pos = _read_tail(payload, pos, flags)
    level = payload[pos] if flags & can.ZSTD_COMPRESSION and pos < len(payload) else 0
    return replace(response, plugin=plugin, attributes=attributes, zstd_level=level)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeUser:
    """What COM_CHANGE_USER asks for: a new session, without a new connection.

    `charset` is None where the client does not say one.
    """

    user: bytes
    answer: bytes = field(default=b"", repr=False)
    database: bytes = b""
    charset: int | None = None
    plugin: bytes = b""
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)


def build_change_user(wish: ChangeUser, flags: int) -> bytes:
    """Build what stands behind the command's byte."""
    pieces = [wish.user + b"\0"]
    if flags & can.SECURE_CONNECTION:
        pieces.append(bytes((len(wish.answer),)) + wish.answer)
    else:
        pieces.append(wish.answer + b"\0")
    pieces.append(wish.database + b"\0")
    if wish.charset is not None:
        pieces.append(wish.charset.to_bytes(2, "little"))
        if flags & can.PLUGIN_AUTH:
            pieces.append(wish.plugin + b"\0")
        if flags & can.CONNECT_ATTRS:
            pieces.append(build_attributes(wish.attributes))
    return b"".join(pieces)


def read_change_user(data: bytes, flags: int) -> ChangeUser:
    """Read what stands behind the command's byte.

    Args:
        data: The rest of the payload.
        flags: What was agreed on when the connection began.

    Raises:
        RemoteProtocolError: It is not laid out so.
    """
    user, pos = read_null_string(data, 0)
    answer, pos = _read_answer(data, pos, flags)
    database, pos = read_null_string(data, pos)
    wish = ChangeUser(user=user, answer=answer, database=database)
    if len(data) < pos + 2:
        return wish
    plugin, attributes, _ = _read_tail(data, pos + 2, flags)
    charset = _int(data, pos, 2)
    return replace(wish, charset=charset, plugin=plugin, attributes=attributes)


def build_attributes(attributes: Mapping[bytes, bytes]) -> bytes:
    """Build what a client says of itself."""
    words = [lenenc_string(word) for pair in attributes.items() for word in pair]
    return lenenc_string(b"".join(words))


def _read_answer(data: bytes, pos: int, flags: int) -> tuple[bytes, int]:
    if not flags & can.SECURE_CONNECTION:
        return read_null_string(data, pos)
    if pos >= len(data):
        raise RemoteProtocolError("a packet ends before its answer")
    stop = pos + 1 + data[pos]
    if stop > len(data):
        raise RemoteProtocolError("a packet ends in the middle of its answer")
    return data[pos + 1 : stop], stop


def _read_tail(data: bytes, pos: int, flags: int) -> tuple[bytes, dict[bytes, bytes], int]:
    """The plugin and the attributes. A client that has no more to say may end earlier."""
    plugin = b""
    attributes: dict[bytes, bytes] = {}
    if flags & can.PLUGIN_AUTH and pos < len(data):
        stop = data.find(b"\0", pos)
        if stop < 0:  # some connectors leave out the zero at a packet's end
            stop = len(data)
        plugin, pos = data[pos:stop], stop + 1
    if flags & can.CONNECT_ATTRS and pos < len(data):
        attributes, pos = _read_attributes(data, pos)
    return plugin, attributes, pos


def _read_attributes(data: bytes, pos: int) -> tuple[dict[bytes, bytes], int]:
    size, pos = read_lenenc_int(data, pos)
    stop = pos + size
    if stop > len(data):
        raise RemoteProtocolError("a packet ends in the middle of its attributes")
    attributes = {}
    while pos < stop:
        name, pos = read_lenenc_string(data, pos)
        attributes[name], pos = read_lenenc_string(data, pos)
    if pos != stop:
        raise RemoteProtocolError("an attribute is longer than all of them")
    return attributes, stop


def _int(data: bytes, pos: int, size: int) -> int:
    return int.from_bytes(data[pos : pos + size], "little")
