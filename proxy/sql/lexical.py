"""Where each token of PostgreSQL's SQL ends.

The rules are those of the server's own lexer (scan.l; "Lexical Structure" in the manual) with
`standard_conforming_strings` on. Every function takes the text and a position and returns the
position behind the token, or `UNSURE` where the text ends too early or where server versions
disagree about it. What tokens mean is not known here.

Compiled with mypyc together with `scanner`; runs unchanged without.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, u8

from proxy.sql import characters as char
from proxy.sql.characters import DIGITS, LETTERS, classes, table

UNSURE: Final = -1

# What the first byte of a token says about it.
BAD: Final = 0
SPACE: Final = 1
WORD: Final = 2
DIGIT: Final = 3
OPERATOR: Final = 4
SELF: Final = 5
QUOTE: Final = 6
DOUBLE_QUOTE: Final = 7
DOLLAR: Final = 8

CLASS: Final = classes(
    (
        (WORD, LETTERS),
        # A vertical tab is a space since version 16 and an error before it.
        (SPACE, b" \t\n\r\f"),
        (DIGIT, DIGITS),
        (OPERATOR, b"~!@#^&|`?+-*/%<>="),
        (SELF, b",()[].;:"),
        (QUOTE, b"'"),
        (DOUBLE_QUOTE, b'"'),
        (DOLLAR, b"$"),
    )
)
LOWER: Final = bytes(byte | 0x20 if 0x41 <= byte <= 0x5A else byte for byte in range(256))
IN_WORD: Final = table(LETTERS + DIGITS + b"$")
_IN_TAG: Final = table(LETTERS + DIGITS)
# An operator ending in a sign keeps it only if it holds one of these.
_KEEPS_SIGN: Final = table(b"~!@#^&|`?%")
MOST_SIGNS: Final = 64
"""An operator has fewer (NAMEDATALEN)."""

_BASE_LETTER: Final = table(b"xobXOB")
_HEXADECIMAL: Final = table(b"0123456789abcdefABCDEF_")
_OCTAL: Final = table(b"01234567_")
_BINARY: Final = table(b"01_")


def end_of_word(sql: bytes, pos: i64) -> i64:
    """Pass over an unquoted identifier or keyword; `pos` is at its first byte."""
    end: i64 = len(sql)
    while pos < end and IN_WORD[sql[pos]]:
        pos += 1
    return pos


def end_of_line(sql: bytes, pos: i64) -> i64:
    """Pass over a `--` comment, up to its line's end."""
    end: i64 = len(sql)
    while pos < end:
        byte: u8 = sql[pos]
        if byte in (char.NEWLINE, char.RETURN):
            break
        pos += 1
    return pos


def end_of_comment(sql: bytes, pos: i64) -> i64:
    """Pass over a `/* */` comment, which may hold others; `pos` is at its first byte."""
    last: i64 = len(sql) - 1
    depth: i64 = 0
    while pos < last:
        byte: u8 = sql[pos]
        if byte == char.SLASH and sql[pos + 1] == char.STAR:
            depth += 1
            pos += 2
        elif byte == char.STAR and sql[pos + 1] == char.SLASH:
            depth -= 1
            pos += 2
            if depth == 0:
                return pos
        else:
            pos += 1
    return UNSURE


def end_of_string(sql: bytes, pos: i64, escapes: bool) -> i64:
    """Pass over a quoted string without its continuations; `pos` is at its opening quote.

    Args:
        sql: The text.
        pos: Where the string begins.
        escapes: Whether a backslash takes the next byte with it, as in `E''`.
    """
    end: i64 = len(sql)
    pos += 1
    while pos < end:
        byte: u8 = sql[pos]
        if byte == char.QUOTE:
            pos += 1
            if pos == end or sql[pos] != char.QUOTE:
                return pos
        elif byte == char.BACKSLASH and escapes:
            pos += 1
        pos += 1
    return UNSURE


def start_of_continuation(sql: bytes, pos: i64) -> i64:
    """Find the quote that continues a string which ended at `pos`, or `UNSURE` for none.

    Strings are one when only space with at least one line end lies between them, line
    comments included ("String Constants" in the manual).
    """
    end: i64 = len(sql)
    new_line = False
    while pos < end:
        byte: u8 = sql[pos]
        if byte in (char.NEWLINE, char.RETURN):
            new_line = True
            pos += 1
        elif CLASS[byte] == SPACE:
            pos += 1
        elif byte == char.DASH and pos + 1 < end and sql[pos + 1] == char.DASH:
            pos = end_of_line(sql, pos)
        elif byte == char.QUOTE and new_line:
            return pos
        else:
            break
    return UNSURE


def end_of_quoted(sql: bytes, pos: i64) -> i64:
    """Pass over a quoted identifier; `pos` is at its opening quote. Empty ones are errors."""
    end: i64 = len(sql)
    start: i64 = pos
    pos += 1
    while pos < end:
        if sql[pos] == char.DOUBLE:
            pos += 1
            if pos == end or sql[pos] != char.DOUBLE:
                return pos if pos - start > 2 else UNSURE
        pos += 1
    return UNSURE


def end_of_dollar_quoted(sql: bytes, pos: i64) -> i64:
    """Pass over `$tag$ ... $tag$`; `pos` is at its first dollar sign."""
    end: i64 = len(sql)
    start: i64 = pos
    pos += 1
    if pos < end and CLASS[sql[pos]] == DIGIT:
        return UNSURE
    while pos < end and _IN_TAG[sql[pos]]:
        pos += 1
    if pos == end or sql[pos] != char.DOLLAR:
        return UNSURE
    tag = sql[start : pos + 1]
    found: i64 = sql.find(tag, pos + 1)
    return found + len(tag) if found >= 0 else UNSURE


def end_of_parameter(sql: bytes, pos: i64) -> i64:
    """Pass over `$1`; `pos` is at its dollar sign, and a digit follows."""
    end: i64 = len(sql)
    pos += 1
    while pos < end and CLASS[sql[pos]] == DIGIT:
        pos += 1
    # `$1a` is two tokens before version 15 and an error since.
    return UNSURE if pos < end and CLASS[sql[pos]] == WORD else pos


def end_of_number(sql: bytes, pos: i64) -> i64:
    """Pass over a number; `pos` is at its first digit, or at a point that one follows.

    A word that touches a number is an alias in old servers and an error in new ones: unsure.
    """
    end: i64 = len(sql)
    if sql[pos] == char.ZERO and pos + 1 < end and _BASE_LETTER[sql[pos + 1]]:
        return _end_of_based_number(sql, pos + 1)
    pos = _end_of_digits(sql, pos)
    # 1..10 is two numbers and two points.
    if pos < end and sql[pos] == char.POINT and not (pos + 1 < end and sql[pos + 1] == char.POINT):
        pos = _end_of_digits(sql, pos + 1)
    if pos < end and LOWER[sql[pos]] == char.SMALL_E:
        pos += 1
        if pos < end and (sql[pos] == char.PLUS or sql[pos] == char.DASH):
            pos += 1
        if pos == end or CLASS[sql[pos]] != DIGIT:
            return UNSURE
        pos = _end_of_digits(sql, pos)
    return UNSURE if pos < end and CLASS[sql[pos]] == WORD else pos


def _end_of_digits(sql: bytes, pos: i64) -> i64:
    end: i64 = len(sql)
    while pos < end:
        if CLASS[sql[pos]] == DIGIT:
            pos += 1
        elif sql[pos] == char.UNDERSCORE and pos + 1 < end and CLASS[sql[pos + 1]] == DIGIT:
            pos += 2
        else:
            break
    return pos


def _end_of_based_number(sql: bytes, pos: i64) -> i64:
    """Pass over 0x1F, 0o17 or 0b101; `pos` is at the letter."""
    end: i64 = len(sql)
    base = LOWER[sql[pos]]
    members = _HEXADECIMAL if base == char.SMALL_X else _OCTAL if base == char.SMALL_O else _BINARY
    start: i64 = pos
    pos += 1
    while pos < end and members[sql[pos]]:
        pos += 1
    if pos == start + 1 or sql[pos - 1] == char.UNDERSCORE:
        return UNSURE
    return UNSURE if pos < end and IN_WORD[sql[pos]] else pos


def end_of_operator(sql: bytes, pos: i64) -> i64:
    """Pass over an operator; `pos` is at its first byte, and no comment begins there.

    `UNSURE` where more of its signs stand together than one may have: how many of them are its own
    is known at their end only.
    """
    end: i64 = len(sql)
    start: i64 = pos
    if end - start > MOST_SIGNS:
        end = start + MOST_SIGNS
    keeps_sign = False
    while pos < end and CLASS[sql[pos]] == OPERATOR:
        byte: u8 = sql[pos]
        if pos + 1 < end and (
            (byte == char.DASH and sql[pos + 1] == char.DASH)
            or (byte == char.SLASH and sql[pos + 1] == char.STAR)
        ):
            break
        if _KEEPS_SIGN[byte]:
            keeps_sign = True
        pos += 1
    if pos - start == MOST_SIGNS:
        return UNSURE
    if not keeps_sign:
        while pos - start > 1 and (sql[pos - 1] == char.PLUS or sql[pos - 1] == char.DASH):
            pos -= 1
    return pos
