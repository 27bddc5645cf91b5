"""Log in to a server.

A dialogue with one next step, so a generator: it yields what to send, is sent each message of
the server (tag, bytes with header), and returns a `Welcome` at the first ReadyForQuery.

Sources: "Start-up" and "SASL Authentication" in the PostgreSQL manual.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import auth_messages as auth
from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.credentials import Credentials, md5_answer, md5_hash
from proxy.wire.postgres.errors import LoginRefused
from proxy.wire.postgres.packets import V3_0, startup_message
from proxy.wire.postgres.scram import Keys, finish
from proxy.wire.postgres.scram_client import choose_mechanism, client_exchange
from proxy.wire.status import IDLE

__all__ = ["Credentials", "LoginRefused", "Welcome", "log_in"]


@dataclass(slots=True)
class Welcome:
    """What a server says of itself and of the session when it lets us in.

    `pid` is 0 when it gave no key to cancel with.
    """

    parameters: dict[bytes, bytes] = field(default_factory=dict)
    pid: int = 0
    secret: bytes = field(default=b"", repr=False)
    status: int = IDLE
    version: int = V3_0


def log_in(
    parameters: Mapping[bytes, bytes],
    credentials: Credentials,
    *,
    nonce: bytes,
    channel_binding: bytes | None = None,
    encrypted: bool = False,
    version: int = V3_0,
) -> Generator[bytes, tuple[int, bytes], Welcome]:
    """Log in to a server.

    Args:
        parameters: Of the startup message; `user` is one of them.
        credentials: What may be answered with.
        nonce: Fresh and random: printable ASCII without a comma, such as base64 of 18 bytes.
        channel_binding: The hash of the server's certificate, when TLS is spoken.
        encrypted: Whether TLS is spoken, or nobody can listen in anyway: only then a password is
            said in clear.
        version: The version of the protocol to ask for; an older server says what it speaks.

    Raises:
        LoginRefused: The server said no, or asked for what is not known.
        RemoteProtocolError: It does not speak the protocol, or could not prove that it knows
            the password.
    """
    login = _Login(parameters[b"user"], credentials, nonce, channel_binding, version)
    code, body = yield from login.ask(startup_message(parameters, version))
    if code == auth.CLEARTEXT:
        code, body = yield from login.ask(login.clear_password(encrypted=encrypted))
    elif code == auth.MD5:
        code, body = yield from login.ask(login.md5_password(body))
    elif code == auth.SASL:
        code, body = yield from login.prove_by_scram(body)
    if code != auth.OK:
        raise LoginRefused.by_us(
            f"the server asks for authentication by method {code}, which Tidegate does not speak"
        )
    return (yield from login.wait_ready())


class _Login:
    """The parts of the dialogue, and what they share."""

    __slots__ = ("binding", "credentials", "nonce", "user", "welcome")

    def __init__(
        self,
        user: bytes,
        credentials: Credentials,
        nonce: bytes,
        binding: bytes | None,
        version: int,
    ) -> None:
        self.user = user
        self.credentials = credentials
        self.nonce = nonce
        self.binding = binding
        self.welcome = Welcome(version=version)

    def hear(self, answer: bytes) -> Generator[bytes, tuple[int, bytes], tuple[int, bytes]]:
        """Send something, and wait for a message that is more than a remark."""
        tag, data = yield answer
        while True:
            if tag == tags.ERROR_RESPONSE:
                raise LoginRefused(data)
            if tag == tags.NEGOTIATE_PROTOCOL_VERSION:
                self._step_down(backend.read_negotiate_protocol_version(data)[0])
            elif tag != tags.NOTICE_RESPONSE:
                return tag, data
            tag, data = yield b""

    def _step_down(self, version: int) -> None:
        if not V3_0 <= version <= self.welcome.version:
            raise RemoteProtocolError(
                f"the server wants to speak protocol {version >> 16}.{version & 0xFFFF}"
            )
        self.welcome.version = version

    def ask(self, answer: bytes) -> Generator[bytes, tuple[int, bytes], tuple[int, bytes]]:
        """Send something, and wait for the Authentication message that answers it."""
        tag, data = yield from self.hear(answer)
        if tag != tags.AUTHENTICATION:
            raise _unexpected(tag)
        return auth.read_authentication(data)

    def clear_password(self, *, encrypted: bool) -> bytes:
        """Answer a request for the password itself; whoever listens would have it."""
        if not encrypted:
            raise LoginRefused.by_us(
                "the server asks for the password itself on a connection without TLS",
                hint="Let it ask for SCRAM-SHA-256, or set server_tls_sslmode.",
            )
        if self.credentials.password is None:
            raise self._unknown("the password itself")
        return frontend.password(self.credentials.password)

    def md5_password(self, salt: bytes) -> bytes:
        """Answer a request for an md5 password."""
        if len(salt) != 4:
            raise RemoteProtocolError("invalid message format")
        known = self.credentials.md5_hash
        if self.credentials.password is not None:
            known = md5_hash(self.credentials.password, self.user)
        if known is None:
            raise self._unknown("an md5 password")
        return frontend.password(md5_answer(known, salt))

    def prove_by_scram(self, body: bytes) -> Generator[bytes, tuple[int, bytes], tuple[int, bytes]]:
        """Prove knowledge of the password without sending it, and let the server do the same."""
        offered = auth.read_mechanisms(body)
        chosen = choose_mechanism(offered, self.binding)
        if chosen is None:
            shown = _shown(b", ".join(offered))
            raise LoginRefused.by_us(f"the server asks for SASL by {shown}")
        mechanism, header = chosen
        exchange = client_exchange(self._scram_secret(), self.nonce, header, self.binding)
        first = frontend.sasl_initial_response(mechanism, next(exchange))
        challenge = yield from self._sasl(first, auth.SASL_CONTINUE)
        final = frontend.sasl_response(exchange.send(challenge))
        signature = yield from self._sasl(final, auth.SASL_FINAL)
        finish(exchange, signature)
        return (yield from self.ask(b""))

    def _scram_secret(self) -> bytes | Keys:
        # The password first: keys fit one salt only, and a server may have stored another.
        secret = self.credentials.password or self.credentials.scram_keys
        if secret is None:
            raise self._unknown("SCRAM-SHA-256")
        return secret

    def _sasl(self, answer: bytes, expected: int) -> Generator[bytes, tuple[int, bytes], bytes]:
        code, body = yield from self.ask(answer)
        if code != expected:
            # In particular: an AuthenticationOk from one who has not shown that it knows us.
            raise RemoteProtocolError(f"authentication message {code} in place of {expected}")
        return body

    def _unknown(self, wanted: str) -> LoginRefused:
        return LoginRefused.by_us(
            f'the server asks for {wanted} of user "{_shown(self.user)}", which is not known',
            hint="List the user with a password.",
        )

    def wait_ready(self) -> Generator[bytes, tuple[int, bytes], Welcome]:
        """Listen to what the server says of the session, until it is ready."""
        welcome = self.welcome
        while True:
            tag, data = yield from self.hear(b"")
            if tag == tags.PARAMETER_STATUS:
                name, value = backend.read_parameter_status(data)
                welcome.parameters[name] = value
            elif tag == tags.BACKEND_KEY_DATA:
                welcome.pid, welcome.secret = backend.read_backend_key_data(data)
            elif tag == tags.READY_FOR_QUERY:
                welcome.status = backend.read_ready_status(data)
                return welcome
            else:
                raise _unexpected(tag)


def _unexpected(tag: int) -> RemoteProtocolError:
    return RemoteProtocolError(f"unexpected message {chr(tag)!r} during login")


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
