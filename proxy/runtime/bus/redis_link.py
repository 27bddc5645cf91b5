"""One life of the bus in Redis: a connection that listens, and one that publishes.

Both count: when one ends, or says nothing for `PATIENCE`, the other is hung up, too. What is
published is not waited for; answers are read as they come, in the order of what was asked.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from typing import Any, Final, final

from redis.exceptions import ResponseError

from proxy.runtime.redis_clients import Connection

INTERVAL: Final = 0.25
"""Seconds after which a connection is asked whether it is there, when nothing else is."""

PATIENCE: Final = 0.6
"""Seconds in which it has to answer, if only to the next of what it was given."""

TICK: Final = 0.1
"""Seconds between two looks at that."""

OPENING: Final = 3.0
"""Seconds that it may take to connect, log in and subscribe, Sentinels included."""

MOST_BYTES: Final = 32 * 2**20
"""What may wait to be sent: two messages of the largest kind. Beyond that the link is broken."""


class LinkLost(Exception):
    """It is of no use any more. Says why."""


@final
class RedisLink:
    """See the module. `open`, then `run` until that raises, then `close`.

    Args:
        make_connection: Makes one that is not connected.
        heard: Is given what comes: where it was said, and what.
    """

    def __init__(
        self,
        make_connection: Callable[[], Connection],
        heard: Callable[[bytes, bytes], None],
    ) -> None:
        self._out = make_connection()
        self._in = make_connection()
        self._heard = heard
        self._queue: list[tuple[bytes, ...]] = []
        self._queued = 0  # bytes
        self._questions: list[tuple[bytes, ...]] = []  # of the connection that listens
        self._has_work = asyncio.Event()
        self._has_questions = asyncio.Event()
        self._owed: deque[float] = deque()  # when that was sent which has no answer yet
        self._answered_at = 0.0
        self._asked_at = inf  # when who listens was asked, and has heard nothing since
        self._last_in = self._last_out = monotonic()
        self._lost = ""

    async def open(self, names: Iterable[bytes]) -> None:
        """Connect both, and listen to some names.

        Raises:
            FAILURES: It can't be.
        """
        async with asyncio.timeout(OPENING):
            await self._out.connect()
            await self._in.connect()
            wanted = set(names)
            for name in wanted:
                await self._ask(self._out, b"PUBLISH", name, b"")  # whether it may be
            if wanted:
                command = self._in.pack_commands([(b"SUBSCRIBE", *wanted)])
                await self._in.send_packed_command(command, check_health=False)
            while wanted:
                told = await self._in.read_response(disable_decoding=True)
                if told[0] == b"subscribe":
                    wanted.discard(told[1])
        for connection in (self._out, self._in):
            connection.socket_timeout = None  # a task for each message; `_watch` is enough
        self._last_in = self._last_out = monotonic()

    async def places(self) -> list[tuple[str, int]]:
        """List the other servers of a cluster, any of which would do; none: it is no cluster."""
        try:
            slots = await self._ask(self._out, b"CLUSTER", b"SLOTS")
        except ResponseError:
            return []
        found = {(node[0].decode(), node[1]) for slot in slots for node in slot[2:] if node[0]}
        return sorted(found)

    async def _ask(self, connection: Connection, *command: bytes) -> Any:
        await connection.send_packed_command(connection.pack_commands([command]), False)
        return await connection.read_response(disable_decoding=True)

    async def run(self) -> None:
        """Carry.

        Raises:
            LinkLost: It says nothing, or takes too little.
            FAILURES: A connection has ended, or something was refused.
        """
        steps = (self._send, self._question, self._read_answers, self._listen, self._watch)
        tasks = [asyncio.create_task(step()) for step in steps]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            await task

    async def close(self) -> None:
        """Hang up."""
        for connection in (self._out, self._in):
            await connection.disconnect(nowait=True)

    # What is to be sent.

    def publish(self, name: bytes, message: bytes) -> None:
        """Send to all who listen to a name, in order."""
        if self._queued + len(message) > MOST_BYTES:
            self._lost = f"more than {MOST_BYTES} bytes wait to be sent"
        else:
            self._queue.append((b"PUBLISH", name, message))
            self._queued += len(message)
        self._has_work.set()

    def listen_to(self, *names: bytes) -> None:
        """Listen to some more names, from soon on."""
        self._questions.append((b"SUBSCRIBE", *names))
        self._has_questions.set()

    def ignore(self, *names: bytes) -> None:
        """Listen to some names no more, from soon on."""
        self._questions.append((b"UNSUBSCRIBE", *names))
        self._has_questions.set()

    async def flush(self) -> None:
        """Send what waits, and wait for no answer."""
        commands, self._queue, self._queued = self._queue, [], 0
        now = self._last_out = monotonic()
        self._owed.extend([now] * len(commands))
        await self._out.send_packed_command(self._out.pack_commands(commands), check_health=False)

    async def _send(self) -> None:
        while True:
            await self._has_work.wait()
            self._has_work.clear()
            if self._queue:
                await self.flush()

    async def _question(self) -> None:
        while True:
            await self._has_questions.wait()
            self._has_questions.clear()
            questions, self._questions = self._questions, []
            self._asked_at = min(self._asked_at, monotonic())
            await self._in.send_packed_command(
                self._in.pack_commands(questions), check_health=False
            )

    # What comes.

    async def _read_answers(self) -> None:
        read = self._out.read_response
        while True:
            await read(disable_decoding=True, timeout=inf)
            self._owed.popleft()
            self._answered_at = monotonic()

    async def _listen(self) -> None:
        read = self._in.read_response
        while True:
            told = await read(disable_decoding=True, timeout=inf)
            self._last_in, self._asked_at = monotonic(), inf
            if told[0] == b"message":
                self._heard(told[1], told[2])

    # Whether it is there.

    async def _watch(self) -> None:
        while not self._lost:
            began = monotonic()
            await asyncio.sleep(TICK)
            now = monotonic()
            if now - began > 2 * TICK:
                continue  # we were late ourselves: first those who read
            waits_since = max(self._owed[0], self._answered_at) if self._owed else inf
            if now - min(self._asked_at, waits_since) > PATIENCE:
                raise LinkLost(f"no answer within {PATIENCE} s")
            if not self._owed and now - self._last_out > INTERVAL:
                self._queue.append((b"PING",))
                self._has_work.set()
            if self._asked_at == inf and now - self._last_in > INTERVAL:
                self._questions.append((b"PING",))
                self._has_questions.set()
        raise LinkLost(self._lost)
