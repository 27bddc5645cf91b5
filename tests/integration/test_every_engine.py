"""What a proxy does whatever its engine, on real servers: one suite for all of them.

MySQL has it in `make soak`: what can be MySQL's alone is in `test_mysql_conversations`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from proxy.demo.processes import wait_until
from tests.integration.grounds import ERRORS, Client, Ground, standing_on
from tests.integration.proxy_under_test import ProxyUnderTest

ENGINES = ["postgres", "mariadb"]
if "TIDEGATE_SOAK_SECONDS" in os.environ:
    ENGINES.append("mysql")

BOUND = 1.0
"""Seconds by which what a bounded reader sees may be old."""


standing = standing_on(*ENGINES)


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    """All servers up and in step, and brought back to that afterwards."""
    yield standing
    standing.heal()


# Weaker contracts, with replicas that stand still.


@pytest.fixture(scope="module", params=[False, True], ids=["uncached", "cached"])
def proxy_of_contracts(request: pytest.FixtureRequest, standing: Ground) -> ProxyUnderTest:
    standing.make(clock=0, other=0)
    proxy = standing.start(cache=request.param, out_of_band="none")
    standing.wait_for_replicas(proxy, "SELECT a FROM clock")
    return proxy


@pytest.fixture
def proxy(ground: Ground, proxy_of_contracts: ProxyUnderTest) -> ProxyUnderTest:
    with ground.connect(proxy_of_contracts) as client:
        write(client, 0)
        write(client, 0, "other")
    ground.cluster.wait_replayed()
    ground.wait_for_replicas(proxy_of_contracts, "SELECT a FROM clock")
    return proxy_of_contracts


def read(client: Client, table: str = "clock", hint: str = "") -> Any:
    return client.value(f"{hint and f'/* tidegate: {hint} */ '}SELECT a FROM {table}")


def write(client: Client, value: int, table: str = "clock") -> None:
    client.ask(f"UPDATE {table} SET a = {value}")


def test_strong_is_never_stale_while_others_may_be(ground: Ground, proxy: ProxyUnderTest) -> None:
    with ground.connect(proxy) as strong, ground.connect(proxy, consistency="eventual") as loose:
        assert (read(strong), read(loose)) == (0, 0)
        ground.stand_still()
        for value in range(1, 20):
            write(strong, value)
            assert read(strong) == value
            # What a strong read has fetched and left in the cache is good enough as well.
            assert read(loose) in (0, value)
            assert read(strong, hint="consistency=eventual") in (0, value)
            assert read(loose, hint="consistency=strong") == value
        write(strong, 20)
        assert read(loose, hint="consistency=eventual cache=never") == 0


def test_bounded_is_as_old_as_it_may_be_and_then_asks_the_primary(
    ground: Ground, proxy: ProxyUnderTest
) -> None:
    with (
        ground.connect(proxy) as writer,
        ground.connect(proxy, consistency="bounded", max_staleness=f"{BOUND}s") as bounded,
    ):
        wait_until(lambda: read(bounded) == 0, "what was there before to be too old")
        for _ in range(20):  # positions are read more often from here on
            read(bounded)
            time.sleep(0.02)
        ground.stand_still()
        written: list[float] = []
        old = fresh = 0
        began = time.monotonic()
        while time.monotonic() - began < 2 * BOUND:
            write(writer, len(written) + 1)
            written.append(time.monotonic())
            asked = time.monotonic()
            shown = read(bounded)
            must = sum(when <= asked - BOUND for when in written)
            assert must <= shown <= len(written), "older than it may be"
            old += shown < len(written)
            fresh += shown == len(written)
            time.sleep(0.01)
        assert old > 5, "nothing was served by a replica"
        assert fresh > 0, "the primary was never asked"


def test_a_session_sees_what_it_wrote_and_never_goes_back(
    ground: Ground, proxy: ProxyUnderTest
) -> None:
    """Replicas stand still by turns, so that they differ; somebody else writes all the while."""
    replicas = ground.cluster.replicas
    with (
        ground.connect(proxy, consistency="session", max_staleness=f"{BOUND}s") as session,
        ground.connect(proxy) as writer,
    ):
        seen = mine = 0
        began = time.monotonic()
        turn = 0
        while time.monotonic() - began < 2.0:
            turn += 1
            if turn % 20 == 0:
                standing, going = replicas[:: 1 if turn % 40 else -1]
                going.resume_replay()
                standing.pause_replay()
            write(writer, turn)
            if turn % 10 == 0:
                mine += 1
                write(session, mine, "other")
            assert read(session, "other") == mine
            for _ in range(3):
                shown = read(session)
                assert seen <= shown <= turn, "it went back in time"
                seen = shown
                time.sleep(0.003)


def test_a_session_stays_with_the_replica_it_reads_from(
    ground: Ground, proxy: ProxyUnderTest
) -> None:
    """What others write it need not see at once: nobody asks the primary for that."""
    with (
        ground.connect(proxy, consistency="session", max_staleness="30s") as session,
        ground.connect(proxy) as writer,
    ):
        turn = 0

        def is_behind() -> bool:
            nonlocal turn
            for replica in ground.cluster.replicas:
                replica.resume_replay()
            ground.cluster.wait_replayed()
            for _ in range(10):
                assert read(session, hint="cache=never") == turn
                time.sleep(0.03)
            ground.stand_still()
            turn += 1
            write(writer, turn)
            return bool(read(session, hint="cache=never") < turn)

        wait_until(is_behind, "a read that is not the newest")
        write(session, 1, "other")
        assert read(session, "other") == 1


def test_what_one_session_wrote_is_seen_by_whom_it_hands_its_position(
    ground: Ground, proxy: ProxyUnderTest
) -> None:
    replica, other = ground.cluster.replicas
    with (
        ground.connect(proxy) as writer,
        ground.connect(proxy, consistency="eventual") as worker,
    ):
        wait_until(lambda: read(worker) == 0, "what was there before to be served")
        ground.stand_still()
        write(writer, 1)
        assert read(worker) == 0, "it sees what is new without being told to"
        position = writer.value("SHOW tidegate.position")
        assert len(position) < 100
        for nothing in (position[:-1], "0/0", f"{position}1"):
            assert worker.code(f"SET tidegate.position = '{nothing}'") in ("22023", "1231")
        assert read(worker) == 0

        worker.ask(f"SET tidegate.position = '{position}'")
        assert read(worker) == 1
        write(writer, 2)
        assert read(worker) in (1, 2)
        worker.ask("SET tidegate.position = DEFAULT")
        assert read(worker, hint="cache=never") == 0

        write(writer, 3)
        write(writer, 1, "other")
        worker.ask(f"SET tidegate.position = '{writer.value('SHOW tidegate.position')}'")
        replica.resume_replay()
        wait_until(
            lambda: (
                worker.explain("SELECT a FROM clock")["goes to"] == f"replica {replica.address}"
            ),
            "the replica that has it to serve it",
        )
        assert (read(worker), read(worker, "other")) == (3, 1)
        other.resume_replay()


@pytest.mark.parametrize("proxy_of_contracts", [False], ids=["uncached"], indirect=True)
def test_a_position_means_the_same_to_another_member(
    ground: Ground, proxy: ProxyUnderTest, busy: ProxyUnderTest
) -> None:
    """One that knows nothing of what was written: it was just started, perhaps."""
    with (
        ground.connect(busy) as writer,
        ground.connect(proxy, consistency="eventual") as worker,
    ):
        ground.stand_still()
        write(writer, 1)
        position = writer.value("SHOW tidegate.position")
        assert read(worker) == 0
        worker.ask(f"SET tidegate.position = '{position}'")
        assert read(worker) == 1


# Transactions of one snapshot.


@pytest.fixture(scope="module")
def busy(standing: Ground) -> ProxyUnderTest:
    """A proxy with few connections that looks often."""
    return standing.start(
        repeatable_read="versioned",
        default_pool_size=3,
        health_check_interval="0.1s",
        server_login_retry="0.1s",
    )


def test_a_snapshot_is_one_on_whatever_servers_it_is_read(
    ground: Ground, busy: ProxyUnderTest
) -> None:
    """The first read is beside the transaction, and the last one behind a write of another."""
    ground.make(clock=0, other=0)
    proxy = busy
    opened = proxy.metric("tidegate_transactions_total", outcome="opened")
    with ground.connect(proxy) as client, ground.connect(proxy) as writer:
        for value in range(1, 4):
            ground.cluster.wait_replayed()
            ground.wait_for_replicas(proxy, "SELECT a FROM clock")
            before = read(client)
            client.ask(ground.snapshot)
            assert read(client) == before
            client.ask(f"UPDATE other SET a = {value}")
            write(writer, value)
            assert read(client) == before
            client.ask("COMMIT")
            assert read(client) == value
        ground.wait_for_replicas(proxy, "SELECT a FROM clock")
        client.ask(ground.snapshot)
        read(client)
        write(writer, 9)
        assert client.code("UPDATE other SET a = 9") in ("40001", "1213")
        client.ask("ROLLBACK")
        assert read(client) == 9
        assert read(client, "other") == 3
    assert proxy.metric("tidegate_transactions_total", outcome="opened") == opened + 3


def test_a_mistake_of_one_leaves_the_reads_of_others_where_they_are(
    ground: Ground, busy: ProxyUnderTest
) -> None:
    """What no server could parse has changed no definition, so none is read again."""
    ground.make(clock=0)
    unknown = {"catalog_loading", "pending"}
    with ground.connect(busy) as one, ground.connect(busy) as other:
        ground.cluster.wait_replayed()
        ground.wait_for_replicas(busy, "SELECT a FROM clock")
        for _ in range(5):
            assert one.code("SELEC 1") in ("42601", "1064")
            assert other.explain("SELECT a FROM clock")["reason"] not in unknown


# Rules.


def rules(schema: str) -> list[dict[str, Any]]:
    return [
        {"name": "secret", "tables": f"{schema}.secrets", "reject": "not for you"},
        {"name": "slow", "regex": "count.*wide", "timeout": "300ms"},
        {"name": "few", "tables": f"{schema}.few", "throttle_rate": 20},
        {"name": "aged", "tables": f"{schema}.prices", "cache_max_age": "500ms"},
        {
            "name": "limited",
            "regex": "^select a from many$",
            "rewrite": r"\g<0> ORDER BY a LIMIT 2",
            "rewrite_regex": r"(?i)select a from many",
        },
        {"name": "wrong", "regex": "many where a", "rewrite": "DROP TABLE many"},
    ]


@pytest.fixture(scope="module")
def proxy_with_rules(standing: Ground) -> ProxyUnderTest:
    standing.make(secrets=1, prices=1, plain=1, few=1, many=1)
    with standing.connect() as client:
        client.ask("DROP VIEW IF EXISTS behind")
        client.ask("CREATE VIEW behind AS SELECT a FROM secrets")
        client.ask("INSERT INTO many VALUES (3), (2), (4)")
    standing.cluster.wait_replayed()
    proxy = standing.start(rules=rules(standing.schema), out_of_band="none")
    standing.wait_for_replicas(proxy, "SELECT a FROM plain")
    return proxy


def test_a_rule_is_shown_counted_and_found_behind_views(
    ground: Ground, proxy_with_rules: ProxyUnderTest
) -> None:
    with ground.connect(proxy_with_rules) as client:
        assert client.explain("SELECT a FROM plain")["rule"] == "none"
        for sql in ("SELECT a FROM secrets", "SELECT a FROM behind", "DELETE FROM secrets"):
            assert client.explain(sql)["rule"] == "secret"
            with pytest.raises(ERRORS, match="not for you"):
                client.ask(sql)
        assert client.value("SELECT a FROM plain") == 1
    assert proxy_with_rules.metric("tidegate_rule_matches_total", rule="secret") == 3


def test_a_statement_that_takes_too_long_is_stopped(
    ground: Ground, proxy_with_rules: ProxyUnderTest
) -> None:
    wide = "SELECT count(*) AS wide FROM " + ", ".join(f"many m{number}" for number in range(16))
    with ground.connect(proxy_with_rules) as client:
        began = time.monotonic()
        assert client.code(wide) in ("57014", "1317")
        assert 0.25 < time.monotonic() - began < 10
        assert client.value("SELECT a FROM plain") == 1


def test_a_cached_result_gets_no_older_than_a_rule_wants(
    ground: Ground, proxy_with_rules: ProxyUnderTest
) -> None:
    proxy = proxy_with_rules
    with ground.connect(proxy) as client, ground.connect() as elsewhere:
        assert client.value("SELECT a FROM prices") == 1
        hits = proxy.metric("tidegate_reads_total", reason="hit")
        assert client.value("SELECT a FROM prices") == 1
        assert proxy.metric("tidegate_reads_total", reason="hit") == hits + 1
        elsewhere.ask("UPDATE prices SET a = 2")  # nobody watches
        ground.cluster.wait_replayed()
        time.sleep(0.6)
        assert client.value("SELECT a FROM prices") == 2
        elsewhere.ask("UPDATE prices SET a = 1")


def test_a_statement_is_rewritten(ground: Ground, proxy_with_rules: ProxyUnderTest) -> None:
    with ground.connect(proxy_with_rules) as client:
        for _ in range(3):
            assert client.ask("SELECT a FROM many") == [(1,), (2,)]
        assert len(client.ask("SELECT a, a FROM many")) == 4


def test_what_a_rule_can_not_rewrite_is_refused_by_its_server(
    ground: Ground, proxy_with_rules: ProxyUnderTest
) -> None:
    with ground.connect(proxy_with_rules) as client:
        for sql in ("SELECT a FROM many WHERE a = 1", "DELETE FROM many WHERE a = 1"):
            with pytest.raises(ERRORS, match="rule wrong can not rewrite this"):
                client.ask(sql)


def test_a_rule_lets_only_so_many_through(ground: Ground, proxy_with_rules: ProxyUnderTest) -> None:
    with ground.connect(proxy_with_rules) as client:
        began = time.monotonic()
        for _ in range(20):
            assert client.value("SELECT a FROM few") == 1
        assert 0.8 < time.monotonic() - began < 10


# Limits.


def test_a_wait_that_is_too_long_is_an_error_that_says_so(ground: Ground) -> None:
    ground.make(plain=1)
    proxy = ground.start(default_pool_size=1, query_wait_timeout="0.4s", max_client_conn=3)
    with (
        ground.connect(proxy) as holder,
        ground.connect(proxy) as waiter,
        ground.connect(proxy),
    ):
        holder.ask("BEGIN")
        holder.ask("UPDATE plain SET a = a + 1")
        began = time.monotonic()
        with pytest.raises(ERRORS, match=r"no server connection came free in 0\.4 s.*1 busy"):
            waiter.ask("UPDATE plain SET a = a + 1")
        assert 0.3 < time.monotonic() - began < 3
        with pytest.raises(ERRORS, match=r"(?i)too many"):
            ground.connect(proxy)
        holder.ask("ROLLBACK")
        waiter.ask("UPDATE plain SET a = a + 1")
        assert waiter.value("SELECT a FROM plain") == 2


def test_clients_whose_statements_failed_keep_nobody_waiting(
    ground: Ground, busy: ProxyUnderTest
) -> None:
    """There are more of them than the pool has connections, and none says anything more."""
    ground.make(plain=0)
    began = time.monotonic()
    with ExitStack() as stack:
        clients = [stack.enter_context(ground.connect(busy)) for _ in range(7)]
        for client in clients:
            with pytest.raises(ERRORS):
                client.ask("INSERT INTO plain VALUES (")
        for client in clients:
            client.ask("UPDATE plain SET a = a + 1")
        assert clients[0].value("SELECT a FROM plain") == len(clients)
    assert time.monotonic() - began < 5


# Outages.


def test_a_primary_that_goes_and_comes_is_waited_for(ground: Ground, busy: ProxyUnderTest) -> None:
    """Clients that are between two statements never hear of it."""
    ground.make(plain=1)
    with ground.connect(busy) as client, ground.connect(busy) as inside:
        client.ask("UPDATE plain SET a = a + 1")
        inside.ask("BEGIN")
        inside.ask("INSERT INTO plain VALUES (7)")
        ground.cluster.primary.kill()
        assert inside.code("INSERT INTO plain VALUES (8)") in ("08006", "57P01", "57P02", "2013")
        wait_until(lambda: busy.get("/readyz")[0] == 503, "the loss to be noticed")
        restart = threading.Thread(target=ground.cluster.primary.start)
        restart.start()
        client.ask("UPDATE plain SET a = a + 1")
        restart.join()
        assert client.ask("SELECT a FROM plain") == [(3,)]


def test_many_clients_at_once_read_what_they_wrote(ground: Ground, busy: ProxyUnderTest) -> None:
    """Each its own table, and all of them one more."""
    names = [f"own{number}" for number in range(5)]
    ground.make(shared=0, **dict.fromkeys(names, 0))
    ground.wait_for_replicas(busy, "SELECT a FROM own0")

    def work(name: str) -> None:
        with ground.connect(busy) as client:
            before = 0
            for number in range(1, 25):
                client.ask(f"UPDATE {name} SET a = {number}")
                client.ask("UPDATE shared SET a = a + 1")
                assert client.value(f"SELECT a FROM {name}") == number
                shared = client.value("SELECT a FROM shared")
                assert shared > before
                before = shared

    with ThreadPoolExecutor(len(names)) as threads:
        for done in [threads.submit(work, name) for name in names]:
            done.result(60)
    with ground.connect(busy) as client:
        assert client.value("SELECT a FROM shared") == 24 * len(names)
