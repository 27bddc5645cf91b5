"""Many clients, large results: what they cost the proxy."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from proxy.demo.processes import wait_until
from proxy.wire.postgres.frontend import COPY_DONE, copy_data, query
from proxy.wire.postgres.login import Credentials, log_in
from proxy.wire.postgres.packets import startup_message
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest
from tests.integration.raw_client import NONCE, command_tags, rows, shape

MANY = 2_000
IDLE = 1_000
MEGABYTES = 200


@pytest.fixture(scope="module", autouse=True)
def _files() -> Iterator[None]:
    """Let this process have a socket for every client."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * MANY + 1_000), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(scope="module")
def trusting(start_module_proxy: StartProxy) -> ProxyUnderTest:
    """A proxy that lets clients in without asking: a login's arithmetic is not what is tested."""
    return start_module_proxy(
        auth_type="trust", users={"app": {"password": "pencil ½"}}, default_pool_size=20
    )


def memory(proxy: ProxyUnderTest) -> float:
    """What a proxy has resident, in MB."""
    with open(f"/proc/{proxy.process.pid}/status") as status:
        (line,) = (line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


class Peak:
    """Looks at a proxy's memory again and again."""

    def __init__(self, proxy: ProxyUnderTest) -> None:
        self._proxy = proxy
        self.before = self.most = memory(proxy)

    def look(self) -> None:
        self.most = max(self.most, memory(self._proxy))

    @property
    def grown(self) -> float:
        return self.most - self.before


async def one_statement(port: int, number: int) -> bytes:
    """Connect, run one statement in a transaction of its own, and leave."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(startup_message({b"user": b"app", b"database": b"app"}))
        await reader.readuntil(b"Z\0\0\0\5I")
        writer.write(query(b"SELECT %d + 0 * txid_current(), pg_backend_pid()" % number))
        return await reader.readuntil(b"Z\0\0\0\5I")
    finally:
        writer.close()


async def test_two_thousand_clients_on_twenty_connections(
    direct: Application, trusting: ProxyUnderTest
) -> None:
    before = peak_of_processes(direct)
    started = time.monotonic()
    answers = await asyncio.gather(*(one_statement(trusting.port, i) for i in range(MANY)))
    assert all(str(i).encode() in answer for i, answer in enumerate(answers))
    assert time.monotonic() - started < 20
    assert peak_of_processes(direct) - before <= 20


def peak_of_processes(direct: Application) -> int:
    with direct.connect() as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
        ).fetchone()
    assert found is not None
    return int(found[0])


async def test_two_thousand_clients_at_once_all_make_progress(
    direct: Application, trusting: ProxyUnderTest
) -> None:
    """All are connected at the same time, and each gets its turn, three times."""
    pairs = await asyncio.gather(
        *(asyncio.open_connection("127.0.0.1", trusting.port) for _ in range(MANY))
    )
    try:
        for _, writer in pairs:
            writer.write(startup_message({b"user": b"app", b"database": b"app"}))
        await asyncio.gather(*(reader.readuntil(b"Z\0\0\0\5I") for reader, _ in pairs))
        for turn in range(3):
            for _, writer in pairs:
                writer.write(query(b"SELECT %d, txid_current()" % turn))
            answers = await asyncio.wait_for(
                asyncio.gather(*(reader.readuntil(b"Z\0\0\0\5I") for reader, _ in pairs)), 20
            )
            assert all(answer[0:1] == b"T" for answer in answers)
    finally:
        for _, writer in pairs:
            writer.transport.abort()


def test_a_thousand_idle_clients_cost_little(
    direct: Application, start_module_proxy: StartProxy
) -> None:
    proxy = start_module_proxy(auth_type="trust", users={"app": {"password": "pencil ½"}})
    with direct.at(proxy.port).raw() as first:
        assert rows(first.query("SELECT 1")) == [["1"]]
        before = memory(proxy)
        with ExitStack() as stack:
            clients = []
            for _ in range(IDLE):
                client = socket.create_connection(("127.0.0.1", proxy.port))
                stack.callback(client.close)
                client.sendall(startup_message({b"user": b"app", b"database": b"app"}))
                clients.append(client)
            for client in clients:
                heard = b""
                while not heard.endswith(b"Z\0\0\0\5I"):
                    heard += client.recv(65536)
                client.sendall(query(b"SELECT 1"))
            for client in clients:
                heard = b""
                while not heard.endswith(b"Z\0\0\0\5I"):
                    heard += client.recv(65536)
            assert memory(proxy) - before < 20


def test_a_large_result_passes_through_with_memory_flat(
    direct: Application, module_proxy: ProxyUnderTest
) -> None:
    peak = Peak(module_proxy)
    with direct.at(module_proxy.port).raw() as client:
        client.send(
            query(b"SELECT repeat('x', 10000) FROM generate_series(1, %d)" % (MEGABYTES * 100))
        )
        size = 0
        while (message := client.read())[0] != ord("Z"):
            size += len(message[1])
            if message[0] == ord("D") and size % (1 << 22) < 10_100:
                peak.look()
    assert size > MEGABYTES * 1_000_000
    assert peak.grown < 25


def test_one_large_value_passes_through_with_memory_flat(
    direct: Application, module_proxy: ProxyUnderTest
) -> None:
    peak = Peak(module_proxy)
    with socket.create_connection(("127.0.0.1", module_proxy.port)) as client:
        left = log_in_bare(client)
        client.sendall(query(b"SELECT repeat('x', %d)" % (MEGABYTES * 1_000_000)))
        size = len(left)
        while not left.endswith(b"Z\0\0\0\5I"):
            left = client.recv(1 << 20)
            size += len(left)
            peak.look()
    assert size > MEGABYTES * 1_000_000
    assert peak.grown < 25


def log_in_bare(client: socket.socket) -> bytes:
    """Log in and say nothing more; what was heard behind it."""
    dialogue = log_in(
        {b"user": b"app", b"database": b"app"},
        Credentials(password="pencil ½".encode()),
        nonce=NONCE,
    )
    answer = next(dialogue)
    held = b""
    while True:
        client.sendall(answer)
        answer = b""
        while not answer:
            while len(held) < 5 or len(held) < 1 + int.from_bytes(held[1:5], "big"):
                held += client.recv(65536)
            size = 1 + int.from_bytes(held[1:5], "big")
            message, held = (held[0], held[:size]), held[size:]
            try:
                answer = dialogue.send(message)
            except StopIteration:
                return held


def test_much_goes_in_with_memory_flat(direct: Application, module_proxy: ProxyUnderTest) -> None:
    peak = Peak(module_proxy)
    with direct.at(module_proxy.port).raw() as client:
        client.query("DROP TABLE IF EXISTS filled; CREATE UNLOGGED TABLE filled (a text)")
        client.ask(query(b"COPY filled FROM STDIN"), last=b"G")
        chunk = copy_data((b"x" * 999 + b"\n") * 250) * 4
        for _ in range(MEGABYTES // 2):
            client.send(chunk)
            peak.look()
        assert command_tags(client.ask(COPY_DONE)) == [f"COPY {MEGABYTES * 500}"]
        assert peak.grown < 25
        client.query("DROP TABLE filled")


def test_a_long_pipeline_goes_in_with_memory_flat(
    direct: Application, module_proxy: ProxyUnderTest
) -> None:
    peak = Peak(module_proxy)
    through = direct.at(module_proxy.port)
    with through.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS filled")
        connection.execute("CREATE UNLOGGED TABLE filled (a text)")
        with connection.pipeline():
            for _ in range(2_000):
                connection.execute("INSERT INTO filled VALUES (%s)", ["x" * 20_000])
            peak.look()
        assert connection.execute("SELECT count(*) FROM filled").fetchone() == (2_000,)
        connection.execute("DROP TABLE filled")
    assert peak.grown < 25


def test_a_large_query_goes_in_with_memory_flat(
    direct: Application, module_proxy: ProxyUnderTest
) -> None:
    peak = Peak(module_proxy)
    with direct.at(module_proxy.port).raw() as client:
        text = query(b"SELECT length('" + b"x" * 50_000_000 + b"')")
        for start in range(0, len(text), 1 << 20):
            client.send(text[start : start + (1 << 20)])
            peak.look()
        assert rows(client.hear()) == [["50000000"]]
    assert peak.grown < 25


def test_what_was_taken_is_given_back(direct: Application, module_proxy: ProxyUnderTest) -> None:
    """Clients that come and go leave nothing: neither memory nor files."""
    through = direct.at(module_proxy.port)

    def round_of_clients() -> None:
        for i in range(150):
            with through.raw() as client:
                assert shape(client.query(f"SELECT {i}, 'a text of its own'")) == "TDCZ"

    round_of_clients()
    gc.collect()
    before, files = memory(module_proxy), open_files(module_proxy)
    round_of_clients()
    assert memory(module_proxy) - before < 5
    wait_until(lambda: open_files(module_proxy) <= files + 2, "files to be closed")


def open_files(proxy: ProxyUnderTest) -> int:
    return len(os.listdir(f"/proc/{proxy.process.pid}/fd"))
