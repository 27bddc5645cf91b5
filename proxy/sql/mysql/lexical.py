"""Where each token of MySQL's and MariaDB's SQL ends.

The rules are those of the servers' own lexers (sql_lex.cc; "Lexical Structure" in MySQL's manual),
where MySQL from 5.7 and MariaDB from 10.4 on agree. Every function takes the text and a position
and returns the position behind the token, or `UNSURE` where the text ends too early, or where
servers differ. What tokens mean is not known here.

The text must be in an encoding where ASCII bytes are ASCII, wherever they stand: UTF-8, or one byte
a character. In sjis, cp932, big5, gbk and gb18030 the second byte of a character can be a backslash
or a backtick, and nothing here holds; who has such a client must not ask.

Compiled with mypyc together with `scanner`; runs unchanged without.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64, u8

from proxy.sql import characters as char
from proxy.sql.characters import DIGITS, LETTERS, classes, table
from proxy.sql.lexical import LOWER, UNSURE

# What the first byte of a token says about it.
BAD: Final = 0
SPACE: Final = 1
WORD: Final = 2
DIGIT: Final = 3
OPERATOR: Final = 4
SELF: Final = 5
QUOTE: Final = 6
DOUBLE_QUOTE: Final = 7
BACKTICK: Final = 8
AT: Final = 9
PARAMETER: Final = 10
HASH: Final = 11

# A dollar sign is none of these: MySQL 9 quotes strings with it.
CLASS: Final = classes(
    (
        (WORD, LETTERS),
        (SPACE, b" \t\n\r\f\v"),
        (DIGIT, DIGITS),
        (OPERATOR, b"~!^&|+-*/%<>="),
        (SELF, b",().;:{}"),
        (QUOTE, b"'"),
        (DOUBLE_QUOTE, b'"'),
        (BACKTICK, b"`"),
        (AT, b"@"),
        (PARAMETER, b"?"),
        (HASH, b"#"),
    )
)
IN_WORD: Final = table(LETTERS + DIGITS + b"$")
_IN_VARIABLE: Final = table(LETTERS + DIGITS + b"$.")
_HEXADECIMAL: Final = table(b"0123456789abcdefABCDEF")
_BINARY: Final = table(b"01")
# What makes a comment of two dashes ("Comments" in the manual): space, or a control character.
_BEHIND_DASHES: Final = bytes(byte <= 0x20 or byte == 0x7F for byte in range(256))

_PAIRS: Final = (b"<=", b">=", b"<>", b"!=", b"<<", b">>", b"&&", b"||", b"->")
_BEGINS_PAIR: Final = table(b"<>!&|-")
_ENDS_PAIR: Final = table(b"=><&|")
_OLDEST_AGREED: Final = 50699
"""The highest version in a comment that every server executes: MySQL is at 50700 or above it,
and MariaDB passes over 50700 to 99999 ("Comment Syntax" in both manuals)."""
_VERSION_DIGITS: Final = 5


def end_of_word(sql: bytes, pos: i64) -> i64:
    """Pass over an unquoted identifier or keyword; `pos` is at its first byte."""
    end: i64 = len(sql)
    while pos < end and IN_WORD[sql[pos]]:
        pos += 1
    return pos


def is_comment_of_dashes(sql: bytes, pos: i64) -> bool:
    """Whether `--` at `pos` begins a comment, and is not two minus signs."""
    end: i64 = len(sql)
    if pos + 1 >= end or sql[pos + 1] != char.DASH:
        return False
    return pos + 2 == end or _BEHIND_DASHES[sql[pos + 2]] != 0


def end_of_line(sql: bytes, pos: i64) -> i64:
    """Pass over a comment up to its line's end, which a carriage return does not make."""
    end: i64 = len(sql)
    while pos < end:
        byte: u8 = sql[pos]
        if byte == char.NEWLINE:
            return pos
        if byte == 0:
            return UNSURE
        pos += 1
    return pos


def end_of_comment(sql: bytes, pos: i64) -> i64:
    """Pass over a `/* */` comment, which holds no others; `pos` is at its first byte."""
    end: i64 = len(sql)
    pos += 2
    while pos + 1 < end:
        byte: u8 = sql[pos]
        if byte == char.STAR and sql[pos + 1] == char.SLASH:
            return pos + 2
        if byte == 0:
            return UNSURE
        pos += 1
    return UNSURE


def start_of_executed(sql: bytes, pos: i64) -> i64:
    """Find where the content of `/*!` or `/*!NNNNN` at `pos` begins, when every server runs it."""
    end: i64 = len(sql)
    pos += 3
    start: i64 = pos
    version: i64 = 0
    while pos < end and CLASS[sql[pos]] == DIGIT:
        version = version * 10 + sql[pos] - char.ZERO
        pos += 1
        if pos - start > _VERSION_DIGITS:
            return UNSURE
    if pos == start:
        return pos
    return pos if pos - start == _VERSION_DIGITS and version <= _OLDEST_AGREED else UNSURE


def end_of_string(sql: bytes, pos: i64, escapes: bool) -> i64:
    """Pass over a quoted string; `pos` is at its opening quote, of either kind."""
    end: i64 = len(sql)
    quote: u8 = sql[pos]
    pos += 1
    while pos < end:
        byte: u8 = sql[pos]
        if byte == quote:
            pos += 1
            if pos == end or sql[pos] != quote:
                return pos
        elif byte == char.BACKSLASH and escapes:
            pos += 1
        pos += 1
    return UNSURE


def end_of_quoted(sql: bytes, pos: i64) -> i64:
    """Pass over a quoted identifier; `pos` is at its opening quote. Empty ones are errors."""
    end: i64 = len(sql)
    start: i64 = pos
    quote: u8 = sql[pos]
    pos += 1
    while pos < end:
        byte: u8 = sql[pos]
        if byte == quote:
            pos += 1
            if pos == end or sql[pos] != quote:
                return pos if pos - start > 2 else UNSURE
        elif byte == 0:
            return UNSURE
        pos += 1
    return UNSURE


def end_of_digits_in_quotes(sql: bytes, pos: i64) -> i64:
    """Pass over the quotes of x'1F' or b'101'; `pos` is at the opening one."""
    end: i64 = len(sql)
    pos += 1
    while pos < end and _HEXADECIMAL[sql[pos]]:
        pos += 1
    return pos + 1 if pos < end and sql[pos] == char.QUOTE else UNSURE


def end_of_number(sql: bytes, pos: i64) -> i64:
    """Pass over a number; `pos` is at its first digit, or at a point that one follows.

    Digits that a letter follows are a name: unsure, like everything else that touches a number.
    """
    end: i64 = len(sql)
    if sql[pos] == char.ZERO and pos + 1 < end and (sql[pos + 1] in (char.SMALL_X, char.SMALL_B)):
        members = _HEXADECIMAL if sql[pos + 1] == char.SMALL_X else _BINARY
        start: i64 = pos + 2
        pos = start
        while pos < end and members[sql[pos]]:
            pos += 1
        return UNSURE if pos == start or (pos < end and IN_WORD[sql[pos]]) else pos
    pos = _end_of_digits(sql, pos)
    if pos < end and sql[pos] == char.POINT:
        pos = _end_of_digits(sql, pos + 1)
    if pos < end and LOWER[sql[pos]] == char.SMALL_E:
        pos += 1
        if pos < end and (sql[pos] == char.PLUS or sql[pos] == char.DASH):
            pos += 1
        if pos == end or CLASS[sql[pos]] != DIGIT:
            return UNSURE
        pos = _end_of_digits(sql, pos)
    return UNSURE if pos < end and (IN_WORD[sql[pos]] or sql[pos] == char.POINT) else pos


def _end_of_digits(sql: bytes, pos: i64) -> i64:
    end: i64 = len(sql)
    while pos < end and CLASS[sql[pos]] == DIGIT:
        pos += 1
    return pos


def end_of_operator(sql: bytes, pos: i64) -> i64:
    """Pass over an operator; `pos` is at its first byte, and no comment begins there."""
    end: i64 = len(sql)
    if pos + 1 >= end or not _BEGINS_PAIR[sql[pos]] or not _ENDS_PAIR[sql[pos + 1]]:
        return pos + 1
    pair = sql[pos : pos + 2]
    if pair not in _PAIRS:
        return pos + 1
    third: u8 = sql[pos + 2] if pos + 2 < len(sql) else 0
    if third == char.GREATER and pair in (b"<=", b"->"):
        return pos + 3
    return pos + 2


def end_of_variable(sql: bytes, pos: i64, escapes: bool, ansi_quotes: bool) -> i64:
    """Pass over @name, @'name', @"name" or @`name`; `pos` is at its sign."""
    end: i64 = len(sql)
    pos += 1
    if pos == end:
        return UNSURE
    group = CLASS[sql[pos]]
    if group == QUOTE or (group == DOUBLE_QUOTE and not ansi_quotes):
        return end_of_string(sql, pos, escapes)
    if group in (BACKTICK, DOUBLE_QUOTE):
        return end_of_quoted(sql, pos)
    start: i64 = pos
    while pos < end and _IN_VARIABLE[sql[pos]]:
        pos += 1
    return pos if pos > start else UNSURE
