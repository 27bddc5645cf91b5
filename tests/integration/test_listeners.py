"""Ports that are opened or can't be, and signals."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from proxy.demo.console import SUPERUSER
from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from proxy.demo.programs import last_lines
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody else listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def listening(
    cluster: PostgresCluster, folder: Path, at: str = "127.0.0.1", admin: str = "127.0.0.1"
) -> ProxyUnderTest:
    proxy = ProxyUnderTest(
        folder, [cluster.primary.address], auth_user=SUPERUSER, auth_password=cluster.password
    )
    text = proxy.file.read_text()
    text = text.replace(f"127.0.0.1:{proxy.port}", f"{at}:{proxy.port}")
    text = text.replace(f"127.0.0.1:{proxy.admin_port}", f"{admin}:{proxy.admin_port}")
    proxy.file.write_text(text)
    return proxy


@pytest.mark.parametrize("setting", ["server_groups.app.listen", "admin.listen"])
def test_a_port_that_is_taken_is_named_and_no_other_is_opened(
    cluster: PostgresCluster, tmp_path: Path, taken: int, setting: str
) -> None:
    proxy = listening(cluster, tmp_path)
    mine = proxy.port if setting.startswith("server") else proxy.admin_port
    proxy.file.write_text(proxy.file.read_text().replace(str(mine), str(taken)))
    proxy.launch()
    assert proxy.process.wait(20) == 1
    text = proxy.log.read_text()
    assert f"{setting}: can't listen on 127.0.0.1:{taken}: " in text.splitlines()[-1]
    assert "listening" not in text, last_lines(proxy.log)


@pytest.mark.parametrize("host", ["*", "0.0.0.0", "localhost"])
def test_all_addresses_are_listened_on(
    direct: Application, cluster: PostgresCluster, tmp_path: Path, host: str
) -> None:
    with listening(cluster, tmp_path, host, host) as proxy:
        assert proxy.get("/healthz") == (200, "ok\n")
        with direct.at(proxy.port).connect() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["[::1]", "*"])
def test_ipv6_is_listened_on(
    direct: Application, cluster: PostgresCluster, tmp_path: Path, host: str
) -> None:
    proxy = listening(cluster, tmp_path, host)
    with proxy:
        dsn = direct.at(proxy.port).dsn().replace("127.0.0.1", "[::1]")
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_hangup_of_the_terminal_ends_nothing(
    direct: Application, start_proxy: StartProxy
) -> None:
    proxy = start_proxy()
    with direct.at(proxy.port).connect() as connection:
        proxy.process.send_signal(signal.SIGHUP)
        proxy.wait_logged("the configuration was read again")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_log_file_is_opened_anew_when_asked(
    direct: Application, cluster: PostgresCluster, tmp_path: Path
) -> None:
    file = tmp_path / "proxy.log"
    proxy = ProxyUnderTest(
        tmp_path,
        [cluster.primary.address],
        auth_user=SUPERUSER,
        auth_password=cluster.password,
        sections={"log": {"destination": file.name}},
    )
    with proxy, direct.at(proxy.port).connect() as connection:
        file.rename(tmp_path / "proxy.log.1")
        proxy.process.send_signal(signal.SIGUSR1)
        wait_until(file.exists, "the log file to be there again")
        wait_until(lambda: "SIGUSR1" in file.read_text(), "a line about it")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_log_that_is_no_file_goes_on_when_it_is_asked_to(
    direct: Application, start_proxy: StartProxy
) -> None:
    proxy = start_proxy()
    with direct.at(proxy.port).connect() as connection:
        for number in (signal.SIGUSR1, signal.SIGPIPE):
            proxy.process.send_signal(number)
        proxy.wait_logged("SIGUSR1")
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_scraper_that_stays_connected_does_not_hold_up_the_end(start_proxy: StartProxy) -> None:
    proxy = start_proxy()
    scraper = http.client.HTTPConnection("127.0.0.1", proxy.admin_port)
    scraper.request("GET", "/metrics")
    assert scraper.getresponse().read()
    proxy.process.terminate()
    try:
        assert proxy.process.wait(5) == 0
    except subprocess.TimeoutExpired:
        pytest.fail("it did not end")
    finally:
        scraper.close()


def test_it_starts_again_at_once_where_it_was_killed(
    direct: Application, start_proxy: StartProxy
) -> None:
    proxy = start_proxy()
    with direct.at(proxy.port).connect() as connection:
        proxy.kill()
        proxy.start()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
