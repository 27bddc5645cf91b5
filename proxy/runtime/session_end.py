"""Whether a server's session is gone, or certainly does nothing any more that counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from proxy.freshness.quiet import Quiet


class Sessions(Protocol):
    """Where a session is: see `Witness`."""

    async def fence(self, pid: int, start: float) -> bool:
        """End a session; returns whether it is seen to be gone."""

    async def is_busy(self, pid: int) -> bool:
        """Tell whether a session may be running something."""


async def is_over(
    sessions: Sessions, pid: int, start: float, quiet: Quiet | None, clock: Callable[[], float]
) -> bool:
    """End a session, and tell whether nothing more comes of it.

    Args:
        sessions: Of the server.
        pid: The session's number there.
        start: When it began, in seconds since 1970.
        quiet: How long it must be at rest if we may not end it; None: it must be gone.
        clock: That which `quiet` goes by.
    """
    if await sessions.fence(pid, start):
        return True
    if quiet is None:
        return False
    asked_at = clock()
    is_busy = await sessions.is_busy(pid)
    return quiet.saw(is_busy=is_busy, asked_at=asked_at, now=clock())
