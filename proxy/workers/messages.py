"""What a supervisor and a worker say to each other, over a pair of sockets that only they have.

Both run the same code for the same user, so messages are pickled: settings among them, which hold
secrets and so must be neither arguments nor in the environment. The end of the one is the end of
the stream for the other.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, final

from proxy.observe.families import Family
from proxy.runtime.seat import Words
from proxy.settings.model import Settings
from proxy.workers.readiness import Readiness

_LENGTH: Final = 4
"""Bytes in front of each message that tell how long it is."""


@dataclass(frozen=True, slots=True)
class Orders:
    """To a worker, first of all."""

    number: int  # from 1
    count: int
    settings: Settings  # its own share
    followed: Settings | None  # what was read again since, its own share
    folder: str  # of this host's workers, only readable by them; the last ones remove it
    bus_url: str  # where they hear each other, unless the settings name another bus
    local: Mapping[str, int]  # Unix sockets for clients: open files, by server group
    dead: tuple[Named, ...]  # who it must not wait for


@dataclass(frozen=True, slots=True)
class Follow:
    """To a worker: the configuration was read again."""

    settings: Settings  # its own share


@dataclass(frozen=True, slots=True)
class ReopenLog:
    """To a worker: a log file has been moved away."""


@dataclass(frozen=True, slots=True)
class Ask:
    """To a worker: how is it?"""

    question: int  # which its answer repeats


@dataclass(frozen=True, slots=True)
class Ready:
    """From a worker: its ports are open."""


@dataclass(frozen=True, slots=True)
class Beat:
    """From a worker, every second: its loop turns."""


@dataclass(frozen=True, slots=True)
class Told:
    """From a worker: how it is."""

    question: int
    families: list[Family]
    readiness: Readiness


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """From a worker, and on to all others: something that may be one of theirs."""

    group: str
    words: Words


@dataclass(frozen=True, slots=True)
class Named:
    """From a worker: what it is called as a member of a fleet, before it is one."""

    group: str
    member: str


@dataclass(frozen=True, slots=True)
class Dead:
    """To a worker: the process of another has ended."""

    members: tuple[Named, ...]


@final
class Channel:
    """One end of the stream."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, end: socket.socket) -> Channel:
        """Begin to talk over a connected socket."""
        end.setblocking(False)
        return cls(*await asyncio.open_unix_connection(sock=end))

    def send(self, message: object) -> None:
        """Say something; to who is gone, in vain."""
        if not self._writer.is_closing():
            data = pickle.dumps(message)
            self._writer.write(len(data).to_bytes(_LENGTH, "big") + data)

    async def receive(self) -> object | None:
        """Wait for what is said next; None: the other is gone."""
        try:
            size = await self._reader.readexactly(_LENGTH)
            message: object = pickle.loads(
                await self._reader.readexactly(int.from_bytes(size, "big"))
            )
        except (asyncio.IncompleteReadError, OSError):
            return None
        return message

    def close(self) -> None:
        """Hang up."""
        self._writer.close()
