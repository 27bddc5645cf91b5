"""What a fleet keeps in its primary, on real servers."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest

from proxy.demo.local_mysql import CONTROL_USER, MySQLCluster
from proxy.demo.local_postgres import SUPERUSER
from proxy.topology.group import Server
from proxy.topology.mysql_views import open_mysql_views
from proxy.topology.postgres_views import open_postgres_views
from proxy.topology.views import Session, Standing, ViewStore
from proxy.topology.witness import Control
from proxy.types import NO_EPOCH, Epoch, Token
from tests.integration.grounds import Ground, standing_on

standing = standing_on("postgres", "mariadb")


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    """Servers on which nobody has been a member, and will not have been."""
    standing.drop_view()
    yield standing
    standing.heal()
    standing.drop_view()


class Stores:
    """Opens connections to the view, and closes them."""

    def __init__(self, ground: Ground) -> None:
        self.ground = ground
        self.opened: list[ViewStore] = []

    async def open(self) -> ViewStore:
        cluster = self.ground.cluster
        host, port = cluster.primary.address.rsplit(":", 1)
        is_mysql = isinstance(cluster, MySQLCluster)
        control = Control(
            user=CONTROL_USER if is_mysql else SUPERUSER,
            password=cluster.control_password if is_mysql else cluster.password,
            database="" if is_mysql else "postgres",
            application_name="tidegate test",
            tls=False,
            interval=1.0,
            timeout=10.0,
        )
        opener = open_mysql_views if is_mysql else open_postgres_views
        store = await opener(control, Server(host, int(port)))
        self.opened.append(store)
        await store.open()
        return store


@pytest.fixture
async def stores(ground: Ground) -> AsyncIterator[Stores]:
    stores = Stores(ground)
    yield stores
    for store in stores.opened:
        store.close()


def new_name() -> str:
    return secrets.token_hex(8)


async def test_members_come_and_go(stores: Stores) -> None:
    """Two enter; one is fenced, may write no more, and is gone with what it had."""
    first, second = await asyncio.gather(stores.open(), stores.open())  # both make the tables
    a, b = new_name(), new_name()
    assert (await first.read()).salt == (await second.read()).salt != b""
    assert list((await first.enter(a, "a host", settles=2.5)).rows) == [a]
    view = await second.enter(b, "b's")
    assert {name: row.standing for name, row in view.rows.items()} == {
        a: Standing.IN,
        b: Standing.IN,
    }

    assert [view.rows[name].settles for name in (a, b)] == [2.5, None]

    epoch = await first.begin(NO_EPOCH)
    assert await second.begin(NO_EPOCH) == epoch == (await second.read()).epoch
    assert not (await second.read()).is_over

    assert await second.admit(b, Session(11, 1.5))
    assert await second.admit(b, Session(12, 2.5))
    await second.forget(b, [Session(11, 1.5)])
    assert [it.pid for it in await first.sessions(b)] == [12]
    await first.fence(b)
    assert not await second.admit(b, Session(13, 3.5))
    assert [it.pid for it in await first.sessions(b)] == [12]
    assert (await second.read()).standing(b) is Standing.FENCED

    await first.expel(b)
    once = (await second.read()).rows
    await second.expel(b)  # the other one of those who wait for it
    assert (await second.read()).rows == once
    row = once[b]
    assert row.standing is Standing.GONE
    assert row.epoch == epoch
    assert row.step > 0
    assert await first.sessions(b) == []
    assert not await second.admit(b, Session(14, 3.5))
    assert not await second.admit(new_name(), Session(15, 3.5))


async def test_who_leaves_and_has_told_all_goes_without_a_step(stores: Stores) -> None:
    """Until somebody goes who has not: his step is for all of them."""
    store = await stores.open()
    a, b, c, d = (new_name() for _ in range(4))
    for name in (a, b, c, d):
        await store.enter(name, "")
    epoch = await store.begin(NO_EPOCH)
    assert await store.leave(a, [b, c, d], epoch)
    first = await store.read()
    assert first.rows[a].has_told
    assert first.rows[a].epoch == epoch
    assert not first.rows[b].has_told
    assert not await store.leave(b, [c], epoch)  # and not d
    second = await store.read()
    assert second.rows[a].step > 0
    assert second.rows[b].step > 0
    await store.fence(c)
    assert not await store.leave(c, [d], epoch)
    assert not await store.leave(d, [], epoch)  # nobody stays
    assert {row.standing for row in (await store.read()).rows.values()} == {Standing.GONE}


async def test_an_epoch_is_never_less_than_one_that_somebody_was_in(stores: Stores) -> None:
    """A failover may lose the row that told of it. Whoever was gone by then is nobody any more."""
    store = await stores.open()
    a = new_name()
    await store.enter(a, "")
    first = await store.begin(NO_EPOCH)
    await store.expel(a)
    behind = Epoch(first.number + 5, Token(7))
    later = await store.begin(behind)
    assert later > behind
    assert await store.begin(first) == later
    assert not (await store.read()).rows


async def test_who_is_there_is_seen(stores: Stores) -> None:
    first, second = await stores.open(), await stores.open()
    a = new_name()
    assert await second.silent_for(a) is None
    await first.be_seen(a)
    assert await second.silent_for(a) is not None
    assert await second.silent_for(new_name()) is None
    first.close()
    async with asyncio.timeout(10):
        await until_unseen(second, a)


async def until_unseen(store: ViewStore, name: str) -> None:
    while True:
        if await store.silent_for(name) is None:
            return
        await asyncio.sleep(0.01)


async def test_a_crash_ends_the_epoch(stores: Stores) -> None:
    """What the primary has lost in it must not be served any more."""
    store = await stores.open()
    epoch = await store.begin(NO_EPOCH)
    primary = stores.ground.cluster.primary
    primary.kill()
    await asyncio.to_thread(primary.start)
    store, other = await stores.open(), await stores.open()
    assert (await store.read()).is_over
    later = await store.begin(epoch)
    assert later > epoch
    assert await other.begin(epoch) == later
    assert not (await other.read()).is_over
