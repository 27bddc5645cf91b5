"""Members of a fleet that read the primary's log: what others of it write is not foreign to them.

Counters are compared once a minute here, so that it is the log that tells, and nothing else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.demo.local_mysql import CONTROL_USER, LOG_RIGHTS, MySQLCluster
from proxy.demo.processes import wait_until
from tests.integration.grounds import Client, Ground, standing_on
from tests.integration.proxy_under_test import ProxyUnderTest

IS_SOAK = "TIDEGATE_SOAK_SECONDS" in os.environ
WRITES = 200 if IS_SOAK else 5
BOOK = "SELECT a FROM book"

standing = standing_on("postgres", *(["mariadb", "mysql"] if IS_SOAK else []))


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    cluster = standing.cluster
    with standing.lent(book=0, other=0):
        if isinstance(cluster, MySQLCluster):
            rights = LOG_RIGHTS[cluster.flavour]
            cluster.primary.execute(f"GRANT {rights} ON *.* TO {CONTROL_USER}")
            cluster.wait_replayed()
        yield standing
        if isinstance(cluster, MySQLCluster):
            cluster.primary.execute(f"REVOKE {rights} ON *.* FROM {CONTROL_USER}")


def members(ground: Ground, tmp_path: Path) -> list[ProxyUnderTest]:
    """Two that read the log; the second one has each read wait for it."""
    url = f"unix://{tmp_path}/bus"
    started = [
        ground.start(bus_url=url, out_of_band=how, out_of_band_interval="60s")
        for how in ("cdc", "strict")
    ]
    for member in started:
        with ground.connect(member) as client:
            client.ask(BOOK)
        wait_until(lambda it=member: it.metric("tidegate_changes_followed") == 1, "the log")
    return started


def foreign(ground: Ground, member: ProxyUnderTest) -> float:
    return member.metric("tidegate_foreign_writes_total", table=f"{ground.schema}.book")


def until_hit(client: Client) -> None:
    def is_hit() -> bool:
        client.ask(BOOK)
        return client.explain(BOOK)["cache"] == "hit now"

    wait_until(is_hit, "a hit")


def test_what_others_of_the_fleet_write_is_not_foreign(ground: Ground, tmp_path: Path) -> None:
    """One at a time, and so fast that tokens linger; then somebody else writes, too."""
    here, there = members(ground, tmp_path)
    with ground.connect(here) as one, ground.connect(there) as two, ground.connect() as past:
        until_hit(two)
        before = [foreign(ground, member) for member in (here, there)]
        for number in range(1, WRITES + 1):
            one.ask(f"UPDATE book SET a = {number}")
            assert two.value(BOOK) == number
            until_hit(two)
        for _ in range(10 * WRITES):
            one.ask("UPDATE book SET a = a + 1")
        assert two.value(BOOK) == 11 * WRITES
        for client in (one, two):
            until_hit(client)
        # On MariaDB the counters tell, besides, that a table's file was not known at first.
        spare = 0 if ground.engine == "postgres" else 2
        for member, known in zip((here, there), before, strict=True):
            assert foreign(ground, member) <= known + spare
        value = 11 * WRITES
        known = [foreign(ground, member) for member in (here, there)]
        for writer in (one, past, two, past, past, one) * (WRITES // 5):
            writer.ask("UPDATE book SET a = a + 1")
            value += 1
            assert two.value(BOOK) == value
        for member, client, was in zip((here, there), (one, two), known, strict=True):
            wait_until(lambda it=member, was=was: foreign(ground, it) > was, "others to be found")
            wait_until(lambda it=client: it.value(BOOK) == value, "what others wrote to be seen")
            until_hit(client)
    for member in (here, there):
        member.stop()
