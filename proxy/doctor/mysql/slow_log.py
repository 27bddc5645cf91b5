"""MySQL's and MariaDB's slow query log, which has every statement where `long_query_time` is 0.

An entry begins with comments. MariaDB's say in which schema it was run; MySQL puts a USE in front
of what is run in another one than the entry before. Behind that, and a SET of the time, comes the
statement, over however many lines, with its values, a prepared one's too. Sessions are not followed
here: each statement counts by itself.

Sources: "The Slow Query Log" in MySQL's manual, "Slow Query Log Overview" in MariaDB's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final, final

from proxy.doctor.events import Unread
from proxy.doctor.ways import Total

LONGEST: Final = 8 * 2**20
"""Characters of a statement. Longer ones are not read: they would be kept whole."""

_BEGINNING: Final = re.compile(r"# Time: \d|# User@Host: ")
_USER: Final = re.compile(r"# User@Host: [^\n]*?\[([^\]\n]*)\]")
_SCHEMA: Final = re.compile(r"\bSchema: (\S*)")
_TAKEN: Final = re.compile(r"# Query_time: ([0-9.]+)")
_USE: Final = re.compile(r"use (`(?:[^`]|``)+`|[^;]+);\n")
_WHEN: Final = re.compile(r"SET (?:\w+=\d+,)*timestamp=[0-9.]+(?:,\w+=\d+)*;\n")
_COMMAND: Final = "# administrator command:"


def read_slow_log(lines: Iterable[str], name: str, unread: Unread) -> Iterator[Total]:
    """Read a log.

    Args:
        lines: With their ends.
        name: What it is called.
        unread: Is told of what can't be read.
    """
    entry = _Entry()
    place = ""  # where the last statement was run
    number = 0
    for number, line in enumerate(lines, 1):
        if entry.body and _BEGINNING.match(line):
            total = entry.total(place)
            if total is None:
                unread.add(name, number - 1)
            else:
                place = total.database
                yield from (total,)[: bool(total.text)]
            entry = _Entry()
        entry.take(line)
    if entry.body:
        total = entry.total(place)
        if total is None:
            unread.add(name, number)
        elif total.text:
            yield total


@final
class _Entry:
    """What is said of one statement."""

    def __init__(self) -> None:
        self.head = ""
        self.body: list[str] = []
        self._size = 0

    def take(self, line: str) -> None:
        """Take in a line; one in front of the first entry is none of it."""
        if not self.body and line.startswith("# ") and not line.startswith(_COMMAND):
            self.head += line
        elif self.head:
            self._size += len(line)
            if self._size <= LONGEST or not self.body:
                self.body.append(line[:LONGEST])

    def total(self, place: str) -> Total | None:
        """Say what it comes to; without a text where it is no statement; None: it can't be read."""
        user, taken = _USER.search(self.head), _TAKEN.search(self.head)
        if user is None or taken is None or self._size > LONGEST:
            return None
        body = self.body
        moved = _USE.fullmatch(body[0])
        if moved is not None:
            place = moved[1].removeprefix("`").removesuffix("`").replace("``", "`")
            body = body[1:]
        schema = _SCHEMA.search(self.head)
        if schema is not None:
            place = schema[1]
        if body and _WHEN.fullmatch(body[0]):
            body = body[1:]
        text = "".join(body).rstrip().removesuffix(";")
        is_command = text.startswith(_COMMAND)
        return Total("" if is_command else text, user[1], place, 1, float(taken[1]))
