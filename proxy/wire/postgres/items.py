"""The messages of a request, each with the statement that it speaks of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from proxy.wire.postgres import tags
from proxy.wire.postgres.codec import HEADER
from proxy.wire.prepared import Prepared

TAKEN: Final = 0
"""The tag of a Parse whose name the client has already given: the server must refuse it."""


class Item:
    """One message of a batch, with the statement it speaks of."""

    __slots__ = ("message", "name", "prepared", "tag")

    def __init__(self, tag: int, message: bytes, prepared: Prepared | None, name: bytes) -> None:
        self.tag = tag
        self.message = message
        self.prepared = prepared  # of a Parse, Bind, Describe or Close of a statement we know
        self.name = name  # the client's own name for it, b"" where it has none

    @property
    def is_of_portal(self) -> bool:
        """Whether it is about what a Bind in front of it has made."""
        if self.tag == tags.EXECUTE:
            return True
        return self.tag in (tags.DESCRIBE, tags.CLOSE) and self.message[HEADER] == tags.PORTAL

    @property
    def is_use(self) -> bool:
        """Whether a statement is bound or described, and not a portal."""
        is_described = self.tag == tags.DESCRIBE and self.message[HEADER] == tags.STATEMENT
        return self.tag == tags.BIND or is_described


def must_be_edited(items: Sequence[Item]) -> bool:
    """Tell if messages can't be sent as they came: they name statements, perhaps."""
    if len(items) == 1 and items[0].tag != tags.BIND:
        return False
    return any(
        item.name or item.tag in _TRACKED or (item.tag == tags.PARSE and place)
        for place, item in enumerate(items)
    )


_TRACKED: Final = frozenset((TAKEN, tags.CLOSE, tags.QUERY, tags.FUNCTION_CALL))
"""What makes the answers of a batch be told apart: a Close may be of the unnamed statement, and an
error in front of a Query makes the server pass over it. So does a second Parse: which one failed
decides what is left."""
