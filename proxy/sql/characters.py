"""Bytes that mean the same in every engine's SQL, and tables of what bytes mean.

Compiled with mypyc together with each engine's `lexical`; runs unchanged without.
"""

from __future__ import annotations

from typing import Final

NEWLINE: Final = 0x0A
RETURN: Final = 0x0D
DOUBLE: Final = 0x22
DOLLAR: Final = 0x24
AMPERSAND: Final = 0x26
QUOTE: Final = 0x27
OPEN: Final = 0x28
CLOSE: Final = 0x29
STAR: Final = 0x2A
PLUS: Final = 0x2B
DASH: Final = 0x2D
POINT: Final = 0x2E
SLASH: Final = 0x2F
ZERO: Final = 0x30
COLON: Final = 0x3A
SEMICOLON: Final = 0x3B
EQUALS: Final = 0x3D
GREATER: Final = 0x3E
BACKSLASH: Final = 0x5C
UNDERSCORE: Final = 0x5F
SMALL_B: Final = 0x62
SMALL_E: Final = 0x65
SMALL_O: Final = 0x6F
SMALL_T: Final = 0x74
SMALL_U: Final = 0x75
SMALL_X: Final = 0x78


def table(members: bytes) -> bytes:
    """Flag some bytes among all 256."""
    return bytes(byte in members for byte in range(256))


LETTERS: Final = bytes(
    byte for byte in range(256) if byte >= 0x80 or bytes((byte,)).isalpha() or byte == UNDERSCORE
)
"""What a word begins with; above ASCII that is every byte."""

DIGITS: Final = b"0123456789"


def classes(groups: tuple[tuple[int, bytes], ...]) -> bytes:
    """Tell of each of 256 bytes in which group it is; 0: in none."""
    found = bytearray(256)
    for group, members in groups:
        for byte in members:
            found[byte] = group
    return bytes(found)
