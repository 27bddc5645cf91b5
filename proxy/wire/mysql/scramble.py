"""Answers to a nonce: what a client shows of its password, and what can be learnt from it.

Two plugins do the same with different hashes: the server stores the hash of the password's hash (a
*check*), and the client sends the password's hash (a *key*), hidden by a hash of nonce and check.
Whoever has the check can therefore read the key out of a right answer, and whoever has the key can
log in. For `mysql_native_password` the check is what a server stores; for `caching_sha2_password`
it is what a server remembers of a user that has logged in with the password itself.

Sources: "Native Authentication" and "Caching_sha2_password information" in the MySQL source
documentation; RFC 8017, 7.1 (RSAES-OAEP).
"""

from __future__ import annotations

import hashlib
import hmac
from itertools import cycle
from typing import Final, final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_public_key,
)

from proxy.errors import RemoteProtocolError

NATIVE: Final = b"mysql_native_password"
SHA2: Final = b"caching_sha2_password"
SHA256: Final = b"sha256_password"
ED25519: Final = b"client_ed25519"
CLEAR: Final = b"mysql_clear_password"

NATIVE_SIZE: Final = 20
SHA2_SIZE: Final = 32

_STORED_NATIVE_SIZE: Final = 41  # an asterisk and 40 digits


def native_key(password: bytes) -> bytes:
    """What a client makes of its password for `mysql_native_password`."""
    return hashlib.sha1(password, usedforsecurity=False).digest()


def native_check(key: bytes) -> bytes:
    """What a server stores of a key."""
    return hashlib.sha1(key, usedforsecurity=False).digest()


def native_answer(key: bytes, nonce: bytes) -> bytes:
    """Answer a nonce by `mysql_native_password`."""
    return _xor(key, native_check(nonce + native_check(key)))


def find_native_key(answer: bytes, nonce: bytes, check: bytes) -> bytes | None:
    """The key that a right answer was made with; None: the password is wrong."""
    if len(answer) != NATIVE_SIZE:
        return None
    key = _xor(answer, native_check(nonce + check))
    return key if hmac.compare_digest(native_check(key), check) else None


def read_native_check(stored: bytes) -> bytes | None:
    """The check in what a server stores, an asterisk and 40 digits; None: it is something else."""
    if len(stored) != _STORED_NATIVE_SIZE or stored[:1] != b"*":
        return None
    try:
        return bytes.fromhex(stored[1:].decode("ascii"))
    except ValueError:
        return None


def sha2_key(password: bytes) -> bytes:
    """What a client makes of its password for `caching_sha2_password`."""
    return hashlib.sha256(password).digest()


def sha2_check(key: bytes) -> bytes:
    """What a server remembers of a key."""
    return hashlib.sha256(key).digest()


def sha2_answer(key: bytes, nonce: bytes) -> bytes:
    """Answer a nonce by `caching_sha2_password`."""
    return _xor(key, sha2_check(sha2_check(key) + nonce))


def find_sha2_key(answer: bytes, nonce: bytes, check: bytes) -> bytes | None:
    """The key that a right answer was made with; None: the password is wrong."""
    if len(answer) != SHA2_SIZE:
        return None
    key = _xor(answer, sha2_check(check + nonce))
    return key if hmac.compare_digest(sha2_check(key), check) else None


def encrypt_password(password: bytes, nonce: bytes, public_key: bytes) -> bytes:
    """Encrypt a password for a server that has no TLS, with its key (PEM).

    Raises:
        RemoteProtocolError: It is no key that can do so.
    """
    try:
        key = load_pem_public_key(public_key)
        if not isinstance(key, rsa.RSAPublicKey):
            raise RemoteProtocolError("the server's public key is not of RSA")
        return key.encrypt(_hide(password + b"\0", nonce), _OAEP)
    except (ValueError, UnsupportedAlgorithm):
        raise RemoteProtocolError("the server's public key is of no use") from None


@final
class PasswordKey:
    """The RSA key that clients without TLS encrypt their passwords with."""

    __slots__ = ("_key", "public")

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self._key = key
        self.public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)

    def decrypt(self, data: bytes, nonce: bytes) -> bytes | None:
        """The password with its zero; None: it was not encrypted with this key."""
        try:
            return _hide(self._key.decrypt(data, _OAEP), nonce)
        except ValueError:
            return None


def _hide(data: bytes, nonce: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(data, cycle(nonce), strict=False))


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


# What both servers and their clients use (RSA_PKCS1_OAEP_PADDING of OpenSSL).
_OAEP: Final = padding.OAEP(
    mgf=padding.MGF1(algorithm=hashes.SHA1()), algorithm=hashes.SHA1(), label=None
)
