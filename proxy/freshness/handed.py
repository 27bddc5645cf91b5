"""Positions that one session hands to another: through another member, or after a restart.

The ledger's own positions are numbers of one process and one epoch. A *place* means the same to
every member: how it is written, and whether this member knows of it, is each engine's affair. It is
sealed with a checksum, since a text that lost its end might be an earlier place.

A place asks for what has survived of it. What was lost with a primary is nowhere, and who waited
for it would wait for ever.
"""

from __future__ import annotations

from typing import Final, Protocol, final
from zlib import crc32

from proxy.types import Position

NOT_FOUND: Final = Position(-1)


class Place(Protocol):
    """A point in the history of a data set."""

    def find(self) -> Position | None:
        """Return a position of this epoch at which a server has all of it that has survived.

        None: the primary was not seen to be there yet, or not all of it has survived.
        """


class Places(Protocol):
    """What an engine knows of them."""

    def here(self) -> str | None:
        """Write down where the primary was when it was last seen; None: there is none."""

    def read(self, text: str, /) -> Place:
        """Read what somebody has written down.

        Raises:
            ValueError: It is no place in this data set.
            NoPrimary: It is on a primary that was not seen yet.
        """


@final
class Handed:
    """A place that a client was handed, and has said that it must see.

    Attributes:
        since: When it said so. What had been acknowledged before is the place and more, so whoever
            misses nothing from before that will do, too.
    """

    __slots__ = ("_epoch", "_found", "_place", "since")

    def __init__(self, place: Place, since: float) -> None:
        self.since = since
        self._place = place
        self._found = NOT_FOUND
        self._epoch = -1

    def need(self, epoch: int) -> Position | None:
        """Tell what a replica must have replayed to show it all; None: not known.

        Args:
            epoch: The ledger's, now.
        """
        if epoch != self._epoch or self._found == NOT_FOUND:
            found = self._place.find()
            self._epoch = epoch
            self._found = NOT_FOUND if found is None else found
        return None if self._found == NOT_FOUND else self._found


def seal(kind: str, body: str) -> str:
    """Write a place as a text for clients.

    Args:
        kind: How the rest is written: letters and digits.
        body: ASCII, without a space or a quote.
    """
    text = f"{kind}/{body}"
    return f"{text}/{_sum(text):08x}"


def unseal(kind: str, text: str) -> str:
    """Read what `seal` has written.

    Raises:
        ValueError: It is something else, or of another kind.
    """
    sealed, _, checksum = text.rpartition("/")
    found, _, body = sealed.partition("/")
    if found != kind or checksum != f"{_sum(sealed):08x}":
        raise ValueError(f"no sealed {kind}")
    return body


def _sum(text: str) -> int:
    return crc32(text.encode("utf-8", "backslashreplace"))
