"""A client's first packets: from our greeting to who wants what.

A dialogue with one next step, so a generator: it yields what to send, is sent the bytes that come,
and returns a `Startup`. What is wrong raises a `ClientVisibleError`; every one of them ends the
connection, with `Turns.refusal`. How TLS is made is the shell's affair.

Source: "Connection Phase" in the MySQL source documentation.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import Final

from proxy.wire.mysql import capabilities as can
from proxy.wire.mysql.codec import HEADER
from proxy.wire.mysql.compression import HAS_ZSTD
from proxy.wire.mysql.errors import OldClient, TlsRequired
from proxy.wire.mysql.events import Encryption, TlsBegins
from proxy.wire.mysql.handshake import (
    Greeting,
    Response,
    build_greeting,
    read_flags,
    read_response,
)
from proxy.wire.mysql.scramble import NATIVE
from proxy.wire.mysql.turns import Turns

_ALWAYS: Final = (
    can.CONNECT_WITH_DB
    | can.COMPRESS
    | can.PROTOCOL_41
    | can.RESERVED
    | can.SECURE_CONNECTION
    | can.PLUGIN_AUTH
    | can.CONNECT_ATTRS
    | can.PLUGIN_AUTH_LENENC_CLIENT_DATA
)
_NEVER: Final = (
    can.ZSTD_COMPRESSION | can.SSL | can.MULTI_FACTOR_AUTHENTICATION | can.MARIADB_COM_MULTI
)


def offer(servers: int) -> int:
    """What to offer to clients, of what the servers can do: all but what we do not speak.

    TLS is offered by `client_startup`.
    """
    return servers & ~_NEVER | _ALWAYS | (can.ZSTD_COMPRESSION if HAS_ZSTD else 0)


@dataclass(slots=True)
class First:
    """What a client has said to prove itself before it was asked."""

    plugin: bytes
    answer: bytes = field(repr=False)


@dataclass(slots=True)
class Startup:
    """Who wants what.

    Args:
        response: What the client said. Its capabilities are those that are agreed on.
        first: Its answer to the greeting.
        is_encrypted: Whether TLS is spoken.
        rest: What came behind it.
    """

    response: Response
    first: First
    is_encrypted: bool
    rest: bytes = b""

    @property
    def can_switch(self) -> bool:
        """Whether the client can be asked to use another plugin."""
        return bool(self.response.capabilities & can.PLUGIN_AUTH)


Dialogue = Generator[bytes | TlsBegins, bytes, Startup]


def client_startup(greeting: Greeting, turns: Turns, *, encryption: Encryption) -> Dialogue:
    """Greet a client, and hear who it is.

    Args:
        greeting: Its capabilities without TLS.
        turns: New; `authenticate` goes on with it.
        encryption: Whether TLS can be spoken, or must be.

    Raises:
        RemoteProtocolError: What came is no answer to a greeting, or of an old kind.
        TlsRequired: It does not want TLS and has to.
    """
    if encryption is not Encryption.NEVER:
        greeting = replace(greeting, capabilities=greeting.capabilities | can.SSL)
    data = yield turns.say(build_greeting(greeting))
    turns.is_41 = True  # what the greeting says that we speak
    payload, rest = yield from _hear(turns, data)
    is_encrypted = bool(_flags(payload, turns) & greeting.capabilities & can.SSL)
    if is_encrypted:
        # Whatever follows is TLS: no answer is waited for, and none is given.
        data = yield TlsBegins(received=rest)
        payload, rest = yield from _hear(turns, data)
        _flags(payload, turns)
    elif encryption is Encryption.REQUIRED:
        raise TlsRequired("Connections using insecure transport are prohibited")
    response = read_response(payload, greeting.capabilities)
    if not response.capabilities & can.SECURE_CONNECTION:
        raise OldClient
    first = First(response.plugin or NATIVE, response.answer)
    return Startup(response, first, is_encrypted, rest)


def _hear(turns: Turns, data: bytes) -> Generator[bytes, bytes, tuple[bytes, bytes]]:
    """Wait for a whole packet; its payload, and what came behind it."""
    while len(data) < HEADER or len(data) < turns.size(data):
        data += yield b""
    size = turns.size(data)
    return turns.hear(data[:size]), data[size:]


def _flags(payload: bytes, turns: Turns) -> int:
    try:
        return read_flags(payload)
    except OldClient:
        turns.is_41 = False
        raise
