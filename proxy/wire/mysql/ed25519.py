"""MariaDB's `client_ed25519`: a signature of the nonce, by a key made of the password.

It is Ed25519 with one step left out. There, the SHA-512 of a seed of 32 bytes makes the secret
scalar and the prefix; here, it is the SHA-512 of the password, of whatever length. `cryptography`
takes a seed only, so the arithmetic is libsodium's, through PyNaCl, in constant time.

Sources: "Authentication Plugin - ed25519" in the MariaDB documentation; RFC 8032, 5.1.5 and 5.1.6.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from typing import Final

from nacl.bindings import (
    crypto_core_ed25519_scalar_add,
    crypto_core_ed25519_scalar_mul,
    crypto_core_ed25519_scalar_reduce,
    crypto_scalarmult_ed25519_base_noclamp,
)

NONCE_SIZE: Final = 32


def sign(password: bytes, nonce: bytes) -> bytes:
    """Answer a nonce of 32 bytes."""
    scalar, prefix = _expand(password)
    public = crypto_scalarmult_ed25519_base_noclamp(scalar)
    once = crypto_core_ed25519_scalar_reduce(hashlib.sha512(prefix + nonce).digest())
    commitment = crypto_scalarmult_ed25519_base_noclamp(once)
    challenge = crypto_core_ed25519_scalar_reduce(
        hashlib.sha512(commitment + public + nonce).digest()
    )
    product = crypto_core_ed25519_scalar_mul(challenge, scalar)
    return commitment + crypto_core_ed25519_scalar_add(once, product)


def stored_key(password: bytes) -> bytes:
    """What a server stores of a password: its public key, base64 without the `=`."""
    scalar, _ = _expand(password)
    return b64encode(crypto_scalarmult_ed25519_base_noclamp(scalar)).rstrip(b"=")


def _expand(password: bytes) -> tuple[bytes, bytes]:
    """The secret scalar and the prefix (RFC 8032, 5.1.5)."""
    digest = bytearray(hashlib.sha512(password).digest())
    digest[0] &= 0xF8
    digest[31] = digest[31] & 0x3F | 0x40
    return bytes(digest[:32]), bytes(digest[32:])
