"""Logs as lines: files, packed or not, and what comes on stdin. No line is ever kept whole beyond
a limit, so that whatever stands in a log takes bounded memory.
"""

from __future__ import annotations

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from proxy.doctor.events import Unread

LONGEST: Final = 8 * 2**20
"""Characters of a line; of longer ones the rest is passed over."""

STDIN: Final = "-"
_GZIP: Final = b"\x1f\x8b"


class Lines:
    """The lines of one log, each with its end.

    Args:
        file: As text.
        name: What it is called.
        unread: Is told of what can't be read.
        tick: Is called now and then.

    Attributes:
        count: How many there were.
    """

    def __init__(
        self, file: IO[str], name: str, unread: Unread, tick: Callable[[int], None]
    ) -> None:
        self.count = 0
        self._file = file
        self._name = name
        self._unread = unread
        self._tick = tick

    def __iter__(self) -> Iterator[str]:
        """Give them out."""
        readline = self._file.readline
        count = 0
        try:
            while line := readline(LONGEST):
                count += 1
                if line[-1] != "\n" and len(line) == LONGEST:
                    self._unread.add(self._name, count)
                    _pass_over(readline)
                    continue
                yield line
                if not count & 0x3FFF:
                    self._tick(count)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            self._unread.add(self._name, count + 1)
        self.count = count


def _pass_over(readline: Callable[[int], str]) -> None:
    while (piece := readline(LONGEST)) and piece[-1] != "\n":
        pass


@contextmanager
def open_log(path: str) -> Iterator[IO[str]]:
    """Open a log as text; what is no UTF-8 in it stays as it is.

    Args:
        path: `-` is stdin.
    """
    with open(sys.stdin.fileno() if path == STDIN else Path(path), "rb", closefd=path != STDIN) as (
        raw
    ):
        packed = raw.peek(2)[:2] == _GZIP
        plain = gzip.GzipFile(fileobj=raw) if packed else raw
        yield io.TextIOWrapper(
            plain,
            encoding="utf-8",
            errors="surrogateescape",
            newline="\n",
        )
