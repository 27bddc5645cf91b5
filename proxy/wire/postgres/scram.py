"""SCRAM-SHA-256: the keys, the verifier that a server stores, and what it takes to make them.

A server stores StoredKey = H(ClientKey) and ServerKey. A client shows that it knows ClientKey
without sending it, yet whoever knows StoredKey can work it out from the proof. So a proxy that
has the verifier learns, from a client that logs in rightly, the very keys that log in to the
servers: no password is ever stored. The exchanges are in `scram_server` and `scram_client`.

Sources: RFC 5802, RFC 7677, and "SCRAM-SHA-256 Authentication" in the PostgreSQL manual.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import re
from base64 import b64decode, b64encode
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

from proxy.errors import InternalError

SCRAM: Final = b"SCRAM-SHA-256"
SCRAM_PLUS: Final = b"SCRAM-SHA-256-PLUS"
BINDING_TYPE: Final = b"tls-server-end-point"

DEFAULT_ITERATIONS: Final = 4096
MAX_ITERATIONS: Final = 1_000_000
"""Half a second of work. A server could otherwise ask for more than an hour of it."""

KEY_SIZE: Final = 32
_SALT_SIZE: Final = 16
_VERIFIER: Final = re.compile(rb"SCRAM-SHA-256\$([0-9]{1,10}):([^$:]+)\$([^$:]+):([^$:]+)")


Outcome = TypeVar("Outcome")


class Keys(NamedTuple):
    """What logs in without the password, wherever the same verifier is stored."""

    client_key: bytes
    server_key: bytes


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server stores of a password: enough to check it, not enough to use it."""

    iterations: int
    salt: bytes
    stored_key: bytes
    server_key: bytes

    @classmethod
    def make(cls, password: bytes, salt: bytes, iterations: int = DEFAULT_ITERATIONS) -> Verifier:
        """Derive the verifier of a password, with a fresh random salt of 16 bytes."""
        keys = derive_keys(password, salt, iterations)
        return cls(iterations, salt, stored_key(keys.client_key), keys.server_key)

    @classmethod
    def try_parse(cls, text: bytes) -> Verifier | None:
        """Read what `pg_authid.rolpassword` holds; None when that is no SCRAM verifier."""
        match = _VERIFIER.fullmatch(text)
        if match is None:
            return None
        iterations, salt = int(match[1]), try_decode(match[2])
        stored, server = try_decode(match[3]), try_decode(match[4])
        if not 0 < iterations < 2**31 or not salt or not stored or not server:
            return None
        if len(stored) != KEY_SIZE or len(server) != KEY_SIZE:
            return None
        return cls(iterations, salt, stored, server)

    def __bytes__(self) -> bytes:
        """Write it as `pg_authid.rolpassword` holds it."""
        return b"SCRAM-SHA-256$%d:%b$%b:%b" % (
            self.iterations,
            b64encode(self.salt),
            b64encode(self.stored_key),
            b64encode(self.server_key),
        )

    def accepts(self, password: bytes) -> bool:
        """Whether this is the password. Costs all the iterations."""
        return hmac.compare_digest(
            derive_keys(password, self.salt, self.iterations).server_key, self.server_key
        )


def mock_verifier(user: bytes, secret: bytes) -> Verifier:
    """Make up the verifier of a user that does not exist; no password fits it.

    The same user is given the same salt every time, so the exchange does not tell who exists.

    Args:
        user: The name that was asked for.
        secret: Random bytes, the same for as long as the process runs or longer.
    """
    salt = hmac.digest(secret, user, "sha256")[:_SALT_SIZE]
    return Verifier(DEFAULT_ITERATIONS, salt, bytes(KEY_SIZE), bytes(KEY_SIZE))


@lru_cache(maxsize=256)
def derive_keys(password: bytes, salt: bytes, iterations: int) -> Keys:
    """Work out the keys of a password: milliseconds for the usual 4096 iterations.

    Remembered, so that a storm of logins with a few passwords doesn't hold up everybody else.
    """
    salted = hashlib.pbkdf2_hmac("sha256", prepare(password), salt, iterations)
    return Keys(
        hmac.digest(salted, b"Client Key", "sha256"), hmac.digest(salted, b"Server Key", "sha256")
    )


def prepare(password: bytes) -> bytes:
    """Normalise a password as PostgreSQL does: SASLprep, or left alone where that can't be done.

    PostgreSQL does not know a password's encoding, so what is no UTF-8, or holds what SASLprep
    forbids, is taken as it is.
    """
    if password.isascii():
        return password
    from scramp.utils import ScramException, saslprep  # takes a tenth of a second, rarely needed

    try:
        # U+200B is in two tables of RFC 3454: PostgreSQL maps it to a space, scramp to nothing.
        prepared: str = saslprep(password.decode().replace("\u200b", " "))
    except (UnicodeDecodeError, ScramException):
        return password
    return prepared.encode() or password


def stored_key(client_key: bytes) -> bytes:
    """What a server stores of a ClientKey."""
    return hashlib.sha256(client_key).digest()


def sign(key: bytes, text: bytes) -> bytes:
    """Make a ClientSignature from a StoredKey, a ServerSignature from a ServerKey."""
    return hmac.digest(key, text, "sha256")


def xor(one: bytes, other: bytes) -> bytes:
    """Combine two keys: a ClientKey and a ClientSignature make a ClientProof, and back."""
    mixed = int.from_bytes(one, "big") ^ int.from_bytes(other, "big")
    return mixed.to_bytes(KEY_SIZE, "big")


def try_decode(text: bytes) -> bytes | None:
    """Read base64, strictly; None when it is none."""
    try:
        return b64decode(text, validate=True)
    except binascii.Error:
        return None


def finish(exchange: Generator[bytes, bytes, Outcome], message: bytes) -> Outcome:
    """Give an exchange its last message, and return what it came to."""
    try:
        exchange.send(message)
    except StopIteration as stop:
        outcome: Outcome = stop.value
        return outcome
    raise InternalError("a SCRAM exchange did not end with its last message")
