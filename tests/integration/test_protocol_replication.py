"""Replication connections are passed through to the primary, as they are."""

from __future__ import annotations

import subprocess
import threading
from pathlib import Path

import psycopg
import pytest

from proxy.demo.local_postgres import PostgresCluster
from proxy.demo.processes import wait_until
from proxy.wire.postgres import tags
from proxy.wire.postgres.errors import LoginRefused
from proxy.wire.postgres.frontend import query
from tests.integration.application import PASSWORD, Application
from tests.integration.raw_client import rows, shape, sqlstates


@pytest.fixture(scope="module", autouse=True)
def _role(direct: Application, shared_cluster: PostgresCluster) -> None:
    shared_cluster.primary.execute(f"CREATE ROLE copier LOGIN REPLICATION PASSWORD '{PASSWORD}'")


@pytest.fixture
def copier(app: Application) -> Application:
    return app.like(user="copier")


@pytest.fixture
def table(direct: Application) -> str:
    with direct.connect() as connection:
        connection.execute("DROP TABLE IF EXISTS streamed")
        connection.execute("CREATE TABLE streamed (id int PRIMARY KEY)")
    return "streamed"


def test_a_server_says_who_it_is(copier: Application, shared_cluster: PostgresCluster) -> None:
    system = shared_cluster.primary.fetch_value("SELECT system_identifier FROM pg_control_system()")
    for kind, database in (("true", None), ("database", "app")):
        with copier.raw(replication=kind) as client:
            (row,) = rows(client.query("IDENTIFY_SYSTEM"))
            assert row[0] == str(system)
            assert row[3] == database
            assert shape(client.query("SHOW server_version_num")) == "TDCZ"


def test_sql_on_a_logical_replication_connection(copier: Application) -> None:
    with copier.raw(replication="database") as client:
        assert client.value("SELECT pg_is_in_recovery()") == "f"
        assert sqlstates(client.query("SELEC 1")) == ["42601"]
        assert client.value("SELECT 1") == "1"


def test_changes_are_streamed(copier: Application, app: Application, table: str) -> None:
    with copier.raw(replication="database") as client:
        heard = client.query("CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL test_decoding")
        start = rows(heard)[0][1]
        with app.connect() as connection:
            connection.execute(f"INSERT INTO {table} VALUES (1), (2)".encode())
        client.send(query(f"START_REPLICATION SLOT s LOGICAL {start}".encode()))
        assert client.read()[0] == tags.COPY_BOTH_RESPONSE
        seen = b""
        while b"COMMIT" not in seen:
            tag, message = client.read()
            assert tag == tags.COPY_DATA
            seen += message
        assert seen.count(b"table public.streamed: INSERT") == 2


def test_a_slot_is_given_up_with_its_connection(
    copier: Application, shared_cluster: PostgresCluster
) -> None:
    slots = "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'brief'"
    with copier.raw(replication="true") as client:
        client.query("CREATE_REPLICATION_SLOT brief TEMPORARY PHYSICAL")
        assert shared_cluster.primary.fetch_value(slots) == 1
    wait_until(lambda: shared_cluster.primary.fetch_value(slots) == 0, "the slot to be gone")


def test_who_may_not_replicate_is_refused_by_the_server(app: Application) -> None:
    with pytest.raises(LoginRefused) as refused:
        app.raw(replication="true")
    assert refused.value.sqlstate in (b"28000", b"42501")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        app.like(user="copier", password="wrong").connect(replication="database")


def test_a_statement_on_a_replication_connection_is_cancelled(copier: Application) -> None:
    with copier.connect(replication="database") as connection:
        timer = threading.Timer(0.1, connection.cancel_safe)
        timer.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            connection.execute("SELECT pg_sleep(30)")
        timer.join()
        assert connection.execute("SELECT 1").fetchone() == (1,)


def program(cluster: PostgresCluster, copier: Application, name: str, *arguments: str) -> str:
    """Run one of PostgreSQL's own programs through the proxy."""
    done = subprocess.run(
        [cluster.postgres.path(name), *arguments],
        env={**copier.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_pg_basebackup(
    copier: Application, shared_cluster: PostgresCluster, tmp_path: Path
) -> None:
    target = tmp_path / "copy"
    program(
        shared_cluster,
        copier,
        "pg_basebackup",
        *("--pgdata", str(target), "--checkpoint", "fast", "--no-sync"),
        *("--wal-method", "stream", "--progress", "--verbose"),
    )
    assert (target / "PG_VERSION").read_text().strip() == str(shared_cluster.postgres.major)
    assert (target / "backup_manifest").stat().st_size > 1000
    program(shared_cluster, copier, "pg_verifybackup", str(target))


def test_pg_receivewal(
    copier: Application, shared_cluster: PostgresCluster, tmp_path: Path
) -> None:
    end = str(shared_cluster.primary.fetch_value("SELECT pg_current_wal_lsn()::text"))
    shared_cluster.primary.mark_position()
    program(
        shared_cluster,
        copier,
        "pg_receivewal",
        *("--directory", str(tmp_path), "--endpos", end, "--no-sync", "--no-loop"),
    )
    assert any(tmp_path.iterdir())


def test_pg_recvlogical(
    copier: Application, app: Application, shared_cluster: PostgresCluster, table: str
) -> None:
    slot = ["--slot", "received", "--dbname", "app"]
    program(
        shared_cluster,
        copier,
        "pg_recvlogical",
        *(*slot, "--create-slot", "--plugin", "test_decoding"),
    )
    try:
        with app.connect() as connection:
            connection.execute(f"INSERT INTO {table} SELECT generate_series(10, 20)".encode())
        end = str(shared_cluster.primary.mark_position())
        found = program(
            shared_cluster,
            copier,
            "pg_recvlogical",
            *(*slot, "--start", "--endpos", end, "--file", "-", "--no-loop"),
        )
        assert found.count("table public.streamed: INSERT") == 11
    finally:
        program(shared_cluster, copier, "pg_recvlogical", *slot, "--drop-slot")
