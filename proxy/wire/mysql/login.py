"""Log in to a server.

A dialogue with one next step, so a generator: it yields what to send (nothing at first: a server
greets), or `TlsBegins` when the connection is to be encrypted; is sent each packet of the server,
whole; and returns a `Welcome`.

Sources: "Connection Phase" and "Authentication Method" in the MySQL source documentation;
"Connection" in MariaDB's description of the protocol.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import capabilities as can
from proxy.wire.mysql import ed25519
from proxy.wire.mysql.auth_messages import (
    MORE_DATA,
    NEXT_FACTOR,
    SWITCH,
    read_auth_switch,
)
from proxy.wire.mysql.codec import HEADER
from proxy.wire.mysql.credentials import Credentials
from proxy.wire.mysql.errors import LoginRefused, shown
from proxy.wire.mysql.events import Encryption, TlsBegins
from proxy.wire.mysql.handshake import (
    NONCE_SIZE,
    Greeting,
    Response,
    build_response,
    build_ssl_request,
    read_greeting,
)
from proxy.wire.mysql.ok import ERROR, OK, Ok, read_error, read_ok
from proxy.wire.mysql.scramble import (
    CLEAR,
    ED25519,
    NATIVE,
    SHA2,
    SHA256,
    encrypt_password,
    native_answer,
    sha2_answer,
)
from proxy.wire.mysql.turns import Turns

MAX_SWITCHES: Final = 8
"""How often a server may ask for another plugin. MySQL does once; a MariaDB account has several."""

_ALWAYS: Final = (
    can.LONG_PASSWORD  # MariaDB does not claim it, and then it is not agreed on
    | can.PROTOCOL_41
    | can.TRANSACTIONS
    | can.RESERVED
    | can.SECURE_CONNECTION
    | can.PLUGIN_AUTH
    | can.CONNECT_ATTRS
    | can.PLUGIN_AUTH_LENENC_CLIENT_DATA
)
_NEVER: Final = (
    can.COMPRESS
    | can.ZSTD_COMPRESSION
    | can.SSL
    | can.CONNECT_WITH_DB
    | can.MULTI_FACTOR_AUTHENTICATION
)
_NEEDED: Final = can.PROTOCOL_41 | can.SECURE_CONNECTION

_FAST_AUTH_OK: Final = b"\x03"
_FULL_AUTH: Final = b"\x04"
_KEY_REQUESTS: Final = {SHA2: b"\x02", SHA256: b"\x01"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """Who wants what of the server.

    Args:
        user: Whose session it is to be.
        database: Where it begins; empty: nowhere yet.
        capabilities: What is to be agreed on, as far as the server can do it; what a login takes
            is added.
        charset: The collation of the session.
        attributes: What is said of the connection (performance_schema.session_connect_attrs).
        max_packet: The longest packet that is taken.
    """

    user: bytes
    database: bytes = b""
    capabilities: int = 0
    charset: int = 45  # utf8mb4_general_ci, which MySQL and MariaDB both have
    attributes: Mapping[bytes, bytes] = field(default_factory=dict)
    max_packet: int = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """The connection, and what may be said on it.

    Args:
        encryption: Whether to speak TLS if the server does, or not without.
        is_private: Whether nobody can listen even so: a Unix socket.
        public_key: The server's (PEM), to encrypt the password with where TLS is not spoken.
        fetches_key: Whether the server itself may be asked for it. Somebody in the middle could
            answer with a key of their own, and would have the password.
    """

    encryption: Encryption = Encryption.OFFERED
    is_private: bool = False
    public_key: bytes | None = None
    fetches_key: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """What a server says of itself and of the session when it lets us in.

    Args:
        connection_id: The one that KILL takes.
        server_version: Without what MariaDB puts in front.
        is_mariadb: Whether it is MariaDB.
        capabilities: What is agreed on, MariaDB's own in the bits from 32.
        charset: The collation that was asked for.
        is_encrypted: Whether TLS is spoken.
        ok: What the server said at last: the state of the session, and what to know of it.
    """

    connection_id: int
    server_version: bytes
    is_mariadb: bool
    capabilities: int
    charset: int
    is_encrypted: bool
    ok: Ok


Dialogue = Generator[bytes | TlsBegins, bytes, Welcome]


def log_in(wish: Wish, credentials: Credentials, channel: Channel) -> Dialogue:
    """Log in to a server.

    Raises:
        LoginRefused: The server said no, or asked for what is not known.
        RemoteProtocolError: It does not speak the protocol.
    """
    return (yield from _Login(wish, credentials, channel).run())


class _Login:
    """The parts of the dialogue, and what they share."""

    __slots__ = (
        "channel",
        "credentials",
        "is_mariadb",
        "is_private",
        "last",
        "missing",
        "turns",
        "wish",
    )

    def __init__(self, wish: Wish, credentials: Credentials, channel: Channel) -> None:
        self.wish = wish
        self.credentials = credentials
        self.channel = channel
        self.is_private = channel.is_private
        self.turns = Turns()
        self.is_mariadb = False
        self.last = b""  # the packet that was heard last
        self.missing: LoginRefused | None = None  # what could not be answered

    def run(self) -> Dialogue:
        greeting = read_greeting(self._heard((yield b"")))
        self.is_mariadb = greeting.is_mariadb
        if greeting.capabilities & _NEEDED != _NEEDED:
            raise LoginRefused.by_us("the server is too old: it does not speak protocol 4.1")
        response = self._respond(greeting)
        is_encrypted = self._wants_tls(greeting)
        if is_encrypted:
            response = replace(response, capabilities=response.capabilities | can.SSL)
            yield TlsBegins(answer=self.turns.say(build_ssl_request(response)))
            self.is_private = True
        payload = yield from self._ask(build_response(response))
        yield from self._prove(payload, response.plugin or NATIVE, greeting.nonce)
        return Welcome(
            connection_id=greeting.connection_id,
            server_version=greeting.version,
            is_mariadb=greeting.is_mariadb,
            capabilities=response.capabilities,
            charset=response.charset,
            is_encrypted=is_encrypted,
            ok=read_ok(self.last),
        )

    def _heard(self, data: bytes) -> bytes:
        if data[HEADER : HEADER + 1] == bytes((ERROR,)):
            # Whatever its number: a server that is stopping says so out of turn.
            raise self.missing or LoginRefused(read_error(data))
        self.last = data
        return self.turns.hear(data)

    def _ask(self, payload: bytes) -> Generator[bytes, bytes, bytes]:
        """Say something, and hear the answer."""
        return self._heard((yield self.turns.say(payload)))

    def _wants_tls(self, greeting: Greeting) -> bool:
        encryption = self.channel.encryption
        offered = bool(greeting.capabilities & can.SSL)
        if encryption is Encryption.REQUIRED and not offered:
            raise LoginRefused.by_us("the server does not support TLS, but it is required")
        return offered and encryption is not Encryption.NEVER

    def _respond(self, greeting: Greeting) -> Response:
        wish = self.wish
        flags = wish.capabilities & ~_NEVER | _ALWAYS
        if wish.database:
            flags |= can.CONNECT_WITH_DB
        plugin = self._choose_plugin(greeting)
        return Response(
            capabilities=flags & greeting.capabilities,
            max_packet=wish.max_packet,
            charset=wish.charset,
            user=wish.user,
            answer=self._try_answer(plugin, greeting.nonce) or b"",
            database=wish.database,
            plugin=plugin,
            attributes=wish.attributes,
        )

    def _choose_plugin(self, greeting: Greeting) -> bytes:
        """The server's own plugin, or else one that can be answered by: it will ask for another."""
        plugin = greeting.plugin or NATIVE
        for one in (plugin, NATIVE, SHA2):
            if one in (NATIVE, SHA2) and self._try_answer(one, greeting.nonce) is not None:
                return one
        return plugin

    def _try_answer(self, plugin: bytes, nonce: bytes) -> bytes | None:
        """What answers a nonce; None: it can't be answered."""
        known, nonce = self.credentials, nonce[:NONCE_SIZE]
        if known.password == b"":
            return b""
        if plugin == NATIVE:
            key = known.find_native_key()
            return native_answer(key, nonce) if key is not None else None
        key = known.find_sha2_key()
        return sha2_answer(key, nonce) if key is not None and plugin == SHA2 else None

    def _prove(self, payload: bytes, plugin: bytes, nonce: bytes) -> Generator[bytes, bytes, None]:
        """Answer what the server asks, until it lets us in: the OK."""
        switches = 0
        while payload[:1] != bytes((OK,)):
            kind = payload[0] if payload else -1
            if kind == SWITCH and switches < MAX_SWITCHES:
                switches += 1
                plugin, nonce = read_auth_switch(payload)
                payload = yield from self._try_switch(plugin, nonce)
            elif kind == MORE_DATA and plugin == SHA2:
                payload = yield from self._go_on(payload[1:], nonce[:NONCE_SIZE])
            elif kind == NEXT_FACTOR:
                raise LoginRefused.by_us("the server asks for a second factor")
            else:
                raise _unexpected(kind)

    def _try_switch(self, plugin: bytes, nonce: bytes) -> Generator[bytes, bytes, bytes]:
        """Answer by the plugin that the server asks for, or let it ask for another.

        MariaDB tries all plugins of an account, one after the other.
        """
        self.missing = None
        try:
            return (yield from self._switch(plugin, nonce))
        except LoginRefused as refused:
            if not (refused.wants_password and self.is_mariadb):
                raise
            self.missing = refused
        return (yield from self._ask(b""))

    def _switch(self, plugin: bytes, nonce: bytes) -> Generator[bytes, bytes, bytes]:
        """Answer by the plugin that the server asks for."""
        if plugin in (NATIVE, SHA2):
            answer = self._try_answer(plugin, nonce)
            if answer is None:
                raise self._unknown(shown(plugin))
            return (yield from self._ask(answer))
        if plugin == ED25519:
            if len(nonce) < ed25519.NONCE_SIZE:
                raise RemoteProtocolError("the server's nonce is too short")
            password = self._password(plugin)
            return (yield from self._ask(ed25519.sign(password, nonce[: ed25519.NONCE_SIZE])))
        if plugin == SHA256:
            if self._password(plugin) == b"":
                return (yield from self._ask(b"\0"))
            return (yield from self._say_password(plugin, nonce[:NONCE_SIZE]))
        if plugin == CLEAR:
            if not self.is_private:
                raise LoginRefused.by_us(
                    "the server asks for the password itself on a connection without TLS"
                )
            return (yield from self._ask(self._password(plugin) + b"\0"))
        name = shown(plugin) or "mysql_old_password"
        raise LoginRefused.by_us(
            f"the server asks for authentication by {name}, which Tidegate does not speak"
        )

    def _go_on(self, data: bytes, nonce: bytes) -> Generator[bytes, bytes, bytes]:
        """Hear what `caching_sha2_password` says of the first answer."""
        if data == _FAST_AUTH_OK:
            return self._heard((yield b""))
        if data != _FULL_AUTH:
            raise RemoteProtocolError("the server's caching_sha2_password says something unknown")
        return (yield from self._say_password(SHA2, nonce))

    def _say_password(self, plugin: bytes, nonce: bytes) -> Generator[bytes, bytes, bytes]:
        """Say the password itself, so that only the server hears it."""
        password = self._password(plugin)
        if self.is_private:
            return (yield from self._ask(password + b"\0"))
        key = self.channel.public_key
        if key is None:
            if not self.channel.fetches_key:
                raise LoginRefused.by_us(
                    f"the server asks for the password of user '{shown(self.wish.user)}' itself"
                    " on a connection without TLS, and its public key is not known"
                )
            payload = yield from self._ask(_KEY_REQUESTS[plugin])
            if payload[:1] != bytes((MORE_DATA,)):
                raise _unexpected(payload[0] if payload else -1)
            key = payload[1:]
        return (yield from self._ask(encrypt_password(password, nonce, key)))

    def _password(self, plugin: bytes) -> bytes:
        if self.credentials.password is None:
            raise self._unknown(f"the password itself ({shown(plugin)})")
        return self.credentials.password

    def _unknown(self, wanted: str) -> LoginRefused:
        return LoginRefused.by_us(
            f"the server asks for {wanted} of user '{shown(self.wish.user)}', which is not known",
            wants_password=True,
        )


def _unexpected(kind: int) -> RemoteProtocolError:
    said = f"packet 0x{kind:02X}" if kind >= 0 else "empty packet"
    return RemoteProtocolError(f"unexpected {said} during login")
