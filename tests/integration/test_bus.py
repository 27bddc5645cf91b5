"""A fleet over a real bus: it acknowledges, and whatever happens to the bus, nobody reads what is
old, and all are in step again by themselves."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any, cast
from urllib.parse import quote

import pytest
import redis as redis_py
import uvloop
from redis.exceptions import RedisError

from proxy.demo.certificates import Authority
from proxy.demo.processes import free_port, temporary_folder
from proxy.demo.programs import find_account
from proxy.errors import CannotListen
from proxy.freshness.codec import FORMAT, LONGEST
from proxy.runtime.bus.redis_bus import RedisBus
from proxy.runtime.bus.redis_link import PATIENCE
from proxy.runtime.bus.seam import Bus, Channel
from proxy.runtime.bus.socket_bus import SocketBus
from proxy.runtime.redis_clients import FAILURES, close_server, make_connection, open_server
from proxy.runtime.redis_stores import OneServer
from tests.integration.fleet_members import CHANNEL, Member, Members, until, while_writing
from tests.integration.redis_under_test import (
    PASSWORD,
    Redis,
    temporary_redis,
    temporary_sentinel,
)
from tests.integration.relay import Relay

NOTICED = (
    2.0  # seconds in which it is noticed that a bus says nothing; half of that, if all is well
)
BACK = 3.0  # seconds in which all are fast again once it is there


in_soak = pytest.mark.skipif("TIDEGATE_SOAK_SECONDS" not in os.environ, reason="in make soak")


class Recorder:
    """Listens to a channel, and writes down what comes."""

    def __init__(self) -> None:
        self.told: list[bytes] = []

    def heard(self, message: bytes) -> None:
        self.told.append(message)

    def broken(self) -> None:
        self.told.append(b"broken")


@pytest.fixture
def folder() -> Iterator[Path]:
    with temporary_folder() as place:
        yield place / "fleet"


@asynccontextmanager
async def started(buses: list[Bus]) -> AsyncIterator[Members]:
    members = Members(buses)
    try:
        await members.start()
        yield members
    finally:
        await members.close()


@pytest.fixture
async def over_redis(redis: Redis) -> AsyncIterator[Members]:
    async with started([RedisBus(redis.url) for _ in range(3)]) as members:
        yield members


@pytest.fixture
async def over_sockets(folder: Path) -> AsyncIterator[Members]:
    async with started([SocketBus(folder) for _ in range(3)]) as members:
        yield members


def files_in(folder: Path) -> int:
    return len(list(folder.iterdir()))


def remove_files_in(folder: Path) -> None:
    for file in folder.iterdir():
        file.unlink()


def said(caplog: pytest.LogCaptureFixture) -> str:
    """All that was logged."""
    return " ".join(str(record.__dict__) for record in caplog.records)


@pytest.fixture(params=["redis", "sockets"])
def members(request: pytest.FixtureRequest) -> Members:
    found: Members = request.getfixturevalue(f"over_{request.param}")
    return found


async def test_commits_are_acknowledged(members: Members) -> None:
    first, second, third = members.all
    before = [member.bus.counts.messages_in for member in members.all]
    for _ in range(5):
        assert await members.commit(first) < 0.3  # by acknowledgement, not as grants run out
        await members.are_fast()
        await members.commit(second)
        await members.are_fast()
    assert first.version == second.version == third.version
    for member, count in zip(members.all, before, strict=True):
        assert member.bus.counts.messages_in - count >= 10
        assert member.bus.counts.bytes_in > 10 * 50
        assert member.bus.counts.refused == 0


async def test_what_is_said_in_one_turn_is_one_message(members: Members) -> None:
    first = members.all[0]
    before = first.bus.counts.messages_out
    marks = [asyncio.create_task(first.mark()) for _ in range(50)]
    for mark in await asyncio.gather(*marks):
        first.commit(mark)
    await asyncio.sleep(0)
    assert first.bus.counts.messages_out - before <= 6  # marks, clears, a renewal with two notes


async def test_redis_is_killed_and_comes_back(redis: Redis, over_redis: Members) -> None:
    async def happens() -> None:
        redis.kill()
        await over_redis.are_slow(NOTICED)
        await asyncio.to_thread(redis.start)

    await while_writing(over_redis, happens)
    await over_redis.are_fast(BACK)
    assert all(member.bus.counts.ups == 2 for member in over_redis.all)


async def test_a_redis_that_says_nothing_is_noticed_in_a_second(
    redis: Redis, over_redis: Members
) -> None:
    async def happens() -> None:
        redis.pause()
        try:
            await until(lambda: not any(it.bus.counts.is_up for it in over_redis.all), NOTICED)
            assert not any(member.is_fast for member in over_redis.all)
        finally:
            redis.resume()

    await while_writing(over_redis, happens)
    await over_redis.are_fast(BACK)


@pytest.mark.parametrize("kind", ["pubsub", "normal"])
async def test_either_connection_is_killed(redis: Redis, over_redis: Members, kind: str) -> None:
    async def happens() -> None:
        before = [member.bus.counts.ups for member in over_redis.all]
        with redis.client() as client:
            client.client_kill_filter(_type=kind)
        await until(lambda: before != [member.bus.counts.ups for member in over_redis.all])

    await while_writing(over_redis, happens)
    await over_redis.are_fast(BACK)
    assert all(member.bus.counts.ups == 2 for member in over_redis.all)


def test_server_that_hung_up_is_gone_and_no_bug(redis: Redis) -> None:
    """Where it has just been noticed when something is sent, uvloop does not raise an OSError."""

    async def send() -> None:
        client = open_server(redis.url, timeout=1.0)
        connection = make_connection(client)
        await connection.connect()
        cast(Any, connection)._writer.transport.abort()  # as when it is reset
        await asyncio.sleep(0)
        with pytest.raises(FAILURES):
            await connection.send_packed_command(connection.pack_commands([(b"PING",)]), False)
        await connection.disconnect(nowait=True)
        await close_server(client)

    uvloop.run(send())


async def test_emptying_redis_changes_nothing(redis: Redis, over_redis: Members) -> None:
    async def happens() -> None:
        with redis.client() as client:
            client.flushall()

    await while_writing(over_redis, happens)
    await over_redis.are_fast()
    assert all(member.bus.counts.ups == 1 for member in over_redis.all)


async def test_nothing_of_a_new_connection_is_heard_before_it_is_said_that_one_broke(
    redis: Redis,
) -> None:
    """One speaks without a pause, another loses its connection, misses something, and is told."""
    speaker, hearer, recorder = RedisBus(redis.url), RedisBus(redis.url), Recorder()
    hearer.join(CHANNEL, "hearer", recorder)
    for bus in (speaker, hearer):
        await bus.open()
    await until(lambda: speaker.counts.is_up and hearer.counts.is_up)

    async def speak() -> None:
        number = 0
        while True:
            number += 1
            speaker.publish(CHANNEL, b"%d" % number)
            await asyncio.sleep(0)

    speaking = asyncio.create_task(speak())
    with redis.client() as client:
        for ups in range(2, 5):
            client.client_kill_filter(_type="pubsub")
            await until(lambda ups=ups: hearer.counts.ups == ups)  # type: ignore[misc]
            heard = len(recorder.told)
            await until(lambda heard=heard: len(recorder.told) > heard + 10)  # type: ignore[misc]
    speaking.cancel()
    await asyncio.gather(speaking, return_exceptions=True)
    for bus in (speaker, hearer):
        await bus.close()
    assert recorder.told.count(b"broken") >= 6
    for one, other in zip(recorder.told, recorder.told[1:], strict=False):
        if b"broken" not in (one, other):
            assert int(other) == int(one) + 1


async def test_more_than_can_wait_breaks_the_connection(redis: Redis) -> None:
    bus, recorder = RedisBus(redis.url), Recorder()
    bus.join(CHANNEL, "me", recorder)
    await bus.open()
    await until(lambda: bus.counts.is_up)
    recorder.told.clear()
    for _ in range(3):
        bus.publish(CHANNEL, bytes(LONGEST))
    await until(lambda: bus.counts.ups == 2)
    assert recorder.told == [b"broken", b"broken"]
    await bus.close()


async def test_the_largest_message_arrives(redis: Redis, folder: Path) -> None:
    for buses in ([RedisBus(redis.url) for _ in range(2)], [SocketBus(folder) for _ in range(2)]):
        recorders = [Recorder(), Recorder()]
        for bus, recorder in zip(buses, recorders, strict=True):
            bus.join(CHANNEL, "member", recorder)
            await bus.open()
        await until_heard(buses[0], recorders[1])
        message = bytes(range(256)) * (LONGEST // 256)
        buses[0].publish(CHANNEL, message)
        await until(lambda it=recorders[1]: len(it.told[-1]) == LONGEST)  # type: ignore[misc]
        assert recorders[1].told[-1] == message
        for bus in buses:
            await bus.close()


async def test_most_of_what_is_published_gets_no_answer(redis: Redis) -> None:
    bus = RedisBus(redis.url)
    bus.join(CHANNEL, "me", Recorder())
    await bus.open()
    await until(lambda: bus.counts.is_up)
    with redis.client() as client:
        client.config_resetstat()
        for _ in range(100):
            bus.publish(CHANNEL, b"?")
        await until(lambda: skipped(client) > 90)
    await bus.close()


def skipped(client: redis_py.Redis) -> int:
    stats = client.info("commandstats")
    calls: int = stats.get("cmdstat_client|reply", {"calls": 0})["calls"]
    return calls


@in_soak
async def test_a_slow_network_is_no_dead_server(redis: Redis) -> None:
    async with Relay(redis.port) as relay:
        url = redis.url.replace(str(redis.port), str(relay.port))
        buses, recorder = [RedisBus(url), RedisBus(url)], Recorder()
        buses[1].join(CHANNEL, "member", recorder)
        for bus in buses:
            await bus.open()
        await until_heard(buses[0], recorder)
        for direction in (relay.to_server, relay.to_client):
            direction.delay = 0.04  # for up to 64 kB
        began = monotonic()
        buses[0].publish(CHANNEL, bytes(2**20))
        await until(lambda: len(recorder.told[-1]) == 2**20)
        assert monotonic() - began > PATIENCE
        assert [bus.counts.ups for bus in buses] == [1, 1]
        for bus in buses:
            await bus.close()


@pytest.mark.parametrize("way", [pytest.param("to_server", marks=in_soak), "to_client"])
async def test_what_a_network_loses_is_noticed(redis: Redis, way: str) -> None:
    """One member is cut off, and nothing is closed: all stop, and go on when it is back."""
    async with Relay(redis.port) as relay:
        url = redis.url.replace(str(redis.port), str(relay.port))
        async with started([RedisBus(it) for it in (url, redis.url, redis.url)]) as members:

            async def happens() -> None:
                direction = getattr(relay, way)
                direction.loses = True
                await until(lambda: not members.all[0].bus.counts.is_up, NOTICED)
                await members.are_slow(NOTICED)
                direction.loses = False
                await relay.cut()  # what has lost something in between is no connection any more

            await while_writing(members, happens)
            await members.are_fast(BACK)
            assert [it.bus.counts.ups for it in members.all] == [2, 1, 1]


async def until_heard(bus: Bus, recorder: Recorder) -> None:
    """Wait until what one says comes to another."""
    while b"?" not in recorder.told:
        bus.publish(CHANNEL, b"?")
        await asyncio.sleep(0.01)


async def test_channels_are_apart(members: Members) -> None:
    """Other server groups, and other fleets, over the same bus."""
    first, second, _ = members.all
    others = [Channel("tests", "other"), Channel("other", "app")]
    recorders = [Recorder() for _ in others]
    for channel, recorder in zip(others, recorders, strict=True):
        second.bus.join(channel, second.name, recorder)
    while not all(b"?" in recorder.told for recorder in recorders):
        for channel in others:
            first.bus.publish(channel, b"?")
        await asyncio.sleep(0.01)
    await members.commit(first)
    await members.are_fast()
    first.bus.tell(others[0], second.name, b"!")
    await until(lambda: b"!" in recorders[0].told)
    assert {*recorders[0].told, *recorders[1].told} - {b"broken"} == {b"?", b"!"}
    second.bus.leave(others[0])
    first.bus.publish(others[0], b"gone")
    first.bus.publish(others[1], b"there")
    await until(lambda: b"there" in recorders[1].told)
    assert b"gone" not in recorders[0].told


async def test_what_is_no_message_of_the_fleet_is_counted_and_said_once(
    members: Members, caplog: pytest.LogCaptureFixture
) -> None:
    first, second, _ = members.all
    for _ in range(3):
        first.bus.publish(CHANNEL, b"\x09nonsense")
    await until(lambda: second.bus.counts.refused == 3)
    assert said(caplog).count(f"9, and {FORMAT} is known") == len(members.all) - 1
    await members.are_fast()


async def test_a_wrong_password_is_said_once_and_not_repeated(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    bus = RedisBus(redis.url.replace("not%20to", "nothing%20to"))
    await bus.open()
    await until(lambda: bool(caplog.records))
    await asyncio.sleep(0.5)  # several tries
    assert not bus.counts.is_up
    await bus.close()
    assert said(caplog).count("invalid username-password pair") == 1
    assert PASSWORD.removeprefix("not") not in said(caplog)


async def test_it_needs_few_rights_and_says_which_it_has_not(
    redis: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    rights = ["resetchannels", "&tidegate:*", "-@all", "+publish", "+subscribe", "+unsubscribe"]
    with redis.client() as client:
        user = ("ACL", "SETUSER", "fleet", "on", ">word", *rights)
        client.execute_command(*user, "+ping")
        url = f"redis://fleet:word@127.0.0.1:{redis.port}"
        async with started([RedisBus(url) for _ in range(3)]) as members:
            await members.commit(members.all[0])
            caplog.clear()
            client.execute_command(*user, "-publish")
            await members.are_slow()
            await asyncio.sleep(0.3)
            client.execute_command(*user, "+publish", "+ping")
            await members.are_fast(BACK)
        client.execute_command("ACL", "DELUSER", "fleet")
    assert said(caplog).count("publish") in range(1, 2 * len(members.all) + 1)


async def test_it_goes_over_tls(caplog: pytest.LogCaptureFixture) -> None:
    account = find_account()
    with temporary_folder() as place:
        authority = Authority(place)
        pair = authority.issue_server("redis")
        account.own(pair.certificate, pair.key)
        port = free_port()
        settings = {"tls-port": str(port), "tls-auth-clients": "no"}
        settings |= {"tls-cert-file": str(pair.certificate), "tls-key-file": str(pair.key)}
        settings |= {"tls-ca-cert-file": str(authority.certificate)}
        with temporary_redis(**settings):
            url = f"rediss://:{quote(PASSWORD)}@localhost:{port}"
            good = f"{url}?ssl_ca_certs={authority.certificate}"
            async with started([RedisBus(good) for _ in range(3)]) as members:
                await members.commit(members.all[0])
            stranger = RedisBus(url)
            await stranger.open()
            await until(lambda: "certificate verify failed" in said(caplog))
            await stranger.close()


async def test_a_cluster_loses_a_server(redis_cluster: tuple[Redis, Redis]) -> None:
    one, other = redis_cluster
    async with started([RedisBus(server.url) for server in (one, other, other)]) as members:

        async def happens() -> None:
            other.kill()
            await until(lambda: all(it.bus.counts.ups >= 2 for it in members.all[1:]))

        try:
            await while_writing(members, happens)
            await members.are_fast(BACK)
        finally:
            await asyncio.to_thread(other.start)


async def until_done(try_it: Callable[[], Awaitable[None]]) -> None:
    """Try something until it can be done: Sentinels take a new primary for dead at first."""
    async with asyncio.timeout(10.0):
        while True:
            with suppress(RedisError):
                return await try_it()
            await asyncio.sleep(0.05)


@in_soak
async def test_sentinels_name_another_primary(caplog: pytest.LogCaptureFixture) -> None:
    with temporary_sentinel() as (sentinel, primary):
        async with started([RedisBus(sentinel.url) for _ in range(3)]) as members:

            async def happens() -> None:
                primary.kill()
                await until(lambda: all(it.bus.counts.ups >= 2 for it in members.all), 30.0)

            await while_writing(members, happens)
            await members.are_fast(BACK)
        store = OneServer(sentinel.url, 1.0)  # the second level of the cache, by the same way
        await until_done(lambda: store.keep([(b"tidegate:r:1", b"rows")], 1000))
        assert await store.fetch([b"tidegate:r:1"]) == [b"rows"]
        await store.close()
    assert "redis.asyncio" not in said(caplog)


async def test_a_connection_between_two_members_ends(over_sockets: Members) -> None:
    first = over_sockets.all[0].bus
    assert isinstance(first, SocketBus)

    async def happens() -> None:
        for hearing in list(first._connections):
            hearing.abort()
        await until(lambda: len(first._connections) == 2)

    await while_writing(over_sockets, happens)
    await over_sockets.are_fast(BACK)
    assert first.counts.ups > 1


async def test_who_comes_is_found_and_who_ends_leaves_nothing(
    over_sockets: Members, folder: Path
) -> None:
    buses = [member.bus for member in over_sockets.all]
    assert all(isinstance(bus, SocketBus) for bus in buses)
    newcomer = Member(SocketBus(folder))
    await newcomer.bus.open()
    assert files_in(folder) == 4
    for member in over_sockets.all:
        member.fleet.admit(newcomer.name)
        member.carrier.poke()
    await newcomer.start(over_sockets.all)
    over_sockets.all.append(newcomer)
    await over_sockets.are_fast()
    await over_sockets.commit(newcomer)
    over_sockets.all.remove(newcomer)
    await newcomer.close()
    assert files_in(folder) == 3


async def test_the_file_of_a_dead_member_is_removed(folder: Path) -> None:
    bus = SocketBus(folder)
    await bus.open()
    for name in ("0123456789abcdef", "some-other-file"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
            dead.bind(str(folder / name))
            dead.listen()
    await until(lambda: not (folder / "0123456789abcdef").exists())
    assert (folder / "some-other-file").exists()
    await bus.close()


async def test_a_file_that_somebody_removed_is_made_again(
    over_sockets: Members, folder: Path
) -> None:
    remove_files_in(folder)
    await until(lambda: files_in(folder) == 3)
    await over_sockets.commit(over_sockets.all[0])
    await over_sockets.are_fast()


async def test_a_stranger_is_not_heard(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    bus = SocketBus(folder)
    await bus.open()
    reader, writer = await asyncio.open_unix_connection(str(folder / bus.identity))
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    assert await reader.read() == b""
    writer.close()
    await bus.close()
    assert "no member" in said(caplog)


async def test_a_folder_that_others_may_enter_is_refused(folder: Path) -> None:
    os.mkdir(folder, 0o755)
    with pytest.raises(CannotListen, match="0700"):
        await SocketBus(folder).open()
