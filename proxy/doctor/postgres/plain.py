"""PostgreSQL's plain log, as it goes to stderr: lines in, records out.

A message's further lines begin with a tab. DETAIL, STATEMENT and the like follow it at once, with a
prefix of their own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from proxy.doctor.events import Unread
from proxy.doctor.postgres.prefix import take_apart
from proxy.doctor.postgres.records import LONGEST, Record

_PARTS: Final = frozenset(
    ("DETAIL", "HINT", "QUERY", "CONTEXT", "STATEMENT", "LOCATION", "BACKTRACE")
)

Split = Callable[[str], tuple[str, str, str, str, str] | None]


def read_plain(
    lines: Iterable[str], line: re.Pattern[str] | None, name: str, unread: Unread
) -> Iterator[Record]:
    """Read the plain log.

    Args:
        lines: With their ends.
        line: The expression of a line; None: what there is in its prefix is looked for.
        name: Of the log, for whoever is told of lines that can't be read.
        unread: Is told of them.
    """
    split = take_apart if line is None else _split_by(line)
    head: tuple[str, str, str, str] | None = None
    message: list[str] = []
    detail: list[str] = []
    part = message
    size = 0
    for number, text in enumerate(lines, 1):
        if text[:1] == "\t":
            if size < LONGEST:
                part.append(text[1:])
                size += len(text)
            continue
        found = split(text)
        if found is None:
            if text.strip():
                unread.add(name, number)
            continue
        session, user, database, severity, said = found
        if severity in _PARTS:
            part = detail if severity == "DETAIL" else []
            part.append(said)
            continue
        if head is not None:
            yield _record(head, message, detail)
        head = session, user, database, severity
        message, detail = [said], []
        part = message
        size = len(said)
    if head is not None:
        yield _record(head, message, detail)


def _record(head: tuple[str, str, str, str], message: list[str], detail: list[str]) -> Record:
    session, user, database, severity = head
    said = message[0] if len(message) == 1 else "".join(message)
    more = "".join(detail) if detail else ""
    return Record(session, user, database, severity, said.rstrip("\n"), more.rstrip("\n"))


def _split_by(line: re.Pattern[str]) -> Split:
    groups = line.groupindex
    places = [groups.get(name, 0) for name in ("session", "process", "user", "database")]
    session_at, process_at, user_at, database_at = places
    by = session_at or process_at
    severity_at, message_at = groups["severity"], groups["message"]

    def split(text: str) -> tuple[str, str, str, str, str] | None:
        found = line.match(text)
        if found is None:
            return None
        return (
            (found[by] or "") if by else "",
            (found[user_at] or "") if user_at else "",
            (found[database_at] or "") if database_at else "",
            found[severity_at],
            found[message_at],
        )

    return split
