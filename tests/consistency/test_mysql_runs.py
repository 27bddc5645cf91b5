"""The promise over MariaDB and MySQL: see `test_runs`, whose variables make these longer, too."""

from __future__ import annotations

import asyncio
import os
from typing import Final

import pytest

from tests.consistency.anomalies import Kind, Verdict
from tests.consistency.engines import ENGINES
from tests.consistency.faults import MYSQL_REPLICA_FAULTS, Fault, Planned, plan
from tests.consistency.history import Act
from tests.consistency.mysql_doors import Aiomysql, PymysqlExecute
from tests.consistency.proxied import Place, Yield

SECONDS: Final = float(os.environ.get("TIDEGATE_SOAK_SECONDS", "7"))
SEED: Final = int(os.environ.get("TIDEGATE_SOAK_SEED", "1"))

TOO_OLD: Final = {
    *(Kind.TORN, Kind.STALE, Kind.WENT_BACK, Kind.FORK),
    *(Kind.OWN_WRITE_MISSED, Kind.OWN_READ_UNDONE),
}
ROUNDS: Final = 4

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
        verdict = ground.run(SECONDS, plans, seed=SEED, topics=PLAIN, doors=PLAIN_DOORS)
        yielded = Yield.of(proxy, cluster)
    text = told(verdict, yielded)
    assert verdict, text
    assert verdict.history.count(Act.READ) > 25 * SECONDS, text
    assert verdict.history.count(Act.WRITE) > 8 * SECONDS, text
    assert yielded.hits > SECONDS, text
    assert yielded.fills > SECONDS, text
    assert yielded.by_replicas > SECONDS / 2, text
    assert yielded.behind > SECONDS, text
    assert yielded.spared > SECONDS / 2, text
    assert max(it.bytes_behind for it in verdict.history.events) > 1000, text


@ONE
def test_nothing_is_stale_where_it_is_obscure_what_is_written(mysql_place: Place) -> None:
    """Procedures that commit and that make up their statements, commits that are implied."""
    topics = ("warm", "hot", *OBSCURE)
    with mysql_place.proxy() as (ground, proxy):
        verdict = ground.run(SECONDS / 2, seed=SEED, topics=topics)
        text = told(verdict, Yield.of(proxy, mysql_place.cluster))
    assert verdict, text
    assert verdict.history.count(Act.WRITE) > 4 * SECONDS, text


@ONE
def test_nothing_is_stale_when_the_primary_dies_and_is_replaced(mysql_place: Place) -> None:
    """Commits end in nobody knows what, epochs begin, and what was a replica takes writes."""
    primary = mysql_place.cluster.primary.name
    fates = [
        Planned(1.0, 0.2, primary, Fault.KILL),
        Planned(SECONDS / 2, 0.0, primary, Fault.SWITCH),
    ]
    with mysql_place.proxy(repeatable_read="versioned") as (ground, proxy):
        verdict = ground.run(SECONDS, [fates], seed=SEED, topics=PLAIN, doors=PLAIN_DOORS)
        text = told(verdict, Yield.of(proxy, mysql_place.cluster))
    assert verdict, text
    assert verdict.history.errors, text
    end = max(it.end for it in verdict.history.events)
    after = [it for it in verdict.history.operations if it.start > end]
    assert {it.act for it in after} == set(Act), text


def test_missing_rule_is_found(mysql_place: Place) -> None:
    """Replicas are read whether they have replayed a commit or not: the judge must say so."""
    replica = mysql_place.cluster.replicas[0].name
    lags = [Planned(0.4 * number, 0.3, replica, Fault.LAG) for number in range(6)]
    with mysql_place.proxy(without=["need"]) as (ground, _):
        for seed in range(ROUNDS):
            verdict = ground.run(2.5, [lags], seed=seed, topics=("warm", "cold", "transfer"))
            if not verdict:
                break
    assert verdict.kinds & TOO_OLD, verdict.report()
    assert verdict.kinds <= TOO_OLD, verdict.report()


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
