"""KILL: a client's connection has our number, which no server knows.

Source: "KILL Statement" in the MySQL manual.
"""

from __future__ import annotations

import re
from enum import Enum, unique
from typing import Final, NamedTuple

_SPACES: Final = rb"\s|#[^\n]*\n|--\s[^\n]*\n"
_PLAIN: Final = rb"(?:%b|/\*(?!M?!).*?\*/)*+" % _SPACES
"""What every server passes over."""

_KILL: Final = re.compile(
    _PLAIN + rb"kill(?:\s++(?:hard|soft))?(?:\s++(connection|query))?\s++(\d{1,20})\s*+;?\s*+",
    re.IGNORECASE | re.DOTALL,
)
_EXECUTED: Final = re.compile(rb"\s*+/\*!(\d{5})?(?!\d)(.*?)\*/\s*+;?\s*+", re.DOTALL)
_OLDEST_AGREED: Final = 50699
"""The highest version in a comment that every server executes; see `sql.mysql.lexical`."""

_FOR: Final = rb"set\s+statement\b(?:'[^']*'|\"[^\"]*\"|(?!\bfor\b).)*+for\s+"
_BEGINS: Final = re.compile(
    rb"(?:(?:%b|/\*.*?\*/)*+|%b/\*M?!\d*\s*+)(?:%b)?kill\b" % (_SPACES, _PLAIN, _FOR),
    re.IGNORECASE | re.DOTALL,
)
_BEHIND: Final = re.compile(rb";\s*+kill\b", re.IGNORECASE)
_PREPARED: Final = re.compile(
    rb"\s*+(?:prepare\s++\S++\s++from|execute\s++immediate)\s*+['\"](.*)",
    re.IGNORECASE | re.DOTALL,
)

LOOKED_AT: Final = 64 * 1024
"""Bytes of a text that are looked at: comments in front of a command are shorter."""

# Most texts are none, which one byte tells: in a table, for that takes a tenth of a match.
_MAY_KILL: Final = bytes(byte in b"kKsS/-# \t\r\n\v\f" for byte in range(256))
_S: Final = (0x53, 0x73)
_T: Final = (0x54, 0x74)


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
    executed = _EXECUTED.fullmatch(text)
    if executed is not None and int(executed[1] or 0) <= _OLDEST_AGREED:
        text = executed[2]
    found = _KILL.fullmatch(text)
    if found is None:
        return None
    return Kill(int(found[2]), (found[1] or b"").lower() == b"query")


def is_kill(text: bytes) -> bool:
    """Tell if a text is some KILL: what it says to a server would hit anybody."""
    size = len(text)
    if size == 0 or not _MAY_KILL[text[0]]:
        return False
    if text[0] in _S and (size < 3 or text[2] not in _T):
        return False  # SELECT
    return _BEGINS.match(text, 0, LOOKED_AT) is not None


def prepares_kill(text: bytes) -> bool:
    """Tell if a text prepares a KILL in SQL, or runs one that way."""
    found = _PREPARED.match(text)
    return found is not None and is_kill(found[1])


def may_hold_kill(text: bytes) -> bool:
    """Tell if a text that is not understood may have a KILL among its statements."""
    return is_kill(text) or _BEHIND.search(text, 0, LOOKED_AT) is not None
