"""What /metrics tells of a proxy at work."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from proxy.errors import Fault
from proxy.types import Ending
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest

ENDINGS = {ending.value for ending in Ending} | {fault.value for fault in Fault}


@pytest.fixture
def proxy(start_proxy: StartProxy) -> Iterator[ProxyUnderTest]:
    return start_proxy()


def test_ends_are_counted_by_reasons_of_which_there_are_few(
    direct: Application, proxy: ProxyUnderTest
) -> None:
    through = direct.at(proxy.port)
    for number in range(3):
        for wrong in ({"user": f"nobody{number}"}, {"database": f"nowhere{number}"}):
            with pytest.raises(psycopg.OperationalError):
                through.like(**wrong).connect()
    through.connect().close()
    with through.raw() as client:
        client.send(b"\x01\x00\x00\x00\x04")  # no such message
        client.read()

    def ended(reason: str) -> float:
        return proxy.metric("tidegate_client_connections_ended_total", reason=reason)

    wait_until(lambda: ended("protocol_violation") == 1, "the last one to be counted")
    assert ended("authentication_failed") == 3
    assert ended("unknown_database") == 3
    assert ended("goodbye") == 1
    assert proxy.metric("tidegate_login_failures_total", reason="unknown_database") == 3
    accepted = proxy.metric("tidegate_client_connections_total")
    assert accepted == proxy.metric("tidegate_client_connections_ended_total")
    _, text = proxy.get("/metrics")
    told = {
        sample.labels["reason"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name
        in ("tidegate_client_connections_ended_total", "tidegate_login_failures_total")
    }
    assert told <= ENDINGS


def test_bytes_and_tables_are_counted_while_clients_are_there(
    direct: Application, proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    def total(what: str) -> float:
        return proxy.metric(f"tidegate_{what}_bytes_total", direction="out")

    with direct.at(proxy.port).connect() as connection:
        connection.execute("SELECT repeat('x', 1000000)")
        assert total("client") > 1_000_000
        assert proxy.metric("tidegate_server_bytes_total", direction="in") > 1_000_000
        before = total("client")
    assert total("client") >= before
    assert proxy.metric("tidegate_ledger_tables") > 0
    assert all(
        proxy.metric("tidegate_server_bytes_total", server=server.address, direction="in") > 0
        for server in cluster.servers[:1]
    )


def test_a_replica_that_is_held_back_grows_older(
    direct: Application, proxy: ProxyUnderTest, cluster: PostgresCluster
) -> None:
    held, other = cluster.replicas
    held.pause_replay()
    with direct.connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS late (a int)")
        connection.execute("INSERT INTO late VALUES (1)")

    def lag(address: str) -> float:
        return proxy.metric("tidegate_replica_lag_seconds", server=address)

    # More than the second between two looks at it.
    wait_until(lambda: lag(held.address) > 2.5, "the replica to be told late")
    assert lag(other.address) < 1.5
    held.resume_replay()
    wait_until(lambda: lag(held.address) == 0, "the replica to have caught up")


def test_names_are_well_made(direct: Application, proxy: ProxyUnderTest) -> None:
    with direct.at(proxy.port).connect() as connection:
        connection.execute("SELECT 1")
    _, text = proxy.get("/metrics")
    for family in text_string_to_metric_families(text):
        assert family.documentation, family.name
        assert not {"query", "sql", "client", "peer"} & {
            label for sample in family.samples for label in sample.labels
        }
        for sample in family.samples:
            if family.type == "counter" and family.name.startswith("tidegate"):
                assert sample.name.endswith(("_total", "_created"))
