"""Who wants to know where the primary is, is told what was asked after that."""

from __future__ import annotations

import asyncio
from typing import Any

from proxy.errors import ClientVisibleError, NoPrimary
from proxy.runtime.position_line import PositionLine
from proxy.topology.group import Group, Server


class Witness:
    """Answers when a test says so."""

    def __init__(self) -> None:
        self.waiting: list[asyncio.Future[int]] = []

    async def confirm(self) -> int:
        future = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return await future

    def answers(self, error: Exception | None = None) -> None:
        for future in self.waiting:
            if error is None:
                future.set_result(1)
            else:
                future.set_exception(error)
        self.waiting = []


class Asker:
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[str | ClientVisibleError] = []

    def position_told(self, text: str) -> None:
        self.told.append(text)

    def not_acquired(self, error: ClientVisibleError) -> None:
        self.told.append(error)


class Scene:
    """A line, with a primary or without."""

    def __init__(self, limit: float = 5.0) -> None:
        self.server = Server("p", 5432)
        self.group = Group("app", [self.server])
        self.witness = Witness()
        self.at: str | None = "here"
        witnesses: Any = {self.server: self.witness}
        self.line = PositionLine(
            self.group, witnesses, self, limit, lambda: NoPrimary("no primary")
        )
        self.group.primary = self.server

    def here(self) -> str | None:
        return self.at

    def read(self, text: str) -> Any:
        raise NotImplementedError

    def asks(self) -> Asker:
        asker: Any = Asker()
        self.line.join(asker)
        return asker  # type: ignore[no-any-return]

    async def until(self, asker: Asker) -> str | ClientVisibleError:
        async with asyncio.timeout(5.0):
            while not asker.told:
                if self.witness.waiting and self.at is not None:
                    self.witness.answers()
                await asyncio.sleep(0.001)
        (said,) = asker.told
        return said


async def test_all_who_wait_are_told_after_one_answer() -> None:
    scene = Scene()
    askers = [scene.asks() for _ in range(3)]
    await asyncio.sleep(0)
    assert len(scene.witness.waiting) == 3
    assert not any(asker.told for asker in askers)
    scene.witness.answers()
    for asker in askers:
        assert await scene.until(asker) == "here"


async def test_a_primary_that_was_lost_meanwhile_is_not_the_one_that_counts() -> None:
    scene = Scene()
    asker = scene.asks()
    await asyncio.sleep(0)
    scene.group.primary = None
    scene.at = None
    scene.witness.answers(ConnectionError("lost"))
    await asyncio.sleep(0.01)
    assert not asker.told
    scene.group.primary, scene.at = scene.server, "there"
    assert await scene.until(asker) == "there"


async def test_who_waits_too_long_is_told_that_there_is_no_primary() -> None:
    scene = Scene(limit=0.02)
    scene.group.primary = None
    assert isinstance(await scene.until(scene.asks()), NoPrimary)


async def test_who_steps_out_is_told_nothing() -> None:
    scene = Scene()
    asker: Any = scene.asks()
    await asyncio.sleep(0)
    scene.line.leave(asker)
    scene.line.leave(asker)
    await asyncio.sleep(0)
    assert not asker.told
