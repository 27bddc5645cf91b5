"""The fields that messages are made of: read with care, written with care.

What a peer sends is judged here in PostgreSQL's own words and raises `RemoteProtocolError`, never
`IndexError` or `struct.error`. What we write can't smuggle: a string that would end early is
refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from typing import Final

from proxy.errors import LocalProtocolError, RemoteProtocolError

HEADER: Final = 5
"""A tag and a length; bodies begin behind them."""

INT16: Final = Struct("!h")
INT32: Final = Struct("!i")
UINT32: Final = Struct("!I")
_HEAD: Final = Struct("!Bi")


def message(tag: int, *body: bytes) -> bytes:
    """Put the header in front of a body, given in pieces."""
    return b"".join((_HEAD.pack(tag, 4 + sum(map(len, body))), *body))


def string(value: bytes) -> bytes:
    """Write a string, which ends at its NUL and so can't hold one.

    Raises:
        LocalProtocolError: It does; what follows in the message would be read wrongly.
    """
    if 0 in value:
        raise LocalProtocolError("a string with a NUL byte can't be sent")
    return value + b"\0"


def values(items: Sequence[bytes | None]) -> bytes:
    """Write how many values there are, then each behind its length; None is NULL."""
    pieces = [count(len(items))]
    for item in items:
        if item is None:
            pieces.append(b"\xff\xff\xff\xff")
        else:
            pieces.append(INT32.pack(len(item)))
            pieces.append(item)
    return b"".join(pieces)


def formats(codes: Sequence[int]) -> bytes:
    """Write how many format codes there are, then each: 0 is text, 1 is binary."""
    return count(len(codes)) + b"".join(map(INT16.pack, codes))


def count(number: int) -> bytes:
    """Write a count, of up to 65535 things.

    Raises:
        LocalProtocolError: There are more.
    """
    if number > 0xFFFF:
        raise LocalProtocolError(f"{number} items do not fit a message; 65535 do")
    return number.to_bytes(2, "big")


def find_nul(data: bytes, start: int) -> int:
    """Where the string that begins at `start` ends."""
    stop = data.find(0, start)
    if stop < 0:
        raise RemoteProtocolError("invalid string in message")
    return stop


def read_string(data: bytes, start: int) -> tuple[bytes, int]:
    """A string, and where what follows it begins."""
    stop = find_nul(data, start)
    return data[start:stop], stop + 1


def read_only_string(data: bytes) -> bytes:
    """The body of a message that is one string and nothing else."""
    stop = find_nul(data, HEADER)
    expect_end(data, stop + 1)
    return data[HEADER:stop]


def read_count(data: bytes, start: int) -> int:
    """A count of things: unsigned, as PostgreSQL reads it."""
    if start + 2 > len(data):
        raise insufficient()
    return data[start] << 8 | data[start + 1]


def read_int32(data: bytes, start: int) -> int:
    """Four bytes, signed."""
    if start + 4 > len(data):
        raise insufficient()
    number: int = INT32.unpack_from(data, start)[0]
    return number


def read_oids(data: bytes, start: int) -> tuple[tuple[int, ...], int]:
    """A count, then as many object ids; and where what follows begins."""
    number = read_count(data, start)
    return _read_array(data, start + 2, number, "I", 4)


def read_formats(data: bytes, start: int) -> tuple[tuple[int, ...], int]:
    """A count, then as many format codes; and where what follows begins."""
    number = read_count(data, start)
    return _read_array(data, start + 2, number, "h", 2)


def _read_array(
    data: bytes, start: int, number: int, code: str, size: int
) -> tuple[tuple[int, ...], int]:
    stop = start + number * size
    if stop > len(data):
        raise insufficient()
    if not number:
        return (), start
    return Struct(f"!{number}{code}").unpack_from(data, start), stop


def read_values(data: bytes, start: int) -> tuple[list[bytes | None], int]:
    """A count, then as many values behind their lengths; and where what follows begins."""
    found: list[bytes | None] = []
    pos = start + 2
    for _ in range(read_count(data, start)):
        length = read_int32(data, pos)
        pos += 4
        if length == -1:
            found.append(None)
            continue
        stop = pos + length
        if length < 0 or stop > len(data):
            raise insufficient()
        found.append(data[pos:stop])
        pos = stop
    return found, pos


def expect_end(data: bytes, pos: int) -> None:
    """Refuse a message with bytes behind its last field."""
    if pos != len(data):
        raise RemoteProtocolError("invalid message format")


def insufficient() -> RemoteProtocolError:
    """A message that ends before its last field."""
    return RemoteProtocolError("insufficient data left in message")
