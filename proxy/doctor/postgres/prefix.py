"""What stands in front of each line of PostgreSQL's plain log: `log_line_prefix`.

Source: the table of escapes at `log_line_prefix` in the manual.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_DAY: Final = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_ESCAPES: Final = {
    "a": r".*?",
    "u": r"(?P<user>.*?)",
    "d": r"(?P<database>.*?)",
    "r": r".*?",
    "h": r".*?",
    "L": r".*?",
    "b": r".*?",
    "p": r"(?P<process>\d+)",
    "P": r"\d*",
    "t": rf"{_DAY} \S+",
    "m": rf"{_DAY}\.\d+ \S+",
    "n": r"\d+\.\d+",
    "i": r".*?",
    "e": r"[0-9A-Z]{5}",
    "c": r"(?P<session>[0-9a-f]+\.[0-9a-f]+)",
    "l": r"\d+",
    "s": rf"{_DAY} \S+",
    "v": r"[-\d/]*",
    "x": r"\d+",
    "Q": r"-?\d+",
    "%": "%",
}
_ESCAPE: Final = re.compile(r"%(-?\d*)(.)")

_SEVERITIES: Final = (
    *("LOG", "ERROR", "FATAL", "PANIC", "WARNING", "NOTICE", "INFO", "DEBUG", r"DEBUG\d"),
    *("DETAIL", "HINT", "QUERY", "CONTEXT", "STATEMENT", "LOCATION", "BACKTRACE"),
)
_MESSAGE: Final = rf"(?P<severity>{'|'.join(_SEVERITIES)}):  (?:[0-9A-Z]{{5}}: )?(?P<message>.*)"
"""Behind the prefix; with `log_error_verbosity = verbose` the message has its SQLSTATE in front."""

COMMON: Final = (
    "%t [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: user=%u,db=%d,app=%a,client=%h ",
    "%m [%p]: [%l-1] user=%u,db=%d,app=%a,client=%h ",
    "%t [%p]: [%l-1] user=%u,db=%d ",
    "%m [%p]: [%l-1] db=%d,user=%u ",
    "%m:%r:%u@%d:[%p]:%l:%e:%s:%v:%x:%c:%q%a:",
    "%t:%r:%u@%d:[%p]:",
    "%m [%p] %q%u@%d ",
    "%t [%p] %q%u@%d ",
    "%t [%p-%l] %q%u@%d ",
    "%m [%p] %q[user=%u,db=%d,app=%a] ",
    "%m [%p] ",
    "%t [%p] ",
    "%t [%p]: [%l-1] ",
    "%m-%c-",
    "%t-%c-",
)
"""What distributions, services and analysers ask for, those that tell the most first."""

_ANY: Final = re.compile(rf"(?P<prefix>.*?){_MESSAGE}", re.DOTALL)
_ENOUGH: Final = 0.9
"""The share of lines that a prefix must fit, to be taken for the log's."""

SESSION_PARTS: Final = (
    re.compile(r"\b(?P<session>[0-9a-f]{8}\.[0-9a-f]{1,8})\b"),
    re.compile(r"(?:\[|\(|\bpid[=:] ?)(?P<session>\d{1,8})(?:-\d+)?\b"),
)
USER_PARTS: Final = (
    re.compile(r"\buser[=:] ?(?P<user>[^\s,;\]]*)"),
    re.compile(r"(?P<user>[^\s@:,\[]+)@[^\s@]"),
)
DATABASE_PARTS: Final = (
    re.compile(r"\b(?:db|database|dbname)[=:] ?(?P<database>[^\s,;\]]*)"),
    re.compile(r"[^\s@]@(?P<database>[^\s@:,\]]+)"),
)


def line_of(prefix: str) -> re.Pattern[str]:
    """Make the expression of a whole line.

    Args:
        prefix: As `log_line_prefix` has it.
    """
    parts: list[str] = []
    closing = ""
    pos = 0
    for escape in _ESCAPE.finditer(prefix):
        parts.append(re.escape(prefix[pos : escape.start()]))
        pos = escape.end()
        padding, letter = escape.groups()
        if letter == "q":
            parts.append("(?:")
            closing += ")?"
        elif letter in _ESCAPES:
            known = _ESCAPES[letter]
            if "(?P<" in known and known in parts:
                known = ".*?"
            parts.append(rf" *{known} *" if padding else known)
    parts.append(re.escape(prefix[pos:]))
    return re.compile("".join(parts) + closing + _MESSAGE, re.DOTALL)


def find_line(sample: Sequence[str]) -> re.Pattern[str] | None:
    """Find the expression of a log's lines; None: none of the common prefixes fits."""
    messages = [line for line in sample if line[:1] != "\t" and _ANY.match(line)]
    for prefix in COMMON:
        line = line_of(prefix)
        if messages and sum(map(bool, map(line.match, messages))) >= _ENOUGH * len(messages):
            return line
    return None


def take_apart(line: str) -> tuple[str, str, str, str, str] | None:
    """Look for what there is in a line with another prefix.

    Returns:
        Session, user, database, severity, message; None: it is no line of the server.
    """
    found = _ANY.match(line)
    if found is None:
        return None
    prefix = found["prefix"]
    return (
        _first(SESSION_PARTS, prefix),
        _first(USER_PARTS, prefix),
        _first(DATABASE_PARTS, prefix),
        found["severity"],
        found["message"],
    )


def _first(expressions: Iterable[re.Pattern[str]], text: str) -> str:
    for expression in expressions:
        found = expression.search(text)
        if found is not None:
            return found[1]
    return ""
