"""The command line: what it prints and how it ends."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from proxy.errors import NoPrimary
from proxy.settings import Settings
from tests.conftest import Run

GOOD = """
[server_groups.app]
servers = ["10.0.0.1:5432", "10.0.0.2:5432"]
auth_user = "tidegate"
auth_password = "hunter2"
max_client_conn = 50
"""


@pytest.fixture(autouse=True)
def _keep_file_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)


@pytest.fixture
def good(tmp_path: Path) -> str:
    file = tmp_path / "good.toml"
    file.write_text(GOOD)
    return str(file)


@pytest.fixture
def five_mistakes(tmp_path: Path) -> str:
    file = tmp_path / "bad.toml"
    lines = ['pool_mode = "x"', "cache = 3", 'listen = "y"', "colour = 1", 'auth_type = "z"']
    file.write_text(GOOD + "\n".join(lines))
    return str(file)


def install(monkeypatch: pytest.MonkeyPatch, name: str, run: Callable[..., int]) -> None:
    """Put a module with a `run` in the place of a real one."""
    module = ModuleType(name)
    module.__dict__["run"] = run
    monkeypatch.setitem(sys.modules, name, module)


def test_check_says_ok_and_what_the_file_means(
    run: Run, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", good) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"ok: {good}\n")
    assert "10.0.0.1:5432 10.0.0.2:5432" in output
    assert "hunter2" not in output
    assert len(output.splitlines()) < 24


@pytest.mark.parametrize(
    ("engine", "login"),
    [
        ("postgres", "scram-sha-256, verifiers read by tidegate"),
        (
            "mysql",
            "mysql_native_password or caching_sha2_password, as the account says;"
            " accounts read by tidegate",
        ),
    ],
)
def test_check_says_how_clients_log_in(
    run: Run, good: str, engine: str, login: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(good).write_text(f'{GOOD}engine = "{engine}"')
    assert run("check", good) == 0
    assert f"\nlogin     {login}\n" in capsys.readouterr().out


def test_check_prints_each_problem_on_its_line(
    run: Run, five_mistakes: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("check", five_mistakes) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert len(captured.err.splitlines()) == 5
    assert all(line.startswith("server_groups.app.") for line in captured.err.splitlines())


def test_serve_refuses_a_wrong_configuration_before_anything_runs(
    run: Run, five_mistakes: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(monkeypatch, "proxy.app", lambda *_: pytest.fail("it ran"))
    assert run("serve", five_mistakes) == 2


@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_log_file_that_cannot_be_written_is_a_wrong_configuration(
    run: Run,
    good: str,
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    install(monkeypatch, "proxy.app", lambda *_: pytest.fail("it ran"))
    Path(good).write_text(GOOD + '[log]\ndestination = "gone/t.log"')
    assert run(command, good) == 2
    folder = tmp_path / "gone"
    assert capsys.readouterr().err == f'log.destination: no such folder: "{folder}"\n'
    assert not folder.exists()


def test_serve_runs_the_proxy_and_ends_with_its_status(
    run: Run, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    served: list[Settings] = []
    install(monkeypatch, "proxy.app", lambda settings, _: served.append(settings) or 7)
    assert run("serve", good) == 7
    assert served[0].server_groups["app"].max_client_conn == 50


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), (False, "postgres")),
        (("--exit",), (True, "postgres")),
        (("--engine", "mariadb", "--exit"), (True, "mariadb")),
    ],
)
def test_demo_passes_on_what_it_plays_on_and_whether_to_stay(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    expected: tuple[bool, str],
) -> None:
    asked: list[tuple[bool, str]] = []
    install(
        monkeypatch,
        "proxy.demo.scenario",
        lambda exit_when_done, servers: asked.append((exit_when_done, servers)) or 0,
    )
    assert run("demo", *arguments) == 0
    assert asked == [expected]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(98, "Address already in use"), "[Errno 98] Address already in use\n"),
        (NoPrimary("no primary in group app"), "no primary in group app\n"),
        (
            KeyError("hunter2"),
            "internal error: KeyError; TIDEGATE_TRACEBACK=1 shows where\n",
        ),
    ],
)
def test_failure_is_one_line_and_no_traceback(
    run: Run,
    good: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    line: str,
) -> None:
    def fail(*_: object) -> int:
        raise error

    install(monkeypatch, "proxy.app", fail)
    assert run("serve", good) == 1
    assert capsys.readouterr().err == line


def test_too_few_open_files_are_pointed_out(
    run: Run, good: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    assert run("check", good) == 0
    # 50 clients, 20 connections to each of 2 servers, 100 beside.
    assert "need 190 open files, the system allows 64" in capsys.readouterr().out


def test_config_example_passes_its_own_check(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run("config", "example") == 0
    file = tmp_path / "example.toml"
    file.write_text(capsys.readouterr().out)
    monkeypatch.setenv("TIDEGATE_AUTH_PASSWORD", "x")
    assert run("check", str(file)) == 0


def test_config_reference_is_printed(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("config", "reference") == 0
    assert capsys.readouterr().out.startswith("# Settings\n")


def test_init_db_prints_what_an_administrator_runs(
    run: Run, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("init-db", good) == 0
    printed = capsys.readouterr().out
    assert "CREATE SCHEMA IF NOT EXISTS tidegate;" in printed
    assert 'GRANT USAGE ON SCHEMA tidegate TO "tidegate";' in printed


def test_init_db_prints_mysqls_with_an_account(
    run: Run, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(good).write_text(GOOD.replace('"tidegate"', '"o\'neil"') + 'engine = "mysql"')
    assert run("init-db", good, "--host", "10.%") == 0
    assert "ON tidegate.epoch TO 'o''neil'@'10.%';" in capsys.readouterr().out


def test_init_db_wants_to_know_for_which_group(
    run: Run, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = GOOD.replace("server_groups.app", "server_groups.other")
    assert run("init-db", good, "--group", "none") == 2
    Path(good).write_text(f'{GOOD}{other}listen = "127.0.0.1:6433"')
    assert run("init-db", good) == 2
    assert "--group" in capsys.readouterr().err


def test_unknown_command_is_a_usage_error(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("sevre") == 2
    assert "Traceback" not in capsys.readouterr().err


def test_check_says_how_limits_are_shared(
    run: Run, good: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path(good).write_text(f"workers = 3\n{GOOD}audit_per_second = 2")
    assert run("check", good) == 0
    output = capsys.readouterr().out
    assert "\nworkers   3, which share what is limited here\n" in output
    assert "note: server_groups.app.audit_per_second = 2 is 1 for each of 3 workers" in output


def test_serve_with_several_workers_is_the_supervisors(
    run: Run, good: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(good).write_text(f"workers = 3\n{GOOD}")
    install(monkeypatch, "proxy.app", lambda settings, read_again: 7)
    install(monkeypatch, "proxy.workers.supervisor", lambda settings, read_again: 8)
    assert run("serve", good) == 8
    Path(good).write_text(GOOD)
    assert run("serve", good) == 7
