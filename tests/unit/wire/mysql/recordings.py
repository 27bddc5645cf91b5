"""What `record.py` recorded, read back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent / "conversations"


class Exchange(NamedTuple):
    """What a client said at once, and what the server answered."""

    said: bytes
    heard: bytes


class Conversation(NamedTuple):
    """One connection, behind its login."""

    name: str
    capabilities: int
    exchanges: list[Exchange]


def conversations() -> list[Conversation]:
    """Read all that was recorded."""
    return [one for file in sorted(FOLDER.glob("*.txt")) for one in _read(file)]


def _read(file: Path) -> Iterator[Conversation]:
    exchanges: list[Exchange] = []
    said = b""
    for line in file.read_text().splitlines():
        mark, text = line[0], line[2:]
        if mark == "=":
            title, agreed = text.rsplit(" ", 1)
            exchanges = []
            yield Conversation(f"{file.stem} {title}", int(agreed, 16), exchanges)
        elif mark == ">":
            said = bytes.fromhex(text)
        else:
            exchanges.append(Exchange(said, bytes.fromhex(text)))


def packets_in(stream: bytes) -> Iterator[bytes]:
    """Cut a stream into packets, the slow and obvious way."""
    while stream:
        size = 4 + int.from_bytes(stream[:3], "little")
        yield stream[:size]
        stream = stream[size:]


def cut(stream: bytes, *cuts: int) -> list[bytes]:
    """Cut a stream at these offsets."""
    return [stream[start:stop] for start, stop in pairwise([0, *cuts, len(stream)])]
