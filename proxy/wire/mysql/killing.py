"""KILL: a client's connection has our number, which no server knows.

Source: "KILL Statement" in the MySQL manual.
"""

from __future__ import annotations

import re
from enum import Enum, unique
from typing import Final, NamedTuple

_KILL: Final = re.compile(
    rb"\s*kill(?:\s+(?:hard|soft))?(?:\s+(connection|query))?\s+(\d{1,20})\s*;?\s*", re.IGNORECASE
)
_BEGINS: Final = re.compile(
    rb"(?:\s|#[^\n]*\n|--\s[^\n]*\n|/\*.*?\*/)*+kill\b", re.IGNORECASE | re.DOTALL
)

# Most texts are none, which one byte tells: in a table, for that takes a tenth of a match.
_MAY_KILL: Final = bytes(byte in b"kK/-# \t\r\n\v\f" for byte in range(256))


class Kill(NamedTuple):
    """Whose connection is meant, and whether only its statement is to be ended."""

    number: int
    is_query: bool


@unique
class Killed(Enum):
    """What has become of it."""

    DONE = "done"
    UNKNOWN = "unknown"
    NOT_OURS = "not_ours"


def read_kill(text: bytes) -> Kill | None:
    """Read a KILL by a number; None: it is none, or says it in another way."""
    found = _KILL.fullmatch(text)
    if found is None:
        return None
    return Kill(int(found[2]), (found[1] or b"").lower() == b"query")


def is_kill(text: bytes) -> bool:
    """Tell if a text is some KILL: what it says to a server would hit anybody."""
    return len(text) > 0 and _MAY_KILL[text[0]] != 0 and _BEGINS.match(text) is not None
