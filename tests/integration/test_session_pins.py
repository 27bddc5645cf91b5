"""What lives in a session keeps its client on its server connection while it lives."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from proxy.demo.processes import wait_until
from proxy.wire.postgres import tags
from proxy.wire.postgres.frontend import SYNC, bind, describe, execute, parse, query
from tests.integration.application import Application, Row
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import rows, shape

Connection = psycopg.Connection[Row]


class Pins:
    """Asks the proxy who is pinned."""

    def __init__(self, proxy: ProxyUnderTest) -> None:
        self._proxy = proxy

    def count(self, reason: str) -> int:
        return int(self._proxy.metric("tidegate_pool_sv_pinned", reason=reason))

    def wait(self, reason: str, count: int) -> None:
        wait_until(lambda: self.count(reason) == count, f"{count} pinned by {reason}")


@pytest.fixture
def pins(module_proxy: ProxyUnderTest) -> Pins:
    return Pins(module_proxy)


@pytest.fixture
def client(app: Application) -> Iterator[Connection]:
    with app.connect() as connection:
        yield connection


@pytest.fixture
def other(app: Application) -> Iterator[Connection]:
    with app.connect() as connection:
        yield connection


def backend(connection: Connection) -> int:
    row = connection.execute("SELECT pg_backend_pid() + 0 * txid_current()").fetchone()
    assert row is not None
    return int(row[0])


STARTS_AND_ENDS = {
    "a temporary table": (
        "temporary_table",
        ["CREATE TEMP TABLE mine (a int)"],
        "DROP TABLE mine",
    ),
    "a temporary table made of a query": (
        "temporary_table",
        ["SELECT 1 AS a INTO TEMP mine"],
        "DROP TABLE mine",
    ),
    "a temporary table discarded": (
        "temporary_table",
        ["CREATE TEMPORARY TABLE mine AS SELECT 1 AS a"],
        "DISCARD TEMP",
    ),
    "a temporary view": (
        "temporary_table",
        ["CREATE TEMP VIEW mine AS SELECT 1 AS a"],
        "DROP VIEW mine",
    ),
    "a temporary sequence": (
        "temporary_table",
        ["CREATE TEMP SEQUENCE mine"],
        "DROP SEQUENCE mine",
    ),
    "a temporary table by its schema": (
        "temporary_table",
        ["CREATE TABLE pg_temp.mine (a int)"],
        "DROP TABLE pg_temp.mine",
    ),
    "a temporary table inside a DO": (
        "temporary_table",
        ["DO $$BEGIN CREATE TEMP TABLE mine (a int); END$$"],
        "DROP TABLE mine",
    ),
    "a cursor that outlives its transaction": (
        "hold_cursor",
        ["BEGIN", "DECLARE mine CURSOR WITH HOLD FOR SELECT 1 AS a", "COMMIT"],
        "CLOSE mine",
    ),
    "all cursors closed": (
        "hold_cursor",
        ["DECLARE mine CURSOR WITH HOLD FOR SELECT 1 AS a"],
        "CLOSE ALL",
    ),
    "an advisory lock": (
        "advisory_lock",
        ["SELECT pg_advisory_lock(4711)"],
        "SELECT pg_advisory_unlock(4711)",
    ),
    "a shared advisory lock that is tried": (
        "advisory_lock",
        ["SELECT pg_try_advisory_lock_shared(47, 11)"],
        "SELECT pg_advisory_unlock_all()",
    ),
    "an advisory lock inside a DO": (
        "advisory_lock",
        ["DO $$BEGIN PERFORM pg_advisory_lock(4711); END$$"],
        "DO $$BEGIN PERFORM pg_advisory_unlock(4711); END$$",
    ),
    "a listener": ("listen", ["LISTEN mine"], "UNLISTEN mine"),
    "a listener to everything": ("listen", ["LISTEN mine", "LISTEN yours"], "UNLISTEN *"),
    "everything discarded": (
        "listen",
        ["LISTEN mine", "CREATE TEMP TABLE mine (a int)", "SELECT pg_advisory_lock(4711)"],
        "DISCARD ALL",
    ),
}


@pytest.mark.parametrize("name", STARTS_AND_ENDS)
@pytest.mark.parametrize("prepare", [None, True], ids=["simple", "extended"])
def test_pin_begins_and_ends(
    client: Connection, other: Connection, pins: Pins, name: str, prepare: bool | None
) -> None:
    reason, starts, end = STARTS_AND_ENDS[name]
    for start in starts:
        client.execute(start.encode(), prepare=prepare)
    pins.wait(reason, 1)
    mine = backend(client)
    others = [backend(other) for _ in range(3)]
    assert mine not in others
    assert backend(client) == mine
    client.execute(end.encode(), prepare=prepare)
    pins.wait(reason, 0)


def test_what_was_pinned_is_there_every_time(client: Connection, other: Connection) -> None:
    client.execute("CREATE TEMP TABLE mine AS SELECT generate_series(1, 5) AS a")
    for i in range(5):
        other.execute("SELECT %s::int", [i])
        assert client.execute("SELECT count(*) FROM mine").fetchone() == (5,)
        client.execute("UPDATE mine SET a = a + 1")
    with pytest.raises(psycopg.errors.UndefinedTable):
        other.execute("SELECT * FROM mine")
    client.execute("DROP TABLE mine")


def test_a_temporary_table_that_hides_a_real_one(client: Connection, other: Connection) -> None:
    other.execute("DROP TABLE IF EXISTS hidden")
    other.execute("CREATE TABLE hidden AS SELECT 'real' AS kind")
    kind = "SELECT kind FROM hidden"
    for connection in (client, other, client, other):
        assert connection.execute(kind).fetchone() == ("real",)
    client.execute("CREATE TEMP TABLE hidden AS SELECT 'temporary' AS kind")
    for _ in range(3):
        assert client.execute(kind).fetchone() == ("temporary",)
        assert other.execute(kind).fetchone() == ("real",)
    client.execute("DROP TABLE hidden")
    for connection in (client, other, client):
        assert connection.execute(kind).fetchone() == ("real",)


def test_a_temporary_table_that_ends_with_its_transaction(client: Connection, pins: Pins) -> None:
    client.execute(
        "BEGIN; CREATE TEMP TABLE mine (a int) ON COMMIT DROP; INSERT INTO mine VALUES (1)"
    )
    assert client.execute("SELECT * FROM mine").fetchall() == [(1,)]
    client.execute("COMMIT")
    pins.wait("temporary_table", 0)


def test_pins_of_a_transaction_that_is_rolled_back(client: Connection, pins: Pins) -> None:
    client.execute("BEGIN; CREATE TEMP TABLE mine (a int); LISTEN mine")
    client.execute("ROLLBACK")
    pins.wait("temporary_table", 0)
    pins.wait("listen", 0)


def test_an_advisory_lock_outlives_a_rollback(client: Connection, pins: Pins) -> None:
    client.execute("BEGIN; SELECT pg_advisory_lock(4711)")
    client.execute("ROLLBACK")
    pins.wait("advisory_lock", 1)
    assert client.execute("SELECT pg_advisory_unlock(4711)").fetchone() == (True,)
    pins.wait("advisory_lock", 0)


def test_a_lock_of_a_transaction_does_not_pin(client: Connection, pins: Pins) -> None:
    client.execute("SELECT pg_advisory_xact_lock(4711)")
    pins.wait("advisory_lock", 0)


def test_an_advisory_lock_keeps_others_out(client: Connection, other: Connection) -> None:
    client.execute("SELECT pg_advisory_lock(4711)")
    for _ in range(3):
        assert other.execute("SELECT pg_try_advisory_lock(4711)").fetchone() == (False,)
    client.execute("SELECT pg_advisory_unlock(4711)")
    assert other.execute("SELECT pg_try_advisory_lock(4711)").fetchone() == (True,)
    other.execute("SELECT pg_advisory_unlock(4711)")


def test_a_held_cursor_is_read_on(client: Connection) -> None:
    client.execute("BEGIN")
    client.execute("DECLARE mine SCROLL CURSOR WITH HOLD FOR SELECT generate_series(1, 9)")
    client.execute("COMMIT")
    assert client.execute("FETCH 2 FROM mine").fetchall() == [(1,), (2,)]
    assert client.execute("SELECT 1").fetchone() == (1,)
    assert client.execute("FETCH 2 FROM mine").fetchall() == [(3,), (4,)]
    client.execute("CLOSE mine")


def test_reads_of_a_listener_still_leave_the_primary(
    client: Connection, app: Application, module_proxy: ProxyUnderTest
) -> None:
    client.execute("DROP TABLE IF EXISTS spread")
    client.execute("CREATE TABLE spread AS SELECT generate_series(1, 9) AS a")
    client.execute("LISTEN mine")

    def leaves() -> bool:
        count = module_proxy.metric("tidegate_reads_total", reason="replica")
        for i in range(5):
            client.execute("SELECT a FROM spread WHERE a = %s AND a < 100", [i])
        return module_proxy.metric("tidegate_reads_total", reason="replica") > count

    wait_until(leaves, "a read of a listener to be served by a replica")
    client.execute("UNLISTEN *")


def test_a_client_that_leaves_takes_its_pins_along(
    app: Application, other: Connection, pins: Pins
) -> None:
    with app.connect() as client:
        client.execute("CREATE TEMP TABLE mine (a int)")
        client.execute("LISTEN mine; SELECT pg_advisory_lock(4711)")
        client.execute("SET work_mem = '9MB'")
    pins.wait("temporary_table", 0)
    found = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    wait_until(lambda: other.execute(found).fetchone() == (0,), "the lock to be gone")
    # The connection is clean, whoever gets it.
    for _ in range(4):
        assert other.execute("SHOW work_mem").fetchone() == ("4MB",)
        with pytest.raises(psycopg.errors.UndefinedTable):
            other.execute("INSERT INTO mine VALUES (1)")


# ---- notifications -------------------------------------------------------------------------


def test_notifications_reach_a_client_that_waits(client: Connection, other: Connection) -> None:
    client.execute("LISTEN news")
    other.execute("NOTIFY news, 'one'")
    other.execute("SELECT pg_notify('news', 'two')")
    heard = [notify.payload for notify in client.notifies(timeout=5, stop_after=2)]
    assert heard == ["one", "two"]
    client.execute("UNLISTEN news")
    other.execute("NOTIFY news, 'three'")
    assert list(client.notifies(timeout=0.05)) == []


def test_notifications_of_ones_own_come_with_the_answer(app: Application) -> None:
    with app.raw() as client:
        client.query("LISTEN news")
        assert shape(client.query("NOTIFY news, 'x'")) == "CAZ"
        client.query("BEGIN; NOTIFY news, 'y'")
        assert shape(client.query("COMMIT")) == "CAZ"


def test_notifications_wait_for_the_end_of_a_transaction(
    client: Connection, other: Connection
) -> None:
    client.execute("LISTEN news")
    other.execute("BEGIN; NOTIFY news, 'late'")
    assert list(client.notifies(timeout=0.05)) == []
    other.execute("COMMIT")
    assert [n.payload for n in client.notifies(timeout=5, stop_after=1)] == ["late"]


def test_notifications_are_not_put_into_the_middle_of_an_answer(
    app: Application, other: Connection
) -> None:
    with app.raw() as client:
        client.query("LISTEN news")
        # Answered by a replica most of the time, while the notification comes from the primary.
        client.query(
            "DROP TABLE IF EXISTS many; CREATE TABLE many AS SELECT generate_series(1,9) a"
        )
        text = "SELECT x.a, repeat('y', 3000) FROM many x, many y, many z, many w"
        for i in range(6):
            client.send(query(text.encode()))
            for _ in range(5):
                other.execute("SELECT pg_notify('news', %s)", [str(i)])
            heard = client.hear()
            letters = shape(heard).replace("A", "")
            assert letters == "T" + "D" * 6561 + "CZ"
        client.query("UNLISTEN *")


def test_a_listener_that_is_idle_hears_at_once(app: Application, other: Connection) -> None:
    with app.raw() as client:
        client.query("LISTEN news")
        for i in range(3):
            assert rows(client.query("SELECT 1")) == [["1"]]
            other.execute("SELECT pg_notify('news', %s)", [f"number {i}"])
            started = time.monotonic()
            tag, message = client.read()
            assert tag == tags.NOTIFICATION_RESPONSE
            assert b"number %d" % i in message
            assert time.monotonic() - started < 2


def test_listen_by_the_extended_protocol(app: Application, other: Connection) -> None:
    with app.raw() as client:
        for text in (b"LISTEN news", b"SELECT 1"):
            client.ask(parse(b"", text), bind(b"", b""), execute(b""), SYNC)
        other.execute("NOTIFY news, 'x'")
        assert client.read()[0] == tags.NOTIFICATION_RESPONSE
        heard = client.ask(parse(b"s", b"SELECT 1"), describe(tags.STATEMENT, b"s"), SYNC)
        assert shape(heard) == "1tTZ"


def test_many_listeners(app: Application, other: Connection) -> None:
    clients = [app.raw() for _ in range(8)]
    for i, client in enumerate(clients):
        client.query(f"LISTEN news_{i % 2}")
    other.execute("NOTIFY news_1, 'odd'")
    for i, client in enumerate(clients):
        if i % 2:
            assert client.read()[0] == tags.NOTIFICATION_RESPONSE
        assert shape(client.query("SELECT 1")) == "TDCZ"
        client.close()
