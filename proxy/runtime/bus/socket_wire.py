"""What goes over a socket between two members of one host: records behind a greeting. Pure.

    greeting:  "tidegate bus 1"   id of who connects
    record:    size   kind   name's size   name   content
               4      1      2

Only who connects speaks. The size is that of all behind it.
"""

from __future__ import annotations

from enum import IntEnum, unique
from struct import Struct
from typing import Final, NamedTuple, final

from proxy.freshness.codec import LONGEST

GREETING: Final = b"tidegate bus 1"

ID_BYTES: Final = 16

LONGEST_RECORD: Final = LONGEST + 2**10
"""Bytes: the longest message, with its name."""

_HELLO_BYTES: Final = len(GREETING) + ID_BYTES
_HEAD: Final = Struct(">IBH")
_SIZE_BYTES: Final = 4


class NotOurs(Exception):
    """Who speaks is no member, or one of another version."""


@unique
class Kind(IntEnum):
    """What a record is for."""

    JOIN = 1  # to a channel; the content is the member's name there
    LEAVE = 2
    TO_ALL = 3  # of a channel
    TO_ONE = 4


class Record(NamedTuple):
    """One thing that was said."""

    kind: int
    name: str
    content: bytes


def hello(identity: str) -> bytes:
    """Write who we are."""
    return GREETING + identity.encode()


def record(kind: Kind, name: str, content: bytes = b"") -> bytes:
    """Write a record."""
    where = name.encode()
    size = _HEAD.size - _SIZE_BYTES + len(where) + len(content)
    return _HEAD.pack(size, kind, len(where)) + where + content


@final
class Hearer:
    """Puts together again what comes in pieces.

    Attributes:
        identity: Who speaks, once that is known.
    """

    def __init__(self) -> None:
        self.identity = ""
        self._held = bytearray()

    def feed(self, data: bytes) -> list[Record]:
        """Take a piece, and return what is whole now.

        Raises:
            NotOurs: This is something else.
        """
        held = self._held
        held += data
        place = 0
        if not self.identity:
            if not held.startswith(GREETING[: len(held)]):
                raise NotOurs("no greeting")
            if len(held) < _HELLO_BYTES:
                return []
            self.identity = held[len(GREETING) : _HELLO_BYTES].decode("ascii", "replace")
            place = _HELLO_BYTES
        found: list[Record] = []
        while len(held) - place >= _HEAD.size:
            size, kind, name_size = _HEAD.unpack_from(held, place)
            stop, name_at = place + _SIZE_BYTES + size, place + _HEAD.size
            if size > LONGEST_RECORD or name_at + name_size > stop:
                raise NotOurs(f"a record of {size} bytes")
            if stop > len(held):
                break
            content_at = name_at + name_size
            name = held[name_at:content_at].decode("utf-8", "replace")
            found.append(Record(kind, name, bytes(held[content_at:stop])))
            place = stop
        del held[:place]
        return found
