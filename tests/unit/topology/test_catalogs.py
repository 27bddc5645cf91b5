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
        keeper = CatalogKeeper("shop", unused, group, Taker(), interval=60.0, watch=False)
        keeper.restart()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(keeper.run(), 0.05)

    asyncio.run(call_and_wait())
    assert group.looks == 1


class Led:
    """A group whose primary stays."""

    epoch = 1
    primary = "primary"


class Definitions:
    """Those of a server that counts at once; each change of them is another number."""

    failures = (OSError,)
    counts_at_once = True

    def __init__(self) -> None:
        self.digest = 1
        self.loads = 0
        self.counts = 0
        self.fails = False
        self.has_counted = asyncio.Event()

    async def open(self, *_: object) -> Any:
        return self

    async def identify(self) -> int:
        return 1

    async def fingerprint(self, *, anew: bool) -> int:
        return self.digest

    async def load(self) -> Any:
        self.loads += 1
        return "catalog"

    async def counters(self) -> list[tuple[int, int, int]]:
        if self.fails:
            raise OSError
        self.counts += 1
        self.has_counted.set()
        return [(1, self.counts, 0)]

    async def era(self) -> str:
        return "era"

    async def uncounted(self) -> list[int]:
        return [2]

    def close(self) -> None:
        pass


class Taker:
    """Is asked one question, and notes what it is told."""

    def __init__(self) -> None:
        self.is_asking = False
        self.is_open = False
        self.told: list[Any] = []
        self.heard = asyncio.Event()

    def inquires(self, _: str) -> bool:
        self.is_open = self.is_open or self.is_asking
        asking, self.is_asking = self.is_asking, False
        return asking

    def answer(self, _: str, *told: Any) -> None:
        self.say("answer", *told)

    def give_up(self, _: str) -> None:
        if self.is_open:
            self.say("give up")

    def say(self, *words: Any) -> None:
        self.is_open = False
        self.told.append(words)
        self.heard.set()

    def changed(self, _: str) -> None:
        self.told.append(("changed",))

    def took(self, *_: object) -> bool:
        return True

    def generation(self) -> int:
        return 0

    def met(self, *_: object) -> None:
        pass

    counted = tallied = lost = met


async def ask(definitions: Definitions, taker: Taker, *, before: str = "") -> None:
    """Have a keeper look, then ask, after something was done to the definitions."""
    group: Any = Led()
    source: Any = definitions
    keeper = CatalogKeeper("shop", source, group, taker, interval=60.0, watch=True)
    task = asyncio.ensure_future(keeper.run())
    await definitions.has_counted.wait()
    if before:
        setattr(definitions, before, 2)
    taker.is_asking = True
    keeper.ask()
    await taker.heard.wait()
    task.cancel()


def test_who_asks_is_told_what_was_counted_since() -> None:
    definitions, taker = Definitions(), Taker()
    asyncio.run(ask(definitions, taker))
    assert taker.told == [("answer", "era", [[(1, 2, 0)], [(1, 3, 0)]], [2])]
    assert definitions.loads == 1


def test_who_asks_is_told_nothing_where_definitions_have_changed() -> None:
    definitions, taker = Definitions(), Taker()
    asyncio.run(ask(definitions, taker, before="digest"))
    assert taker.told[0] == ("give up",)


def test_who_asks_is_not_left_waiting_when_the_server_fails() -> None:
    definitions, taker = Definitions(), Taker()
    asyncio.run(ask(definitions, taker, before="fails"))
    assert taker.told == [("give up",)]
