"""The promise over MariaDB and MySQL: see `test_runs`, whose variables make these longer, too."""

from __future__ import annotations

import asyncio
import os
from typing import Final

import pytest

from proxy.demo.local_mysql import MySQLCluster
from tests.consistency.anomalies import Verdict
from tests.consistency.engines import ENGINES
from tests.consistency.faults import MYSQL_REPLICA_FAULTS, Fault, Planned, plan
from tests.consistency.history import Act
from tests.consistency.mysql_doors import Aiomysql, PymysqlExecute
from tests.consistency.proxied import Place, Yield
from tests.consistency.warm_up import warm_up

SECONDS: Final = float(os.environ.get("TIDEGATE_SOAK_SECONDS", "5"))
SEED: Final = int(os.environ.get("TIDEGATE_SOAK_SEED", "1"))

OBSCURE: Final = ("called", "committed")
"""What is written so that nobody can tell, or with definitions: no read leaves the primary then."""

PLAIN: Final = tuple(name for name in ENGINES["mysql"].topics if name not in OBSCURE)
ON_BOTH: Final = "TIDEGATE_SOAK_SECONDS" in os.environ
ONE: Final = pytest.mark.parametrize(
    "mysql_place", ("mariadb", "mysql") if ON_BOTH else ("mariadb",), indirect=True
)
"""A run that MySQL has in `make soak` only, as its servers take long to start and to be healed."""

PLAIN_DOORS: Final = tuple(
    door.way for door in ENGINES["mysql"].doors if door is not PymysqlExecute
)


def test_nothing_is_stale_while_replicas_lag_and_die(mysql_place: Place) -> None:
    cluster = mysql_place.cluster
    names = [replica.name for replica in cluster.replicas]
    plans = plan(SEED, SECONDS, names, MYSQL_REPLICA_FAULTS)
    with mysql_place.proxy(repeatable_read="versioned") as (ground, proxy):
        warm_up(ground.write_dsn, proxy, [replica.address for replica in cluster.replicas])
        before = Yield.of(proxy, cluster)
        verdict = ground.run(SECONDS, plans, seed=SEED, topics=PLAIN, doors=PLAIN_DOORS)
        yielded = Yield.of(proxy, cluster).since(before)
    text = told(verdict, yielded)
    assert verdict, text
    reads = verdict.history.count(Act.READ)
    assert reads > 15 * SECONDS, text
    assert verdict.history.count(Act.WRITE) > 8 * SECONDS, text
    # How much there was is up to the machine. Shares: a third of what was seen on a busy one.
    assert yielded.hits > 0.01 * reads, text
    assert yielded.fills > 0.1 * reads, text
    assert yielded.by_replicas > 0, text
    assert yielded.by_replicas + yielded.invalidated > 0.01 * reads, text
    assert yielded.behind > 0.1 * reads, text
    assert yielded.pending > 0.01 * reads, text
    assert yielded.spared > 0.03 * reads, text
    assert max(it.bytes_behind for it in verdict.history.events) > 1000, text


@ONE
def test_nothing_is_stale_where_it_is_obscure_what_is_written(mysql_place: Place) -> None:
    """Procedures that commit and that make up their statements, commits that are implied.

    All that is told of them is what the servers have counted: nothing is watched.
    """
    topics = ("warm", "hot", *OBSCURE)
    cluster = mysql_place.cluster
    if isinstance(cluster, MySQLCluster) and cluster.flavour == "mariadb":
        cluster.primary.execute("SET GLOBAL userstat = ON")
    with mysql_place.proxy(out_of_band="none") as (ground, proxy):
        warm_up(ground.write_dsn, proxy, [it.address for it in cluster.replicas])
        verdict = ground.run(SECONDS / 2, seed=SEED, topics=topics)
        text = told(verdict, Yield.of(proxy, cluster))
        counted = proxy.metric("tidegate_commits_total", tables="counted")
    assert verdict, text
    assert verdict.history.count(Act.WRITE) > 4 * SECONDS, text
    assert counted, text


@ONE
def test_nothing_is_stale_when_the_primary_dies_and_is_replaced(mysql_place: Place) -> None:
    judge_a_replaced_primary(mysql_place)


def judge_a_replaced_primary(mysql_place: Place) -> None:
    """Commits end in nobody knows what, epochs begin, and what was a replica takes writes."""
    cluster = mysql_place.cluster
    primary = cluster.primary.name
    fates = [
        Planned(1.0, 0.2, primary, Fault.KILL),
        Planned(SECONDS / 2, 0.0, primary, Fault.SWITCH),
    ]
    with mysql_place.proxy(repeatable_read="versioned") as (ground, proxy):
        warm_up(ground.write_dsn, proxy, [it.address for it in cluster.replicas])
        verdict = ground.run(SECONDS, [fates], seed=SEED, topics=PLAIN, doors=PLAIN_DOORS)
        text = told(verdict, Yield.of(proxy, cluster))
        # Until what has become the primary is known, and who follows it.
        warm_up(ground.write_dsn, proxy, [it.address for it in cluster.replicas])
        later = ground.run(1.5, seed=SEED, topics=PLAIN, doors=PLAIN_DOORS)
    assert verdict, text
    assert verdict.history.errors, text
    assert later, later.report()
    assert {it.act for it in later.history.operations} == set(Act), later.report()


def told(verdict: Verdict, yielded: Yield) -> str:
    """Say what there was, for whoever has to find out what went wrong."""
    return f"seed {SEED}\n{yielded}\n{verdict.report()}"


@ONE
async def test_write_that_no_replica_hears_of_is_read_at_the_primary(mysql_place: Place) -> None:
    """Of a session without sql_log_bin: its table is the primary's, for good."""
    cluster = mysql_place.cluster
    primary = cluster.primary
    with mysql_place.proxy(cache=False) as (ground, proxy):
        silent, reader = Aiomysql(), Aiomysql()
        await silent.open(proxy.dsn(ground.database, user="root", password=primary.password))
        await reader.open(ground.write_dsn)
        while not Yield.of(proxy, cluster).by_replicas:
            await reader.fetch("SELECT v FROM cold WHERE k = 1")
        await silent.execute("SET SESSION sql_log_bin = 0")
        await silent.execute("UPDATE cold SET v = 1 WHERE k = 1")
        for _ in range(40):
            assert list(await reader.fetch("SELECT v FROM cold WHERE k = 1")) == [(1,)]
            await asyncio.sleep(0.05)
        await silent.close()
        await reader.close()
    primary.execute("SET SESSION sql_log_bin = 0; UPDATE cold SET v = 0", database=ground.database)
