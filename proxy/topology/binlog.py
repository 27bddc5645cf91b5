"""Positions in MySQL's binary log by file and offset, where commits have no GTIDs. Pure.

A log is numbered like a domain of MariaDB's: file 7, offset 158 is the number (7, 158), and who is
there has everything from 1 on. The numbering is called "uuid@base", by who writes the log and what
its files are called; so nothing is compared but positions in one and the same log. What a replica
has replayed it tells in its source's log (`Exec_Source_Log_Pos`): every transaction before that
has been committed there, also when several workers replay out of order (MySQL manual, 19.5.1.35
"Replication and Transaction Inconsistencies"). A replica that several workers serve tells it anew
every `replica_checkpoint_period`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from proxy.errors import RemoteProtocolError
from proxy.topology.gtid import GtidSet

OFFSET: Final = 32
"""Bits of a number that hold the offset: events tell theirs in four bytes."""

_FILE: Final = re.compile(r"(.+)\.([0-9]{1,10})", re.DOTALL)
_HALF: Final = 1 << (OFFSET - 1)


def parse_log(writer: str, file: str, offset: int) -> GtidSet:
    """Read how far one is in a server's log.

    Args:
        writer: The server's uuid.
        file: The name of one of the log's files, "binlog.000007".
        offset: In that file.

    Raises:
        RemoteProtocolError: It is no such place.
    """
    match = _FILE.fullmatch(file)
    if match is None or not writer or not 0 < offset < 1 << OFFSET:
        raise RemoteProtocolError(f"not a place in a binary log: {file[:100]!r}, {offset}")
    return GtidSet({f"{writer}@{match[1]}": [(1, int(match[2]) << OFFSET | offset)]})


def parse_files(writer: str, files: Iterable[tuple[str, int]]) -> GtidSet:
    """Read which places there are in a server's log.

    Args:
        writer: The server's uuid.
        files: Names and sizes.

    Raises:
        RemoteProtocolError: They can't be read.
    """
    there = GtidSet()
    for file, size in files:
        for log, ((_, end),) in parse_log(writer, file, size).intervals.items():
            there = there.plus(GtidSet({log: [(end >> OFFSET << OFFSET | 1, end)]}))
    return there


def is_missing(files: GtidSet, log: str, place: int) -> bool:
    """Tell whether a log has no such place, but later ones, so that it must have lost it."""
    runs = files.intervals.get(log)
    if not runs or not runs[0][0] <= place <= runs[-1][1]:
        return False
    return not any(first <= place <= last for first, last in runs)


def shown(numbering: str, number: int) -> str:
    """Say where in a log a number is, as servers do."""
    base = numbering.partition("@")[2]
    return f"{base}.{number >> OFFSET:06d}:{number & ((1 << OFFSET) - 1)}"


def behind(lag: int) -> str:
    """Say by how much one number is behind another."""
    files = lag + _HALF >> OFFSET
    count, unit = (files, "log file") if files else (lag, "byte")
    return f"{count} {unit}{'' if count == 1 else 's'} behind"
