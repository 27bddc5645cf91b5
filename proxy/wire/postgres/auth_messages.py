"""The Authentication messages of a server: one tag, then a number that says which.

A client's answers all have one tag too, and are in `frontend`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.errors import RemoteProtocolError
from proxy.wire.postgres import tags
from proxy.wire.postgres.codec import HEADER, INT32, message, read_int32, string

OK: Final = 0
CLEARTEXT: Final = 3
MD5: Final = 5
SASL: Final = 10
SASL_CONTINUE: Final = 11
SASL_FINAL: Final = 12


def _authentication(code: int, body: bytes = b"") -> bytes:
    return message(tags.AUTHENTICATION, INT32.pack(code), body)


AUTHENTICATION_OK: Final = _authentication(OK)
AUTHENTICATION_CLEARTEXT: Final = _authentication(CLEARTEXT)


def authentication_md5(salt: bytes) -> bytes:
    """Ask for a hash of the password's hash and these four bytes."""
    return _authentication(MD5, salt)


def authentication_sasl(mechanisms: Sequence[bytes]) -> bytes:
    """Offer SASL mechanisms, the preferred one first."""
    return _authentication(SASL, b"".join(map(string, mechanisms)) + b"\0")


def authentication_sasl_continue(data: bytes) -> bytes:
    """Go on with a SASL exchange."""
    return _authentication(SASL_CONTINUE, data)


def authentication_sasl_final(data: bytes) -> bytes:
    """Say the last word of a SASL exchange; AuthenticationOk follows."""
    return _authentication(SASL_FINAL, data)


def read_authentication(data: bytes) -> tuple[int, bytes]:
    """Which Authentication message this is, and what it carries."""
    return read_int32(data, HEADER), data[HEADER + 4 :]


def read_mechanisms(body: bytes) -> list[bytes]:
    """The SASL mechanisms that a server offers."""
    names = body.split(b"\0")
    if len(names) < 2 or names.pop() or names.pop() or not all(names):
        raise RemoteProtocolError("invalid message format")
    return names
