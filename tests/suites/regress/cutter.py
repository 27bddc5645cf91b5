r"""Scripts for psql, cut into the texts that it would send, and specs of the isolation tester.

It cuts by the rules of psql's own scanner (src/fe_utils/psqlscan.l): not by those of our scanner,
which is judged by what comes out here. Both branches of an \if are taken, and nothing ends a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Final

TOKEN: Final = re.compile(
    r"""
      (?P<comment> --[^\n]* )
    | (?P<block> /\* )
    | (?P<escaped> [eE]'(?:[^'\\]|''|\\.)*' )
    | (?P<unicode> [uU]&'(?:[^']|'')*' )
    | (?P<string> ' )
    | (?P<quoted> "(?:[^"]|"")*" )
    | (?P<dollar> \$(?:[^\W\d]\w*)?\$ )
    | (?P<word> [^\W\d][\w$]* )
    | (?P<parameter> \$\d+ )
    | (?P<colons> ::|:= )
    | (?P<variable> :(?:'\w+'|"\w+"|\w+) )
    | (?P<forced> \\[;:] )
    | (?P<meta> \\(?P<command>[^\s\\]*)(?P<rest>[^\n]*) )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
PLAIN: Final = re.compile(r"'(?:[^']|'')*'")
BACKSLASHED: Final = re.compile(r"'(?:[^'\\]|''|\\.)*'", re.DOTALL)
BLOCK_PART: Final = re.compile(r"/\*|\*/")
ARGUMENT: Final = re.compile(r"(?:'(?:[^'\\]|''|\\.)*'|\"[^\"]*\"|[^\s'\"])+")
ARGUMENT_PART: Final = re.compile(r":'(\w+)'|:(\w+)|'((?:[^'\\]|''|\\.)*)'|(.)", re.DOTALL)

SENDING: Final = ("g", "gx", "gset", "gexec", "gdesc", "crosstabview", "watch")

END_OF_DATA: Final = re.compile(r"^\\\.[ \t]*$\n?", re.MULTILINE)
NO_DATA: Final = re.compile(
    r"^(?:--|(?:alter|analyze|begin|commit|copy|create|delete|do|drop|grant|insert|reset|revoke|"
    r"rollback|select|set|truncate|update|vacuum)\s)",
    re.IGNORECASE | re.MULTILINE,
)
"""A COPY that is meant to fail has none: what follows it is the script."""

# The first letters of CREATE [OR REPLACE] {FUNCTION | PROCEDURE}: psql looks at no more.
ROUTINE: Final = re.compile(r"c(?:f|p|orf|orp)")
STANDARD_STRINGS: Final = re.compile(r"standard_conforming_strings\s*(?:=|\bto\b)\s*'?(\w+)", re.I)


@dataclass(frozen=True, slots=True)
class Piece:
    """What psql sends at once.

    Attributes:
        text: As it is sent; it may hold several statements.
        line: Where it begins.
        then: The meta-command that sent it, with its arguments; empty: a semicolon.
        data: What follows a COPY FROM STDIN.
        unset: Variables it mentions that have no value; their names were left where they stood.
    """

    text: str
    line: int
    then: str = ""
    data: str | None = None
    unset: frozenset[str] = frozenset()


@dataclass(slots=True)
class Buffer:
    """What is to be sent next."""

    parts: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    unset: set[str] = field(default_factory=set)
    start: int = -1
    parentheses: int = 0
    blocks: int = 0
    has_data: bool = False

    def add(self, text: str, at: int) -> None:
        if self.start < 0 and text.isspace():
            return
        if self.start < 0:
            self.start = at
        self.parts.append(text)

    def take_word(self, word: str) -> None:
        """Count the blocks of a routine whose body is no string."""
        self.words.append(word)
        self.has_data |= self.words[0] == "copy" and self.words[-2:] == ["from", "stdin"]
        initials = "".join(known[0] for known in self.words[:4])
        if self.parentheses or not ROUTINE.match(initials):
            return
        if word == "begin" or (word == "case" and self.blocks):
            self.blocks += 1
        elif word == "end" and self.blocks:
            self.blocks -= 1

    def end_statement(self) -> None:
        """A statement ends that is not sent by itself."""
        self.words.clear()

    @property
    def is_whole(self) -> bool:
        return self.parentheses <= 0 and self.blocks == 0


class Script:
    """One script, cut from its start to its end.

    Args:
        text: The script.
        variables: Of psql; what the script sets is added while it is cut, so that whoever runs
            the pieces can add what \\gset sets.
        environment: What \\getenv finds.
    """

    def __init__(
        self,
        text: str,
        variables: MutableMapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.variables = {} if variables is None else variables
        self.uncut: list[tuple[int, str]] = []
        """Line and reason of what could not be cut."""
        self._text = text
        self._environment = environment or {}
        self._buffer = Buffer()
        self._string = PLAIN

    def pieces(self) -> Iterator[Piece]:
        """Cut it."""
        pos = 0
        while (token := TOKEN.match(self._text, pos)) is not None:
            kind, value = str(token.lastgroup), token.group()
            pos = token.end()
            if kind == "other":
                kind = value
            buffer = self._buffer
            if kind == "string":
                pos = self._whole(token.start(), self._string.match(self._text, token.start()))
            elif kind == "dollar":
                stop = self._text.find(value, pos)
                pos = self._skipped(token.start(), stop + len(value) if stop >= 0 else -1)
            elif kind == "block":
                pos = self._skipped(token.start(), self._after_comment(pos))
            elif kind == "meta":
                piece, pos = self._meta(token)
                if piece is not None:
                    yield piece
            elif kind == ";" and buffer.is_whole:
                piece, pos = self._sent("", pos)
                if piece is not None:
                    yield piece
            else:
                self._take(kind, value, token.start())
        if "".join(self._buffer.parts).strip():
            yield self._piece("")

    def _take(self, kind: str, value: str, at: int) -> None:
        buffer = self._buffer
        if kind == "word":
            buffer.take_word(value.lower())
        elif kind == "(":
            buffer.parentheses += 1
        elif kind == ")":
            buffer.parentheses -= 1
        elif kind == "variable":
            value = self._replaced(value)
        elif kind == "forced":
            value = value[1:]
            buffer.end_statement()
        buffer.add(value, at)

    def _whole(self, start: int, found: re.Match[str] | None) -> int:
        return self._skipped(start, found.end() if found else -1)

    def _skipped(self, start: int, stop: int) -> int:
        """Take a token that may hold anything."""
        if stop < 0:
            self.uncut.append((self._line(start), "something that does not end"))
            stop = len(self._text)
        self._buffer.add(self._text[start:stop], start)
        return stop

    def _after_comment(self, pos: int) -> int:
        depth = 1
        while depth:
            part = BLOCK_PART.search(self._text, pos)
            if part is None:
                return -1
            depth += 1 if part.group() == "/*" else -1
            pos = part.end()
        return pos

    def _replaced(self, value: str) -> str:
        name = value[1:].strip("'\"")
        if name not in self.variables:
            self._buffer.unset.add(name)
            return value
        known = self.variables[name]
        if value[1] == "'":
            return "'" + known.replace("'", "''") + "'"
        return '"' + known.replace('"', '""') + '"' if value[1] == '"' else known

    def _meta(self, token: re.Match[str]) -> tuple[Piece | None, int]:
        command, (rest, *more) = token["command"], token["rest"].split("\\\\", 1)
        pos = token.end() - len(more[0]) if more else token.end()
        if command in SENDING:
            return self._sent(f"{command} {rest.strip()}".strip(), pos)
        arguments = [self._unquoted(part) for part in ARGUMENT.findall(rest)]
        if command == "set" and arguments:
            self.variables[arguments[0]] = "".join(arguments[1:])
        elif command == "getenv" and len(arguments) == 2 and arguments[1] in self._environment:
            self.variables[arguments[0]] = self._environment[arguments[1]]
        elif command == "unset" and arguments:
            self.variables.pop(arguments[0], None)
        elif command in ("r", "reset"):
            self._buffer = Buffer()
        elif command == "copy" and re.search(r"\bfrom\s+stdin\b", rest, re.IGNORECASE):
            _, pos = self._data(pos)
        return None, pos

    def _unquoted(self, argument: str) -> str:
        def value(part: re.Match[str]) -> str:
            quoted, name, string, other = part.groups()
            if quoted is not None:
                return "'" + self.variables.get(quoted, "").replace("'", "''") + "'"
            if name is not None:
                return self.variables.get(name, part.group())
            if string is not None:
                return re.sub(r"''", "'", string)
            return str(other)

        return ARGUMENT_PART.sub(value, argument)

    def _sent(self, then: str, pos: int) -> tuple[Piece | None, int]:
        """Send the buffer, with the data behind it."""
        if self._buffer.start < 0:
            return None, pos
        has_data = self._buffer.has_data
        piece = self._piece(then)
        if has_data:
            data, pos = self._data(pos)
            piece = Piece(piece.text, piece.line, piece.then, data, piece.unset)
        return piece, pos

    def _piece(self, then: str) -> Piece:
        buffer, self._buffer = self._buffer, Buffer()
        text = "".join(buffer.parts).strip()
        if (setting := STANDARD_STRINGS.search(text)) is not None:
            is_off = setting[1].lower() in ("off", "false", "0", "no")
            self._string = BACKSLASHED if is_off else PLAIN
        return Piece(text, self._line(buffer.start), then, unset=frozenset(buffer.unset))

    def _data(self, pos: int) -> tuple[str | None, int]:
        line_end = self._text.find("\n", pos)
        end = END_OF_DATA.search(self._text, pos)
        if line_end < 0 or end is None:
            return None, pos
        data = self._text[line_end + 1 : end.start()]
        if NO_DATA.search(data):
            return None, pos
        rest = self._text[pos:line_end].strip()
        if rest and not rest.startswith("--"):
            self.uncut.append((self._line(pos), "data behind two statements in a line"))
        return data, end.end()

    def _line(self, pos: int) -> int:
        return self._text.count("\n", 0, max(pos, 0)) + 1


SPEC_TOKEN: Final = re.compile(r'#[^\n]*|"(?:[^"]|"")*"|\{(?P<sql>[^}]*)\}|[^\s{}"#]+|\s+|.')


def spec_pieces(text: str) -> Iterator[Piece]:
    """Cut a spec: each of its blocks is sent as it is (src/test/isolation/specscanner.l)."""
    for token in SPEC_TOKEN.finditer(text):
        if (sql := token["sql"]) is not None and sql.strip():
            yield Piece(sql.strip(), text.count("\n", 0, token.start()) + 1)
