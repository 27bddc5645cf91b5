"""Tidegate as its users run it: a process of its own, with a configuration file."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from prometheus_client.parser import text_string_to_metric_families

from proxy.demo.processes import ProgramFailed, free_port, wait_until
from proxy.demo.programs import last_lines, ourselves, spawn
from tests.integration.nursery import Forked, nursery

SERVE = (sys.executable, "-m", "proxy", "serve")
ESTABLISHED = "01"  # in /proc/net/tcp
ROOT = Path(__file__).parents[2]

Setting = (
    str | int | float | bool | Sequence[str] | Sequence[Mapping[str, Any]] | Mapping[str, "Setting"]
)


class ProxyUnderTest:
    """One proxy process; `with` starts and stops it, and judges its log at the end.

    Args:
        folder: Gets the configuration and the log.
        servers: Addresses of the servers, as "host:port".
        auth_user: The control user.
        auth_password: Its password.
        group: More settings of the one server group, `app`.
        sections: More tables of the file, as `log={"level": "debug"}`.
        workers: How many processes; only with a command that serves several.
        command: What is run, with the file's path behind it.
    """

    def __init__(
        self,
        folder: Path,
        servers: Iterable[str],
        *,
        auth_user: str,
        auth_password: str,
        group: Mapping[str, Setting] | None = None,
        sections: Mapping[str, Mapping[str, Setting]] | None = None,
        workers: int = 1,
        command: Sequence[str] = SERVE,
    ) -> None:
        self.port = free_port()
        self.admin_port = free_port()
        self.log = folder / "tidegate.log"
        self.file = folder / "tidegate.toml"
        self._command = [*command, str(self.file)]
        self._is_plain = command == SERVE and workers == 1
        self._process: Forked | subprocess.Popen[bytes] | None = None
        app: dict[str, Setting] = {
            "listen": f"127.0.0.1:{self.port}",
            "servers": list(servers),
            "auth_user": auth_user,
            "auth_password": auth_password,
            **(group or {}),
        }
        admin: dict[str, Setting] = {"listen": f"127.0.0.1:{self.admin_port}"}
        lines = [f"workers = {workers}", *_table("server_groups.app", app), *_table("admin", admin)]
        for name, table in (sections or {}).items():
            lines += _table(name, table)
        self.file.write_text("\n".join([*lines, ""]))

    def __enter__(self) -> ProxyUnderTest:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.stop()
        if kind is None:
            self.check_log()

    @property
    def process(self) -> Forked | subprocess.Popen[bytes]:
        assert self._process is not None, "the proxy was not started"
        return self._process

    def dsn(
        self, database: str, *, user: str, password: str = "", scheme: str = "postgresql"
    ) -> str:
        """Make a connection string for drivers."""
        secret = f":{quote(password, safe='')}" if password else ""
        return f"{scheme}://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def start(self, timeout: float = 30.0) -> None:
        """Start it and wait until it says that it is ready."""
        self.launch()
        try:
            wait_until(self._is_ready, "the proxy to be ready", timeout=timeout)
        except ProgramFailed as failure:
            with contextlib.suppress(OSError):
                failure.add_note(self.get("/readyz")[1])
            failure.add_note(last_lines(self.log))
            raise

    def launch(self) -> None:
        """Start it without waiting."""
        environment = {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
        if self._is_plain:
            whole = {**os.environ, **environment}
            self._process = nursery().start(("serve", str(self.file)), self.log, whole)
        else:
            self._process = spawn(ourselves(), self._command, log=self.log, environment=environment)

    def stop(self, timeout: float = 15.0) -> int:
        """Ask it to stop; returns its exit status. One that doesn't is a failure."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ProgramFailed(f"the proxy did not stop: {last_lines(self.log)}") from None

    def kill(self) -> None:
        """End it with SIGKILL, as a fault."""
        if self._process is not None and self._process.poll() is None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def wait_logged(self, text: str) -> None:
        """Wait until its log says something."""
        wait_until(lambda: text in self.log.read_text(errors="replace"), f"{text!r} in the log")

    def check_log(self) -> None:
        """Fail when it met a bug of its own."""
        text = self.log.read_text(errors="replace")
        assert "Traceback (most recent call last)" not in text, text

    def get(self, path: str) -> tuple[int, str]:
        """Ask its HTTP side; returns the status and the body."""
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=10.0) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels; 0 when there are none."""
        _, text = self.get("/metrics")
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def sockets(self) -> list[tuple[int, int, bool]]:
        """Its TCP connections: local port, remote port, whether a keepalive timer runs."""
        inodes = set()
        for entry in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                inodes.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        fields = [line.split() for line in lines]
        return [
            (_port(field[1]), _port(field[2]), field[5].startswith("02:"))
            for field in fields
            if field[9] in inodes and field[3] == ESTABLISHED
        ]

    def _is_ready(self) -> bool:
        if self.process.poll() is not None:
            raise ProgramFailed(f"the proxy ended at start: {last_lines(self.log)}")
        try:
            return self.get("/readyz")[0] == 200
        except OSError:
            return False


def _port(address: str) -> int:
    return int(address.rpartition(":")[2], 16)


def _table(name: str, table: Mapping[str, Setting]) -> list[str]:
    return [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in table.items()), ""]


def _value(value: Setting) -> str:
    """Write a value as TOML, which for everything but tables is as JSON."""
    if isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)
