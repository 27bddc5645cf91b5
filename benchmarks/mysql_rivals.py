"""HAProxy and MySQL Router, for comparison.

Both give each client a server connection of its own, and pass on what comes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.rival import Rival, find_program
from proxy.demo.mysql_root import fetched_root, run_by_loader
from proxy.demo.programs import Account

HAPROXY_CONFIG: Final = """\
defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h

listen bench
    bind 127.0.0.1:{port}
    server primary 127.0.0.1:{server_port}
"""

ROUTER_CONFIG: Final = """\
[DEFAULT]
{plugins}
logging_folder =
runtime_folder = {folder}
data_folder = {folder}

[logger]
level = WARNING

[routing:bench]
bind_address = 127.0.0.1
bind_port = {port}
destinations = 127.0.0.1:{server_port}
routing_strategy = first-available
protocol = classic
"""

_VERSION: Final = re.compile(r"(?:version|Ver) +(\d[\w.]*)")


class HAProxy(Rival):
    """One HAProxy that passes TCP on to one server.

    Args:
        folder: Gets its configuration and log.
        account: Who it runs as.
        server_port: On 127.0.0.1.
    """

    def __init__(self, folder: Path, account: Account, server_port: int) -> None:
        super().__init__("HAProxy", folder, account)
        self._server_port = server_port

    def command(self) -> Sequence[str]:
        """See the base."""
        text = HAPROXY_CONFIG.format(port=self.port, server_port=self._server_port)
        file = self._account.write(self.folder / "haproxy.cfg", text)
        return [find_program("HAProxy"), "-db", "-f", str(file)]


class RouterProgram(NamedTuple):
    """A MySQL Router: how to call it, and its plugins, where they are not where it expects them."""

    call: tuple[str, ...]
    plugins: Path | None


class MySQLRouter(Rival):
    """One MySQL Router that passes a connection on to one server.

    Args:
        folder: Gets its configuration and log.
        account: Who it runs as.
        program: Which.
        server_port: On 127.0.0.1.
    """

    def __init__(
        self, folder: Path, account: Account, program: RouterProgram, server_port: int
    ) -> None:
        super().__init__("MySQL Router", folder, account)
        self._program = program
        self._server_port = server_port

    def command(self) -> Sequence[str]:
        """See the base."""
        plugins = self._program.plugins
        text = ROUTER_CONFIG.format(
            plugins=f"plugin_folder = {plugins}" if plugins else "",
            folder=self.folder,
            port=self.port,
            server_port=self._server_port,
        )
        file = self._account.write(self.folder / "mysqlrouter.conf", text)
        return [*self._program.call, "--config", str(file)]


def find_router() -> RouterProgram:
    """Find MySQL Router on this machine; where there is none, fetch it.

    Raises:
        MissingProgram: It can't be had here.
    """
    if found := shutil.which("mysqlrouter"):
        return RouterProgram((found,), None)
    root = fetched_root("mysql-router")
    call = (*run_by_loader(root, "../mysql-router"), str(root / "usr/bin/mysqlrouter"))
    return RouterProgram(call, root / "usr/lib/mysqlrouter/plugin")


def version_of(*command: str) -> str:
    """Return a program's version, as "2.6.12"."""
    option = "-v" if command[0].endswith("haproxy") else "--version"
    asked = subprocess.run([*command, option], capture_output=True, text=True, check=True)
    found = _VERSION.search(asked.stdout)
    return found[1] if found else "unknown"
