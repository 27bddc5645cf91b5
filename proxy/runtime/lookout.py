"""Looks at a fleet's view from time to time, and soon when there is a reason to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final, final

from proxy.freshness.fleet import LEASE
from proxy.observe.logs import Logger
from proxy.topology.witness import FAILURES, describe

log = Logger("fleet")

LOOK: Final = LEASE / 3
"""Seconds between two looks."""

LEAST: Final = 0.02
"""Seconds between two looks that somebody unknown has caused, or an epoch that is to begin."""

REPEAT: Final = 60.0
"""Seconds between two lines that say that the view can't be read, for the same reason."""

PATIENCE: Final = 1.0
"""Seconds that a look may take yet when no other is to follow."""


@final
class Lookout:
    """See the module.

    Args:
        look: Does it. May fail as a witness does.
        failed: Is told then.
    """

    def __init__(self, look: Callable[[], Awaitable[None]], failed: Callable[[], None]) -> None:
        self._look = look
        self._failed = failed
        self._reason = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        self._said: tuple[str, float] = "", 0.0

    def open(self) -> None:
        """Begin; again, in vain."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_looking())

    def wake(self) -> None:
        """Look soon."""
        self._reason.set()

    async def close(self) -> None:
        """Look no more.

        A look that has begun may come to its end: one that breaks off takes its connection along.
        """
        task = self._task
        if task is not None:
            self._is_closed = True
            self._reason.set()
            await asyncio.wait((task,), timeout=PATIENCE)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep_looking(self) -> None:
        while not self._is_closed:
            try:
                await self._look()
            except FAILURES as error:
                self._failed()
                self._say(describe(error))
                await asyncio.sleep(LEAST * 5)
            except Exception as error:
                log.exception("a member met a bug", error)
                await asyncio.sleep(LOOK)
            await self._rest()

    def _say(self, error: str) -> None:
        text, said_at = self._said
        if error != text or monotonic() - said_at >= REPEAT:
            self._said = error, monotonic()
            log.warning("the view can't be read", error=error)

    async def _rest(self) -> None:
        await asyncio.sleep(LEAST)
        try:
            async with asyncio.timeout(LOOK - LEAST):
                await self._reason.wait()
        except TimeoutError:
            pass
        self._reason.clear()
