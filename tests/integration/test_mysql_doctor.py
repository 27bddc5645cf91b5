"""`tidegate explain` and `tidegate doctor` on MySQL's and MariaDB's definitions and digests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.demo.local_mysql import CONTROL_USER, MySQLCluster
from proxy.demo.processes import free_port
from tests.conftest import Run
from tests.integration.mysql_under_test import application

READ = "SELECT town FROM parcel_towns WHERE town = 'here'"


@pytest.fixture
def configuration(either: MySQLCluster, either_database: str, tmp_path: Path) -> Path:
    run = either.primary.execute
    run(f"CREATE TABLE {either_database}.parcels (id int PRIMARY KEY, town varchar(20))")
    run(
        f"CREATE VIEW {either_database}.parcel_towns AS"
        f" SELECT town FROM {either_database}.parcels WHERE id > 0"
    )
    file = tmp_path / "tidegate.toml"
    servers = json.dumps([f"127.0.0.1:{free_port()}", either.primary.address])
    file.write_text(
        '[server_groups.app]\nengine = "mysql"\nserver_tls_sslmode = "disable"\n'
        f'servers = {servers}\nauth_user = "{CONTROL_USER}"\n'
        f'auth_password = "{either.control_password}"\n'
    )
    return file


def test_a_server_and_a_file_say_the_same(
    run: Run,
    configuration: Path,
    either_database: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = str(tmp_path / "app.json")
    options = ("--config", str(configuration), "--database", either_database)
    assert run("explain", *options, "--save-catalog", file) == 0
    for sql in (READ, "SELECT town FROM parcels FOR UPDATE", "DELETE FROM parcels"):
        assert run("explain", sql, *options, "--json") == 0
        of_server = json.loads(capsys.readouterr().out)
        assert run("explain", sql, *options, "--catalog", file, "--json") == 0
        assert json.loads(capsys.readouterr().out) == of_server
    alone = ("--catalog", file, "--database", either_database, "--json")
    assert run("explain", READ, *alone) == 0
    found = dict(json.loads(capsys.readouterr().out))
    assert (found["reads"], found["reason"]) == (f"{either_database}.parcels", "replica")


def test_digests_are_counted_where_there_are_any(
    run: Run,
    configuration: Path,
    either: MySQLCluster,
    either_database: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    server, started = f"127.0.0.1:{either.primary.port}", tmp_path / "started.toml"
    url = f"mysql://{CONTROL_USER}:{either.control_password}@{server}"
    with (
        application(either) as app,
        app.connect(database=either_database) as connection,
        connection.cursor() as cursor,
    ):
        for number in range(7):
            cursor.execute("SELECT id FROM parcels WHERE town IN (%s, 'hunter2')", (number,))
        cursor.execute("INSERT INTO parcels VALUES (1, 'a'), (2, 'b')")
        cursor.execute("SELECT COUNT(*), NOW() FROM parcel_towns LIMIT 5, 10")
    is_counted = either.primary.fetch_value("SELECT @@performance_schema") in (1, "1")
    code = run("doctor", url, "--json", "--write-config", str(started))
    said = capsys.readouterr()
    if not is_counted:  # MariaDB's default
        assert code == 1
        assert "performance_schema = ON" in said.err
        return
    assert code == 0
    assert "hunter2" not in said.out
    report = json.loads(said.out)
    (table,) = [it for it in report["tables"] if it["name"] == f"{either_database}.parcels"]
    assert table == {"name": f"{either_database}.parcels", "reads": 8, "writes": 1}
    assert report["cache_hits"] is None
    assert run("check", str(started)) == 0
