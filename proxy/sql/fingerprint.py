"""The canonical form of a statement: its tokens, one space apart, without its literals.

Strings become `''`, numbers `0` and parameters `$1`, so what comes out is still SQL: it parses
where the original did, and it is what `classify` reads. Statements that differ in values,
spacing, comments or the case of keywords have one fingerprint. So have those that differ in the
length of a list: the items of `IN (...)` and `ARRAY[...]` that are plain values become one, and
a row of `VALUES` that looks like an earlier one is dropped. Nothing else is ever left out.

Compiled with mypyc together with `scanner`; runs unchanged without.
"""

from __future__ import annotations

from typing import Final

from librt.strings import BytesWriter
from mypy_extensions import i64

from proxy.sql.lexical import LOWER

STRING: Final = b"''"
NUMBER: Final = b"0"
PARAMETER: Final = b"$1"

_SPACE: Final = 0x20
_OPEN: Final = 0x28
_CLOSE: Final = 0x29
_COMMA: Final = 0x2C
_OPEN_BRACKET: Final = 0x5B

LONGEST_PACKED: Final = 7
"""A word of up to seven bytes fits into one number: comparing it makes no object."""


def packed(word: bytes) -> int:
    """Pack a short word the way `Fingerprint.word` does."""
    return int.from_bytes(word, "big")


_IN: Final = packed(b"in")
_ARRAY: Final = packed(b"array")
_VALUES: Final = packed(b"values")
_NULL: Final = packed(b"null")
_TRUE: Final = packed(b"true")
_FALSE: Final = packed(b"false")
_DEFAULT: Final = packed(b"default")

# Where a list of plain values stands.
_NO_LIST: Final = 0
_LIST_OPENED: Final = 1
_LIST_ITEM: Final = 2
_LIST_COMMA: Final = 3  # held back, until it is known whether a plain value follows

# Where the rows of VALUES stand.
_NO_ROWS: Final = 0
_ROW_EXPECTED: Final = 1  # behind VALUES, or behind a comma that is held back
_IN_ROW: Final = 2
_ROW_ENDED: Final = 3


def packed_word(sql: bytes, pos: i64, end: i64) -> i64:
    """Pack a word of a text as `Fingerprint.word` does; 0 when it is too long."""
    key: i64 = 0
    if end - pos <= LONGEST_PACKED:
        while pos < end:
            key = key << 8 | i64(LOWER[sql[pos]])
            pos += 1
    return key


class Fingerprint:
    """Takes tokens in their order and gathers the canonical form."""

    __slots__ = ("_before", "_depth", "_list", "_out", "_row", "_rows", "_seen", "_text")

    def __init__(self) -> None:
        """Begin with nothing taken."""
        self._text = BytesWriter()
        self._row = self._text
        self._out = self._text  # the one of the two that is written to
        self._before: i64 = 0  # the word (packed) or symbol before; 0 for anything else
        self._list: i64 = _NO_LIST
        self._rows: i64 = _NO_ROWS
        self._depth: i64 = 0  # brackets open in the row
        self._seen: set[bytes] | None = None

    def literal(self, form: bytes) -> None:
        """Take a string, a number or a parameter, by the form that stands for it."""
        if self._list == _LIST_COMMA:
            self._list = _LIST_ITEM
            return
        opened = self._list == _LIST_OPENED
        self._put(NUMBER if opened or self._in_row_at_value() else form)
        self._before = 0
        if opened:
            self._list = _LIST_ITEM

    def word(self, sql: bytes, pos: i64, end: i64) -> i64:
        """Take an identifier or a keyword, and return it packed (0 when it is too long)."""
        self._settle()
        key: i64 = 0
        if end - pos <= LONGEST_PACKED:
            i: i64 = pos
            while i < end:
                key = key << 8 | i64(LOWER[sql[i]])
                i += 1
            if self._in_row_at_value() and key in (_NULL, _TRUE, _FALSE, _DEFAULT):
                self._put(NUMBER)
                self._before = 0
                return key
        out = self._out
        out.append(_SPACE)
        while pos < end:
            out.append(LOWER[sql[pos]])
            pos += 1
        if key == _VALUES and self._rows == _NO_ROWS:
            self._rows = _ROW_EXPECTED
        self._before = key
        return key

    def written_word(self, sql: bytes, pos: i64, end: i64) -> i64:
        """Take an identifier without folding it, and return it packed and folded."""
        self._settle()
        key = packed_word(sql, pos, end)
        if self._in_row_at_value() and key in (_NULL, _TRUE, _FALSE, _DEFAULT):
            self._put(NUMBER)
            self._before = 0
            return key
        self._put(sql[pos:end])
        if key == _VALUES and self._rows == _NO_ROWS:
            self._rows = _ROW_EXPECTED
        self._before = key
        return key

    def quoted(self, sql: bytes, pos: i64, end: i64) -> None:
        """Take an identifier, and put it into the quotes of MySQL."""
        self._put(b"`" + sql[pos:end] + b"`")
        self._before = 0

    def as_written(self, sql: bytes, pos: i64, end: i64) -> None:
        """Take a quoted identifier or an operator."""
        self._put(sql[pos:end])
        self._before = 0

    def drops_sign(self) -> bool:
        """Whether the sign of a number is left out here: in front of a plain value of a list."""
        return self._list in (_LIST_OPENED, _LIST_COMMA) or self._in_row_at_value()

    def symbol(self, byte: i64) -> None:
        """Take a bracket, a comma, a point, a colon or a semicolon."""
        before = self._before
        if byte == _COMMA:
            if self._list == _LIST_ITEM:
                self._list = _LIST_COMMA
                return
            if self._rows == _ROW_ENDED:
                self._rows = _ROW_EXPECTED
                self._before = _COMMA
                return
        elif byte == _OPEN and self._rows == _ROW_EXPECTED:
            self._open_row()
        self._settle()
        self._out.append(_SPACE)
        self._out.append(byte)
        self._before = byte
        if byte == _OPEN:
            self._depth += 1
            if before == _IN:
                self._list = _LIST_OPENED
        elif byte == _OPEN_BRACKET:
            if before == _ARRAY:
                self._list = _LIST_OPENED
        elif byte == _CLOSE:
            self._depth -= 1
            if self._depth == 0 and self._rows == _IN_ROW:
                self._close_row()

    def text(self) -> bytes:
        """Return the canonical form of everything taken."""
        self._settle()
        if self._rows == _IN_ROW:
            self._text.write(self._row.getvalue())
        return self._text.getvalue()[1:]

    def _put(self, token: bytes) -> None:
        self._settle()
        self._out.append(_SPACE)
        self._out.write(token)

    def _in_row_at_value(self) -> bool:
        return self._rows == _IN_ROW and self._before in (_OPEN, _COMMA)

    def _settle(self) -> None:
        """Write the comma that was held back, now that no plain value and no row follows it."""
        if self._list:
            if self._list == _LIST_COMMA:
                self._out.write(b" ,")
            self._list = _NO_LIST
        if self._rows in (_ROW_EXPECTED, _ROW_ENDED):
            if self._rows == _ROW_EXPECTED and self._before == _COMMA:
                self._out.write(b" ,")
            self._rows = _NO_ROWS

    def _open_row(self) -> None:
        if self._before == _COMMA:
            self._row.truncate(0)
        else:
            self._row = BytesWriter()
            self._seen = set()
        self._out = self._row
        self._rows = _IN_ROW
        self._depth = 0

    def _close_row(self) -> None:
        """Keep a row only when no row before it looks the same."""
        row = self._row.getvalue()
        self._out = self._text
        self._rows = _ROW_ENDED
        seen = self._seen
        assert seen is not None
        if row in seen:
            return
        if seen:
            self._text.write(b" ,")
        seen.add(row)
        self._text.write(row)
