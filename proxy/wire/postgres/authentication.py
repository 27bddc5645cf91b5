"""Let a client prove who it is, and learn what logs in to the servers in its name.

A dialogue with one next step, so a generator: it yields what to send, is sent each answer of the
client, whole, and returns an `Authenticated`. Failing raises `AuthenticationFailed` with the words
of PostgreSQL (auth.c), which tell nobody whether the user exists.

Sources: "Authentication Methods" and "SASL Authentication" in the PostgreSQL manual.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from proxy.errors import AuthenticationFailed, InvalidAuthorization, RemoteProtocolError
from proxy.wire.postgres import tags
from proxy.wire.postgres.auth_messages import (
    AUTHENTICATION_CLEARTEXT,
    AUTHENTICATION_OK,
    authentication_md5,
    authentication_sasl,
    authentication_sasl_continue,
    authentication_sasl_final,
)
from proxy.wire.postgres.codec import HEADER
from proxy.wire.postgres.credentials import (
    Credentials,
    is_md5_hash,
    is_password,
    md5_answer,
    md5_hash,
)
from proxy.wire.postgres.frontend import read_password, read_sasl_initial_response
from proxy.wire.postgres.scram import (
    DEFAULT_ITERATIONS,
    SCRAM,
    SCRAM_PLUS,
    Keys,
    Verifier,
    finish,
    mock_verifier,
)
from proxy.wire.postgres.scram_server import server_exchange

MAX_ANSWER: Final = 65_535
"""PostgreSQL's limit for a password (PG_MAX_AUTH_TOKEN_LENGTH): some are tokens of a few kB."""

_SALT_SIZE: Final = 4


@unique
class Method(Enum):
    """How a client proves who it is. PgBouncer's names."""

    SCRAM = "scram-sha-256"
    MD5 = "md5"
    PLAIN = "plain"
    CERT = "cert"
    TRUST = "trust"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A client that says who it is, and what there is to judge it by.

    Args:
        user: The name it gave.
        stored: What is stored of the user's password: a SCRAM verifier, an md5 hash, or the
            password itself. None when there is no such user, or no password.
        certificate_name: The common name in the certificate it showed, verified.
        binding: The hash of our own certificate, over TLS; -PLUS is offered then.
    """

    user: bytes
    stored: bytes | None = None
    certificate_name: bytes | None = None
    binding: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chance:
    """The random bytes that one authentication takes.

    Args:
        fresh: 18 bytes or more, used once.
        lasting: 16 bytes or more, the same for as long as the process runs: it makes up what
            users that do not exist are asked.
    """

    fresh: bytes
    lasting: bytes


@dataclass(frozen=True, slots=True)
class Authenticated:
    """A client that is who it says. `answer` goes out first; AuthenticationOk is in it."""

    user: bytes
    credentials: Credentials
    answer: bytes = AUTHENTICATION_OK


Dialogue = Generator[bytes, bytes, Authenticated]


def authenticate(method: Method, claim: Claim, chance: Chance) -> Dialogue:
    """Let a client prove who it is.

    Raises:
        AuthenticationFailed: It isn't, or can't show it.
        RemoteProtocolError: Its answers are no answers.
    """
    if method is Method.CERT:
        _check_certificate(claim)
    elif method is Method.PLAIN:
        return (yield from _ask_password(claim, chance))
    elif method is Method.MD5 and claim.stored and Verifier.try_parse(claim.stored) is None:
        return (yield from _ask_md5(claim, claim.stored, chance))
    elif method is not Method.TRUST:
        # For md5 too: a stored SCRAM verifier is asked for as such, and so is nothing at all.
        return (yield from _ask_scram(claim, chance))
    return Authenticated(claim.user, Credentials.from_stored(claim.stored))


def _check_certificate(claim: Claim) -> None:
    if claim.certificate_name is None:
        raise InvalidAuthorization("connection requires a valid client certificate")
    if claim.certificate_name != claim.user:
        raise InvalidAuthorization(
            f'certificate authentication failed for user "{_shown(claim.user)}"'
        )


def _ask_password(claim: Claim, chance: Chance) -> Dialogue:
    password = read_password(_checked((yield AUTHENTICATION_CLEARTEXT), "password"))
    if not password:
        raise AuthenticationFailed("empty password returned by client")
    # As much work for a user that does not exist, so that the time taken tells nothing.
    stored = claim.stored or bytes(mock_verifier(claim.user, chance.lasting))
    if not is_password(password, claim.user, stored):
        raise _failed(claim)
    return Authenticated(claim.user, Credentials(password=password))


def _ask_md5(claim: Claim, stored: bytes, chance: Chance) -> Dialogue:
    salt = chance.fresh[:_SALT_SIZE]
    answer = read_password(_checked((yield authentication_md5(salt)), "password"))
    known = stored if is_md5_hash(stored) else md5_hash(stored, claim.user)
    if not hmac.compare_digest(answer, md5_answer(known, salt)):
        raise _failed(claim)
    return Authenticated(claim.user, Credentials.from_stored(stored))


def _ask_scram(claim: Claim, chance: Chance) -> Dialogue:
    offered = [SCRAM] if claim.binding is None else [SCRAM_PLUS, SCRAM]
    choice = _checked((yield authentication_sasl(offered)), "SASL")
    mechanism, first = read_sasl_initial_response(choice)
    if mechanism not in offered:
        raise RemoteProtocolError("client selected an invalid SASL authentication mechanism")
    verifier = _find_verifier(claim, chance)
    exchange = server_exchange(verifier, mechanism, b64encode(chance.fresh), claim.binding)
    next(exchange)
    if first is None:
        # A client may wait to be asked; the empty challenge does that.
        first = _checked((yield authentication_sasl_continue(b"")), "SASL")[HEADER:]
    final = yield authentication_sasl_continue(exchange.send(first))
    proven = finish(exchange, _checked(final, "SASL")[HEADER:])
    if proven is None:
        raise _failed(claim)
    known = Credentials.from_stored(claim.stored)
    credentials = Credentials(
        password=known.password, scram_keys=Keys(proven.client_key, verifier.server_key)
    )
    answer = authentication_sasl_final(proven.server_final) + AUTHENTICATION_OK
    return Authenticated(claim.user, credentials, answer)


def _find_verifier(claim: Claim, chance: Chance) -> Verifier:
    mock = mock_verifier(claim.user, chance.lasting)
    if not claim.stored or is_md5_hash(claim.stored):
        # An md5 hash can't take part in SCRAM: as if there were no such user.
        return mock
    # Of a password that is listed in clear, a verifier is made on the fly.
    parsed = Verifier.try_parse(claim.stored)
    return parsed or Verifier.make(claim.stored, mock.salt, DEFAULT_ITERATIONS)


def _checked(answer: bytes, kind: str) -> bytes:
    if answer[0] != tags.PASSWORD:
        raise RemoteProtocolError(f"expected {kind} response, got message type {answer[0]}")
    if len(answer) > MAX_ANSWER:
        raise RemoteProtocolError("invalid message length")
    return answer


def _failed(claim: Claim) -> AuthenticationFailed:
    return AuthenticationFailed(f'password authentication failed for user "{_shown(claim.user)}"')


def _shown(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
