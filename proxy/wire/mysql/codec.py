"""The pieces that packets are made of. Integers are little-endian here.

A packet is a header of four bytes, the length of its payload and a sequence id, and the payload. A
payload of 2^24-1 bytes is followed by another packet of the same message.

Source: "MySQL Packets", "Integer Types" and "String Types" in the MySQL source documentation.
"""

from __future__ import annotations

from typing import Final

from proxy.errors import RemoteProtocolError

HEADER: Final = 4
LARGEST: Final = 0xFF_FFFF
"""Bytes of payload in one packet; one of this size is not the last of its message."""

NULL: Final = 0xFB
"""In place of a length-encoded string in a text row."""


def packet(sequence: int, payload: bytes) -> bytes:
    """Frame one payload, in as many packets as it takes."""
    if len(payload) < LARGEST:
        return len(payload).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + payload
    pieces = []
    for start in range(0, len(payload) + 1, LARGEST):
        piece = payload[start : start + LARGEST]
        pieces.append(len(piece).to_bytes(3, "little") + bytes((sequence & 0xFF,)) + piece)
        sequence += 1
    return b"".join(pieces)


def payload(packets: bytes) -> bytes:
    """Take one message out of the packets it came in."""
    if len(packets) < HEADER + LARGEST:
        return packets[HEADER:]
    step = HEADER + LARGEST
    return b"".join(
        [packets[start + HEADER : start + step] for start in range(0, len(packets), step)]
    )


def renumber(data: bytes, start: int, ahead: int) -> bytes:
    """Add to the sequence ids of packets.

    Args:
        data: Packets; the last may be cut off.
        start: Where the first header is.
        ahead: What to add; it goes round at 256.
    """
    changed = bytearray(data)
    end = len(data)
    while end - start >= HEADER:
        changed[start + 3] = (changed[start + 3] + ahead) & 0xFF
        start += HEADER + (data[start] | data[start + 1] << 8 | data[start + 2] << 16)
    return bytes(changed)


def lenenc_int(value: int) -> bytes:
    """Write a length-encoded integer."""
    if value < 0xFB:
        return bytes((value,))
    if value <= 0xFFFF:
        return b"\xfc" + value.to_bytes(2, "little")
    if value <= 0xFF_FFFF:
        return b"\xfd" + value.to_bytes(3, "little")
    return b"\xfe" + value.to_bytes(8, "little")


def lenenc_string(value: bytes) -> bytes:
    """Write a length-encoded string."""
    return lenenc_int(len(value)) + value


def read_lenenc_int(data: bytes, pos: int) -> tuple[int, int]:
    """Read a length-encoded integer, and where what follows it begins.

    Raises:
        RemoteProtocolError: It is cut off, or none.
    """
    if pos >= len(data):
        raise RemoteProtocolError("a packet ends in the middle of an integer")
    first = data[pos]
    if first < 0xFB:
        return first, pos + 1
    size = _SIZES.get(first)
    if size is None:
        raise RemoteProtocolError(f"invalid length-encoded integer 0x{first:02X}")
    stop = pos + 1 + size
    if stop > len(data):
        raise RemoteProtocolError("a packet ends in the middle of an integer")
    return int.from_bytes(data[pos + 1 : stop], "little"), stop


def read_lenenc_string(data: bytes, pos: int) -> tuple[bytes, int]:
    """Read a length-encoded string, and where what follows it begins.

    Raises:
        RemoteProtocolError: It is cut off.
    """
    size, start = read_lenenc_int(data, pos)
    stop = start + size
    if stop > len(data):
        raise RemoteProtocolError("a packet ends in the middle of a string")
    return data[start:stop], stop


def read_null_string(data: bytes, pos: int) -> tuple[bytes, int]:
    """Read a string up to its zero byte, and where what follows that begins.

    Raises:
        RemoteProtocolError: There is no zero byte.
    """
    stop = data.find(b"\0", pos)
    if stop < 0:
        raise RemoteProtocolError("a packet ends in the middle of a string")
    return data[pos:stop], stop + 1


_SIZES: Final = {0xFC: 2, 0xFD: 3, 0xFE: 8}
