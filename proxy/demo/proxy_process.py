"""Tidegate in a process of its own, for the demo and the benchmarks.

It is what `tidegate serve` runs, only that its settings come in the environment and not from a
file. A process of its own, so that what the clients are told of its speed holds elsewhere too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from proxy.demo.processes import ProgramFailed, free_port, wait_until
from proxy.demo.programs import last_lines, ourselves, spawn
from proxy.demo.scrape import Scrape

SETTINGS = "TIDEGATE_SETTINGS"
IMPORTED_FROM = Path(__file__).parents[2]

Setting = str | int | float | bool | Sequence[str]


class ProxyProcess:
    """One proxy over one server group; `with` starts and stops it.

    Args:
        folder: Gets its log.
        servers: Addresses of the servers.
        user: The control user.
        password: Its password.
        engine: What the servers are.
        group: Settings of the group, where they are not the defaults.
        port: Where clients connect; a free one when not given.
        admin_port: Where metrics are; a free one when not given.
    """

    def __init__(
        self,
        folder: Path,
        servers: Iterable[str],
        *,
        user: str,
        password: str,
        engine: str = "postgres",
        group: Mapping[str, Setting] | None = None,
        port: int | None = None,
        admin_port: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.admin_port = admin_port or free_port()
        self.log = folder / f"tidegate-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None
        app: dict[str, Setting] = {
            "engine": engine,
            "listen": f"127.0.0.1:{self.port}",
            "servers": list(servers),
            "auth_user": user,
            "auth_password": password,
            **(group or {}),
        }
        admin: dict[str, Setting] = {"listen": f"127.0.0.1:{self.admin_port}"}
        self.settings = "\n".join([*_table("server_groups.app", app), *_table("admin", admin)])

    def __enter__(self) -> ProxyProcess:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._running().poll() is None

    @property
    def metrics_url(self) -> str:
        return f"http://127.0.0.1:{self.admin_port}/metrics"

    def dsn(self, database: str, *, user: str, password: str) -> str:
        """Make a connection string for clients."""
        return f"postgresql://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def start(self, timeout: float = 30.0) -> None:
        """Start it, and wait until it is ready to serve."""
        path = os.pathsep.join(filter(None, (str(IMPORTED_FROM), os.environ.get("PYTHONPATH"))))
        self._process = spawn(
            ourselves(),
            [sys.executable, "-m", __name__],
            log=self.log,
            on_our_death=signal.SIGTERM,
            environment={SETTINGS: self.settings, "PYTHONPATH": path},
        )
        wait_until(self._is_ready, "Tidegate to be ready", timeout=timeout)

    def stop(self, timeout: float = 10.0) -> None:
        """Ask it to stop; one that doesn't is killed."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def scrape(self) -> Scrape:
        """Read its metrics."""
        with urllib.request.urlopen(self.metrics_url, timeout=10.0) as answer:
            return Scrape.parse(answer.read().decode())

    def _is_ready(self) -> bool:
        if not self.is_running:
            raise ProgramFailed(f"Tidegate ended at its start: {last_lines(self.log)}")
        try:
            url = f"http://127.0.0.1:{self.admin_port}/readyz"
            with urllib.request.urlopen(url, timeout=10.0):
                return True
        except OSError:
            return False

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProgramFailed("Tidegate was never started")
        return self._process


def _table(name: str, table: Mapping[str, Setting]) -> list[str]:
    """Write a table of TOML; its values look as they do in JSON."""
    return [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items()), ""]


def _serve() -> int:
    """Be that process."""
    from proxy.app import run
    from proxy.settings.load import parse

    settings = parse(os.environ.pop(SETTINGS), {})
    return run(settings, lambda: settings)


if __name__ == "__main__":
    sys.exit(_serve())
