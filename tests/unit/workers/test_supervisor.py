"""The supervisor over processes that only say what a worker says, and so are there at once."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxy.demo.processes import children, free_port, is_alive
from proxy.settings import Settings, parse
from proxy.workers import roster, supervisor
from proxy.workers.messages import Ready
from proxy.workers.roster import State
from proxy.workers.supervisor import Supervisor

WELL = "say(READY); wait()"
STUBBORN = "signal.signal(signal.SIGTERM, signal.SIG_IGN); say(READY); wait()"
WRONG = "sys.exit(2)"
GARBAGE = "say(b'this is no pickle'); wait()"

STUB = """
import signal, socket, sys
def say(data): end.sendall(len(data).to_bytes(4, 'big') + data)
def wait():
    while end.recv(65536): pass
READY = bytes.fromhex(sys.argv[1])
number = int(sys.argv[2])
end = socket.socket(fileno=int(sys.argv[3]))
"""


@pytest.fixture(autouse=True)
def _children_are_gone() -> Iterator[None]:
    before = children(os.getpid())
    yield
    assert set(children(os.getpid())) <= set(before)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Two workers."""
    text = f"""
    workers = 2
    [server_groups.app]
    listen = "127.0.0.1:{free_port()}"
    servers = ["127.0.0.1:1"]
    auth_user = "x"
    [admin]
    listen = "127.0.0.1:{free_port()}"
    """
    return parse(text, {}, base=Path())


class Running:
    """A supervisor at work in this process.

    Args:
        settings: Of the host.
        monkeypatch: Puts stubs in the place of workers.
    """

    def __init__(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        self.starts = {1: 0, 2: 0}
        self.does = WELL
        monkeypatch.setattr(supervisor, "_command", self._command)
        self.supervisor = Supervisor(settings, lambda: settings, hangs=60.0)
        self._task = asyncio.create_task(self.supervisor.run())

    def _command(self, number: int, file: int) -> list[str]:
        self.starts[number] += 1
        ready = pickle.dumps(Ready()).hex()
        return [sys.executable, "-S", "-c", STUB + self.does, ready, str(number), str(file)]

    @property
    def up(self) -> int:
        return self.supervisor._roster.count(State.UP)

    def pids(self) -> list[int]:
        return [worker.process.pid for worker in self.supervisor._workers.values()]

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                assert not self._task.done()
                await asyncio.sleep(0.01)

    async def until_up(self, count: int = 2) -> None:
        await self.until(lambda: self.up == count)

    async def ended(self) -> int:
        async with asyncio.timeout(20):
            return await self._task


async def test_it_ends_all_that_it_has_started(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(settings, monkeypatch)
    await running.until_up()
    folder = running.supervisor._folder
    assert os.stat(folder).st_mode & 0o777 == 0o700
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running.ended() == 0
    with pytest.raises(FileNotFoundError):
        os.stat(folder)


async def test_a_first_start_that_fails_ends_with_its_status(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(settings, monkeypatch)
    running.does = WRONG
    assert await running.ended() == 2
    assert running.starts == {1: 1, 2: 1}


async def test_one_that_dies_is_replaced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(settings, monkeypatch)
    await running.until_up()
    os.kill(running.pids()[0], signal.SIGKILL)
    await running.until_up(1)
    await running.until_up()
    assert sorted(running.starts.values()) == [1, 2]
    os.kill(os.getpid(), signal.SIGINT)
    assert await running.ended() == 0


async def test_when_no_worker_comes_up_any_more_it_gives_up(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "LONGEST_PAUSE", 0.01)
    running = Running(settings, monkeypatch)
    await running.until_up()
    running.does = WRONG
    for pid in running.pids():
        os.kill(pid, signal.SIGKILL)
    assert await running.ended() == 1
    assert sum(running.starts.values()) >= 2 + roster.TRIES


async def test_what_a_worker_says_and_nobody_understands_is_its_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = Running(settings, monkeypatch)
    await running.until_up()
    running.does = GARBAGE
    os.kill(running.pids()[0], signal.SIGKILL)
    await running.until(lambda: sum(running.starts.values()) >= 4)
    running.does = WELL
    await running.until_up()
    os.kill(os.getpid(), signal.SIGTERM)
    assert await running.ended() == 0


@pytest.mark.parametrize("is_impatient", [True, False])
async def test_who_does_not_end_is_killed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, is_impatient: bool
) -> None:
    monkeypatch.setattr(supervisor, "GOODBYE", 60.0 if is_impatient else 0.2)
    running = Running(settings, monkeypatch)
    running.does = STUBBORN
    await running.until_up()
    pids = running.pids()
    os.kill(os.getpid(), signal.SIGTERM)
    if is_impatient:
        await running.until(lambda: running.supervisor._is_stopping)
        os.kill(os.getpid(), signal.SIGINT)
    assert await running.ended() == 1
    assert not any(map(is_alive, pids))
