"""Whoever reads the primary's log tells the ledger, and those who wait, what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from time import monotonic
from typing import Any, cast

import pytest

from proxy.errors import ClientVisibleError, ServerLost
from proxy.freshness.feed import Foreign
from proxy.freshness.ledger import Ledger
from proxy.runtime.engine import Engine, Hearer, View, Written
from proxy.runtime.following import LONGEST_WAIT, Following
from proxy.session.ports import Link
from proxy.settings.load import parse
from proxy.topology.group import Group, Server, Sighting
from proxy.types import Position, Role, Table, Token

ORDERS = Table("shop", 16400)
LIMIT = 1000
SETTINGS = f"""
[server_groups.app]
servers = ["db:5432"]
auth_user = "tidegate"
out_of_band = "strict"
out_of_band_log_bytes = {LIMIT}
"""


@dataclass
class Shown:
    """See `Snapshot`."""

    running: frozenset[int] = frozenset()

    def shows(self, xid: int) -> bool:
        return xid not in self.running


@dataclass
class Log:
    """A primary's log, of one database. See `Changes`."""

    hearer: Hearer
    heard_at: float = field(default_factory=monotonic)
    position: int = 0
    told: int = 0
    kept: int = 0
    looks: int = 0
    running: frozenset[int] = frozenset()
    failure: Exception | None = None
    is_closed: bool = False

    async def look(self) -> View:
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        self.looks += 1
        return View(Shown(self.running), Position(self.position), self.kept)

    def confirm(self) -> None:
        self.heard_at = monotonic()
        asyncio.get_running_loop().call_soon(self.hearer.reached, Position(self.told))

    def close(self) -> None:
        self.is_closed = True

    def write(self, xid: int, *names: str, is_clear: bool = True) -> None:
        rows = {("public", name): 1 for name in names}
        self.hearer.heard(Written(xid, rows, frozenset(), is_clear))

    def break_off(self) -> None:
        self.failure = ServerLost("gone")
        self.hearer.lost()


@dataclass(eq=False)
class Reader:
    """A session that waits. See `Throttled`."""

    outcome: str = ""

    def admitted(self) -> None:
        self.outcome = "admitted"

    def primary_found(self) -> None:
        self.outcome = "to the primary"

    def acquired(self, link: Link) -> None:
        raise AssertionError

    def not_acquired(self, error: ClientVisibleError) -> None:
        raise AssertionError


class World:
    """One followed database of one server."""

    tells_gtids = False

    def __init__(self) -> None:
        numbers = count(1)
        server = Server("db", 5432)
        group = Group("app", [server])
        group.met(server)
        group.saw(server, Sighting(Role.PRIMARY, 1, 1, Position(0), 0.0, 0.0))
        self.logs: list[Log] = []
        self.found: list[Foreign] = []
        self.ledger = Ledger(Token(0))
        self.ledger.new_epoch(Token(1 << 60), Position(0))
        self.orders = self.ledger.read_set("shop", [ORDERS])
        self.following = Following(
            parse(SETTINGS, {}).server_groups["app"],
            cast(Engine, self),
            group,
            self.ledger,
            lambda: Token(next(numbers)),
            lambda server: cast(Any, server),
            self.tables_named,
            self.take,
        )

    async def follow(self, address: Any, database: str, hearer: Hearer, *, limit: int) -> Log:
        assert (database, limit) == ("shop", LIMIT)
        self.logs.append(Log(hearer))
        return self.logs[-1]

    def tables_named(self, database: str, schema: str, name: str) -> frozenset[Table] | None:
        return frozenset({ORDERS}) if (schema, name) == ("public", "orders") else None

    def take(self, found: Iterable[Foreign]) -> None:
        self.found += found

    @property
    def log(self) -> Log:
        return self.logs[-1]

    @property
    def is_clean(self) -> bool:
        return self.ledger.is_clean(self.orders, 0.0)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5.0):
            while not condition():  # noqa: ASYNC110
                await asyncio.sleep(0.001)

    async def outcome(self) -> str:
        """Let a reader wait, and say what becomes of it."""
        reader = Reader()
        assert self.following.confirm("shop", reader) is not None
        assert not reader.outcome
        await self.until(lambda: bool(reader.outcome))
        return reader.outcome


@asynccontextmanager
async def world_at_work() -> AsyncIterator[World]:
    world = World()
    world.following.want("shop")
    await world.until(lambda: world.following.is_following() == {"shop": True})
    try:
        yield world
    finally:
        await world.following.close()
        assert all(log.is_closed for log in world.logs)


async def test_a_foreign_commit_counts_when_it_is_visible() -> None:
    async with world_at_work() as world:
        before = world.ledger.version(world.orders)
        world.log.running = frozenset({7})
        world.log.write(7, "orders")
        looks = world.log.looks
        await world.until(lambda: world.log.looks > looks + 2)
        assert not world.is_clean
        world.log.running = frozenset()
        await world.until(lambda: world.is_clean)
        assert world.found == [Foreign(ORDERS, 1)]
        assert world.ledger.version(world.orders) != before


@pytest.mark.parametrize(("name", "is_clear"), [("new", True), ("orders", False)])
async def test_what_is_not_known_may_be_anything(name: str, is_clear: bool) -> None:
    async with world_at_work() as world:
        before = world.ledger.version(world.orders)
        world.log.write(7, name, is_clear=is_clear)
        assert not world.is_clean
        await world.until(lambda: world.is_clean)
        assert world.ledger.version(world.orders) != before


async def test_ours_is_not_asked_about_when_its_acknowledgement_comes_soon() -> None:
    async with world_at_work() as world:
        mark = world.ledger.mark([ORDERS], Token(1 << 62))
        looks = world.log.looks
        world.log.write(7, "orders")
        world.following.wrote(mark, ORDERS, 1)
        world.ledger.commit(mark)
        await asyncio.sleep(0.05)
        assert world.log.looks == looks
        assert world.is_clean
        assert not world.found


async def test_nothing_is_asked_while_ours_is_under_way() -> None:
    """However long that is; then, if it has no credit, it is found out."""
    async with world_at_work() as world:
        mark = world.ledger.mark([ORDERS], Token(1 << 62), "another")
        before = world.ledger.version(world.orders)
        looks = world.log.looks
        world.log.write(7, "orders")
        await asyncio.sleep(0.1)
        assert world.log.looks == looks
        world.ledger.commit(mark)
        clears = world.ledger.version(world.orders)
        await world.until(lambda: world.is_clean)
        assert world.found == [Foreign(ORDERS, 1)]
        assert len({before, clears, world.ledger.version(world.orders)}) == 3


async def test_a_commit_with_an_id_is_ours_by_that_and_not_by_its_rows() -> None:
    async with world_at_work() as world:
        world.tells_gtids = True
        mark = world.ledger.mark([ORDERS], Token(1 << 62))
        world.following.wrote(mark, ORDERS, 1)
        world.following.claim(mark, ["a:1"], frozenset([ORDERS]))
        world.ledger.commit(mark)
        rows = {("public", "orders"): 1}
        world.log.hearer.heard(Written(7, rows, frozenset(), True, "a:1"))
        assert world.is_clean
        world.log.hearer.heard(Written(8, rows, frozenset(), True, "a:2"))
        assert not world.is_clean
        await world.until(lambda: world.is_clean)
        assert world.found == [Foreign(ORDERS, 1)]


async def test_a_read_waits_until_the_log_is_read_up_to_where_it_was() -> None:
    async with world_at_work() as world:
        world.log.position, world.log.told = 100, 99
        reader = Reader()
        world.following.confirm("shop", reader)
        await asyncio.sleep(LONGEST_WAIT / 3)
        assert not reader.outcome
        world.log.told = 100
        await world.until(lambda: reader.outcome == "admitted")


async def test_those_who_come_together_are_told_together() -> None:
    async with world_at_work() as world:
        looks = world.log.looks
        outcomes = await asyncio.gather(*(world.outcome() for _ in range(20)))
        assert set(outcomes) == {"admitted"}
        assert world.log.looks <= looks + 2


async def test_nobody_waits_for_long() -> None:
    async with world_at_work() as world:
        world.log.position = 100
        assert await world.outcome() == "to the primary"


async def test_who_leaves_hears_nothing_more() -> None:
    async with world_at_work() as world:
        reader = Reader()
        line = world.following.confirm("shop", reader)
        assert line is not None
        line.leave(reader)
        assert await world.outcome() == "admitted"
        assert not reader.outcome


async def test_a_loss_sends_those_who_wait_to_the_primary_and_all_is_new_behind_it() -> None:
    async with world_at_work() as world:
        before = world.ledger.version(world.orders)
        world.log.position = 100
        reader = Reader()
        world.following.confirm("shop", reader)
        world.log.break_off()
        await world.until(lambda: reader.outcome == "to the primary")
        await world.until(lambda: len(world.logs) == 2)
        await world.until(lambda: world.following.is_following()["shop"])
        assert world.ledger.version(world.orders) != before
        assert await world.outcome() == "admitted"


async def test_too_much_log_is_let_go_of() -> None:
    async with world_at_work() as world:
        world.log.kept = LIMIT + 1
        world.following.confirm("shop", Reader())
        await world.until(lambda: world.logs[0].is_closed)


async def test_a_database_is_left_and_let_go() -> None:
    async with world_at_work() as world:
        world.following.vacate("shop", 60.0)
        await world.until(lambda: world.log.is_closed)
        assert world.following.is_following() == {"shop": False}
        assert world.following.confirm("shop", Reader()) is None
        world.following.let_go("shop")
        assert world.following.is_following() == {}
        assert world.following.confirm("shop", Reader()) is None
