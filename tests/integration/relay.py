"""A TCP relay inside the test, that delays, holds, loses and cuts what passes through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType

CHUNK = 65536


@dataclass(slots=True)
class Direction:
    """One way through the relay, for all its connections.

    Attributes:
        delay: Seconds that every chunk is kept.
        loses: Whether what arrives is thrown away.
        passed: Bytes let through so far.
        lost: Bytes thrown away so far.
        cut_at: How many bytes are let through in all; then the connection that carries
            the last of them is reset, wherever that is in a message.
    """

    delay: float = 0.0
    loses: bool = False
    passed: int = 0
    lost: int = 0
    cut_at: int | None = None
    _open: asyncio.Event = field(default_factory=asyncio.Event)
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._open.set()

    def pause(self) -> None:
        """Hold everything back until `resume`."""
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    async def admit(self, data: bytes) -> bytes:
        """Return what may pass now, after as long as it takes."""
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._open.wait()
        self._progress.set()
        if self.loses:
            self.lost += len(data)
            return b""
        if self.cut_at is not None:
            data = data[: max(self.cut_at - self.passed, 0)]
        self.passed += len(data)
        return data

    async def wait_seen(self, count: int) -> None:
        """Wait until this many bytes came along in all, whether they passed or were lost."""
        while self.passed + self.lost < count:
            self._progress.clear()
            await self._progress.wait()

    @property
    def is_spent(self) -> bool:
        return self.cut_at is not None and self.passed >= self.cut_at


class Relay:
    """Stands in front of a server of 127.0.0.1; `async with` opens and closes it.

    Attributes:
        to_server: What clients say.
        to_client: What the server says.
        resets: Whether new connections are reset at once. Unlike with `refuse` the port stays ours.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = 0
        self.to_server = Direction()
        self.to_client = Direction()
        self.resets = False
        self._server: asyncio.Server | None = None
        self._connections: dict[asyncio.Task[None], list[asyncio.StreamWriter]] = {}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def __aenter__(self) -> Relay:
        await self.accept()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.refuse()
        await self.cut()

    async def accept(self) -> None:
        """Let connections in (again), always on the same port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Refuse new connections; those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def cut(self) -> None:
        """Reset every connection, on both sides, without a farewell."""
        tasks = list(self._connections)
        for task in tasks:
            for writer in self._connections[task]:
                _reset(writer)
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Streams log a task that was cancelled as a bug.
        with contextlib.suppress(asyncio.CancelledError):
            await self._carry(reader, writer)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        if self.resets:
            _reset(writer)
            return
        writers = self._connections[task] = [writer]
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(server_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(_pump(reader, server_writer, self.to_server))
                pumps.create_task(_pump(server_reader, writer, self.to_client))
        except* OSError:
            # What befell one end befalls the other.
            for it in writers:
                _reset(it)
        finally:
            del self._connections[task]
            for it in writers:
                it.close()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction
) -> None:
    while data := await reader.read(CHUNK):
        writer.write(await direction.admit(data))
        await writer.drain()
        if direction.is_spent:
            raise ConnectionAbortedError
    if writer.can_write_eof():
        writer.write_eof()


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close a connection so that the other end gets a reset, not a farewell."""
    if not writer.transport.is_closing():
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
