"""Clients and servers of the same machine, by Unix sockets."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from proxy.demo.certificates import Authority
from proxy.demo.local_postgres import SUPERUSER, PostgresCluster, temporary_cluster
from proxy.demo.processes import wait_until
from proxy.wire.postgres.packets import SSL_REQUEST
from tests.integration.application import Application
from tests.integration.conftest import StartProxy
from tests.integration.proxy_under_test import ProxyUnderTest, Setting


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    found = Path(tempfile.mkdtemp(prefix="tidegate-"))
    yield found
    shutil.rmtree(found)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of a proxy that wants TLS of its clients."""
    pair = Authority(tmp_path_factory.mktemp("tls")).issue_server("proxy")
    return {
        "client_tls_sslmode": "require",
        "client_tls_cert_file": str(pair.certificate),
        "client_tls_key_file": str(pair.key),
    }


def file_of(proxy: ProxyUnderTest, folder: Path) -> Path:
    return folder / f".s.PGSQL.{proxy.port}"


def connect(
    application: Application, proxy: ProxyUnderTest, folder: Path, **options: str
) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(folder),
        port=proxy.port,
        user=application.user,
        password=application.password,
        dbname=application.database,
        autocommit=True,
        **options,
    )


def test_programs_and_drivers_connect_by_the_folder(
    direct: Application, start_proxy: StartProxy, folder: Path, cluster: PostgresCluster
) -> None:
    proxy = start_proxy(unix_socket_dir=str(folder))
    printed = subprocess.run(
        [cluster.postgres.path("psql"), "-XAt", "-c", "SELECT 'by psql'", "-c", r"\conninfo"],
        env={**direct.at(proxy.port).environment, "PGHOST": str(folder)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert "by psql" in printed.stdout
    assert f'via socket in "{folder}"' in printed.stdout
    with connect(direct, proxy, folder) as connection:
        assert connection.execute("SELECT 'by psycopg'").fetchone() == ("by psycopg",)
        cancel_a_statement(connection)
    proxy.wait_logged("client=[local] user=app")


def cancel_a_statement(connection: psycopg.Connection[Any]) -> None:
    """Stop one while it runs."""
    stop = threading.Timer(0.3, connection.cancel)
    stop.start()
    with pytest.raises(psycopg.errors.QueryCanceled):
        connection.execute("SELECT pg_sleep(30)")
    stop.join()


async def test_asyncpg_connects_by_the_folder(
    direct: Application, start_proxy: StartProxy, folder: Path
) -> None:
    proxy = start_proxy(unix_socket_dir=str(folder))
    connection = await asyncpg.connect(
        host=str(folder),
        port=proxy.port,
        user=direct.user,
        password=direct.password,
        database=direct.database,
    )
    assert await connection.fetchval("SELECT $1::text", "x" * 1_000_000) == "x" * 1_000_000
    await connection.close()


@pytest.mark.parametrize("auth_type", ["scram-sha-256", "plain"])
def test_tls_is_neither_wanted_nor_spoken_on_a_unix_socket(
    direct: Application, start_proxy: StartProxy, folder: Path, tls: dict[str, str], auth_type: str
) -> None:
    proxy = start_proxy(unix_socket_dir=str(folder), auth_type=auth_type, **tls)
    with connect(direct, proxy, folder) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(direct.like(password="wrong"), proxy, folder)
    with pytest.raises(psycopg.OperationalError, match="TLS is required"):
        psycopg.connect(direct.at(proxy.port).dsn(sslmode="disable"))
    with socket.socket(socket.AF_UNIX) as raw:
        raw.settimeout(5)
        raw.connect(str(file_of(proxy, folder)))
        raw.sendall(SSL_REQUEST)
        assert raw.recv(1) == b"N"


def test_a_certificate_cannot_be_shown_on_a_unix_socket(
    direct: Application, start_proxy: StartProxy, folder: Path, tls: dict[str, str]
) -> None:
    wanted = {**tls, "client_tls_sslmode": "verify-full", "auth_type": "cert"}
    wanted["client_tls_ca_file"] = wanted["client_tls_cert_file"]
    proxy = start_proxy(unix_socket_dir=str(folder), **wanted)
    with pytest.raises(psycopg.OperationalError, match="requires a valid client certificate"):
        connect(direct, proxy, folder)


def with_socket(
    cluster: PostgresCluster, home: Path, folder: Path, **group: Setting
) -> ProxyUnderTest:
    return ProxyUnderTest(
        home,
        [cluster.primary.address],
        auth_user=SUPERUSER,
        auth_password=cluster.password,
        group={"unix_socket_dir": str(folder), **group},
    )


def test_the_file_comes_with_its_permissions_and_goes_at_the_end(
    cluster: PostgresCluster, tmp_path: Path, folder: Path
) -> None:
    proxy = with_socket(cluster, tmp_path, folder, unix_socket_mode="0710")
    with proxy:
        assert file_of(proxy, folder).stat().st_mode & 0o777 == 0o710
    assert list(folder.iterdir()) == []


def test_what_a_killed_process_left_behind_is_replaced(
    direct: Application, cluster: PostgresCluster, tmp_path: Path, folder: Path
) -> None:
    with with_socket(cluster, tmp_path, folder) as proxy:
        proxy.kill()
        assert file_of(proxy, folder).is_socket()
        proxy.start()
        with connect(direct, proxy, folder) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize("what", ["socket", "file"])
def test_what_is_somebody_elses_is_refused_and_left(
    cluster: PostgresCluster, tmp_path: Path, folder: Path, what: str
) -> None:
    proxy = with_socket(cluster, tmp_path, folder)
    file = file_of(proxy, folder)
    with socket.socket(socket.AF_UNIX) as theirs:
        if what == "socket":
            theirs.bind(str(file))
            theirs.listen()
        else:
            file.write_text("theirs")
        proxy.launch()
        assert proxy.process.wait(20) == 1
    why = {
        "socket": "another process listens there",
        "file": "a file by that name is no socket",
    }
    problem = f"server_groups.app.unix_socket_dir: can't listen on {file}: {why[what]}"
    assert proxy.log.read_text().splitlines()[-1] == problem
    assert file.exists()


def test_a_file_that_another_has_put_in_place_of_ours_is_left(
    cluster: PostgresCluster, tmp_path: Path, folder: Path
) -> None:
    with with_socket(cluster, tmp_path, folder) as proxy:
        file = file_of(proxy, folder)
        file.unlink()
        file.write_text("theirs")
    assert file.read_text() == "theirs"


def test_a_client_that_hangs_up_at_once_does_no_harm(
    direct: Application, start_proxy: StartProxy, folder: Path
) -> None:
    proxy = start_proxy(unix_socket_dir=str(folder))
    for _ in range(20):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(file_of(proxy, folder)))
    with connect(direct, proxy, folder) as connection:
        wait_until(lambda: proxy.metric("tidegate_clients") == 1, "the others to be gone")
        assert connection.execute("SELECT 1").fetchone() == (1,)
    os.kill(proxy.process.pid, signal.SIGTERM)
    assert proxy.process.wait(10) == 0


def test_servers_are_reached_by_their_sockets(
    direct: Application, start_proxy: StartProxy, cluster: PostgresCluster
) -> None:
    addresses = [f"{cluster.root}:{server.port}" for server in cluster.servers]
    # As in libpq, what is asked of TLS does not concern a Unix socket.
    proxy = start_proxy(*addresses, server_tls_sslmode="require")
    with direct.at(proxy.port).connect() as connection:

        def goes() -> str:
            found = dict(connection.execute("EXPLAIN ROUTE SELECT b FROM by_socket").fetchall())
            return str(found["goes to"])

        connection.execute("CREATE TABLE by_socket AS SELECT 1 AS b")
        assert connection.execute("SELECT inet_server_addr() IS NULL").fetchone() == (True,)
        wait_until(lambda: goes().startswith("replica"), "reads to leave the primary")
        assert connection.execute("SELECT b FROM by_socket").fetchone() == (1,)
        cancel_a_statement(connection)
        connection.execute("DROP TABLE by_socket")
    assert {remote for _, remote, _ in proxy.sockets()}.isdisjoint(
        server.port for server in cluster.servers
    )


def test_a_server_is_told_a_password_in_clear_by_its_socket(tmp_path: Path) -> None:
    with temporary_cluster(replicas=0) as cluster:
        access = cluster.primary.data / "pg_hba.conf"
        cluster.account.write(access, "local all clear password\n" + access.read_text())
        cluster.primary.execute("SELECT pg_reload_conf()")
        cluster.primary.execute("CREATE ROLE clear LOGIN PASSWORD 'c'")
        proxy = ProxyUnderTest(
            tmp_path,
            [f"{cluster.root}:{cluster.primary.port}"],
            auth_user=SUPERUSER,
            auth_password=cluster.password,
            group={"users": {"clear": {"password": "c"}}},
        )
        with proxy:
            clear = Application(proxy.port, user="clear", password="c", database="postgres")
            with clear.connect() as connection:
                assert connection.execute("SELECT current_user").fetchone() == ("clear",)
