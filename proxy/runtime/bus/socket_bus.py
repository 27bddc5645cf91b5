"""The bus between the processes of one host: a Unix socket for each, in a folder of theirs alone.

Each listens at a file by its id, connects to all others, and speaks over the connections that it
made: so what it says comes in order. Who comes finds the others in the folder, and is found by what
it says to them; who ends is noticed at once, as its connections end. The file of one that was
killed refuses connections, and whoever notices removes it. The folder is looked at once in a while
besides, for what was missed.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import stat
from collections.abc import Coroutine
from pathlib import Path
from time import monotonic, time
from typing import Any, Final, cast, final

from proxy.errors import CannotListen
from proxy.observe.logs import Logger
from proxy.runtime.bus.seam import Bus, Channel, Listener
from proxy.runtime.bus.socket_wire import ID_BYTES, Hearer, Kind, NotOurs, Record, hello, record

log = Logger("bus")

SCAN: Final = 1.0
"""Seconds between two looks at the folder."""

MOST_BYTES: Final = 32 * 2**20
"""What may wait for one member that takes nothing. Beyond that its connection is made anew."""

BACKLOG: Final = 256

OLD: Final = 60.0
"""Seconds after which a file that was never put in its place is nobody's."""

_MEMBER: Final = re.compile(rf"[0-9a-f]{{{ID_BYTES}}}")
_UNFINISHED: Final = ".new"


@final
class SocketBus(Bus):
    """See the module. Made in a running loop.

    Args:
        folder: Is made, if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.identity = secrets.token_hex(ID_BYTES // 2)
        self._folder = folder
        self._path = folder / self.identity
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._speaking: dict[str, _Speaking] = {}  # to whom, or about to
        self._hearing: dict[str, _Hearing] = {}
        self._connections: set[_Hearing] = set()
        self._places: dict[tuple[str, str], str] = {}  # whose member is whom, by channel
        self._listeners: dict[str, tuple[str, Listener]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """See `Bus`."""
        try:
            _make_ours(self._folder)
            await self._listen()
        except OSError as error:
            what = error.strerror or error
            raise CannotListen(f"fleet.bus_url: can't listen in {self._folder}: {what}") from None
        self._run(self._look_around())

    async def close(self) -> None:
        """See `Bus`."""
        self.counts.is_up = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._server is not None:
            self._path.unlink(missing_ok=True)
            self._server.close()
        for hearing in list(self._connections):
            hearing.abort()
        for speaking in list(self._speaking.values()):
            speaking.close()
        self._speaking.clear()
        await asyncio.sleep(0)

    def join(self, channel: Channel, member: str, listener: Listener) -> None:
        """See `Bus`."""
        name = _name(channel)
        self._listeners[name] = member, listener
        self._say(record(Kind.JOIN, name, member.encode()))

    def leave(self, channel: Channel) -> None:
        """See `Bus`."""
        name = _name(channel)
        del self._listeners[name]
        self._say(record(Kind.LEAVE, name))

    def publish(self, channel: Channel, message: bytes) -> None:
        """See `Bus`."""
        self._count(message)
        self._say(record(Kind.TO_ALL, _name(channel), message))

    def tell(self, channel: Channel, member: str, message: bytes) -> None:
        """See `Bus`."""
        name = _name(channel)
        speaking = self._speaking.get(self._places.get((name, member), ""))
        if speaking is None:
            self.counts.unsent += 1
            return
        self._count(message)
        speaking.write(record(Kind.TO_ONE, name, message))

    def _count(self, message: bytes) -> None:
        self.counts.messages_out += 1
        self.counts.bytes_out += len(message)

    def _say(self, said: bytes) -> None:
        for speaking in self._speaking.values():
            speaking.write(said)

    # Being found, and finding others.

    async def _listen(self) -> None:
        """Listen first, then be in the folder: who refuses connections there is dead."""
        unfinished = self._path.with_suffix(_UNFINISHED)
        taken = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            taken.bind(str(unfinished))
            taken.listen(BACKLOG)
            unfinished.rename(self._path)
        except OSError:
            taken.close()
            raise
        before, self._server = self._server, None
        if before is not None:
            before.close()
        self._server = await self._loop.create_unix_server(
            lambda: _Hearing(self), sock=taken, backlog=BACKLOG
        )
        self.counts.is_up = True
        self.counts.ups += 1

    async def _look_around(self) -> None:
        while True:
            try:
                if not self._path.exists():
                    _make_ours(self._folder)
                    await self._listen()
                for file in self._folder.iterdir():
                    self._look_at(file)
            except OSError as error:
                log.warning("the fleet's folder can't be looked at", why=error.strerror)
            await asyncio.sleep(SCAN)

    def _look_at(self, file: Path) -> None:
        if _MEMBER.fullmatch(file.name):
            self.speak_to(file.name)
        elif file.suffix == _UNFINISHED and file.lstat().st_mtime < time() - OLD:
            file.unlink(missing_ok=True)

    def speak_to(self, identity: str) -> None:
        """Connect to a member, unless that is so."""
        if identity != self.identity and identity not in self._speaking and self.counts.is_up:
            speaking = self._speaking[identity] = _Speaking(self, identity)
            self._run(self._connect(speaking))

    async def _connect(self, speaking: _Speaking) -> None:
        path = self._folder / speaking.identity
        try:
            await self._loop.create_unix_connection(lambda: speaking, str(path))
        except OSError as error:
            if isinstance(error, ConnectionRefusedError):
                path.unlink(missing_ok=True)
            if not path.exists():
                self._forget(speaking.identity)
            self.not_speaking(speaking)

    def not_speaking(self, speaking: _Speaking) -> None:
        """It has ended, or was never there."""
        if self._speaking.get(speaking.identity) is speaking:
            del self._speaking[speaking.identity]

    def _forget(self, identity: str) -> None:
        """A member is gone for good: no other will ever have its id."""
        self._hearing.pop(identity, None)
        self._places = {at: who for at, who in self._places.items() if who != identity}

    def greeting(self) -> bytes:
        """What is said first: who we are, and where we listen."""
        joined = [
            record(Kind.JOIN, name, member.encode())
            for name, (member, _) in self._listeners.items()
        ]
        return b"".join([hello(self.identity), *joined])

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # What is heard.

    def connected(self, hearing: _Hearing) -> None:
        """Somebody has connected, we do not know who."""
        self._connections.add(hearing)

    def greeted(self, hearing: _Hearing, identity: str) -> None:
        """Somebody begins to speak to us. Who has before may have said what we did not hear."""
        before = self._hearing.get(identity)
        self._hearing[identity] = hearing
        if before is not None:
            before.abort()
            self.counts.ups += 1
            for _, listener in self._listeners.values():
                listener.broken()
        self.speak_to(identity)

    def heard(self, identity: str, said: Record) -> None:
        """A member has said something."""
        if said.kind == Kind.JOIN:
            self._places[said.name, said.content.decode("utf-8", "replace")] = identity
            return
        if said.kind == Kind.LEAVE:
            gone = [
                at for at, who in self._places.items() if at[0] == said.name and who == identity
            ]
            for at in gone:
                del self._places[at]
            return
        found = self._listeners.get(said.name)
        if found is not None:
            self.counts.messages_in += 1
            self.counts.bytes_in += len(said.content)
            found[1].heard(said.content)

    def lost(self, hearing: _Hearing) -> None:
        """A connection has ended: if its member lives, another one takes its place."""
        self._connections.discard(hearing)


@final
class _Hearing(asyncio.Protocol):
    """A connection that another member has made."""

    def __init__(self, bus: SocketBus) -> None:
        self._bus = bus
        self._hearer = Hearer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._bus.connected(self)

    def data_received(self, data: bytes) -> None:
        hearer = self._hearer
        is_known = bool(hearer.identity)
        try:
            said = hearer.feed(data)
            if hearer.identity and not is_known:
                self._bus.greeted(self, hearer.identity)
            for each in said:
                if self._transport is not None:
                    self._bus.heard(hearer.identity, each)
        except NotOurs as error:
            log.warning("who speaks on the fleet's bus is no member", why=str(error))
            self.abort()
        except Exception as bug:
            log.exception("a bug in the bus", bug)
            self.abort()

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._bus.lost(self)

    def abort(self) -> None:
        """Hear no more of it."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None


@final
class _Speaking(asyncio.Protocol):
    """A connection to another member, or the attempt. What is said before it is there is lost."""

    def __init__(self, bus: SocketBus, identity: str) -> None:
        self.identity = identity
        self._bus = bus
        self._made_at = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._made_at = monotonic()
        self._transport.write(self._bus.greeting())

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._bus.not_speaking(self)
        if monotonic() - self._made_at > SCAN:  # else not before the next look: it refuses us
            self._bus.speak_to(self.identity)

    def write(self, said: bytes) -> None:
        """Say it, if it can be said."""
        transport = self._transport
        if transport is not None:
            if transport.get_write_buffer_size() > MOST_BYTES:
                transport.abort()
            transport.write(said)

    def close(self) -> None:
        """End, once all is said."""
        if self._transport is not None:
            self._transport.close()


def _make_ours(folder: Path) -> None:
    """Make a folder that is only ours, or see that it is.

    Raises:
        OSError: It is not.
    """
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode):
            raise OSError("it is no folder") from None
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise OSError("it must belong to this user alone, with mode 0700") from None


def _name(channel: Channel) -> str:
    return ":".join(channel)
