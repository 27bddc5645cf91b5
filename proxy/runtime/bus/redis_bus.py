"""The bus over Redis, or what speaks like it: Pub/Sub, each message to whoever listens now.

Redis is believed nothing but that it hands on what it was given. It is as good as lost when it
says nothing for a second (`redis_link`); then it is looked for again and again, for as long as it
takes.

Names are `tidegate:FLEET:GROUP` for all, and with `:MEMBER` behind for one.
"""

from __future__ import annotations

import asyncio
import secrets
from random import uniform
from time import monotonic
from typing import Final, final

from proxy.observe.logs import Logger
from proxy.runtime.bus.parts import SENDER_BYTES, Parts
from proxy.runtime.bus.redis_lane import LinkLost
from proxy.runtime.bus.redis_link import RedisLink
from proxy.runtime.bus.seam import Bus, Channel, Listener
from proxy.runtime.redis_clients import (
    FAILURES,
    Connection,
    close_server,
    make_connection,
    open_server,
    reason_of,
)

log = Logger("bus")

TIMEOUT: Final = 1.0
"""Seconds that connecting, logging in and each question before that may take."""

SHORTEST_WAIT: Final = 0.05
LONGEST_WAIT: Final = 0.4
"""Seconds between two tries to connect; it doubles from one to the other."""

MOST_REASONS: Final = 10
"""Reasons that are logged while it is away, each once."""


@final
class RedisBus(Bus):
    """See the module. Made in a running loop.

    Args:
        url: As the settings have it.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._client = open_server(url, TIMEOUT)
        self._parts = Parts(secrets.token_bytes(SENDER_BYTES))
        self._listeners: dict[bytes, Listener] = {}
        self._members: dict[Channel, str] = {}
        self._link: RedisLink | None = None
        self._places: list[tuple[str, int]] = []
        self._turn = 0
        self._wait = SHORTEST_WAIT
        self._came_at = 0.0
        self._said: set[str] = set()
        self._task: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """See `Bus`."""
        self._task = asyncio.create_task(self._keep_up())

    async def close(self) -> None:
        """See `Bus`."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.counts.is_up = False
        await close_server(self._client)

    def join(self, channel: Channel, member: str, listener: Listener) -> None:
        """See `Bus`."""
        self._members[channel] = member
        names = _names(channel, member)
        self._listeners.update(dict.fromkeys(names, listener))
        if self._link is not None:
            self._link.listen_to(*names)

    def leave(self, channel: Channel) -> None:
        """See `Bus`."""
        names = _names(channel, self._members.pop(channel))
        for name in names:
            del self._listeners[name]
        if self._link is not None:
            self._link.ignore(*names)

    def publish(self, channel: Channel, message: bytes) -> None:
        """See `Bus`."""
        self._send(_name(channel), message)

    def tell(self, channel: Channel, member: str, message: bytes) -> None:
        """See `Bus`."""
        self._send(_name(channel, member), message)

    def _send(self, name: bytes, message: bytes) -> None:
        link = self._link
        if link is None:
            self.counts.unsent += 1
            return
        self.counts.messages_out += 1
        self.counts.bytes_out += len(message)
        parts = self._parts.of(message)
        for part in parts:
            link.publish(name, part, is_part=len(parts) > 1)

    def _heard(self, name: bytes, part: bytes) -> None:
        message = self._parts.whole(name, part)
        listener = self._listeners.get(name)
        if message is not None and listener is not None:
            self.counts.messages_in += 1
            self.counts.bytes_in += len(message)
            listener.heard(message)

    # Whether it is there.

    async def _keep_up(self) -> None:
        while True:
            link = RedisLink(self._make_connection, self._heard)
            names = set(self._listeners)
            try:
                await link.open(names)
                self._places = link.places or self._places
                self._has_come(link, names)
                await link.run()
            except (*FAILURES, LinkLost) as error:
                self._say_away(reason_of(error))
            except Exception as bug:
                log.exception("a bug in the bus", bug)
            finally:
                self._has_gone()
                await link.close()
            await asyncio.sleep(uniform(self._wait / 2, self._wait))
            self._turn += 1
            self._wait = min(2 * self._wait, LONGEST_WAIT)

    def _make_connection(self) -> Connection:
        """Make a connection to where the settings lead, and in a cluster to any other by turns."""
        places = [None, *self._places]
        return make_connection(self._client, places[self._turn % len(places)])

    def _has_come(self, link: RedisLink, names: set[bytes]) -> None:
        self._link = link
        self._came_at = monotonic()
        if joined := self._listeners.keys() - names:
            link.listen_to(*joined)
        self.counts.is_up = True
        self.counts.ups += 1
        self._tell_broken()
        log.info("the fleet's bus is there")
        self._said.clear()

    def _has_gone(self) -> None:
        self._link = None
        self._parts.forget()
        if self.counts.is_up:
            self.counts.is_up = False
            if monotonic() - self._came_at > LONGEST_WAIT:
                self._turn, self._wait = 0, SHORTEST_WAIT
            self._tell_broken()

    def _tell_broken(self) -> None:
        for name in {_name(channel) for channel in self._members}:
            self._listeners[name].broken()

    def _say_away(self, why: str) -> None:
        if why not in self._said and len(self._said) < MOST_REASONS:
            self._said.add(why)
            log.warning("the fleet's bus is away: all is read at the primary", why=why)


def _names(channel: Channel, member: str) -> tuple[bytes, bytes]:
    return _name(channel), _name(channel, member)


def _name(channel: Channel, *member: str) -> bytes:
    return ":".join(("tidegate", *channel, *member)).encode()
