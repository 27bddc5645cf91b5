"""Ways between processes that faults befall: relays, in a loop of their own beside the test."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, final

from tests.consistency.faults import Fault, Planned
from tests.integration.relay import Relay

LATE: Final = 0.15
"""Seconds that a slow way takes longer, each way."""


@final
class Link:
    """Somebody's way to one or several servers, all of which suffer alike.

    Args:
        loop: Where the relays live, in a thread of its own.
        ports: Of the servers.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ports: Sequence[int]) -> None:
        self._loop = loop
        self._relays = [Relay(port) for port in ports]

    @property
    def addresses(self) -> list[str]:
        """Where the servers are to be found, in their order."""
        return [relay.address for relay in self._relays]

    @property
    def ports(self) -> list[int]:
        return [relay.port for relay in self._relays]

    def open(self) -> None:
        for relay in self._relays:
            self._do(relay.accept())

    def close(self) -> None:
        for relay in self._relays:
            self._do(_close(relay))

    def suffer(self, planned: Planned) -> None:
        """Be cut, hold everything back, or be slow."""
        if planned.fault is Fault.CUT:
            self._do(self._cut(planned.lasts))
        elif planned.fault is Fault.HOLD:
            self._do(self._hold(planned.lasts))
        else:
            self._do(self._slow(planned.lasts))

    async def _cut(self, lasts: float) -> None:
        for relay in self._relays:
            relay.resets = True
            await relay.cut()
        await asyncio.sleep(lasts)
        for relay in self._relays:
            relay.resets = False

    async def _hold(self, lasts: float) -> None:
        ways = [way for it in self._relays for way in (it.to_server, it.to_client)]
        for way in ways:
            way.pause()
        await asyncio.sleep(lasts)
        for way in ways:
            way.resume()

    async def _slow(self, lasts: float) -> None:
        ways = [way for it in self._relays for way in (it.to_server, it.to_client)]
        for way in ways:
            way.delay = LATE
        await asyncio.sleep(lasts)
        for way in ways:
            way.delay = 0.0

    def _do(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result()


async def _close(relay: Relay) -> None:
    relay.refuse()
    await relay.cut()
    await asyncio.sleep(0)  # until all are closed


@contextmanager
def links(*ports: Sequence[int]) -> Iterator[list[Link]]:
    """Open a link for each of these lots of servers."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    opened = [Link(loop, them) for them in ports]
    try:
        for link in opened:
            link.open()
        yield opened
    finally:
        for link in opened:
            link.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
