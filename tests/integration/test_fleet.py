"""Several members in front of the same servers, as one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.demo.processes import wait_until
from tests.integration.grounds import Client, Ground, standing_on
from tests.integration.proxy_under_test import ProxyUnderTest

BOOK = "SELECT a FROM book"


standing = standing_on("postgres", "mariadb")


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    with standing.lent(book=0, other=0):
        yield standing


def until_fast(client: Client, sql: str = BOOK) -> None:
    wait_until(lambda: client.explain(sql)["cache"] == "hit now" or not client.ask(sql), "a hit")


def test_a_write_through_one_is_seen_through_the_others(ground: Ground, tmp_path: Path) -> None:
    url = f"unix://{tmp_path}/bus"
    members = [ground.start(bus_url=url, out_of_band="none") for _ in range(3)]
    clients = [ground.connect(member) for member in members]
    for client in clients:
        ground.wait_for_replicas(members[0], BOOK)
        until_fast(client)
    for number in range(1, 60):
        clients[number % 3].ask(f"UPDATE book SET a = {number}")
        assert [client.value(BOOK) for client in clients] == [number] * 3
    for client in clients:
        until_fast(client)
        client.__exit__(None, None, None)
    for member in members:
        member.stop()


def test_definitions_that_one_changes_count_for_the_others(ground: Ground, tmp_path: Path) -> None:
    """A view is read from other tables at once, and kept as long as those are what they were."""
    url = f"unix://{tmp_path}/bus"
    defines, reads = (ground.start(bus_url=url, out_of_band="none") for _ in range(2))
    with ground.connect(defines) as here, ground.connect(reads) as there:
        here.ask("CREATE VIEW shown AS SELECT a FROM book")
        try:
            ground.wait_for_replicas(reads, "SELECT a FROM shown")
            for number in range(1, 20):
                table = ("book", "other")[number % 2]
                until_fast(there, "SELECT a FROM shown")
                here.ask(f"CREATE OR REPLACE VIEW shown AS SELECT a FROM {table}")
                for _ in range(3):
                    there.ask("SELECT a FROM shown")
                here.ask(f"UPDATE {table} SET a = {number}")
                assert there.value("SELECT a FROM shown") == number
        finally:
            here.ask("DROP VIEW shown")
    defines.stop()
    reads.stop()


def test_workers_of_one_host_see_each_others_writes(ground: Ground) -> None:
    """Whichever they are that the kernel has given a client to."""
    proxy = ground.start(workers=3, out_of_band="none")
    until_members(proxy, 3)
    with ExitStack() as leaving:
        clients = [leaving.enter_context(ground.connect(proxy)) for _ in range(9)]
        ground.wait_for_replicas(proxy, BOOK)
        for number in range(1, 30):
            clients[number % 9].ask(f"UPDATE book SET a = {number}")
            assert [client.value(BOOK) for client in clients] == [number] * 9
    proxy.stop()


def members_of(member: ProxyUnderTest) -> float:
    return member.metric("tidegate_fleet_members")


def until_members(member: ProxyUnderTest, number: int) -> None:
    wait_until(lambda: members_of(member) == number, f"a fleet of {number}")


def test_who_leaves_and_who_is_killed_is_waited_for_no_longer(
    ground: Ground, tmp_path: Path
) -> None:
    """Others are fast again, and write meanwhile."""
    url = f"unix://{tmp_path}/bus"
    stays, leaves, dies = (ground.start(bus_url=url, out_of_band="none") for _ in range(3))
    with ground.connect(stays) as client:
        until_members(stays, 3)
        leaves.stop()
        until_members(stays, 2)
        ground.wait_for_replicas(stays, BOOK)
        dies.kill()
        client.ask("UPDATE book SET a = 7")
        assert client.value(BOOK) == 7
        until_members(stays, 1)
        ground.wait_for_replicas(stays, BOOK)
        until_fast(client)
        assert client.value(BOOK) == 7
    stays.stop()


def test_who_leaves_leaves_the_others_their_caches(ground: Ground, tmp_path: Path) -> None:
    """Though it has written; and who comes later is as good a member as any."""
    url = f"unix://{tmp_path}/bus"
    # The first makes schema tidegate, which changes definitions: the others' news for a while.
    ground.start(bus_url=url, out_of_band="none").stop()
    stays, leaves = (ground.start(bus_url=url, out_of_band="none") for _ in range(2))
    until_members(stays, 2)
    with ground.connect(stays) as client, ground.connect(leaves) as other:
        until_fast(other)  # before that it can't know what others have defined meanwhile
        for number in range(1, 4):
            other.ask(f"UPDATE book SET a = {number}")
        until_fast(client)
        leaves.stop()
        leaves.wait_logged("versions_go_on=true")
        until_members(stays, 1)
        asked = reads(stays) - reads(stays, server="cache")
        assert client.value(BOOK) == 3
        assert reads(stays) - reads(stays, server="cache") == asked
        comes = ground.start(bus_url=url, out_of_band="none")
        with ground.connect(comes) as newcomer:
            until_fast(newcomer)
            client.ask("UPDATE book SET a = 9")
            assert newcomer.value(BOOK) == 9
        comes.stop()
    stays.stop()


def reads(member: ProxyUnderTest, **labels: str) -> float:
    return member.metric("tidegate_reads_total", **labels)


def test_who_is_evicted_begins_anew(ground: Ground, tmp_path: Path) -> None:
    """Who has nothing under way notices nothing, and what is written then is seen by everybody."""
    url = f"unix://{tmp_path}/bus"
    stays, evicted = (ground.start(bus_url=url, out_of_band="none") for _ in range(2))
    until_members(stays, 2)
    with ground.connect(evicted) as client, ground.connect(stays) as other:
        until_fast(client)
        ground.cluster.primary.execute(
            "UPDATE tidegate.member SET standing = 'fenced'"
            f" WHERE label LIKE '%:{evicted.process.pid} %'"
        )
        evicted.wait_logged("this member was evicted")
        wait_until(lambda: evicted.get("/readyz")[0] == 200, "it to be a member again")
        client.ask("UPDATE book SET a = 8")
        assert other.value(BOOK) == 8
        until_members(stays, 2)
        ground.wait_for_replicas(stays, BOOK)
    stays.stop()
    evicted.stop()
