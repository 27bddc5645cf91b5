"""Who has shown the password itself: from then on a hash of it will do.

It is what a MySQL server keeps for `caching_sha2_password`, here with an end: where the servers
alone know an account, nobody tells us that its password was changed.
"""

from __future__ import annotations

from typing import Final, final

from proxy.wire.mysql.credentials import Stored

LIMIT: Final = 10_000
"""Users that are remembered; then the longest known is forgotten. Some 300 bytes each."""


@final
class Verified:
    """The checks (see `scramble`) of passwords that were right.

    Args:
        lifetime: Seconds after which the password itself is asked for again.
    """

    __slots__ = ("_known", "_lifetime")

    def __init__(self, lifetime: float) -> None:
        self._lifetime = lifetime
        self._known: dict[tuple[bytes, Stored], tuple[bytes, float]] = {}

    def find(self, user: bytes, stored: Stored, now: float) -> bytes | None:
        """Find the check of a user, if what is stored of the password is still the same."""
        check, until = self._known.get((user, stored), (None, 0.0))
        return check if now < until else None

    def remember(self, user: bytes, stored: Stored, check: bytes, now: float) -> None:
        """A user has shown the password itself, and it was right."""
        known = self._known
        known.pop((user, stored), None)
        if len(known) >= LIMIT:
            del known[next(iter(known))]
        known[user, stored] = check, now + self._lifetime

    def forget(self, user: bytes) -> None:
        """A server has refused a user, or asks for the password itself."""
        for key in [key for key in self._known if key[0] == user]:
            del self._known[key]
