"""One pass over a request: its fingerprint, its statements, and what its values give away.

This runs for every statement, cached or not, so it is one loop over the bytes that makes no
object per token. Where it is not certain how the server would cut the text into tokens, it says
so and gives no fingerprint; such a request goes to the primary and is never cached.

Compiled with mypyc together with `lexical`, `clock` and `fingerprint`; runs unchanged without.
"""

from __future__ import annotations

from typing import Final

from mypy_extensions import i64

from proxy.sql import characters as char
from proxy.sql import lexical
from proxy.sql.clock import has_clock_word, has_letter_escape
from proxy.sql.fingerprint import NUMBER, PARAMETER, STRING, Fingerprint, packed
from proxy.sql.lexical import CLASS, LOWER, UNSURE

# Flags of a `Scan`.
CLOCK: Final = 1
"""A literal holds a word that depends on the clock when it is read as a date."""
HINT: Final = 2
"""There is a comment for the proxy: `/* tidegate: ... */`."""
MULTI: Final = 4
"""There is more than one statement."""
NOT_SURE: Final = 8
"""It is not certain how the server reads this text; there is no fingerprint."""
HAS_PARAMETERS: Final = 16
"""There are parameters, `$1`."""

TOO_LONG: Final = 32
"""It was not looked at to its end; `NOT_SURE` comes with it."""

MOST_TOKENS: Final = 500_000
"""Tokens and comments that are looked at, in some 50 ms: nobody else is served meanwhile."""

LONGEST_HINT: Final = 256
"""Bytes kept of what comments say to the proxy: more than a hint may have."""

NO_FINGERPRINT: Final = b"?"
"""Stands for every text that is not certain; what reads it finds nothing it understands."""

_STRING_PREFIX: Final = b"eEbBxXnN"

_ADDRESS: Final = b"tidegate:"
_SHORTEST_HINT: Final = len(b"/*tidegate:*/") - 1

_AS: Final = packed(b"as")
_CREATE: Final = packed(b"create")
_BEGIN: Final = packed(b"begin")
_ATOMIC: Final = packed(b"atomic")
_CASE: Final = packed(b"case")
_END: Final = packed(b"end")


class Scan:
    """What one pass over a request found.

    Attributes:
        fingerprint: The canonical form; several statements keep `;` between. `NO_FINGERPRINT`
            when not sure, which is no statement's.
        flags: `CLOCK`, `HINT`, `MULTI`, `NOT_SURE`, `HAS_PARAMETERS`, added up.
        statements: Where each statement starts and stops, without space around it.
        hint: What the comments for the proxy say, without `tidegate:`.
    """

    __slots__ = ("fingerprint", "flags", "hint", "statements")

    def __init__(
        self, fingerprint: bytes, flags: int, statements: list[tuple[int, int]], hint: bytes
    ) -> None:
        """Keep what was found."""
        self.fingerprint = fingerprint
        self.flags = flags
        self.statements = statements
        self.hint = hint


def scan(sql: bytes) -> Scan:
    """Look at a request's text once.

    Args:
        sql: The text as the client sent it, in an encoding where ASCII bytes are ASCII.
    """
    return _Scanner(sql).run()


class _Scanner:
    __slots__ = ("_bodies", "_depth", "_fingerprint", "_first", "_flags", "_hint", "_sql", "_word")

    def __init__(self, sql: bytes) -> None:
        self._sql = sql
        self._fingerprint = Fingerprint()
        self._flags: i64 = 0
        self._hint = b""
        self._depth: i64 = 0  # round brackets open
        self._bodies: i64 = 0  # BEGIN ATOMIC, BEGIN and CASE open, in a body in SQL
        self._first: i64 = 0  # the word the statement begins with
        self._word: i64 = 0  # the word or symbol before; 0 for anything else

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
            if CLASS[byte] == lexical.SPACE:
                pos += 1
                continue
            tokens += 1
            if tokens > MOST_TOKENS:
                return too_long()
            if pos + 1 < end:
                if byte == char.DASH and sql[pos + 1] == char.DASH:
                    pos = lexical.end_of_line(sql, pos)
                    continue
                if byte == char.SLASH and sql[pos + 1] == char.STAR:
                    pos = self._comment(pos)
                    if pos == UNSURE:
                        return _not_sure()
                    continue
            if byte == char.SEMICOLON and self._depth == 0 and self._bodies == 0:
                if start != UNSURE:
                    statements.append((start, stop))
                    start = UNSURE
                pos += 1
                continue
            if start == UNSURE:
                start = pos
                self._word = 0
                self._first = 0
                if statements:
                    self._fingerprint.symbol(char.SEMICOLON)
            pos = self._token(pos, byte)
            if pos == UNSURE:
                return _not_sure()
            stop = pos
        if start != UNSURE:
            statements.append((start, stop))
        if self._depth or self._bodies or b"\0" in sql:
            return _not_sure()
        if len(statements) > 1:
            self._flags |= MULTI
        return Scan(self._fingerprint.text(), int(self._flags), statements, self._hint)

    def _token(self, pos: i64, byte: i64) -> i64:
        """Take the token at `pos` and return where it ends."""
        sql = self._sql
        group = CLASS[byte]
        if group == lexical.WORD:
            return self._word_token(pos)
        if group == lexical.SELF:
            return self._symbol(pos, byte)
        self._word = 0
        if group == lexical.OPERATOR:
            stop = lexical.end_of_operator(sql, pos)
            if stop == UNSURE:
                return UNSURE
            signs = stop == pos + 1 and byte in (char.PLUS, char.DASH)
            if signs and _is_digit(sql, stop) and self._fingerprint.drops_sign():
                return stop
            self._fingerprint.as_written(sql, pos, stop)
            return stop
        if group == lexical.QUOTE:
            return self._string(pos, False)
        if group == lexical.DIGIT:
            stop = lexical.end_of_number(sql, pos)
            self._fingerprint.literal(NUMBER)
            return stop
        if group == lexical.DOUBLE_QUOTE:
            stop = lexical.end_of_quoted(sql, pos)
            if stop != UNSURE:
                self._fingerprint.as_written(sql, pos, stop)
            return stop
        if group == lexical.DOLLAR:
            return self._dollar(pos)
        return UNSURE

    def _symbol(self, pos: i64, byte: i64) -> i64:
        sql = self._sql
        if byte == char.POINT:
            if pos + 1 < len(sql) and sql[pos + 1] == char.POINT:
                return UNSURE  # two points are in no SQL statement
            if _is_digit(sql, pos + 1):
                self._fingerprint.literal(NUMBER)
                return lexical.end_of_number(sql, pos)
        elif byte == char.OPEN:
            self._depth += 1
        elif byte == char.CLOSE:
            self._depth -= 1
            if self._depth < 0:
                return UNSURE
        elif (
            byte == char.COLON and pos + 1 < len(sql) and sql[pos + 1] in (char.COLON, char.EQUALS)
        ):
            self._fingerprint.as_written(sql, pos, pos + 2)
            return pos + 2
        self._word = byte
        self._fingerprint.symbol(byte)
        return pos + 1

    def _word_token(self, pos: i64) -> i64:
        sql = self._sql
        stop = lexical.end_of_word(sql, pos)
        if stop == pos + 1 and stop < len(sql):
            if sql[stop] == char.QUOTE and sql[pos] in _STRING_PREFIX:
                return self._string(stop, LOWER[sql[pos]] == char.SMALL_E)
            if (
                sql[stop] == char.AMPERSAND
                and LOWER[sql[pos]] == char.SMALL_U
                and stop + 1 < len(sql)
            ):
                if sql[stop + 1] == char.DOUBLE:
                    return UNSURE
                if sql[stop + 1] == char.QUOTE:
                    # Its escapes are not read here: they may spell any word.
                    self._flags |= CLOCK
                    return self._string(stop + 1, False)
        key = self._fingerprint.word(sql, pos, stop)
        if self._first == 0:
            self._first = key if key else UNSURE
        if self._first == _CREATE:
            self._follow_body(key)
        self._word = key
        return stop

    def _follow_body(self, key: i64) -> None:
        """Count what BEGIN ATOMIC opens: semicolons up to its END do not part statements."""
        if self._bodies:
            if self._word in (_AS, char.POINT):
                return  # a name
            if key in (_CASE, _BEGIN):
                self._bodies += 1
            elif key == _END:
                self._bodies -= 1
        elif key == _ATOMIC and self._word == _BEGIN:
            self._bodies = 1

    def _string(self, pos: i64, escapes: bool) -> i64:
        """Take a string and its continuations; `pos` is at its quote."""
        sql = self._sql
        while True:
            stop = lexical.end_of_string(sql, pos, escapes)
            if stop == UNSURE:
                return UNSURE
            if has_clock_word(sql, pos, stop) or (escapes and has_letter_escape(sql, pos, stop)):
                self._flags |= CLOCK
            pos = lexical.start_of_continuation(sql, stop)
            if pos == UNSURE:
                break
            # The parts may make a word together.
            self._flags |= CLOCK
        self._fingerprint.literal(STRING)
        return stop

    def _dollar(self, pos: i64) -> i64:
        sql = self._sql
        if _is_digit(sql, pos + 1):
            self._flags |= HAS_PARAMETERS
            self._fingerprint.literal(PARAMETER)
            return lexical.end_of_parameter(sql, pos)
        stop = lexical.end_of_dollar_quoted(sql, pos)
        if stop != UNSURE:
            if has_clock_word(sql, pos, stop):
                self._flags |= CLOCK
            self._fingerprint.literal(STRING)
        return stop

    def _comment(self, pos: i64) -> i64:
        """Pass over a comment, and keep what it says to the proxy."""
        stop = lexical.end_of_comment(self._sql, pos)
        if stop != UNSURE and stop - pos > _SHORTEST_HINT:
            said = hint_in(self._sql, pos + 2, stop - 2)
            if said is not None:
                self._flags |= HINT
                self._hint = with_hint(self._hint, said)
        return stop


def _is_digit(sql: bytes, pos: i64) -> bool:
    return pos < len(sql) and CLASS[sql[pos]] == lexical.DIGIT


def hint_in(sql: bytes, pos: i64, end: i64) -> bytes | None:
    """Read what a comment's content at `sql[pos:end]` says to the proxy; None: nothing."""
    while pos < end and CLASS[sql[pos]] == lexical.SPACE:
        pos += 1
    if pos == end or LOWER[sql[pos]] != char.SMALL_T:
        return None
    start: i64 = pos + len(_ADDRESS)
    if start > end or sql[pos:start].lower() != _ADDRESS:
        return None
    while start < end and CLASS[sql[start]] == lexical.SPACE:
        start += 1
    if end - start > LONGEST_HINT:
        return sql[start : start + LONGEST_HINT] + b"..."
    return sql[start:end].rstrip()


def with_hint(before: bytes, said: bytes) -> bytes:
    """Add what another comment says; what is too long for a hint need not be whole."""
    if len(before) > LONGEST_HINT:
        return before
    return (before + b" " + said).strip()


def too_long() -> Scan:
    """Of a text that was not looked at to its end."""
    return Scan(NO_FINGERPRINT, NOT_SURE | TOO_LONG, [], b"")


def _not_sure() -> Scan:
    return Scan(NO_FINGERPRINT, NOT_SURE, [], b"")
