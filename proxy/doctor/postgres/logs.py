"""A log of PostgreSQL in whatever format: which one it is, is told from its first lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Final

from proxy.doctor.events import Event, Unread
from proxy.doctor.postgres.plain import read_plain
from proxy.doctor.postgres.prefix import find_line, line_of
from proxy.doctor.postgres.records import Record, read_record
from proxy.doctor.postgres.structured import CSV_START, read_csv, read_json

SAMPLE: Final = 500
"""Lines that are looked at first."""


def read_log(
    lines: Iterable[str], name: str, unread: Unread, prefix: str | None = None
) -> Iterator[Event]:
    """Read a log.

    Args:
        lines: With their ends.
        name: What it is called.
        unread: Is told of lines that can't be read.
        prefix: `log_line_prefix`, for the plain format; None: it is guessed.
    """
    rest = iter(lines)
    sample = list(islice(rest, SAMPLE))
    for record in _records(sample, chain(sample, rest), name, unread, prefix):
        event = read_record(record)
        if event is not None:
            yield event


def _records(
    sample: list[str], lines: Iterable[str], name: str, unread: Unread, prefix: str | None
) -> Iterator[Record]:
    if prefix is not None:
        return read_plain(lines, line_of(prefix), name, unread)
    # Not by the first line alone: a file may begin in the middle of a record.
    as_json = sum(line.startswith('{"timestamp":') for line in sample)
    as_csv = sum(CSV_START.match(line) is not None for line in sample)
    if as_json > as_csv:
        return read_json(lines, name, unread)
    if as_csv:
        return read_csv(lines, name, unread)
    return read_plain(lines, find_line(sample), name, unread)
