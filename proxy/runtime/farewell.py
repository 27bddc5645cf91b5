"""The last words of a member that leaves its fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from proxy.freshness.fleet import Fleet

FAREWELL: Final = 0.5
"""Seconds that who leaves waits for the others to have heard all that it had to say."""

POLL: Final = 0.005
"""Seconds between two looks at whether they have."""


async def say_farewell(
    fleet: Fleet, poke: Callable[[], None], clock: Callable[[], float]
) -> list[str]:
    """Say all that there is to say; nothing is to be committed any more.

    Args:
        fleet: Of which we were a part.
        poke: Has said what there is to say.
        clock: Seconds.

    Returns:
        Who has heard all of it: all others, or, as if nobody had, none.
    """
    fleet.farewell()
    until = clock() + FAREWELL
    while not fleet.is_heard_out:
        if clock() >= until:
            return []
        poke()
        await asyncio.sleep(POLL)
    return fleet.members
