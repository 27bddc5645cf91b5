"""A local server of any kind: how it is started, waited for and seen to stop."""

from __future__ import annotations

import subprocess
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

from proxy.demo.processes import ProgramFailed, wait_until
from proxy.demo.programs import Account, last_lines


class LocalServer(ABC):
    """A server of ours, on a port that it keeps for life.

    The methods block until what they ask for has come about.

    Args:
        name: What it is called here.
        data: The data folder.
        account: Who it runs as.
        password: The superuser's over TCP.

    Attributes:
        silence: What is raised by SQL while it does not answer yet.
    """

    silence: ClassVar[tuple[type[Exception], ...]]
    port: int

    def __init__(self, name: str, data: Path, account: Account, *, password: str) -> None:
        self.name = name
        self.data = data
        self.log = data.with_suffix(".log")
        self.password = password
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self.address}>"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The process id; that of the first process, where there are several."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @abstractmethod
    def fetch_value(self, sql: str) -> object:
        """Run one statement and return the first column of its first row."""

    # Starting and stopping.

    def start(self) -> None:
        self.begin_start()
        self.wait_ready()

    def begin_start(self) -> None:
        """Start it without waiting, so that several can start side by side."""
        if self.is_running:
            raise ProgramFailed(f"{self.name} is already running")
        self._process = self._spawn()

    @abstractmethod
    def _spawn(self) -> subprocess.Popen[bytes]: ...

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until it answers queries.

        Raises:
            ProgramFailed: It ended, or did not get there in time.
        """
        wait_until(self._answers, f"{self.name} to answer on {self.address}", timeout=timeout)

    def _answers(self) -> bool:
        if self._running().poll() is not None:
            raise ProgramFailed(f"{self.name} ended at start: {last_lines(self.log)}")
        try:
            self.fetch_value("SELECT 1")
        except self.silence:
            return False
        return True

    def wait_stopped(self, *, timeout: float = 30.0) -> None:
        """Wait until it is down; one that doesn't listen is made to."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._make_stop()

    def _make_stop(self) -> None:
        self.kill()

    @abstractmethod
    def kill(self) -> None:
        """End it at once, as a power cut would."""

    # Replication.

    @abstractmethod
    def promote(self) -> None:
        """Make a replica a primary, and wait until it is."""

    @abstractmethod
    def follow(self, primary: Self) -> None:
        """Make it a replica of another server."""

    def wait_replayed(self, position: str, *, timeout: float = 30.0) -> None:
        """Wait until a replica shows everything up to a position of its primary's log."""
        what = f"{self.name} to replay {position}{self._how_it_is()}"
        wait_until(lambda: self.has_replayed(position), what, timeout=timeout)

    def _how_it_is(self) -> str:
        """What is worth to be said of a replica that others wait for."""
        return ""

    @abstractmethod
    def has_replayed(self, position: str) -> bool: ...

    @abstractmethod
    def mark_position(self) -> str:
        """Return a position that a replica reaches when it shows all commits until now."""

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProgramFailed(f"{self.name} was never started")
        return self._process
