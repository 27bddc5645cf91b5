"""What is known of a user's password, and what can be done with it."""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Final

from proxy.wire.postgres.scram import Keys, Verifier

_MD5_HASH: Final = re.compile(rb"md5[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Credentials:
    """What logs in to the servers in a user's name. Any of it may be missing."""

    password: bytes | None = field(default=None, repr=False)
    md5_hash: bytes | None = field(default=None, repr=False)  # "md5" and 32 digits, as stored
    scram_keys: Keys | None = field(default=None, repr=False)

    @classmethod
    def from_stored(cls, stored: bytes | None) -> Credentials:
        """What can be made of a stored secret alone. Of a SCRAM verifier: nothing."""
        if stored is None or Verifier.try_parse(stored) is not None:
            return cls()
        if is_md5_hash(stored):
            return cls(md5_hash=stored)
        return cls(password=stored)


def is_md5_hash(stored: bytes) -> bool:
    """Whether a stored secret is an md5 hash, by PostgreSQL's own rule."""
    return _MD5_HASH.fullmatch(stored) is not None


def md5_hash(password: bytes, user: bytes) -> bytes:
    """What PostgreSQL stores of a password under `password_encryption = md5`."""
    return b"md5" + _md5(password + user)


def md5_answer(stored_hash: bytes, salt: bytes) -> bytes:
    """What a client answers when asked for an md5 password."""
    return b"md5" + _md5(stored_hash[3:] + salt)


def is_password(password: bytes, user: bytes, stored: bytes) -> bool:
    """Whether a password in clear is the one that is stored, in whatever form."""
    verifier = Verifier.try_parse(stored)
    if verifier is not None:
        return verifier.accepts(password)
    if is_md5_hash(stored):
        return hmac.compare_digest(md5_hash(password, user), stored)
    return hmac.compare_digest(password, stored)


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).hexdigest().encode()
