"""What a member has promised in a view that was lost, and keeps before it enters another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, final

from proxy.runtime.evictions import LEASE_OVER, SILENT_AFTER
from proxy.topology.views import ViewStore

POLL: Final = 0.02
"""Seconds between two looks at whether somebody is still there."""


@final
class Promises:
    """See the module.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._others: set[str] = set()
        self._given_at = 0.0

    def given(self, others: Iterable[str]) -> None:
        """Note to whom, until now."""
        self._others.update(others)
        self._given_at = self._clock()

    async def keep(self, store: ViewStore) -> None:
        """Wait until nobody who had them reads fast any more, or writes without being heard.

        Within a lease each finds out that the view is lost, or reads nothing fast any more; who
        has found out lets go of the primary. Who stands still is waited for as long as it takes
        until it would be given up.
        """
        while self._others:
            seconds = self._clock() - self._given_at
            if seconds >= SILENT_AFTER:
                self._others.clear()
            elif seconds >= LEASE_OVER:
                for name in list(self._others):
                    if await store.silent_for(name) is None:
                        self._others.discard(name)
            await asyncio.sleep(POLL)
