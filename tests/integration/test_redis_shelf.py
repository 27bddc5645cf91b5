"""The shelf over a real Redis: it finds what it keeps, and whatever Redis does costs no more than a
moment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from urllib.parse import quote

import pytest

from proxy.cache.breaker import LATE
from proxy.cache.sealed import NAME_BYTES, PREFIX, Realm, Sealed
from proxy.cache.second import LIFE, Lookup, Outcome, SecondLevel, Statistics, Turn, Write
from proxy.demo.certificates import Authority
from proxy.demo.processes import free_port, temporary_folder, wait_until
from proxy.demo.programs import find_account
from proxy.runtime.redis_shelf import MOST_WAITING, RedisShelf
from tests.integration.redis_under_test import PASSWORD, Redis, temporary_redis
from tests.unit.cache.lookups import Asker

TIMEOUT = 0.05
SLACK = 0.2  # for a machine that has much to do


class Shelf:
    """A shelf, and who asks it."""

    def __init__(self, url: str, *, is_cluster: bool = False) -> None:
        self.statistics = Statistics()
        self.realm = Realm(b"the salt of this fleet")
        self.shelf = RedisShelf(
            "g",
            url,
            self.realm,
            self.statistics,
            is_cluster=is_cluster,
            timeout=TIMEOUT,
            lifetime=60.0,
            compress_above=4096,
        )
        level = SecondLevel(self.realm, self.shelf, self.statistics, max_bytes=1 << 20)
        level.is_shared = True
        self.asker = Asker(level)
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self.shelf.start(lambda work: self.tasks.append(loop.create_task(work)))

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.shelf.close()

    async def until(self, condition: Callable[[], bool]) -> None:
        await asyncio.to_thread(wait_until, condition, "the shelf", timeout=10.0)

    async def is_asked(self) -> None:
        await self.until(lambda: self.shelf.breaker.allows)

    async def keeps(self, name: bytes, *pieces: bytes) -> None:
        """Keep a result, and wait until it is there."""
        before = self.statistics.writes.counts[Write.STORED]
        self.shelf.put(name, self.asker.version, pieces)
        await self.until(lambda: self.statistics.writes.counts[Write.STORED] > before)

    async def finds(self, *names: bytes) -> list[Sealed | None]:
        """Ask for all of them in one turn of the loop."""
        lookups = [self.asks(name) for name in names]
        await self.until(lambda: all(lookup.is_over for lookup in lookups))
        return [lookup.found for lookup in lookups]

    def asks(self, name: bytes) -> Lookup:
        lookup = self.asker.lookup(name)
        assert self.shelf.get(lookup)
        return lookup

    def misses(self, name: bytes, saved: float) -> Lookup:
        """Ask for what takes a server so many seconds."""
        lookup = self.asker.lookup(name, time.monotonic(), saved)
        assert self.shelf.get(lookup)
        return lookup

    def turns(self, turn: Turn) -> int:
        return self.statistics.turns.counts[turn]

    def has(self, outcome: Outcome) -> int:
        return self.statistics.reads.counts[outcome]


def name_of(number: int) -> bytes:
    return number.to_bytes(NAME_BYTES, "big")


def said(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged."""
    return " ".join(str(record.__dict__) for record in caplog.records)


@pytest.fixture
async def shelf(redis: Redis) -> AsyncIterator[Shelf]:
    """One that is asked."""
    shelf = Shelf(redis.url)
    shelf.start()
    await shelf.is_asked()
    yield shelf
    await shelf.close()


async def test_what_is_kept_is_found(shelf: Shelf) -> None:
    large = b"row" * 20_000
    await shelf.keeps(name_of(1), b"columns", large)
    found, other = await shelf.finds(name_of(1), name_of(2))
    assert found == Sealed(shelf.asker.version, (b"columns", large))
    assert other is None
    assert shelf.statistics.reads.counts[Outcome.HIT] == 1


async def test_what_is_in_redis_has_a_lifetime_and_tells_nothing(
    redis: Redis, shelf: Shelf
) -> None:
    await shelf.keeps(name_of(3), b"columns", b"rows" * 10_000)
    key = PREFIX + name_of(3).hex().encode()
    with redis.client() as client:
        assert 0 < client.pttl(key) <= 60_000
        assert client.strlen(key) < 10_000


async def test_what_is_asked_in_one_turn_is_one_command(redis: Redis, shelf: Shelf) -> None:
    with redis.client() as client:
        client.config_resetstat()
        await shelf.finds(*map(name_of, range(100)))
        assert client.info("commandstats")["cmdstat_mget"]["calls"] == 1


async def test_what_somebody_else_has_written_there_is_not_believed(
    redis: Redis, shelf: Shelf
) -> None:
    with redis.client() as client:
        client.set(PREFIX + name_of(4).hex().encode(), b"rows of somebody else's")
    assert await shelf.finds(name_of(4)) == [None]
    assert shelf.has(Outcome.REFUSED) == 1


async def test_too_much_to_be_written_at_once_is_dropped(shelf: Shelf) -> None:
    for number in range(MOST_WAITING + 50):
        shelf.shelf.put(name_of(number), 1, (b"", b"x"))
    writes = shelf.statistics.writes.counts
    assert writes[Write.DROPPED] == 50
    await shelf.until(lambda: writes[Write.STORED] == MOST_WAITING)


async def test_of_those_who_miss_at_once_one_asks_and_the_others_get_its_result(
    redis: Redis, shelf: Shelf
) -> None:
    """A claim is renewed for as long as it is held, and an entry is found behind it."""
    others = [Shelf(redis.url), Shelf(redis.url)]
    for other in others:
        other.start()
        await other.is_asked()
    all_of_them = [shelf, *others]
    lookups = [each.misses(name_of(11), 2.0) for each in all_of_them]
    await shelf.until(lambda: any(it.leads for it in lookups))
    (leader,) = [each for each, lookup in zip(all_of_them, lookups, strict=True) if lookup.leads]
    (lead,) = [lookup for lookup in lookups if lookup.leads]
    leader.shelf.hold(lead.claim, lead.held_until)
    await asyncio.sleep(2 * LIFE)
    assert [lookup.is_over for lookup in lookups].count(True) == 1
    await leader.keeps(name_of(11), b"", b"rows")
    leader.shelf.let_go(lead.claim)
    await shelf.until(lambda: all(it.is_over for it in lookups))
    assert [lookup.found is not None for lookup in lookups].count(True) == 2
    for other in others:
        await other.close()


async def test_who_asks_and_is_gone_costs_the_others_a_moment(redis: Redis, shelf: Shelf) -> None:
    other = Shelf(redis.url)
    other.start()
    await other.is_asked()
    dies = other.misses(name_of(12), 60.0)
    await other.until(lambda: dies.leads)
    other.shelf.hold(dies.claim, dies.held_until)
    waits = shelf.misses(name_of(12), 60.0)
    await asyncio.sleep(2 * LIFE)
    assert not waits.is_over
    await other.close()
    began = time.monotonic()
    await shelf.until(lambda: waits.is_over)
    assert time.monotonic() - began < LIFE + SLACK
    assert shelf.turns(Turn.GONE) == 1


async def test_nobody_waits_for_another_while_the_store_is_dead(redis: Redis, shelf: Shelf) -> None:
    first = shelf.misses(name_of(13), 60.0)
    await shelf.until(lambda: first.leads)
    second = shelf.misses(name_of(13), 60.0)
    await asyncio.sleep(TIMEOUT)
    assert not second.is_over
    redis.kill()
    began = time.monotonic()
    await shelf.until(lambda: second.is_over)
    assert time.monotonic() - began < TIMEOUT + SLACK
    assert shelf.turns(Turn.FAILED) == 1
    redis.start()
    await shelf.is_asked()


async def test_a_paused_store_is_waited_for_once_or_twice_and_then_skipped(
    redis: Redis, shelf: Shelf
) -> None:
    await shelf.keeps(name_of(5), b"", b"rows")
    redis.pause()
    try:
        for _ in range(LATE):
            began = time.monotonic()
            assert await shelf.finds(name_of(5)) == [None]
            assert time.monotonic() - began < TIMEOUT + SLACK
        assert not shelf.shelf.get(shelf.asker.lookup(name_of(5)))
        assert shelf.has(Outcome.LATE) == LATE
        shelf.shelf.put(name_of(5), 1, (b"", b"x"))
        assert shelf.statistics.writes.counts[Write.SKIPPED] == 1
    finally:
        redis.resume()
    await shelf.is_asked()
    (found,) = await shelf.finds(name_of(5))
    assert found is not None


async def test_an_answer_is_not_late_because_nobody_has_looked(shelf: Shelf) -> None:
    """The loop is held up for longer than a fetch may take, behind the sending of one."""
    await shelf.keeps(name_of(10), b"", b"rows")
    await shelf.finds(name_of(10))
    for _ in range(10):
        lookup = shelf.asks(name_of(10))
        for _ in range(3):
            await asyncio.sleep(0)
        time.sleep(1.2 * TIMEOUT)  # noqa: ASYNC251
        await shelf.until(lambda lookup=lookup: lookup.is_over)  # type: ignore[misc]
        assert lookup.found is not None


async def test_a_dead_store_is_skipped_until_it_is_back(redis: Redis, shelf: Shelf) -> None:
    redis.kill()
    began = time.monotonic()
    assert await shelf.finds(name_of(6)) == [None]
    assert time.monotonic() - began < TIMEOUT + SLACK
    assert not shelf.shelf.breaker.allows
    redis.start()
    await shelf.is_asked()
    await shelf.keeps(name_of(6), b"", b"rows")
    (found,) = await shelf.finds(name_of(6))
    assert found is not None


@pytest.mark.parametrize(
    ("setting", "value", "before", "why"),
    [("maxmemory", "1", "0", "maxmemory"), ("min-replicas-to-write", "1", "0", "NOREPLICAS")],
    ids=["full", "refuses writes"],
)
async def test_a_store_that_cant_be_written_to_is_skipped(
    redis: Redis,
    shelf: Shelf,
    caplog: pytest.LogCaptureFixture,
    setting: str,
    value: str,
    before: str,
    why: str,
) -> None:
    with redis.client() as client:
        client.config_set(setting, value)
        try:
            shelf.shelf.put(name_of(7), 1, (b"", b"rows"))
            await shelf.until(lambda: not shelf.shelf.breaker.allows)
            assert shelf.statistics.writes.counts[Write.FAILED] == 1
            assert why in said(caplog)
            assert "SET" not in said(caplog)
        finally:
            client.config_set(setting, before)
    await shelf.is_asked()


async def test_a_replica_is_not_asked(redis: Redis, shelf: Shelf) -> None:
    with redis.client() as client:
        client.replicaof("127.0.0.1", "1")
        try:
            shelf.shelf.put(name_of(8), 1, (b"", b"x"))
            await shelf.until(lambda: not shelf.shelf.breaker.allows)
        finally:
            client.replicaof("NO", "ONE")
    await shelf.is_asked()


async def test_a_wrong_password_is_said_and_not_repeated(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    shelf = Shelf(redis.url.replace("not%20to", "nothing%20to"))
    shelf.start()
    await shelf.until(lambda: shelf.shelf.breaker.wait(0.0) > 0.0)
    assert not shelf.shelf.get(shelf.asker.lookup(name_of(9)))
    await shelf.close()
    assert "password" in said(caplog)
    assert PASSWORD.removeprefix("not") not in said(caplog)


async def test_it_is_reached_by_tls_if_an_authority_vouches_for_it_and_by_a_socket() -> None:
    account = find_account()
    with temporary_folder() as folder:
        authority = Authority(folder)
        pair = authority.issue_server("redis")
        account.own(pair.certificate, pair.key)
        port, path = free_port(), account.make_folder(folder / "socket") / "redis.sock"
        settings = {"tls-port": str(port), "tls-auth-clients": "no", "unixsocket": str(path)}
        settings |= {"tls-cert-file": str(pair.certificate), "tls-key-file": str(pair.key)}
        settings |= {"tls-ca-cert-file": str(authority.certificate)}
        with temporary_redis(**settings):
            word = quote(PASSWORD)
            for url in (
                f"rediss://:{word}@localhost:{port}/0?ssl_ca_certs={authority.certificate}",
                f"unix://:{word}@{path}?db=1",
            ):
                shelf = Shelf(url)
                shelf.start()
                await shelf.is_asked()
                await shelf.close()
            stranger = Shelf(f"rediss://:{word}@localhost:{port}/0")
            stranger.start()
            await stranger.until(lambda: stranger.shelf.breaker.wait(0.0) > 0.0)
            await stranger.close()


async def test_what_is_no_redis_is_not_asked() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"220 mail.example ESMTP\r\n" * 10)
        writer.close()

    other = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    shelf = Shelf(f"redis://127.0.0.1:{port}")
    shelf.start()
    await shelf.until(lambda: shelf.shelf.breaker.wait(0.0) > 0.0)
    assert all(not task.done() for task in shelf.tasks)
    await shelf.close()
    other.close()
    await other.wait_closed()


async def test_a_cluster_is_asked_where_it_was_said_to_be_one(
    redis_cluster: tuple[Redis, Redis],
) -> None:
    one, other = redis_cluster
    shelf = Shelf(one.url, is_cluster=True)
    shelf.start()
    await shelf.is_asked()
    names = [name_of(number) for number in range(20)]
    for name in names:
        shelf.shelf.put(name, shelf.asker.version, (b"columns", name))
    await shelf.until(lambda: shelf.statistics.writes.counts[Write.STORED] == len(names))
    found = await shelf.finds(*names, name_of(99))
    assert [each and each.pieces[1] for each in found] == [*names, None]
    missed = [shelf.misses(name_of(number), 60.0) for number in range(100, 120)]
    await shelf.until(lambda: all(lookup.leads for lookup in missed))
    shelf.shelf.hold(missed[0].claim, missed[0].held_until)
    await asyncio.sleep(1.5 * LIFE)
    waits = shelf.misses(name_of(100), 60.0)
    assert await shelf.finds(name_of(1)) != [None]
    assert not waits.is_over
    shelf.shelf.let_go(missed[0].claim)
    await shelf.until(lambda: waits.is_over)
    assert shelf.turns(Turn.GONE) == 1
    other.kill()
    assert await shelf.finds(*names) == [None] * len(names)
    assert not shelf.shelf.breaker.allows
    other.start()
    tries = 0
    found = []
    while not any(found):  # the other's own are gone with it
        assert tries < 100
        tries += 1
        await shelf.is_asked()
        found = await shelf.finds(*names)
    await shelf.close()


async def test_a_cluster_of_which_it_knows_nothing_is_not_asked(
    redis_cluster: tuple[Redis, Redis],
) -> None:
    for server in redis_cluster:
        shelf = Shelf(server.url)
        shelf.start()
        await shelf.until(lambda shelf=shelf: shelf.shelf.breaker.wait(0.0) > 0.0)  # type: ignore[misc]
        await shelf.close()
