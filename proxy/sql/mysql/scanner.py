"""One pass over a request in MySQL's SQL: what `proxy.sql.scanner` is for PostgreSQL's.

What comes out means the same in every SQL mode: strings are `''`, so a double quote that is left
quotes an identifier; what an executed comment holds stands there as if it had none; the name of a
built-in function whose bracket does not touch it is quoted, because the server takes it for the
name of a stored function then. Words keep their case, since tables may differ by it, but for
reserved ones.

A request that begins a body, as of CREATE PROCEDURE or BEGIN NOT ATOMIC, is one statement up to its
end, semicolons included: where the body ends is not looked for.

Compiled with mypyc together with `lexical` and `proxy.sql.fingerprint`; runs unchanged without.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from proxy.sql.fingerprint import NUMBER, STRING, Fingerprint, packed
from proxy.sql.lexical import LOWER, UNSURE
from proxy.sql.mysql import lexical
from proxy.sql.mysql.lexical import CLASS
from proxy.sql.mysql.words import RESERVED, TOUCHING
from proxy.sql.scanner import (
    HAS_PARAMETERS,
    HINT,
    MOST_TOKENS,
    MULTI,
    NO_FINGERPRINT,
    NOT_SURE,
    Scan,
    hint_in,
    too_long,
    with_hint,
)

# What of `sql_mode` and of the client's character set decides where tokens end.
ANSI_QUOTES: Final = 1
NO_BACKSLASH_ESCAPES: Final = 2
IGNORE_SPACE: Final = 4
ONE_BYTE: Final = 8
"""The client's character set is not UTF-8: what a byte above 127 is outside of quotes, a letter or
a space, depends on it."""

PARAMETER: Final = b"?"
_VARIABLE: Final = b"@q"
"""Stands for a user variable whose name is quoted."""

_STAR: Final = 0x2A
_PLUS: Final = 0x2B
_DASH: Final = 0x2D
_POINT: Final = 0x2E
_SLASH: Final = 0x2F
_COLON: Final = 0x3A
_SEMICOLON: Final = 0x3B
_EQUALS: Final = 0x3D
_OPEN: Final = 0x28
_CLOSE: Final = 0x29
_EXCLAMATION: Final = 0x21
_CAPITAL_M: Final = 0x4D
_HASH: Final = 0x23
_N: Final = 0x6E
_QUOTED_PREFIX: Final = bytes(byte in b"nNxXbB" for byte in range(256))
_UPPER: Final = bytes(0x41 <= byte <= 0x5A for byte in range(256))

_SHORTEST_HINT: Final = len(b"/*tidegate:*/") - 1
_UNSAFE_IN_OPTIMIZER_HINT: Final = (b"'", b'"', b"`", b"set_var")
"""A quoted name may hide the end of the comment; SET_VAR changes settings."""

_MOST_OPTIMIZER_HINTS: Final = 1000

_CREATE: Final = packed(b"create")
_ALTER: Final = packed(b"alter")
_BEGIN: Final = packed(b"begin")
_NOT: Final = packed(b"not")
_BODIES: Final = frozenset(
    packed(word) for word in (b"if", b"loop", b"while", b"repeat", b"for", b"case", b"declare")
)
_PROGRAMS: Final = frozenset((b"procedure", b"function", b"trigger", b"event", b"package"))


def scan(sql: bytes, modes: int = 0) -> Scan:
    """Look at a request's text once.

    Args:
        sql: The text as the client sent it; see `lexical` for its encoding.
        modes: `ANSI_QUOTES`, `NO_BACKSLASH_ESCAPES`, `IGNORE_SPACE`, `ONE_BYTE`, added up.
    """
    return _Scanner(sql, modes).run()


class _Scanner:
    __slots__ = (
        "_ansi_quotes",
        "_depth",
        "_escapes",
        "_executed_at",
        "_fingerprint",
        "_first",
        "_flags",
        "_hint",
        "_ignore_space",
        "_in_executed",
        "_is_program",
        "_name_end",
        "_one_byte",
        "_optimizer_hints",
        "_sql",
        "_word",
        "_words",
    )

    def __init__(self, sql: bytes, modes: int) -> None:
        self._sql = sql
        self._ansi_quotes = modes & ANSI_QUOTES != 0
        self._escapes = modes & NO_BACKSLASH_ESCAPES == 0
        self._ignore_space = modes & IGNORE_SPACE != 0
        self._one_byte = modes & ONE_BYTE != 0
        self._fingerprint = Fingerprint()
        self._flags: i64 = 0
        self._hint = b""
        self._optimizer_hints: i64 = 0  # comments of that kind so far
        self._depth: i64 = 0  # round brackets open
        self._in_executed = False  # inside of /*! */
        self._executed_at: i64 = 0  # where that began
        self._is_program = False  # semicolons belong to the statement
        self._first: i64 = 0  # the word the statement begins with
        self._words: i64 = 0  # words of it so far, up to two
        self._word: i64 = 0  # the word or symbol before; 0 for anything else
        self._name_end: i64 = UNSURE  # where the name before ended

    def run(self) -> Scan:
        sql = self._sql
        end: i64 = len(sql)
        pos: i64 = 0
        start: i64 = UNSURE  # of the statement, UNSURE between two
        stop: i64 = 0
        statements: list[tuple[int, int]] = []
        tokens: i64 = 0
        while pos < end:
            byte: i64 = sql[pos]
            group = CLASS[byte]
            if group == lexical.SPACE:
                pos += 1
                continue
            tokens += 1
            if tokens > MOST_TOKENS:
                return too_long()
            if group == lexical.OPERATOR or group == lexical.HASH:
                skipped = self._skip(pos, byte)
                if skipped == UNSURE:
                    return _not_sure()
                if skipped != pos:
                    if byte == _STAR and start != UNSURE:
                        stop = skipped  # what closes an executed comment goes with it
                    pos = skipped
                    continue
            if byte == _SEMICOLON and not self._is_program:
                if self._depth or self._in_executed:
                    return _not_sure()
                if start != UNSURE:
                    statements.append((start, stop))
                    start = UNSURE
                pos += 1
                continue
            if start == UNSURE:
                start = self._executed_at if self._in_executed else pos
                self._begin_statement()
                if statements:
                    self._fingerprint.symbol(_SEMICOLON)
            pos = self._token(pos, byte, group)
            if pos == UNSURE:
                return _not_sure()
            stop = pos
        if start != UNSURE:
            statements.append((start, stop))
        if self._depth or self._in_executed:
            return _not_sure()
        if len(statements) > 1:
            self._flags |= MULTI
        return Scan(self._fingerprint.text(), int(self._flags), statements, self._hint)

    def _begin_statement(self) -> None:
        self._word = 0
        self._first = 0
        self._words = 0
        self._name_end = UNSURE

    def _skip(self, pos: i64, byte: i64) -> i64:
        """Pass over a comment, or over the borders of one that is executed; `pos`: it is none."""
        sql = self._sql
        if byte == _HASH:
            return lexical.end_of_line(sql, pos)
        if byte == _DASH:
            if lexical.is_comment_of_dashes(sql, pos):
                return lexical.end_of_line(sql, pos)
        elif pos + 1 < len(sql):
            if byte == _SLASH and sql[pos + 1] == _STAR:
                return self._comment(pos)
            if byte == _STAR and sql[pos + 1] == _SLASH and self._in_executed:
                self._in_executed = False
                return pos + 2
        return pos

    def _comment(self, pos: i64) -> i64:
        """Pass over a comment, and keep what it says to the proxy."""
        sql = self._sql
        if self._in_executed or pos + 2 >= len(sql):
            return UNSURE
        third: i64 = sql[pos + 2]
        if third == _EXCLAMATION:
            self._in_executed = True
            self._executed_at = pos
            return lexical.start_of_executed(sql, pos)
        if third == _CAPITAL_M and sql[pos + 3 : pos + 4] == b"!":
            return UNSURE
        stop = lexical.end_of_comment(sql, pos)
        if stop == UNSURE:
            return UNSURE
        if third == _PLUS:
            self._optimizer_hints += 1
            if self._optimizer_hints > _MOST_OPTIMIZER_HINTS:
                return UNSURE
            said = sql[pos:stop].lower()
            for unsafe in _UNSAFE_IN_OPTIMIZER_HINT:
                if unsafe in said:
                    return UNSURE
        elif stop - pos > _SHORTEST_HINT:
            found = hint_in(sql, pos + 2, stop - 2)
            if found is not None:
                self._flags |= HINT
                self._hint = with_hint(self._hint, found)
        return stop

    def _token(self, pos: i64, byte: i64, group: i64) -> i64:
        """Take the token at `pos` and return where it ends."""
        sql = self._sql
        if group == lexical.WORD:
            return self._word_token(pos)
        if group == lexical.SELF:
            return self._symbol(pos, byte)
        self._word = 0
        if group == lexical.OPERATOR:
            stop = lexical.end_of_operator(sql, pos)
            signs = stop == pos + 1 and byte in (_PLUS, _DASH)
            if signs and _is_digit(sql, stop) and self._fingerprint.drops_sign():
                return stop
            self._fingerprint.as_written(sql, pos, stop)
            return stop
        if group == lexical.QUOTE or (group == lexical.DOUBLE_QUOTE and not self._ansi_quotes):
            return self._string(pos)
        if group == lexical.DIGIT:
            if pos == self._name_end:
                return UNSURE
            self._fingerprint.literal(NUMBER)
            return lexical.end_of_number(sql, pos)
        if group == lexical.BACKTICK or group == lexical.DOUBLE_QUOTE:
            stop = lexical.end_of_quoted(sql, pos)
            if stop != UNSURE:
                self._fingerprint.as_written(sql, pos, stop)
                self._name_end = stop
            return stop
        if group == lexical.PARAMETER:
            self._flags |= HAS_PARAMETERS
            self._fingerprint.literal(PARAMETER)
            return pos + 1
        if group == lexical.AT:
            return self._variable(pos)
        return UNSURE

    def _symbol(self, pos: i64, byte: i64) -> i64:
        sql = self._sql
        if byte == _POINT:
            if _is_digit(sql, pos + 1):
                if pos == self._name_end:
                    return UNSURE  # a name that begins with a digit
                self._word = 0
                self._fingerprint.literal(NUMBER)
                return lexical.end_of_number(sql, pos)
        elif byte == _OPEN:
            self._depth += 1
        elif byte == _CLOSE:
            self._depth -= 1
            if self._depth < 0:
                return UNSURE
        elif byte == _COLON:
            if pos + 1 < len(sql) and sql[pos + 1] == _EQUALS:
                self._word = 0
                self._fingerprint.as_written(sql, pos, pos + 2)
                return pos + 2
            if self._words == 1:
                self._is_program = True  # behind a label
        self._word = byte
        self._fingerprint.symbol(byte)
        return pos + 1

    def _word_token(self, pos: i64) -> i64:
        sql = self._sql
        stop = lexical.end_of_word(sql, pos)
        if stop == pos + 1 and _QUOTED_PREFIX[sql[pos]] and sql[stop : stop + 1] == b"'":
            if LOWER[sql[pos]] == _N:
                return self._string(stop)
            self._word = 0
            self._fingerprint.literal(NUMBER)
            return lexical.end_of_digits_in_quotes(sql, stop)
        keeps_case = False
        index: i64 = pos
        while index < stop:
            if _UPPER[sql[index]]:
                keeps_case = True
            elif sql[index] >= 0x80 and self._one_byte:
                return UNSURE
            index += 1
        if keeps_case and self._word != _POINT and sql[pos:stop].lower() in RESERVED:
            keeps_case = False
        if not self._ignore_space and self._is_apart(pos, stop):
            self._fingerprint.quoted(sql, pos, stop)
            self._word = 0
            self._name_end = stop
            return stop
        if keeps_case:
            key = self._fingerprint.written_word(sql, pos, stop)
        else:
            key = self._fingerprint.word(sql, pos, stop)
        self._follow_program(key, pos, stop)
        self._word = key
        self._name_end = stop
        return stop

    def _is_apart(self, pos: i64, stop: i64) -> bool:
        """Whether this is a built-in function's name and its bracket does not touch it.

        It is that function only when they touch, or under IGNORE_SPACE ("Function Name Parsing
        and Resolution" in the manual). A comment in between is taken for space and a bracket.
        """
        sql = self._sql
        end: i64 = len(sql)
        at: i64 = stop
        while at < end and CLASS[sql[at]] == lexical.SPACE:
            at += 1
        if at == end or (at == stop and sql[at] == _OPEN):
            return False
        if sql[at] not in (_OPEN, _SLASH, _DASH, _HASH, _STAR):
            return False
        return sql[pos:stop].lower() in TOUCHING

    def _follow_program(self, key: i64, pos: i64, stop: i64) -> None:
        """Notice a statement that may have others in it."""
        if self._words < 2:
            self._words += 1
            if self._words == 1:
                self._first = key if key else UNSURE
                if key in _BODIES:
                    self._is_program = True
                return
            if self._first == _BEGIN and key == _NOT:
                self._is_program = True
        if (self._first == _CREATE or self._first == _ALTER) and not self._is_program:
            self._is_program = self._sql[pos:stop].lower() in _PROGRAMS

    def _string(self, pos: i64) -> i64:
        """Take a string and those that go on with it; `pos` is at its quote."""
        sql = self._sql
        end: i64 = len(sql)
        self._word = 0
        while True:
            stop = lexical.end_of_string(sql, pos, self._escapes)
            if stop == UNSURE:
                return UNSURE
            pos = stop
            while pos < end and CLASS[sql[pos]] == lexical.SPACE:
                pos += 1
            if pos == end:
                break
            group = CLASS[sql[pos]]
            if group != lexical.QUOTE and (group != lexical.DOUBLE_QUOTE or self._ansi_quotes):
                break
        self._fingerprint.literal(STRING)
        return stop

    def _variable(self, pos: i64) -> i64:
        sql = self._sql
        if sql[pos + 1 : pos + 2] != b"@":
            stop = lexical.end_of_variable(sql, pos, self._escapes, self._ansi_quotes)
            if stop == UNSURE:
                return UNSURE
            if CLASS[sql[pos + 1]] in (lexical.QUOTE, lexical.DOUBLE_QUOTE, lexical.BACKTICK):
                self._fingerprint.as_written(_VARIABLE, 0, len(_VARIABLE))
            else:
                self._fingerprint.as_written(sql, pos, stop)
            return stop
        start: i64 = pos + 2
        if start < len(sql) and CLASS[sql[start]] == lexical.BACKTICK:
            stop = lexical.end_of_quoted(sql, start)
            if stop == UNSURE or lexical.end_of_word(sql, start + 1) != stop - 1:
                return UNSURE
            name = b"@@" + sql[start + 1 : stop - 1].lower()
        else:
            stop = lexical.end_of_word(sql, start)
            if stop == start:
                return UNSURE
            name = sql[pos:stop].lower()
        self._fingerprint.as_written(name, 0, len(name))
        self._name_end = stop
        return stop


def _is_digit(sql: bytes, pos: i64) -> bool:
    return pos < len(sql) and CLASS[sql[pos]] == lexical.DIGIT


def _not_sure() -> Scan:
    return Scan(NO_FINGERPRINT, NOT_SURE, [], b"")
