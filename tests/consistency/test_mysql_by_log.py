"""MySQL without GTIDs, as it is by default: positions are places in the primary's log.

The runs are those of `test_mysql_runs`, whose variables make these longer, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import pymysql
import pytest

from proxy.demo.local_mysql import MySQLCluster
from proxy.demo.processes import wait_until
from tests.consistency.faults import MYSQL_REPLICA_FAULTS, Fault, plan
from tests.consistency.history import Act
from tests.consistency.proxied import CLIENT, Place, Yield
from tests.consistency.run import Ground
from tests.consistency.test_mysql_runs import (
    ON_BOTH,
    PLAIN,
    PLAIN_DOORS,
    SECONDS,
    SEED,
    judge_a_replaced_primary,
    told,
)
from tests.consistency.warm_up import warm_up
from tests.integration.proxy_under_test import ProxyUnderTest

pytestmark = pytest.mark.parametrize("mysql_place", ["mysql_by_log"], indirect=True)

soak = pytest.mark.skipif(not ON_BOTH, reason="in `make soak`: servers take long to be healed")

SHORT: Final = SECONDS if ON_BOTH else SECONDS / 2
FAULTS: Final = MYSQL_REPLICA_FAULTS if ON_BOTH else (Fault.LAG,)


def test_nothing_is_stale_while_replicas_lag(mysql_place: Place) -> None:
    cluster = mysql_place.cluster
    assert isinstance(cluster, MySQLCluster)
    names = [replica.name for replica in cluster.replicas]
    plans = plan(SEED, SHORT, names, FAULTS)
    with mysql_place.proxy(repeatable_read="versioned") as (ground, proxy):
        warm_up(ground.write_dsn, proxy, [replica.address for replica in cluster.replicas])
        before = Yield.of(proxy, cluster)
        verdict = ground.run(SHORT, plans, seed=SEED, topics=PLAIN, doors=PLAIN_DOORS)
        yielded = Yield.of(proxy, cluster).since(before)
        text = told(verdict, yielded)
        assert verdict, text
        assert verdict.history.count(Act.READ) > 15 * SHORT, text
        assert verdict.history.count(Act.WRITE) > 8 * SHORT, text
        assert yielded.behind > 0, text
        serve_what_they_have(cluster, Reads(ground, proxy, cluster))


def serve_what_they_have(cluster: MySQLCluster, reads: Reads) -> None:
    """Replicas that are held back are read from, but for what was written meanwhile."""
    wait_until(lambda: reads.is_served_by_replicas(reads.hot), "a replica to be read from")
    wait_until(lambda: reads.is_served_by_replicas(reads.cold), "a replica to be read from")
    for replica in cluster.replicas:
        replica.pause_replay()
    value = reads.hot()
    for _ in range(5):
        value += 1
        reads.write(value)
        assert not reads.is_served_by_replicas(reads.hot)
        assert reads.hot() == value
        assert reads.is_served_by_replicas(reads.cold)
    for replica in cluster.replicas:
        replica.resume_replay()
    wait_until(lambda: reads.is_served_by_replicas(reads.hot), "replicas to catch up")
    assert reads.hot() == value


@soak
def test_nothing_is_stale_when_the_primary_dies_and_is_replaced(mysql_place: Place) -> None:
    judge_a_replaced_primary(mysql_place)


@soak
def test_successor_is_not_read_stale_and_is_followed(mysql_place: Place) -> None:
    cluster = mysql_place.cluster
    assert isinstance(cluster, MySQLCluster)
    with mysql_place.proxy() as (ground, proxy):
        reads = Reads(ground, proxy, cluster)
        wait_until(lambda: reads.is_served_by_replicas(reads.hot), "a replica to be read from")
        value = reads.hot() + 1
        reads.write(value)
        cluster.wait_replayed()
        cluster.primary.kill()
        heir = cluster.replicas[0]
        cluster.fail_over(heir)
        role = {"server": heir.address, "role": "primary"}
        wait_until(lambda: proxy.metric("tidegate_server_role", **role) == 1, "the heir to lead")
        for _ in range(5):
            assert reads.hot() == value
            value += 1
            reads.write(value)
            assert reads.hot() == value
        wait_until(lambda: reads.is_served_by_replicas(reads.hot), "a replica to follow the heir")
        assert reads.hot() == value


class Reads:
    """Of a table that is written, and of one that is not; none that the cache has the answer to."""

    def __init__(self, ground: Ground, proxy: ProxyUnderTest, cluster: MySQLCluster) -> None:
        self._database = ground.database
        self._proxy = proxy
        self._cluster = cluster
        self._asked = 0

    def hot(self) -> int:
        return self._fetch("hot")

    def cold(self) -> int:
        return self._fetch("cold")

    def write(self, value: int) -> None:
        with self._login() as cursor:
            cursor.execute("UPDATE hot SET v = %s WHERE k = 1", (value,))

    def is_served_by_replicas(self, read: Callable[[], int]) -> bool:
        before = Yield.of(self._proxy, self._cluster).by_replicas
        read()
        return Yield.of(self._proxy, self._cluster).by_replicas > before

    def _fetch(self, table: str) -> int:
        self._asked += 1
        with self._login() as cursor:
            cursor.execute(f"SELECT v FROM {table} WHERE k = 1 AND v > -{self._asked}")
            ((value,),) = cursor.fetchall()
        return int(value)

    @contextmanager
    def _login(self) -> Iterator[pymysql.cursors.Cursor]:
        connection = pymysql.connect(
            host="127.0.0.1",
            port=self._proxy.port,
            user=CLIENT,
            password=self._cluster.password,
            database=self._database,
            autocommit=True,
        )
        with connection, connection.cursor() as cursor:
            yield cursor
