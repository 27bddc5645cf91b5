"""What is gathered of an answer for the cache, while it is passed on."""

from __future__ import annotations

from typing import final

from proxy.cache.admission import Worth
from proxy.cache.entry import Context
from proxy.cache.key import Key


@final
class Fill:
    """See the module.

    Attributes:
        flight: What others wait for by: nobody waits for less than it may be given.
        claim: By which other members wait for it; empty: none does.
    """

    __slots__ = ("claim", "context", "flight", "generation", "key", "pieces", "room", "worth")

    def __init__(
        self,
        context: Context,
        key: Key,
        worth: Worth,
        room: int,
        *,
        generation: int = -1,
        contract: str = "",
    ) -> None:
        self.context = context
        self.key = key
        self.worth = worth
        self.generation = generation
        self.flight = (context, key, contract)
        self.claim = b""
        self.room = room
        self.pieces: list[bytes] = []

    def add(self, data: bytes) -> bool:
        """Take a piece; False: it has become too large to be kept."""
        self.room -= len(data)
        if self.room < 0:
            self.pieces.clear()
            return False
        self.pieces.append(data)
        return True
