"""The audit as a whole: a fast read, its repetition on the primary, and what follows."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.freshness.rules import Rules
from proxy.observe.metrics import GroupMetrics
from proxy.pool.book import Limits
from proxy.runtime import audits
from proxy.runtime.audits import Audits
from proxy.session.profile import Profile
from proxy.settings.model import ServerGroup
from proxy.settings.values import OutOfBand
from proxy.types import Position, Reason
from proxy.wire.postgres.frontend import query as query_message
from tests.unit.session.stage import (
    IDLE,
    Pool,
    Stage,
    answers,
    asks,
    at_once,
    breaks,
    cancelled,
    client,
    error,
    query,
    released,
    result,
    told,
    writes,
)

SELECT = query("SELECT a FROM orders")


class House(Stage):
    """A stage whose sessions are audited."""

    def __init__(self, *, out_of_band: OutOfBand = OutOfBand.NONE, **how: Any) -> None:
        super().__init__(**how)
        self.settings = ServerGroup(
            name="g", audit="100%", audit_per_second=1000, out_of_band=out_of_band
        )
        self.metrics = GroupMetrics("g")
        self.catalogs = SimpleNamespace(name_of=lambda table: self.catalog.name_of(table.oid))
        self.audits = Audits(self, self.tokens)  # type: ignore[arg-type]
        self.audit = self.audits  # type: ignore[assignment]
        for pool in self.pools.values():
            pool.book = Book(pool)  # type: ignore[attr-defined]
        self.keep_idle(2)

    def hurry(self) -> None:
        """Nobody is there to be told."""

    def keep_idle(self, number: int) -> None:
        pool = self.pools[self.servers["primary"]]
        pool.idle = [pool.open() for _ in range(number)]

    def counted(self) -> dict[str, int]:
        return dict(self.metrics.audited.seen())

    def quarantined(self) -> list[str]:
        return self.audits.quarantined


class Book:
    """What is asked of a pool's book."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.limits = Limits(size=pool.size)

    @property
    def idle(self) -> list[Any]:
        return self.pool.idle

    @property
    def waiting(self) -> list[Any]:
        return self.pool.waiting

    @property
    def total(self) -> int:
        return len([one for one in self.pool.stage.links if one.server is self.pool.server])


class Log:
    """Keeps what is written down."""

    def __init__(self) -> None:
        self.errors: list[dict[str, Any]] = []
        self.known: list[dict[str, Any]] = []

    def error(self, text: str, **fields: Any) -> None:
        self.errors.append(fields)

    def info(self, text: str, **fields: Any) -> None:
        self.known.append(fields)


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    log = Log()
    monkeypatch.setattr(audits, "log", log)
    return log


async def turn() -> None:
    """What was to be done in the next turn of the loop is done."""
    await asyncio.sleep(0)


async def read(house: House, *values: str, by: str = "replica") -> None:
    """A client reads, from a replica, and the primary is asked too."""
    house >> client(SELECT) << asks(by, SELECT)
    house >> answers(by, result(*values)) << told(result(*values)) << released(by)
    house.quiet()  # nothing in front of that: the client has its answer
    await turn()


async def test_the_same_answer_is_counted() -> None:
    house = House()
    await read(house, "1", "2")
    house << asks("primary", SELECT)
    house >> answers("primary", result("2", "1")) << released("primary")
    assert house.counted() == {"same": 1}
    assert not house.quarantined()


async def test_a_wrong_answer_takes_its_tables_back_and_is_told_of_once(
    log: Log,
) -> None:
    house = House(cache=True)
    await read(house, "1")
    house << asks("primary", SELECT)
    house >> answers("primary", result("2")) << released("primary")
    assert house.counted() == {"different": 1}
    assert house.quarantined() == ["public.orders"]
    (line,) = log.errors
    assert line["tables"] == "public.orders"
    assert line["served_by"] == "replica:1"
    assert len(line["fingerprint"]) == 16
    house >> client(SELECT) << asks("primary", SELECT)
    house >> answers("primary", result("2")) << told(result("2")) << released("primary")
    assert house.reasons[-1] is Reason.AUDIT
    house.audits.follow(house.settings)
    assert not house.quarantined()
    house.sampler.follow(0.0, 1)


async def test_a_cached_answer_that_is_wrong_is_found() -> None:
    house = House(cache=True)
    await read(house, "1")
    house << asks("primary", SELECT)
    house >> answers("primary", result("1")) << released("primary")
    house.now += 1
    house >> client(SELECT) << at_once(result("1"))
    house.session.receive(SELECT)  # where the shell has counted
    house << told(result("1"))
    await turn()
    house << asks("primary", SELECT)
    house >> answers("primary", result("7")) << released("primary")
    assert house.counted() == {"same": 1, "different": 1}
    assert house.results is not None
    assert not [
        entry
        for entry in house.session.profile.context.entries.values()
        if (  # type: ignore[union-attr]
            house.ledger.fast_ok(entry.read_set, entry.version, house.now)
        )
    ]


async def test_a_commit_in_between_is_no_difference() -> None:
    house = House()
    await read(house, "1")
    house << asks("primary", SELECT)
    writes(house, "orders")
    house >> answers("primary", result("2")) << released("primary")
    assert house.counted() == {"changed": 1}
    house.ledger.position_arrived(house.ledger.ask_position(), Position(100))
    await read(house, "2")
    house << asks("primary", SELECT)
    mark = house.ledger.mark([house.catalog.table("orders")], house.tokens())
    house >> answers("primary", result("3")) << released("primary")
    house.ledger.rollback(mark)
    assert house.counted() == {"changed": 2}
    assert not house.quarantined()


async def test_a_definition_that_changed_in_between_is_no_difference() -> None:
    house = House()
    await read(house, "1")
    house << asks("primary", SELECT)
    house.planner.distrust("shop")
    house >> answers("primary", result("2")) << released("primary")
    assert house.counted() == {"changed": 1}


async def test_what_is_found_without_a_rule_is_found_by_comparing() -> None:
    """The proof that it can fail: a replica that lacks what it needs is believed here."""
    house = House()
    house.ledger.rules = Rules(need=False)
    writes(house, "orders")
    await read(house, "old")
    house << asks("primary", SELECT)
    house >> answers("primary", result("new")) << released("primary")
    assert house.quarantined() == ["public.orders"]


async def test_a_write_past_the_proxy_is_waited_for(log: Log) -> None:
    house = House(out_of_band=OutOfBand.WATCH)
    orders = house.catalog.table("orders")
    for is_innocent in (True, False):
        await read(house, "1")
        house << asks("primary", SELECT)
        house >> answers("primary", result("2")) << released("primary")
        assert house.quarantined() == ["public.orders"]
        house.now += 5.0
        if is_innocent:
            house.ledger.foreign_commit([orders], house.tokens())
        house.audits.upkeep(house.now)
        assert bool(house.quarantined()) is not is_innocent
        house.ledger.position_arrived(house.ledger.ask_position(), Position(100))
    assert not log.errors
    house.now += 8.0
    house.audits.upkeep(house.now)
    assert house.counted() == {"foreign": 1, "different": 1}
    assert len(log.errors) == 1


async def test_nobody_is_in_its_way() -> None:
    """One at a time, and the last connection that a pool may have is left to clients."""
    house = House(size=2)
    await read(house, "1")
    house << asks("primary", SELECT)
    await read(house, "1")
    assert house.counted() == {"skipped": 1}
    house >> answers("primary", result("1")) << released("primary")
    pool = house.pools[house.servers["primary"]]
    pool.idle.pop()
    await read(house, "1")
    house.quiet()
    assert house.counted() == {"same": 1, "skipped": 2}


async def test_it_is_stopped_when_somebody_waits() -> None:
    house = House()
    await read(house, "1")
    house << asks("primary", SELECT)
    house.audits.upkeep(house.now)
    house.quiet()
    house.pools[house.servers["primary"]].waiting.append(
        SimpleNamespace(acquired=lambda link: None)
    )  # type: ignore[arg-type]
    house.audits.upkeep(house.now)
    house << cancelled("primary")
    house.audits.upkeep(house.now)
    house >> answers("primary", error("57014") + IDLE) << released("primary")
    assert house.counted() == {"skipped": 1}


async def test_a_lost_connection_says_nothing() -> None:
    house = House()
    await read(house, "1")
    house << asks("primary", SELECT)
    house >> breaks("primary")
    house.quiet()
    assert house.counted() == {"skipped": 1}
    await read(house, "1")
    house << asks("primary", SELECT)


async def test_it_is_asked_as_the_session_that_asked() -> None:
    house = House()
    profile: Profile = house.session.profile
    profile.set("datestyle", "'German'")
    applied = query_message(
        house.dialect.apply(house.words.fresh.changes_to(profile.state, house.grammar))
    )
    house >> client(SELECT)
    house << asks("replica", applied + SELECT)
    house.events.clear()
    house >> answers("replica", IDLE + result("1"))
    house.events.clear()
    await turn()
    house << asks("primary", applied)
    house >> answers("primary", IDLE) << asks("primary", SELECT)
    house >> answers("primary", result("1")) << released("primary")
    assert house.counted() == {"same": 1}
