"""The audit on real servers: what is wrong is found, what is right is left alone."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.demo.processes import wait_until
from tests.integration.grounds import Client, Ground, standing_on
from tests.integration.proxy_under_test import ProxyUnderTest

WITHOUT_NEED = (sys.executable, "-m", "tests.consistency.serve", "--without", "need")
ALL = {"audit": "100%", "audit_per_second": 1000, "out_of_band": "none"}
BOOK = "SELECT a FROM book"


standing = standing_on("postgres", "mariadb")


@pytest.fixture
def ground(standing: Ground) -> Iterator[Ground]:
    """Tables as they were made, all servers up and in step, before and after."""
    standing.make(book=0, other=0)
    yield standing
    standing.heal()
    with standing.connect() as client:
        client.ask("DROP TABLE book")
        client.ask("DROP TABLE other")


def audited(proxy: ProxyUnderTest, result: str) -> float:
    return proxy.metric("tidegate_audit_total", result=result)


def until_found(proxy: ProxyUnderTest, client: Client, wrong: int) -> None:
    """Read what is wrong until the audit has seen it."""

    def is_found() -> bool:
        if proxy.metric("tidegate_quarantined_tables") == 1:
            return True
        assert client.value(BOOK) == wrong
        return False

    wait_until(is_found, "the audit to fire")
    assert audited(proxy, "different") == 1


def test_what_is_right_is_left_alone_and_what_is_wrong_is_taken_back(ground: Ground) -> None:
    """First somebody writes all the time, through the proxy; then one who promised not to, past it.

    What was kept is stale then, until an operator has it all believed again.
    """
    proxy = ground.start(**ALL)
    with ground.connect(proxy) as client:
        client.ask("UPDATE other SET a = 1")
        ground.wait_for_replicas(proxy, BOOK)
        last = read_while_written(ground, proxy, client)
        wait_until(
            lambda: client.value("SELECT a FROM other") == 1 and audited(proxy, "same") > 3,
            "what is read to be repeated",
        )
        assert audited(proxy, "different") == audited(proxy, "loose") == 0
        assert proxy.metric("tidegate_quarantined_tables") == 0

        ground.wait_for_replicas(proxy, BOOK)
        wait_until(
            lambda: client.value(BOOK) == last and client.explain(BOOK)["cache"] == "hit now",
            "the result to be kept",
        )
        with ground.connect() as other:
            other.ask("UPDATE book SET a = 88888")
        ground.cluster.wait_replayed()
        until_found(proxy, client, wrong=last)
        assert [client.value(BOOK) for _ in range(3)] == [88888] * 3
        explained = client.explain(BOOK)
        assert explained["reason"].startswith("audit")
        assert explained["cache"] == "no (audit)"
        assert client.explain("SELECT a FROM other")["reason"] == "replica"
        status, body = proxy.get("/readyz")
        assert status == 200
        assert json.loads(body)["notes"] == {"app": [f"in quarantine: {ground.schema}.book"]}
        (line,) = [line for line in proxy.log.read_text().splitlines() if " ERROR " in line]
        assert explained["fingerprint"] in line
        assert f"{ground.schema}.book" in line

        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_logged("tables are believed again")
        assert client.value(BOOK) == 88888
        ground.wait_for_replicas(proxy, BOOK)
        assert "notes" not in json.loads(proxy.get("/readyz")[1])
    proxy.stop()


def test_all_members_take_back_what_one_has_found(ground: Ground, tmp_path: Path) -> None:
    """Only one of them looks; the other holds to what that one says, until it is gone at last."""
    if ground.engine != "postgres":
        pytest.skip("nothing of it knows the engine")
    url = f"unix://{tmp_path}/bus"
    finds, hears = (ground.start(bus_url=url, **ALL | {"audit": audit}) for audit in ("100%", "0%"))
    with ground.connect(finds) as client, ground.connect(hears) as other, ground.connect() as past:
        for is_first in (True, False):
            until_kept(other)
            value = until_fired(ground, finds, client, past)
            wait_until(lambda: taken_back(hears) == 1, "the other to hear of it")
            assert other.value(BOOK) == value
            explained = other.explain(BOOK)
            assert explained["reason"].startswith("audit")
            assert explained["in quarantine"].startswith("found by member ")
            assert client.explain(BOOK)["in quarantine"] == "found here"
            (note,) = json.loads(hears.get("/readyz")[1])["notes"]["app"]
            assert note.startswith("in quarantine: public.book, found by member ")
            assert hears.metric("tidegate_quarantined_here_tables") == 0
            assert finds.metric("tidegate_quarantined_here_tables") == 1
            hears.process.send_signal(signal.SIGHUP)
            hears.wait_logged("the configuration was read again")
            assert taken_back(hears) == 1
            if is_first:
                finds.process.send_signal(signal.SIGHUP)
                wait_until(lambda: taken_back(hears) == 0, "it to be believed again")
        finds.stop()
        wait_until(lambda: taken_back(hears) == 0, "who found it to be gone")
        until_kept(other)
    hears.stop()
    ground.drop_view()


def until_fired(ground: Ground, finds: ProxyUnderTest, client: Client, past: Client) -> int:
    """Write past the proxy until the audit has seen it; returns what was written.

    What was kept may have gone just before: by what the other member had to say of its beginning.
    """
    before = past.value(BOOK)
    for value in range(before + 1, before + 10):
        until_kept(client)
        past.ask(f"UPDATE book SET a = {value}")
        ground.cluster.wait_replayed()
        wait_until(
            lambda value=value: client.value(BOOK) == value, "it to be seen, by whatever way"
        )
        if taken_back(finds):
            return value
    raise AssertionError("the audit does not fire")


def taken_back(proxy: ProxyUnderTest) -> float:
    return proxy.metric("tidegate_quarantined_tables")


def until_kept(client: Client) -> None:
    def is_kept() -> bool:
        client.ask(BOOK)
        return client.explain(BOOK)["cache"] == "hit now"

    wait_until(is_kept, "the result to be kept")


def read_while_written(ground: Ground, proxy: ProxyUnderTest, client: Client) -> int:
    """Read tables that are written, and one that is not; returns what was written last."""
    is_over = threading.Event()
    written = [0]

    def write() -> None:
        with ground.connect(proxy) as writer:
            while not is_over.wait(0.005):
                writer.ask("UPDATE book SET a = a + 1")
                written[0] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        before = 0
        for _ in range(60):
            value = client.value(BOOK)
            assert value >= before
            before = value
            assert client.value("SELECT a FROM other") == 1
            assert client.value("SELECT a FROM other") == 1
    finally:
        is_over.set()
        writer.join()
    return written[0]


@pytest.mark.skipif("TIDEGATE_SOAK_SECONDS" not in os.environ, reason="in make soak")
def test_a_missing_rule_is_found(ground: Ground) -> None:
    """Replicas serve what they have, whatever a table needs."""
    proxy = ground.start(command=WITHOUT_NEED, cache=False, **ALL)
    with ground.connect(proxy) as client:
        client.ask("UPDATE other SET a = 1")
        ground.wait_for_replicas(proxy, BOOK)
        ground.stand_still()
        client.ask("UPDATE book SET a = 77777")
        until_found(proxy, client, wrong=0)
        assert client.value(BOOK) == 77777
        assert client.explain(BOOK)["reason"].startswith("audit")
    proxy.stop()
