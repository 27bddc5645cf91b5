"""What is known of a user's password, and what can be done with it."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from proxy.wire.mysql import ed25519
from proxy.wire.mysql.scramble import (
    ED25519,
    NATIVE,
    SHA2,
    SHA256,
    native_check,
    native_key,
    read_native_check,
    sha2_key,
)
from proxy.wire.mysql.sha_crypt import ShaVerifier


@dataclass(frozen=True, slots=True)
class Credentials:
    """What logs in to the servers in a user's name. Any of it may be missing.

    Args:
        password: Itself; empty is a password too.
        native_key: Its SHA-1, enough for `mysql_native_password`.
        sha2_key: Its SHA-256, enough for `caching_sha2_password` at a server that has seen the
            password itself since it was started.
    """

    password: bytes | None = field(default=None, repr=False)
    native_key: bytes | None = field(default=None, repr=False)
    sha2_key: bytes | None = field(default=None, repr=False)

    def find_native_key(self) -> bytes | None:
        """What answers `mysql_native_password`."""
        return self.native_key if self.password is None else native_key(self.password)

    def find_sha2_key(self) -> bytes | None:
        """What answers `caching_sha2_password`, at first."""
        return self.sha2_key if self.password is None else sha2_key(self.password)

    def with_earlier(self, earlier: Credentials) -> Credentials:
        """Add what an earlier login has shown, if it was with the same password."""
        if self.password is not None:
            return self
        if self.sha2_key is not None and self.sha2_key == earlier.find_sha2_key():
            return earlier
        if self.native_key is not None and self.native_key == earlier.find_native_key():
            return earlier
        return self


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of an account's password.

    Args:
        plugin: The account's (mysql.user); empty is MariaDB's `mysql_native_password`.
        secret: Its authentication_string.
    """

    plugin: bytes
    secret: bytes = field(default=b"", repr=False)

    @classmethod
    def listed(cls, password: bytes) -> Stored:
        """Of a user that is listed with the password itself."""
        return cls(_LISTED, password)

    @property
    def password(self) -> bytes | None:
        """The password, where that is what is stored, or where there is none to be known."""
        if self.plugin == _LISTED:
            return self.secret
        return b"" if not self.secret and self.plugin in (NATIVE, b"", SHA2, SHA256) else None

    @property
    def client_plugin(self) -> bytes | None:
        """By which plugin a client proves itself here; None: by any.

        Where only the password itself will do, it is asked for by `caching_sha2_password`, which
        lets nobody listen even without TLS.
        """
        if self.plugin == _LISTED:
            return None
        return NATIVE if self.plugin in (NATIVE, b"") else SHA2

    def find_native_check(self) -> bytes | None:
        """What checks an answer by `mysql_native_password`; None: nothing passes."""
        if self.password is not None:
            return native_check(native_key(self.password))
        return read_native_check(self.secret)

    def accepts(self, password: bytes) -> bool | None:
        """Whether this is the password; None: it can't be told from here."""
        if self.password is not None:
            return hmac.compare_digest(password, self.password)
        if self.plugin in (NATIVE, b""):
            check = read_native_check(self.secret)
            return check is not None and hmac.compare_digest(
                native_check(native_key(password)), check
            )
        if self.plugin in (SHA2, SHA256):
            verifier = ShaVerifier.try_parse(self.secret)
            # Of an empty password nothing is stored: no need to try.
            return bool(password) and verifier is not None and verifier.accepts(password)
        if self.plugin in (ED25519, _ED25519_ACCOUNT):
            return hmac.compare_digest(ed25519.stored_key(password), self.secret)
        return None


_LISTED: Final = b"*"  # no plugin is called so
_ED25519_ACCOUNT: Final = b"ed25519"

ELSEWHERE: Final = Stored(b"?")
"""Of an account that only the servers know: they are asked, with the password itself."""
