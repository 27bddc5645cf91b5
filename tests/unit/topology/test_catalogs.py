"""Tests for the keeper of a database's catalog, as far as they need no server."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from proxy.topology.catalogs import CatalogKeeper

LOOKS = 5


class Headless:
    """A group without a primary, which is not looked at over and over."""

    epoch = None

    def __init__(self) -> None:
        self.looks = 0

    @property
    def primary(self) -> None:
        self.looks += 1
        if self.looks > LOOKS:
            raise AssertionError("the keeper does not rest")


def test_a_keeper_that_was_called_rests_while_there_is_no_primary() -> None:
    """It was told of a new primary, and that one was lost before it could be asked."""
    unused: Any = None
    group: Any = Headless()

    async def call_and_wait() -> None:
        keeper = CatalogKeeper("shop", unused, group, unused, interval=60.0, watch=False)
        keeper.restart()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(keeper.run(), 0.05)

    asyncio.run(call_and_wait())
    assert group.looks == 1
