"""Virtual time for what runs on asyncio, and a bus that takes the time of a network and no other.

The loop never sleeps: when there is nothing to do it is at once as late as the next timer wants. So
the product's own carriers and memberships run unchanged, and hours take as long as their messages.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from random import Random
from selectors import SelectorKey, SelectSelector
from typing import Any, Final, TypeVar

from proxy.runtime.bus.seam import Bus, Channel, Listener

T = TypeVar("T")

IN_ORDER: Final = 1e-7
"""Seconds between two messages that would come at once: timers of one moment have no order."""


class _Clock(SelectSelector):
    """Waits for nothing; says how late it would be."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen")
        self.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """See the module."""

    def __init__(self) -> None:
        self._virtual = _Clock()
        super().__init__(self._virtual)

    def time(self) -> float:
        """Seconds since it was made."""
        return self._virtual.now


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end, in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)


class Hub:
    """What all members' buses lead to, as Redis is: each message goes there, and on from there.

    Attributes:
        said: Messages by kind (the codec's), counted once.
        bytes_said: Their bytes.
        carried: The same messages, counted for each member that they go to.
        bytes_carried: Their bytes.
    """

    def __init__(self, random: Random, jitter: float) -> None:
        self.random = random
        self.jitter = jitter
        self.buses: dict[str, VirtualBus] = {}
        self.clear()

    def clear(self) -> None:
        """Count from here on."""
        self.said: Counter[int] = Counter()
        self.bytes_said: Counter[int] = Counter()
        self.carried: Counter[int] = Counter()
        self.bytes_carried: Counter[int] = Counter()

    def takes(self, way: float) -> float:
        """Draw how long a way takes: what it always does, and somewhat more."""
        return way * (1 + self.jitter * self.random.expovariate(1.0))

    def spread(self, sender: str, to: str | None, message: bytes) -> None:
        """A message is at the hub: hand it on, to one or to all others."""
        kind, size = message[1], len(message)
        self.said[kind] += 1
        self.bytes_said[kind] += size
        names = list(self.buses) if to is None else [to]
        for name in names:
            bus = self.buses.get(name)
            if bus is not None and name != sender:
                self.carried[kind] += 1
                self.bytes_carried[kind] += size
                bus.deliver(message)


class VirtualBus(Bus):
    """One member's connections to the hub. What goes over each comes in order.

    Args:
        hub: Of all.
        way: Seconds from here to there, and as long back.
    """

    def __init__(self, hub: Hub, way: float) -> None:
        super().__init__()
        self.counts.is_up = True
        self._hub = hub
        self._way = way
        self._loop = asyncio.get_running_loop()
        self._listener: Listener | None = None
        self._last_out = self._last_in = 0.0
        self._name = ""

    async def open(self) -> None:
        """See `Bus`."""

    async def close(self) -> None:
        """Whoever is killed is heard no more, and hears nothing."""
        self._hub.buses.pop(self._name, None)
        self._listener = None

    def join(self, channel: Channel, member: str, listener: Listener) -> None:
        """See `Bus`: of one channel."""
        self._name = member
        self._listener = listener
        self._hub.buses[member] = self

    def leave(self, channel: Channel) -> None:
        """See `Bus`."""
        self._hub.buses.pop(self._name, None)

    def publish(self, channel: Channel, message: bytes) -> None:
        """See `Bus`."""
        self._send(None, message)

    def tell(self, channel: Channel, member: str, message: bytes) -> None:
        """See `Bus`."""
        self._send(member, message)

    def _send(self, to: str | None, message: bytes) -> None:
        if self._listener is None:
            return
        at = self._loop.time() + self._hub.takes(self._way)
        self._last_out = max(at, self._last_out + IN_ORDER)
        self._loop.call_at(self._last_out, self._hub.spread, self._name, to, message)

    def deliver(self, message: bytes) -> None:
        """A message leaves the hub for here."""
        at = self._loop.time() + self._hub.takes(self._way)
        self._last_in = max(at, self._last_in + IN_ORDER)
        self._loop.call_at(self._last_in, self._hear, message)

    def _hear(self, message: bytes) -> None:
        if self._listener is not None:
            self.counts.messages_in += 1
            self.counts.bytes_in += len(message)
            self._listener.heard(message)
