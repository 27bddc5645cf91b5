"""PgBouncer as Debian packages it, for comparison: transaction pooling, never as root."""

from __future__ import annotations

import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final

from proxy.demo.postgres_server import Server
from proxy.demo.processes import MissingProgram, ProgramFailed, free_port, wait_until
from proxy.demo.programs import Account, last_lines, spawn

SESSION_SUFFIX: Final = "_session"
"""The same database, but a client keeps its server connection: see `PgBouncer`."""

CONFIG: Final = """\
[databases]
{database} = host=127.0.0.1 port={server_port} dbname={database}
{database}{suffix} = host=127.0.0.1 port={server_port} dbname={database} \
    pool_mode=session pool_size=200

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {users}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 5000
ignore_startup_parameters = extra_float_digits
"""


class PgBouncer:
    """One PgBouncer in front of one server; `with` starts and stops it.

    Named prepared statements came to transaction pooling with 1.21. For an older one there is a
    second database with session pooling, where they have always worked.

    Args:
        folder: Gets its configuration and log.
        account: Who it runs as.
        server: What it is in front of.
        database: The one database.
        user: The one user.
        password: Its password.
        pool_size: Server connections.
    """

    def __init__(
        self,
        folder: Path,
        account: Account,
        server: Server,
        *,
        database: str,
        user: str,
        password: str,
        pool_size: int,
    ) -> None:
        self.program = find_pgbouncer()
        self.port = free_port()
        self.folder = account.make_folder(folder)
        self.log = folder / "pgbouncer.log"
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None
        users = account.write(folder / "users.txt", f'"{user}" "{password}"\n')
        text = CONFIG.format(
            database=database,
            suffix=SESSION_SUFFIX,
            server_port=server.port,
            port=self.port,
            users=users,
            pool_size=pool_size,
        )
        self._file = account.write(folder / "pgbouncer.ini", text)

    def __enter__(self) -> PgBouncer:
        self._process = spawn(self._account, [self.program, str(self._file)], log=self.log)
        try:
            wait_until(self._answers, "PgBouncer to listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None, "PgBouncer was not started"
        return self._process.pid

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise ProgramFailed(f"PgBouncer ended at its start: {last_lines(self.log)}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5.0).close()
        except OSError:
            return False
        return True


def find_pgbouncer() -> str:
    """Find the program.

    Raises:
        MissingProgram: It isn't installed.
    """
    found = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingProgram(
            "PgBouncer is not installed: on Debian or Ubuntu run `make setup-servers` as root"
        )
    return found


def version_of(program: str) -> tuple[int, ...]:
    """Return its version, as (1, 18, 0)."""
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return tuple(map(int, asked.stdout.split()[1].split(".")))
