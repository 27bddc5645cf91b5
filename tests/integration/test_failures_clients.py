"""What clients do wrong, and how they vanish, is nobody's trouble but their own."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterator

import psycopg
import pytest

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from proxy.wire.postgres import backend, tags
from proxy.wire.postgres.codec import message
from proxy.wire.postgres.frontend import (
    COPY_DONE,
    FLUSH,
    SYNC,
    TERMINATE,
    bind,
    copy_data,
    describe,
    execute,
    parse,
    query,
)
from tests.integration.application import Application
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import RawClient, errors, rows, shape

LARGE = b"x" * 3_000_000


@pytest.fixture(scope="module", autouse=True)
def _tables(direct: Application) -> None:
    with direct.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS left_behind")
        connection.execute("CREATE TABLE left_behind (id int PRIMARY KEY, word text)")


@pytest.fixture(autouse=True)
def _clean(
    direct: Application, narrow_proxy: ProxyUnderTest, narrow: Application
) -> Iterator[None]:
    """Whatever a test did: the one connection is free again, and as good as new."""
    yield
    with narrow.connect() as connection:
        assert connection.execute("SHOW work_mem").fetchone() == ("4MB",)
        found = connection.execute(
            "SELECT count(*) FROM left_behind WHERE word = 'lost'"
        ).fetchone()
        assert found == (0,)
        for i in range(3):
            connection.execute("INSERT INTO left_behind VALUES (%s, 'kept')", [i])
        connection.execute("TRUNCATE left_behind")
    assert narrow_proxy.metric("tidegate_pool_cl_waiting") == 0


BUSY = "SELECT pid FROM pg_stat_activity WHERE usename = 'app' AND state <> 'idle'"


def busy(cluster: PostgresCluster) -> int:
    """How many sessions of the application do anything, or hold a transaction open, anywhere."""
    return sum(len(server.fetch(BUSY)) for server in cluster.servers)


def wait_idle(cluster: PostgresCluster) -> None:
    wait_until(lambda: busy(cluster) == 0, "every session to be idle", timeout=10)


def wait_busy(cluster: PostgresCluster) -> None:
    wait_until(lambda: busy(cluster) > 0, "a session to be busy")


def vanish(client: RawClient) -> None:
    """End a connection with a reset, as a crashed machine's neighbour would."""
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


# ---- clients that vanish -------------------------------------------------------------------

INSERT = b"INSERT INTO left_behind VALUES (77, 'lost')"
SLEEP = b"SELECT pg_sleep(30)"

VANISHING: dict[str, list[bytes]] = {
    "in a transaction": [query(b"BEGIN; " + INSERT)],
    "in a failed transaction": [query(b"BEGIN; " + INSERT), query(b"SELECT 1 / 0")],
    "in a statement": [query(SLEEP)],
    "in a statement in a transaction": [query(b"BEGIN; " + INSERT), query(SLEEP)],
    "in a statement behind which others wait": [query(SLEEP), query(INSERT), query(INSERT)],
    "in an implicit transaction": [query(INSERT + b";" + SLEEP)],
    "in a pipeline": [
        *(parse(b"", INSERT), bind(b"", b""), execute(b"")),
        *(parse(b"", SLEEP), bind(b"", b""), execute(b""), SYNC),
    ],
    "before the sync": [parse(b"", INSERT), bind(b"", b""), execute(b""), FLUSH],
    "before the sync, in a statement": [parse(b"", SLEEP), bind(b"", b""), execute(b""), FLUSH],
    "after an error, before the sync": [
        *(parse(b"", b"SELECT 1/0"), bind(b"", b""), execute(b""), FLUSH),
    ],
    "with a portal half read": [
        query(b"BEGIN; " + INSERT),
        *(parse(b"", b"SELECT generate_series(1, 100)"), bind(b"p", b""), execute(b"p", 3), SYNC),
    ],
    "with settings": [query(b"SET work_mem = '9MB'"), query(b"BEGIN; SET work_mem = '8MB'")],
    "in a copy in": [query(b"COPY left_behind FROM STDIN"), copy_data(b"1\tlost\n")],
    "in a copy in by the extended protocol": [
        *(parse(b"", b"COPY left_behind FROM STDIN"), bind(b"", b""), execute(b""), SYNC),
        copy_data(b"1\tlost\n"),
    ],
    "in a copy in after a flush": [
        *(parse(b"", b"COPY left_behind FROM STDIN"), bind(b"", b""), execute(b""), FLUSH),
        copy_data(b"1\tlost\n"),
    ],
    "in a copy in, in the middle of a row": [
        query(b"BEGIN; COPY left_behind FROM STDIN"),
        copy_data(b"1\tlo"),
    ],
    "in the middle of a large message": [query(b"SELECT length('" + LARGE + b"')")[:-1000]],
    "in the middle of a large parameter": [
        parse(b"", b"SELECT length($1)"),
        bind(b"", b"", (LARGE,))[:-1000],
    ],
    "in the middle of large rows": [
        query(b"COPY left_behind FROM STDIN"),
        copy_data(b"1\t" + LARGE)[:-1000],
    ],
    "in the middle of a small message": [query(INSERT)[:-3]],
    "in a copy out": [
        query(b"COPY (SELECT i, repeat('x', 1000) FROM generate_series(1, 1000000) i) TO STDOUT")
    ],
    "in a large result": [query(b"SELECT i, repeat('x', 1000) FROM generate_series(1, 1000000) i")],
}


@pytest.mark.parametrize("name", VANISHING)
@pytest.mark.parametrize("how", ["reset", "close", "terminate"])
def test_client_that_vanishes_leaves_nothing_behind(
    narrow: Application, shared_cluster: PostgresCluster, name: str, how: str
) -> None:
    client = narrow.raw()
    client.send(*VANISHING[name])
    if b"pg_sleep" in b"".join(VANISHING[name]):
        wait_busy(shared_cluster)
    if how == "reset":
        vanish(client)
    else:
        if how == "terminate":
            client.send(TERMINATE)
        client.close()
    wait_idle(shared_cluster)


def test_client_that_vanishes_in_line_is_forgotten(
    narrow: Application, narrow_proxy: ProxyUnderTest, direct: Application
) -> None:
    with narrow.raw() as holder:
        holder.query("BEGIN; SELECT txid_current()")
        for _ in range(3):
            client = narrow.raw()
            client.send(query(INSERT))
            wait_until(
                lambda: narrow_proxy.metric("tidegate_pool_cl_waiting") == 1, "a client in line"
            )
            vanish(client)
            wait_until(lambda: narrow_proxy.metric("tidegate_pool_cl_waiting") == 0, "nobody there")
        holder.query("COMMIT")
    with direct.connect() as connection:
        assert connection.execute("SELECT count(*) FROM left_behind").fetchone() == (0,)


def test_what_was_committed_before_it_vanished_stays(
    narrow: Application, direct: Application, shared_cluster: PostgresCluster
) -> None:
    with narrow.raw() as client:
        client.query("BEGIN; INSERT INTO left_behind VALUES (5, 'kept'); COMMIT")
        client.send(query(SLEEP))
        wait_busy(shared_cluster)
        vanish(client)
    wait_idle(shared_cluster)
    with direct.connect() as connection:
        assert connection.execute("SELECT id FROM left_behind").fetchall() == [(5,)]


async def test_hundreds_that_vanish_at_once(
    narrow: Application, shared_cluster: PostgresCluster
) -> None:
    async def work(number: int) -> None:
        connection = await narrow.connect_async()
        await connection.execute(
            f"BEGIN; INSERT INTO left_behind VALUES ({number}, 'lost')".encode()
        )
        await connection.close()

    await asyncio.gather(*(work(number) for number in range(100)))
    await asyncio.to_thread(wait_idle, shared_cluster)


# ---- clients that talk nonsense ------------------------------------------------------------

MALFORMED: dict[str, bytes] = {
    "a query without an end": message(tags.QUERY, b"SELECT 1"),
    "a query with two ends": message(tags.QUERY, b"SELECT 1\0SELECT 2\0"),
    "a parse that is cut": message(tags.PARSE, b"a\0SELECT 1\0\0\5"),
    "a describe of nothing": message(tags.DESCRIBE),
    "a describe of something else": message(tags.DESCRIBE, b"X\0"),
    "a close of something else": message(tags.CLOSE, b"X\0"),
    "an execute that is cut": message(tags.EXECUTE, b"\0\0\0"),
}
"""What is in a message is read when all in front of it is done, as a server does."""

NONSENSE: dict[str, bytes] = {
    "an unknown tag": message(ord("?"), b"x"),
    "a server's message": message(tags.READY_FOR_QUERY, b"I"),
    "a password nobody asked for": message(tags.PASSWORD, b"x\0"),
    "a length below four": b"Q\0\0\0\3",
    "a length of zero": b"S\0\0\0\0",
    "a negative length": b"Q\xff\xff\xff\xff",
    "a sync of a gigabyte": b"S\x3f\xff\xff\xff",
    "a query of two gigabytes": b"Q\x7f\xff\xff\xff",
    "random bytes": bytes(range(1, 256)) * 3,
    **MALFORMED,
}


@pytest.mark.parametrize("name", NONSENSE)
@pytest.mark.parametrize("state", ["idle", "in a transaction", "in a batch", "behind a statement"])
def test_nonsense_ends_its_own_connection_only(
    narrow: Application, shared_cluster: PostgresCluster, name: str, state: str
) -> None:
    with narrow.raw() as bystander, narrow.raw() as client:
        if state == "in a transaction":
            client.query("BEGIN; INSERT INTO left_behind VALUES (77, 'lost')")
        elif state == "in a batch":
            client.send(parse(b"", INSERT), bind(b"", b""))
        elif state == "behind a statement":
            client.send(query(b"SELECT pg_sleep(1)" if name in MALFORMED else SLEEP))
            wait_busy(shared_cluster)
        client.send(NONSENSE[name])
        try:
            client.send(SYNC)
            heard = client.hear_out()
        except (BrokenPipeError, ConnectionResetError):
            heard = []
        fatal = [error for error in errors(heard) if error[backend.SEVERITY] == b"FATAL"]
        assert all(error[backend.SQLSTATE] in (b"08P01", b"54000") for error in fatal)
        assert rows(bystander.query("SELECT 1")) == [["1"]]
        wait_idle(shared_cluster)


@pytest.mark.parametrize("stop", range(1, 30, 4))
def test_a_conversation_that_is_cut_anywhere_leaves_a_clean_connection(
    narrow: Application, shared_cluster: PostgresCluster, stop: int
) -> None:
    said = b"".join(
        (
            *(parse(b"s", b"INSERT INTO left_behind VALUES ($1, 'lost')"), SYNC),
            *(query(b"BEGIN"), bind(b"", b"s", (b"9",)), describe(tags.PORTAL, b""), execute(b"")),
            *(SYNC, query(b"COPY left_behind FROM STDIN"), copy_data(b"8\tlost\n"), COPY_DONE),
        )
    )
    for at in range(stop, len(said), 29):
        client = narrow.raw()
        client.send(said[:at])
        vanish(client)
    wait_idle(shared_cluster)


def test_a_client_that_does_not_read_does_not_make_the_proxy_grow(
    narrow: Application, narrow_proxy: ProxyUnderTest, shared_cluster: PostgresCluster
) -> None:
    before = memory(narrow_proxy)
    with narrow.raw() as client:
        client.send(query(b"SELECT i, repeat('x', 1000) FROM generate_series(1, 200000) i"))
        wait_busy(shared_cluster)
        assert memory(narrow_proxy) - before < 30
    wait_idle(shared_cluster)


def memory(proxy: ProxyUnderTest) -> float:
    """What a proxy has resident, in MB."""
    with open(f"/proc/{proxy.process.pid}/status") as status:
        (line,) = (line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_errors_of_one_client_are_not_told_to_another(narrow: Application) -> None:
    with narrow.connect() as one, narrow.connect() as two:
        for i in range(10):
            with pytest.raises(psycopg.errors.DivisionByZero):
                one.execute("SELECT 1 / 0")
            assert two.execute("SELECT %s::int", [i]).fetchone() == (i,)
            with pytest.raises(psycopg.errors.SyntaxError):
                two.execute("SELEC")
            assert one.execute("SELECT %s::int", [i]).fetchone() == (i,)


def test_an_error_in_front_of_a_large_message_leaves_its_client_in_peace(
    narrow: Application,
) -> None:
    with narrow.raw() as client:
        client.ask(query(b"COPY left_behind FROM STDIN"), last=b"G")
        client.send(copy_data(b"no number\n"), copy_data(b"1\t" + LARGE)[:2_000_000])
        assert client.read()[0] == tags.ERROR_RESPONSE
        client.send(copy_data(b"1\t" + LARGE)[2_000_000:], COPY_DONE)
        assert shape(client.hear()) == "Z"
        assert rows(client.query("SELECT count(*) FROM left_behind")) == [["0"]]
