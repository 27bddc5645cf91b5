"""Text that means another moment each time it is read as a date.

PostgreSQL takes now, today, tomorrow and yesterday in the text of a date or a time ("Special
Values" in the manual's chapter on date/time types), wherever that text comes from: a literal or
a text parameter. What a result shows for them can't be kept. What is cast to a date and is
neither, such as a text column, is judged by the catalog (`times.py`).

Compiled with mypyc together with `scanner`; runs unchanged without.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

_LETTER: Final = bytes(bytes((byte,)).isalpha() for byte in range(256))
_WORDS: Final = (b"now", b"today", b"tomorrow", b"yesterday")
_SHORTEST: Final = 3
_LONGEST: Final = 9
_FIRST: Final = bytes(byte in b"ntyNTY" for byte in range(256))
_BACKSLASH: Final = 0x5C
# The escapes of an E'' string that stand for no letter.
_PLAIN_ESCAPE: Final = bytes(byte in b"bfnrt\\'\"" for byte in range(256))


def clock_word(value: bytes) -> bool:
    """Tell whether a text parameter holds a word that depends on the clock as a date."""
    return has_clock_word(value, 0, len(value))


def has_clock_word(sql: bytes, pos: i64, end: i64) -> bool:
    """Tell whether now, today, tomorrow or yesterday stands alone in `sql[pos:end]`.

    Touching letters make another word of them; digits and everything else do not, to be on
    the safe side.
    """
    start: i64 = pos
    while pos < end:
        if _FIRST[sql[pos]] and (pos == start or not _LETTER[sql[pos - 1]]):
            stop: i64 = pos + 1
            while stop < end and _LETTER[sql[stop]]:
                stop += 1
            if _SHORTEST <= stop - pos <= _LONGEST and sql[pos:stop].lower() in _WORDS:
                return True
            pos = stop
        else:
            pos += 1
    return False


def has_letter_escape(sql: bytes, pos: i64, end: i64) -> bool:
    """Tell whether a backslash in an `E''` string may stand for a letter, as in `E'n\\157w'`."""
    while pos + 1 < end:
        if sql[pos] == _BACKSLASH:
            if not _PLAIN_ESCAPE[sql[pos + 1]]:
                return True
            pos += 1
        pos += 1
    return False
