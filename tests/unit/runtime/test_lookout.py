"""When a view is looked at, and when no more."""

from __future__ import annotations

import asyncio

from proxy.runtime.lookout import Lookout


async def test_a_look_that_has_begun_comes_to_its_end() -> None:
    """One that breaks off takes its connection along, and who leaves needs that."""
    begun, may_end = asyncio.Event(), asyncio.Event()
    ended: list[bool] = []

    async def look() -> None:
        begun.set()
        await may_end.wait()
        ended.append(True)

    lookout = Lookout(look, lambda: None)
    lookout.open()
    await begun.wait()
    closing = asyncio.create_task(lookout.close())
    await asyncio.sleep(0)
    may_end.set()
    await closing
    assert ended == [True]


async def test_what_fails_is_told_and_looked_at_again_soon() -> None:
    failures: list[bool] = []
    again = asyncio.Event()

    async def look() -> None:
        if failures:
            again.set()
        raise ConnectionError("gone")

    lookout = Lookout(look, lambda: failures.append(True))
    lookout.open()
    async with asyncio.timeout(5):
        await again.wait()
    await lookout.close()
    assert failures
