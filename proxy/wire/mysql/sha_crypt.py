"""Check a password against what MySQL stores for `caching_sha2_password` and `sha256_password`.

It is SHA-crypt with salts of 20 bytes of any kind, which no library takes: crypt(3) and passlib
stop at 16 printable ones. One check is 5 000 to 10 000 rounds of SHA-256, some milliseconds.

Sources: "Unix crypt using SHA-256 and SHA-512" (U. Drepper, 0.6), whose steps have the same numbers
here; "Caching_sha2_password information" in the MySQL source documentation (`$A$005$`: thousands
of rounds, in hexadecimal digits).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Final

_SALT_SIZE: Final = 20
_DIGEST_SIZE: Final = 43
_SHA256_ROUNDS: Final = 5000
_MAX_THOUSANDS: Final = 0xFFF
_LONGEST: Final = 256
"""Bytes of a password that MySQL takes (MAX_PLAINTEXT_LENGTH): the work grows with its square."""

_DIGITS: Final = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class ShaVerifier:
    """What is stored of a password."""

    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)  # in characters
    rounds: int

    @classmethod
    def try_parse(cls, stored: bytes) -> ShaVerifier | None:
        """Read `authentication_string` in mysql.user; None: it is something else.

        A salt may hold any byte but a zero and `$`.
        """
        if stored[:3] == b"$A$" and stored[6:7] == b"$":
            try:
                rounds = 1000 * int(stored[3:6].decode("ascii"), 16)
            except ValueError:
                return None
            salt, digest = stored[7 : 7 + _SALT_SIZE], stored[7 + _SALT_SIZE :]
        elif stored[:3] == b"$5$":
            rounds = _SHA256_ROUNDS
            salt, _, digest = stored[3:].partition(b"$")
        else:
            return None
        if rounds < 1000 or len(salt) != _SALT_SIZE or len(digest) != _DIGEST_SIZE:
            return None
        return cls(salt, digest, rounds)

    @classmethod
    def make(cls, password: bytes, salt: bytes, rounds: int) -> ShaVerifier:
        """Make what would be stored."""
        return cls(salt, sha_crypt(password, salt, rounds), rounds)

    def __bytes__(self) -> bytes:
        return b"$A$%03X$%b%b" % (self.rounds // 1000 & _MAX_THOUSANDS, self.salt, self.digest)

    def accepts(self, password: bytes) -> bool:
        """Whether this is the password."""
        if len(password) > _LONGEST:
            return False
        return hmac.compare_digest(sha_crypt(password, self.salt, self.rounds), self.digest)


def sha_crypt(password: bytes, salt: bytes, rounds: int) -> bytes:
    """The 43 characters that SHA-crypt makes of a password."""
    sha256 = hashlib.sha256
    size = len(password)
    other = sha256(password + salt + password).digest()  # 4 to 8
    mixed = password + salt + _repeat(other, size)  # 1 to 3, 9 and 10
    bits = size
    while bits:  # 11
        mixed += other if bits & 1 else password
        bits >>= 1
    digest = sha256(mixed).digest()
    p = _repeat(sha256(password * size).digest(), size)  # 13 to 16
    s = _repeat(sha256(salt * (16 + digest[0])).digest(), len(salt))  # 17 to 20
    # The sequence of step 21 repeats itself after 2 * 3 * 7 rounds.
    fronts, backs = [], []
    for number in range(42):
        middle = (s if number % 3 else b"") + (p if number % 7 else b"")
        fronts.append(p + middle if number % 2 else b"")
        backs.append(b"" if number % 2 else middle + p)
    for number in range(rounds):
        step = number % 42
        digest = sha256(fronts[step] + digest + backs[step]).digest()
    return _encode(digest)


def _repeat(data: bytes, size: int) -> bytes:
    return (data * (size // len(data) + 1))[:size]


def _encode(digest: bytes) -> bytes:
    """Step 22: groups of three bytes, of which each begins a third further than the one before."""
    out = bytearray()
    for group in range(10):
        places = [(group + 10 * third) % 30 for third in range(3)]
        # By turns the group begins with the bytes of another third.
        shift = group * 2 % 3
        first, second, third = places[shift:] + places[:shift]
        _append(out, digest[first] << 16 | digest[second] << 8 | digest[third], 4)
    _append(out, digest[31] << 8 | digest[30], 3)
    return bytes(out)


def _append(out: bytearray, value: int, count: int) -> None:
    for _ in range(count):
        out.append(_DIGITS[value & 0x3F])
        value >>= 6
