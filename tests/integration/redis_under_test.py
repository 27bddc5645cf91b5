"""A Redis server of the tests' own, which can be paused, killed and brought back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis

from proxy.demo.processes import MissingProgram, free_port, temporary_folder, wait_until
from proxy.demo.programs import find_account, spawn

PASSWORD = "not to be seen in any log"


class Redis:
    """One server, on a port that it keeps for life. Nothing it holds outlives it.

    Args:
        folder: Gets its log and, in a folder of its own, what it writes.
        settings: More of its configuration.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self._more = settings
        self._account = find_account()
        self._folder = folder
        self._data = self._account.make_folder(folder / "data")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Connect to it, past any proxy."""
        return redis.Redis(port=self.port, password=PASSWORD, socket_timeout=5.0)

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise MissingProgram("no redis-server: apt-get install redis-server")
        settings = {"port": str(self.port), "bind": "127.0.0.1", "requirepass": PASSWORD}
        settings |= {"save": "", "appendonly": "no", "dir": str(self._data), **self._more}
        command = [part for name, value in settings.items() for part in (f"--{name}", value)]
        log = self._folder / "redis.log"
        self._process = spawn(self._account, [program, *command], log=log)
        wait_until(self._answers, "Redis to answer")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it answer nothing more, with every connection open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "it does not run"
        os.kill(self._process.pid, number)


@contextmanager
def temporary_redis(**settings: str) -> Iterator[Redis]:
    """Run one while it is needed."""
    with temporary_folder() as folder:
        server = Redis(folder, settings)
        server.start()
        try:
            yield server
        finally:
            server.kill()
