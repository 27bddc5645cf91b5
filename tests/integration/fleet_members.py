"""Members of a fleet, in short: the real ledger, fleet and carrier, over a real bus.

`Fleet` here is the lot of them. Whatever happens to the bus, nobody may read fast what a commit
changes from the moment on at which its COMMIT may be sent.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from proxy.freshness.fleet import Fleet
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.tables import ReadSet
from proxy.runtime.bus.carrier import Carrier
from proxy.runtime.bus.seam import Bus, Channel
from proxy.types import Epoch, Table, Token

LEASE: Final = 0.6
EPOCH: Final = Epoch(1, Token(1))
CHANNEL: Final = Channel("tests", "app")
TABLE: Final = Table("app", 16384)


class Member:
    """One process, as far as the bus is concerned."""

    def __init__(self, bus: Bus, channel: Channel = CHANNEL) -> None:
        self.name = secrets.token_hex(8)
        self.bus = bus
        self.ledger = Ledger(EPOCH.token)
        self.fleet = Fleet(self.name, self.ledger, EPOCH, lease=LEASE)
        self.carrier = Carrier(self.fleet, channel, bus, self._let_go)
        self._waiting: dict[Mark, asyncio.Future[None]] = {}
        self._vouching: asyncio.Task[None] | None = None

    async def start(self, others: list[Member]) -> None:
        self.fleet.enter([other.name for other in others])
        self.carrier.open()
        self._vouching = asyncio.create_task(self._vouch())

    async def close(self) -> None:
        if self._vouching is not None:
            self._vouching.cancel()
        self.carrier.close()
        await self.bus.close()

    async def _vouch(self) -> None:
        """As a primary would."""
        while True:
            self.fleet.vouched(monotonic())
            await asyncio.sleep(LEASE / 4)

    @property
    def _read_set(self) -> ReadSet:
        return self.ledger.read_set("app", [TABLE])

    @property
    def is_fast(self) -> bool:
        return self.ledger.is_clean(self._read_set, monotonic())

    @property
    def version(self) -> int:
        return self.ledger.version(self._read_set)

    async def mark(self) -> Mark:
        """Announce a commit, and wait until it may be sent."""
        mark = self.fleet.mark([TABLE], Token(secrets.randbits(127)), monotonic())
        self.carrier.poke()
        if mark.waiting:
            self._waiting[mark] = asyncio.get_running_loop().create_future()
            await self._waiting[mark]
        return mark

    def commit(self, mark: Mark) -> None:
        self.ledger.commit(mark)
        self.carrier.poke()

    def _let_go(self) -> None:
        for mark in self.fleet.take_ready():
            self._waiting.pop(mark).set_result(None)


class Members:
    """Three of them.

    Args:
        buses: Not open yet.
    """

    def __init__(self, buses: list[Bus]) -> None:
        self.all = [Member(bus) for bus in buses]
        self.commits = 0

    async def start(self) -> None:
        for member in self.all:
            await member.bus.open()
        for member in self.all:
            await member.start([other for other in self.all if other is not member])
        await self.are_fast()

    async def close(self) -> None:
        for member in self.all:
            await member.close()

    async def commit(self, writer: Member) -> float:
        """Commit, and look what everybody may do at each step; the seconds of the wait."""
        began = monotonic()
        mark = await writer.mark()
        waited = monotonic() - began
        assert not any(member.is_fast for member in self.all)
        writer.commit(mark)
        for member in self.all:
            assert not member.is_fast or member.version == writer.version
        self.commits += 1
        return waited

    async def write(self, pause: float = 0.01) -> None:
        """Commit over and over, each member in its turn."""
        while True:
            for writer in self.all:
                await self.commit(writer)
                await asyncio.sleep(pause)

    async def are_fast(self, timeout: float = 5.0) -> float:  # noqa: ASYNC109
        """Wait until all are, at one version; the seconds of that."""
        return await until(
            lambda: (
                all(member.is_fast for member in self.all)
                and len({member.version for member in self.all}) == 1
            ),
            timeout,
        )

    async def are_slow(self, timeout: float = 5.0) -> float:  # noqa: ASYNC109
        """Wait until none is fast; the seconds of that."""
        return await until(lambda: not any(member.is_fast for member in self.all), timeout)


async def until(condition: Callable[[], bool], timeout: float = 5.0) -> float:  # noqa: ASYNC109
    """Wait for a condition, with the loop running; the seconds of that."""
    began = monotonic()
    while not condition():
        assert monotonic() - began < timeout, "it has not come about"
        await asyncio.sleep(0.005)
    return monotonic() - began


async def while_writing(members: Members, happens: Callable[[], Awaitable[None]]) -> None:
    """Have something happen while everybody writes, then see that all are in step again."""
    writing = asyncio.create_task(members.write())
    try:
        before = members.commits
        await until(lambda: members.commits > before + 3)
        await happens()
        before = members.commits
        await until(lambda: members.commits > before + 3)
    finally:
        writing.cancel()
        results = await asyncio.gather(writing, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError), results
