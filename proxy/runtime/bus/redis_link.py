"""One life of the bus in Redis: a connection that listens, and one that publishes.

redis-py connects and logs in; then each has a `Lane`. Both count: when one ends, or says nothing
for `PATIENCE`, the other is hung up, too. What is published is not waited for; answers are counted
as they come, in the order of what was asked.

Most of what is published gets no answer, where Redis lets us say so (CLIENT REPLY SKIP, 3.2): it
would be sent before the message is, and wake us while others are to be woken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from math import inf
from time import monotonic
from typing import Any, Final, cast, final

from redis.exceptions import ResponseError

from proxy.runtime.bus.redis_lane import Lane, LinkLost, NotRedis, Reply, command
from proxy.runtime.redis_clients import Connection, take_over

INTERVAL: Final = 0.25
"""Seconds after which a connection is asked whether it is there, when nothing else is."""

PATIENCE: Final = 0.6
"""Seconds in which it has to answer, if only to the next of what it was given."""

ANSWERED: Final = 0.1
"""Seconds in which one message at least is answered: whether it still may be, and all is there."""

TICK: Final = 0.1
"""Seconds between two looks at that."""

OPENING: Final = 3.0
"""Seconds that it may take to connect, log in and subscribe, Sentinels included."""

MOST_BYTES: Final = 32 * 2**20
"""What may wait to be sent: two messages of the largest kind. Beyond that the link is broken."""

_PING: Final = command((b"PING",))
_SKIP: Final = (b"CLIENT", b"REPLY", b"SKIP")
_SKIP_NEXT: Final = command(_SKIP)


@final
class RedisLink:
    """See the module. `open`, then `run` until that raises, then `close`.

    Args:
        make_connection: Makes one that is not connected.
        heard: Is given what comes, from `run` on: where it was said, and what. What came before is
            as good as lost.

    Attributes:
        places: The other servers of a cluster, any of which would do; none: it is no cluster.
    """

    def __init__(
        self,
        make_connection: Callable[[], Connection],
        heard: Callable[[bytes, bytes], None],
    ) -> None:
        self.places: list[tuple[str, int]] = []
        self._connections = (make_connection(), make_connection())
        self._out = Lane(self._is_answered, self._ended)
        self._in = Lane(self._told, self._ended)
        self._heard = heard
        self._is_running = False
        self._can_skip = False
        self._wanted: set[bytes] = set()  # names that are not listened to yet
        self._loop = asyncio.get_running_loop()
        self._listens: asyncio.Future[None] = self._loop.create_future()
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self._owed: deque[float] = deque()  # when that was sent which has no answer yet
        self._answered_at = 0.0
        self._asked_at = inf  # when who listens was asked, and has heard nothing since
        self._last_in = self._last_out = monotonic()

    async def open(self, names: Iterable[bytes]) -> None:
        """Connect both, and listen to some names.

        Raises:
            FAILURES: It can't be.
            LinkLost: It has ended already, or something was refused.
        """
        self._wanted = set(names)
        publishing, listening = self._connections
        async with asyncio.timeout(OPENING):
            await publishing.connect()
            await listening.connect()
            for name in self._wanted:
                await _ask(publishing, b"PUBLISH", name, b"")  # whether it may be
            self.places = await _places(publishing)
            self._can_skip = await _can_skip(publishing)
            take_over(publishing, cast(asyncio.Protocol, self._out))
            take_over(listening, cast(asyncio.Protocol, self._in))
            if self._wanted:
                self.listen_to(*self._wanted)
                await asyncio.wait([self._listens, self._lost], return_when=asyncio.FIRST_COMPLETED)
        if self._lost.done():
            self._lost.result()
        self._last_in = self._last_out = monotonic()

    async def run(self) -> None:
        """Carry.

        Raises:
            LinkLost: A connection has ended, says nothing, or takes too little, or something was
                refused.
        """
        self._is_running = True
        while True:
            began = monotonic()
            await asyncio.wait([self._lost], timeout=TICK)
            if self._lost.done():
                self._lost.result()
            if monotonic() - began <= 2 * TICK:  # else we were late ourselves: first what has come
                self._look()

    async def close(self) -> None:
        """Hang up. What was published goes out, if nothing is wrong."""
        if not self._lost.done():
            self._lost.cancel()
        elif not self._lost.cancelled() and self._lost.exception():
            self._out.abort()
            self._in.abort()
        for connection in self._connections:
            await connection.disconnect(nowait=True)

    # What is to be sent.

    def publish(self, name: bytes, message: bytes, is_part: bool = False) -> None:
        """Send to all who listen to a name, in order.

        Args:
            name: Where.
            message: A whole message, or a part of one.
            is_part: The others may be long in coming: have it answered, as a sign of life.
        """
        said = command((b"PUBLISH", name, message))
        if self._out.waiting + len(said) > MOST_BYTES:
            self._lose(LinkLost(f"more than {MOST_BYTES} bytes wait to be sent"))
        elif is_part or not self._can_skip or monotonic() - self._last_out > ANSWERED:
            self._send(said)
        else:
            self._out.write(_SKIP_NEXT + said)

    def listen_to(self, *names: bytes) -> None:
        """Listen to some more names, from soon on."""
        self._question(command((b"SUBSCRIBE", *names)))

    def ignore(self, *names: bytes) -> None:
        """Listen to some names no more, from soon on."""
        self._question(command((b"UNSUBSCRIBE", *names)))

    def _send(self, data: bytes) -> None:
        """Send what is answered."""
        now = self._last_out = monotonic()
        self._owed.append(now)
        self._out.write(data)

    def _question(self, data: bytes) -> None:
        self._asked_at = min(self._asked_at, monotonic())
        self._in.write(data)

    # What comes.

    def _is_answered(self, reply: Reply) -> None:
        if not self._owed:
            raise NotRedis("an answer to nothing")
        self._owed.popleft()
        self._answered_at = monotonic()

    def _told(self, reply: Reply) -> None:
        self._last_in, self._asked_at = monotonic(), inf
        if not isinstance(reply, list) or len(reply) < 2:
            return
        what, name, last = reply[0], reply[1], reply[-1]
        if not isinstance(name, bytes):
            return
        if what == b"message":
            if self._is_running and isinstance(last, bytes):
                self._heard(name, last)
        elif what == b"subscribe" and self._wanted:
            self._wanted.discard(name)
            if not self._wanted and not self._listens.done():
                self._listens.set_result(None)

    # Whether it is there.

    def _ended(self, error: Exception | None) -> None:
        self._lose(error or LinkLost("Redis has hung up"))

    def _lose(self, error: Exception) -> None:
        if not self._lost.done():
            self._lost.set_exception(error)

    def _look(self) -> None:
        now = monotonic()
        waits_since = max(self._owed[0], self._answered_at) if self._owed else inf
        if now - min(self._asked_at, waits_since) > PATIENCE:
            raise LinkLost(f"no answer within {PATIENCE} s")
        if not self._owed and now - self._last_out > INTERVAL:
            self._send(_PING)
        if self._asked_at == inf and now - self._last_in > INTERVAL:
            self._question(_PING)


async def _places(connection: Connection) -> list[tuple[str, int]]:
    try:
        slots = await _ask(connection, b"CLUSTER", b"SLOTS")
    except ResponseError:
        return []
    return sorted({(node[0].decode(), node[1]) for slot in slots for node in slot[2:] if node[0]})


async def _can_skip(connection: Connection) -> bool:
    """Ask whether answers can be left out, which may be forbidden, or nothing that it knows."""
    ping = (b"PING",)
    await connection.send_packed_command(connection.pack_commands([_SKIP, ping, ping]), False)
    try:
        answer = await connection.read_response(disable_decoding=True)
        if answer == b"PONG":
            return True
    except ResponseError:
        pass
    for _ in range(2):
        await connection.read_response(disable_decoding=True)
    return False


async def _ask(connection: Connection, *words: bytes) -> Any:
    await connection.send_packed_command(connection.pack_commands([words]), False)
    return await connection.read_response(disable_decoding=True)
