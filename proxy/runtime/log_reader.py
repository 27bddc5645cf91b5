"""What reading a primary's log is to every engine: the user of the connection that it comes by.

How its bytes are cut into what is told, and what that means, is each engine's own.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Mapping
from time import monotonic
from typing import Final, Generic, TypeVar

from proxy.errors import RemoteProtocolError, ServerLost
from proxy.runtime.engine import Hearer, Written
from proxy.runtime.server import ServerConnection

MAX_NAMES: Final = 10_000
"""Names of tables that are remembered as they are written in the log."""

MUCH: Final = 64 * 1024
"""Bytes at once, as of a large transaction, that take a millisecond or more."""

Name = tuple[str, str]
"""Of a table: its schema's and its own."""

Said = TypeVar("Said", bound=Hashable)
"""A name as it is written in the log."""


class LogReader(ABC, Generic[Said]):
    """Takes in what a primary tells; see `proxy.runtime.engine.Changes`, which engines make of it.

    Args:
        connection: The log comes by it.
        hearer: Is told.
    """

    def __init__(self, connection: ServerConnection, hearer: Hearer) -> None:
        self._connection = connection
        self._hearer = hearer
        self._names: dict[Said, Name | None] = {}
        self._reached = 0
        self._failure: ServerLost | None = None
        self.heard_at = monotonic()

    @abstractmethod
    def _take(self, data: bytes) -> None:
        """Take in bytes of the log.

        Raises:
            RemoteProtocolError: They are not understood.
            ServerLost: The server says that it stops.
        """

    @abstractmethod
    def _read_name(self, said: Said) -> Name | None:
        """Read a name; None: it is none. A UnicodeDecodeError says the same."""

    def server_data(self, link: ServerConnection, data: bytes) -> None:
        """Take in what it tells."""
        if self._failure is not None:
            return
        self.heard_at = monotonic()
        try:
            self._take(data)
        except (RemoteProtocolError, ServerLost) as error:
            self._fail(error.message)
            return
        if len(data) >= MUCH:
            # Others' turn: a loop reads on from one connection as long as there is anything.
            link.pause_reading()
            asyncio.get_running_loop().call_soon(link.resume_reading)

    def server_lost(self, link: ServerConnection, reason: str) -> None:
        """Nothing more will be told."""
        self._fail(reason)

    def server_paused(self, link: ServerConnection, paused: bool) -> None:
        """The little that is said to it waits."""

    def _fail(self, reason: str) -> None:
        if self._failure is None:
            self._failure = ServerLost(reason)
            self._hearer.lost()

    def _written(
        self,
        xid: int,
        rows: Mapping[Said, int],
        emptied: Collection[Said],
        is_clear: bool,
        gtid: str = "",
    ) -> Written:
        """Say what a commit has written, whose names can be read or not; see `Written`."""
        read: dict[Name, int] = {}
        for said, number in rows.items():
            name = self._name(said)
            if name is None:
                is_clear = False
            else:
                read[name] = read.get(name, 0) + number
        names = {name for said in emptied if (name := self._name(said)) is not None}
        is_clear = is_clear and len(names) == len(emptied)
        return Written(xid, read, frozenset(names), is_clear, gtid)

    def _name(self, said: Said) -> Name | None:
        if said not in self._names:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
            name = None
            with contextlib.suppress(UnicodeDecodeError):
                name = self._read_name(said)
            self._names[said] = name
        return self._names[said]
