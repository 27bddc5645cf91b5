"""PostgreSQL's csvlog and jsonlog: lines in, records out.

Source: "Using CSV-Format Log Output" and "Using JSON-Format Log Output" in the manual.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator
from typing import Final

from proxy.doctor.events import Unread
from proxy.doctor.postgres.records import LONGEST, Record

CSV_START: Final = re.compile(
    r'\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [^,"]{1,40},(?:"(?:[^"]|"")*")?,(?:"(?:[^"]|"")*")?,\d*,'
)
"""How a record of csvlog begins: a line inside a statement's text does not look like this."""

_USER, _DATABASE, _PROCESS, _SESSION, _SEVERITY, _MESSAGE, _DETAIL = 1, 2, 3, 5, 11, 13, 14
_FEWEST: Final = 23
"""Columns, in versions that have the fewest."""


def read_csv(lines: Iterable[str], name: str, unread: Unread) -> Iterator[Record]:
    """Read csvlog.

    Args:
        lines: With their ends.
        name: Of the log, for whoever is told of lines that can't be read.
        unread: Is told of them.
    """
    csv.field_size_limit(2 * LONGEST)
    for row in csv.reader(_whole(lines, name, unread)):
        yield Record(
            row[_SESSION] or row[_PROCESS],
            row[_USER],
            row[_DATABASE],
            row[_SEVERITY],
            row[_MESSAGE],
            row[_DETAIL],
        )


def _whole(lines: Iterable[str], name: str, unread: Unread) -> Iterator[str]:
    """Put the lines of each record together: those whose quotes are even in number.

    A record that was cut off, as by a crash, is given up where the next one begins.
    """
    held: list[str] = []
    size = 0
    number = 0
    for line in lines:
        number += 1
        odd = line.count('"') & 1
        if held:
            if CSV_START.match(line) is None and size < LONGEST:
                held.append(line)
                size += len(line)
                if odd:
                    record = "".join(held)
                    held = []
                    if record.count(",") < _FEWEST - 1:
                        unread.add(name, number, record.count("\n"))
                    else:
                        yield record
                continue
            unread.add(name, number - len(held), len(held))
            held = []
        if not (line[:4].isdigit() and line[4:5] == "-") or line.count(",") < 13:
            unread.add(name, number)
        elif odd:
            held = [line]
            size = len(line)
        elif line.count(",") < _FEWEST - 1:
            unread.add(name, number)
        else:
            yield line
    if held:
        unread.add(name, number - len(held) + 1, len(held))


def read_json(lines: Iterable[str], name: str, unread: Unread) -> Iterator[Record]:
    """Read jsonlog; see `read_csv`."""
    for number, line in enumerate(lines, 1):
        try:
            said = json.loads(line)
            get = said.get
            yield Record(
                str(get("session_id") or get("pid", "")),
                get("user", ""),
                get("dbname", ""),
                get("error_severity", ""),
                get("message", ""),
                get("detail", ""),
            )
        except (ValueError, AttributeError):
            unread.add(name, number)
