"""A primary that dies for good, and a replica that takes its place."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest

from proxy.demo.local_postgres import SUPERUSER, temporary_cluster
from proxy.demo.processes import wait_until
from tests.integration.proxy_under_test import ProxyUnderTest

READS = "SELECT count(*) FROM t"
WAITS = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"


def test_a_commit_that_was_lost_with_the_old_primary_keeps_nothing_from_replicas(
    tmp_path: Path,
) -> None:
    """Its session will never be seen to be gone: nobody waits for that."""
    with temporary_cluster() as cluster:
        cluster.primary.execute("CREATE TABLE t (a int)")
        cluster.wait_replayed()
        proxy = ProxyUnderTest(
            tmp_path,
            [server.address for server in cluster.servers],
            auth_user=SUPERUSER,
            auth_password=cluster.password,
            group={"cache": False},
        )
        with proxy:
            through = proxy.dsn("postgres", user=SUPERUSER, password=cluster.password)
            outcome: list[str | None] = []

            def write() -> None:
                with (
                    psycopg.connect(through, autocommit=True) as connection,
                    pytest.raises(psycopg.OperationalError) as caught,
                ):
                    connection.execute("INSERT INTO t VALUES (1)")
                outcome.append(caught.value.sqlstate)

            def reads_at_replicas() -> bool:
                before = proxy.metric("tidegate_reads_total", reason="replica")
                with psycopg.connect(through, autocommit=True) as connection:
                    assert connection.execute(READS).fetchone() == (0,)
                return proxy.metric("tidegate_reads_total", reason="replica") > before

            wait_until(reads_at_replicas, "the table to be read at replicas")
            holder = psycopg.connect(cluster.primary.dsn("postgres"))
            holder.execute("LOCK TABLE t IN EXCLUSIVE MODE")
            writer = threading.Thread(target=write)
            writer.start()
            wait_until(lambda: cluster.primary.fetch_value(WAITS) == 1, "the writer to wait")
            assert not reads_at_replicas()
            cluster.primary.kill()
            writer.join()
            holder.close()
            assert outcome == ["08007"]
            cluster.fail_over(cluster.replicas[0])
            wait_until(reads_at_replicas, "the table to be read at replicas again")
