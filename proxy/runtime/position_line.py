"""The line of those who wait for the primary's position, as it is behind their asking.

One look of the primary's witness is for all who had asked when it was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Final, final

from proxy.errors import ClientVisibleError
from proxy.freshness.handed import Places
from proxy.session.ports import Asker, Waiter
from proxy.topology.group import Group, Server
from proxy.topology.witness import Witness

RETRY: Final = 0.05
"""Seconds between two looks for a primary, while there is none."""


@final
class PositionLine:
    """See the module.

    Args:
        group: Whose primary it is.
        witnesses: Of its servers.
        places: Write the position down.
        limit: Of a wait, in seconds.
        no_primary: Makes the error of one who waited in vain.
    """

    __slots__ = ("_group", "_limit", "_no_primary", "_places", "_waiting", "_witnesses")

    def __init__(
        self,
        group: Group,
        witnesses: Mapping[Server, Witness],
        places: Places,
        limit: float,
        no_primary: Callable[[], ClientVisibleError],
    ) -> None:
        self._group = group
        self._witnesses = witnesses
        self._places = places
        self._limit = limit
        self._no_primary = no_primary
        self._waiting: dict[Waiter, asyncio.Task[None]] = {}

    def join(self, asker: Asker) -> None:
        """Stand in line."""
        self._waiting[asker] = asyncio.get_running_loop().create_task(self._answer(asker))

    def leave(self, waiter: Waiter) -> None:
        """Step out."""
        task = self._waiting.pop(waiter, None)
        if task is not None:
            task.cancel()

    async def _answer(self, asker: Asker) -> None:
        try:
            async with asyncio.timeout(self._limit):
                text = await self._look()
        except TimeoutError:
            self._waiting.pop(asker, None)
            asker.not_acquired(self._no_primary())
        else:
            self._waiting.pop(asker, None)
            asker.position_told(text)

    async def _look(self) -> str:
        while True:
            primary = self._group.primary
            if primary is not None:
                with contextlib.suppress(ConnectionError):
                    await self._witnesses[primary].confirm()
                    text = self._places.here()
                    if text is not None and primary is self._group.primary:
                        return text
            await asyncio.sleep(RETRY)
