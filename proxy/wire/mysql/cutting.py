"""A MySQL client's bytes, cut into requests as they come.

What they say is not looked at here (`client_engine`).
"""

from __future__ import annotations

from typing import Final, final

from proxy.wire import client
from proxy.wire.mysql import commands
from proxy.wire.mysql.requests import Request
from proxy.wire.mysql.splitter import NOTHING, Splitter
from proxy.wire.requests import (
    END_COPY,
    END_COPY_END,
    END_READY,
    END_SESSION,
    END_TERMINATE,
    End,
)

GATHERED: Final = 16 * 1024 * 1024
"""The largest text that is looked at whole. A larger one is passed through in pieces."""

_ENDS: Final[dict[int, End]] = {
    commands.QUIT: END_TERMINATE,
    commands.CHANGE_USER: END_SESSION,
    commands.BINLOG_DUMP: END_SESSION,
    commands.BINLOG_DUMP_GTID: END_SESSION,
}


@final
class Cutter(client.Cutter):
    """See the base."""

    __slots__ = ("_splitter",)

    def __init__(self, largest: int) -> None:
        self._splitter = Splitter(GATHERED, largest)

    @property
    def is_between(self) -> bool:
        """See the base."""
        return self._splitter.at_boundary

    @property
    def is_streaming(self) -> bool:
        """See the base."""
        return self._splitter.large_code != NOTHING

    def expect_file(self, sequence: int) -> None:
        """What comes next is a file's content, which the server has asked for.

        Args:
            sequence: One above that of the packet that asked for it.
        """
        self._splitter.expect_file(sequence)

    def take(self) -> bytes:
        """See the base."""
        return self._splitter.take_large()

    def feed(self, data: bytes) -> list[Request]:
        """See the base."""
        splitter = self._splitter
        if splitter.large_code != NOTHING:
            splitter.feed(data)  # held until `take` hands it out
            return []
        is_fresh = splitter.at_boundary
        found: list[Request] = []
        if splitter.in_file:
            splitter.feed(data)
            data = b""
            self._take_file(found)
            if splitter.in_file:
                return found
        for command, packets in splitter.feed(data):
            found.append(Request(command, packets, _ENDS.get(command, END_READY)))
        if splitter.large_code != NOTHING:
            request = Request(splitter.large_code, splitter.take_large())
            request.is_cut = True
            request.streams = splitter.large_code != NOTHING
            found.append(request)
            if not request.streams:
                found += self.feed(b"")
        elif is_fresh and len(found) == 1 and found[0].size == len(data):
            found[0].chunk = data
        return found

    def _take_file(self, found: list[Request]) -> None:
        piece = self._splitter.take_file()
        is_over = not self._splitter.in_file
        if piece or is_over:
            found.append(Request(commands.SLEEP, piece, END_COPY_END if is_over else END_COPY))
