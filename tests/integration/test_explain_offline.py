"""`tidegate explain`: definitions from a real server or from a file, and the same answer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxy.demo.local_postgres import SUPERUSER, PostgresCluster
from proxy.demo.processes import free_port, wait_until
from tests.conftest import Run
from tests.integration.application import Application

SCHEMA = """
CREATE TABLE IF NOT EXISTS parcels (id int PRIMARY KEY, town text);
CREATE OR REPLACE VIEW parcel_towns AS SELECT town FROM parcels;
CREATE OR REPLACE FUNCTION touched(a int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT $1';
"""
READ = "SELECT lower(town) FROM parcel_towns WHERE town = 'here'"


@pytest.fixture
def configuration(cluster: PostgresCluster, direct: Application, tmp_path: Path) -> Path:
    with direct.connect() as connection:
        connection.execute(SCHEMA)
    file = tmp_path / "tidegate.toml"
    servers = json.dumps([f"127.0.0.1:{free_port()}", *(s.address for s in cluster.servers)])
    file.write_text(
        f'[server_groups.app]\nservers = {servers}\nauth_user = "{SUPERUSER}"\n'
        f'auth_password = "{cluster.password}"\n'
    )
    return file


def asked(capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    return dict(json.loads(capsys.readouterr().out))


def test_a_server_and_a_file_say_the_same(
    run: Run, configuration: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--config", str(configuration), "--database", "app")
    file = str(tmp_path / "app.json")
    for sql in (READ, "SELECT touched(id) FROM parcels", "DELETE FROM parcels"):
        assert run("explain", sql, *options, "--json") == 0
        of_server = asked(capsys)
        assert run("explain", *options, "--save-catalog", file) == 0
        assert run("explain", sql, *options, "--catalog", file, "--json") == 0
        assert asked(capsys) == of_server
    assert run("explain", READ, "--catalog", file, "--json") == 0
    found = asked(capsys)
    assert (found["reads"], found["reason"]) == ("public.parcels", "replica")


def test_the_proxy_at_work_says_the_same(
    run: Run, configuration: Path, app: Application, capsys: pytest.CaptureFixture[str]
) -> None:
    online: dict[str, str] = {}

    def is_known() -> bool:
        online.update(client.execute(f"EXPLAIN ROUTE {READ}".encode()).fetchall())
        return online["reason"] == "replica"

    with app.connect() as client:
        wait_until(is_known, "the catalog to be read")
    assert run("explain", READ, "--config", str(configuration), "--database", "app", "--json") == 0
    offline = asked(capsys)
    for fact in offline.keys() - {"goes to"}:
        assert online[fact] == offline[fact]


def test_plain_lines(run: Run, configuration: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("explain", READ, "--config", str(configuration), "--database", "app") == 0
    lines = capsys.readouterr().out.splitlines()
    assert "reason            replica" in lines
    assert not any("'here'" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "status", "why"),
    [
        ((READ, "--database", "nowhere"), 1, 'there is no database "nowhere"'),
        ((READ,), 1, "name the database: --database NAME"),
        (("SELEC 1", "--database", "app"), 1, "not understood: no statement begins with selec"),
        (("SELECT 1; SELECT 2", "--database", "app"), 1, "2 statements"),
        ((READ, "--database", "app", "--group", "other"), 2, "--group: app"),
        ((READ, "--database", "app", "--search-path", "a b"), 2, "--search-path: not a list"),
        ((READ, "--catalog", "/dev/null"), 1, "/dev/null: not a catalog"),
        ((READ, "--catalog", "/nowhere.json"), 1, "No such file"),
    ],
)
def test_mistakes_are_one_line(
    run: Run,
    configuration: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    status: int,
    why: str,
) -> None:
    assert run("explain", *arguments, "--config", str(configuration)) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert why in captured.err
    assert len(captured.err.splitlines()) == 1


def test_servers_that_do_not_answer(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tidegate.toml"
    file.write_text(
        f'[server_groups.app]\nservers = ["127.0.0.1:{free_port()}"]\nauth_user = "tidegate"\n'
    )
    assert run("explain", "SELECT 1", "--config", str(file), "--database", "app") == 1
    assert "no server could be asked: 127.0.0.1:" in capsys.readouterr().err
    assert run("explain", "SELECT 1", "--config", str(tmp_path / "gone.toml")) == 2
    assert "No such file" in capsys.readouterr().err
