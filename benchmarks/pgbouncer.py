"""PgBouncer as Debian packages it, for comparison: transaction pooling, never as root."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.rival import Rival, find_program
from proxy.demo.postgres_server import Server
from proxy.demo.programs import Account

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


class PgBouncer(Rival):
    """One PgBouncer in front of one server.

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
        super().__init__("PgBouncer", folder, account)
        self.program = find_program("PgBouncer")
        self._users = f'"{user}" "{password}"\n'
        self._database = database
        self._server_port = server.port
        self._pool_size = pool_size

    def command(self) -> Sequence[str]:
        """See the base."""
        users = self._account.write(self.folder / "users.txt", self._users)
        text = CONFIG.format(
            database=self._database,
            suffix=SESSION_SUFFIX,
            server_port=self._server_port,
            port=self.port,
            users=users,
            pool_size=self._pool_size,
        )
        return [self.program, str(self._account.write(self.folder / "pgbouncer.ini", text))]


def version_of(program: str) -> tuple[int, ...]:
    """Return its version, as (1, 18, 0)."""
    asked = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    return tuple(map(int, asked.stdout.split()[1].split(".")))
