"""The demo: it shows what it claims, says so when it doesn't, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import pytest

from proxy.demo.processes import wait_until

ROOT = Path(__file__).parents[2]
DEMO = ("-m", "proxy", "demo")

CACHE_OFF = """
import sys
from functools import partial
from proxy.demo import scenario
scenario.SCENES = (scenario.ask_again,)
scenario.ProxyProcess = partial(scenario.ProxyProcess, group={"cache": False})
sys.exit(scenario.run(exit_when_done=True))
"""

StartDemo = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where the demo's temporary folder is made: nothing may be left in it, or run from it."""
    with tempfile.TemporaryDirectory(prefix="demo-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the servers are another user's
        yield folder
        wait_until(lambda: not left_in(folder), f"nothing to be left in {folder}")


@pytest.fixture
def start_demo(folder: Path) -> Iterator[StartDemo]:
    """Start it; whatever a test does, it is not there afterwards."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> subprocess.Popen[str]:
        demo = subprocess.Popen(
            # Whoever runs us in the background has SIGINT ignored, which is inherited.
            ["env", "--default-signal=INT", sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(ROOT)},
        )
        started.append(demo)
        return demo

    yield start
    for demo in started:
        demo.kill()
        demo.communicate()


def left_in(folder: Path) -> list[str]:
    """List the files below a folder, and the processes that name it."""
    left = [str(path) for path in folder.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if bytes(folder) in command:
            left.append(command.replace(b"\0", b" ").decode())
    return left


def read_until(demo: subprocess.Popen[str], text: str) -> str:
    """Read what it prints until a line holds a text."""
    assert demo.stdout is not None
    lines: list[str] = []
    for line in demo.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} was not printed:\n{''.join(lines)}")


def test_demo_shows_what_it_claims_and_ends_by_itself(start_demo: StartDemo, folder: Path) -> None:
    demo = start_demo(*DEMO, "--exit", "--engine", "mariadb")
    output, _ = demo.communicate(timeout=300)
    assert demo.returncode == 0, output
    shows_what_it_claims(output)
    assert left_in(folder) == []


def shows_what_it_claims(output: str) -> None:
    assert re.search(r"All 12 claims were checked, and held", output), output
    assert "replica2 answered 0 of them, and every one saw the write" in output
    assert "Who answered the reads" in output
    assert "direct and through Tidegate" in output
    assert "\x1b" not in output, "what is piped must be plain"


def test_demo_shows_what_it_claims_and_stays_up_until_it_is_told_to_stop(
    start_demo: StartDemo, folder: Path
) -> None:
    demo = start_demo(*DEMO)
    output = read_until(demo, "Ctrl-C stops everything")
    shows_what_it_claims(output)
    dsn = re.search(r"postgresql://\S+", output)
    url = re.search(r"http://\S+/metrics", output)
    assert dsn is not None
    assert url is not None

    async def ask() -> object:
        connection = await asyncpg.connect(dsn[0])
        try:
            return await connection.fetchval("SELECT count(*) FROM pgbench_tellers")
        finally:
            await connection.close()

    assert asyncio.run(ask()) == 100
    with urllib.request.urlopen(url[0], timeout=10) as metrics:
        assert b"tidegate_reads_total" in metrics.read()
    demo.send_signal(signal.SIGTERM)
    demo.communicate(timeout=60)
    assert demo.returncode == 0
    assert left_in(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_interrupted_while_it_starts_leaves_nothing(
    start_demo: StartDemo, folder: Path, number: signal.Signals
) -> None:
    demo = start_demo(*DEMO)
    read_until(demo, "a primary and two replicas (")
    assert left_in(folder) != []
    demo.send_signal(number)
    output, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130, output
    assert "Traceback" not in output
    assert left_in(folder) == []


def test_demo_killed_leaves_nothing(start_demo: StartDemo, folder: Path) -> None:
    demo = start_demo(*DEMO)
    read_until(demo, "no Redis (")
    demo.kill()
    wait_until(lambda: not left_in(folder), "servers and folder to be gone")


def test_claim_that_does_not_hold_is_said_and_ends_in_status_1(start_demo: StartDemo) -> None:
    demo = start_demo("-c", CACHE_OFF)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1, output
    assert "1 of 1 claims did not hold" in output
