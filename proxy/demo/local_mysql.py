"""A MariaDB or MySQL primary with replicas that follow it by GTID, for the demo and the tests.

As `local_postgres`: real servers in a folder of their own, on free ports of 127.0.0.1, gone with
their maker. A replica is made from an empty data folder and replays the primary's whole history,
which is short: no log is ever purged here.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from proxy.demo.certificates import Authority
from proxy.demo.mysql_console import SUPERUSER
from proxy.demo.mysql_programs import Flavour, Programs, find_mariadb, find_mysql
from proxy.demo.mysql_server import REPLICATION_USER, MySQLServer
from proxy.demo.processes import ProgramFailed, temporary_folder
from proxy.demo.programs import Account, find_account

CONTROL_USER: Final = "tidegate"

# A Unix socket's path ends at 107 bytes on Linux.
LONGEST_SOCKET_FOLDER: Final = 107 - len("/replica99.sock")

SETTINGS: Final = {
    "bind_address": "127.0.0.1",
    "skip_name_resolve": "ON",
    "max_connections": "250",
    "innodb_buffer_pool_size": "64M",
    "log_bin": "binlog",
    "binlog_format": "ROW",
    "log_slave_updates": "ON",
    # A crash of the server, unlike one of the machine, loses nothing of these.
    "innodb_flush_log_at_trx_commit": "2",
    "sync_binlog": "0",
    "innodb_doublewrite": "OFF",
}
FLAVOURED: Final[dict[Flavour, dict[str, str]]] = {
    "mariadb": {
        "innodb_log_file_size": "8M",
        "slave_parallel_threads": "4",
        "relay_log": "relay",
    },
    "mysql": {
        "innodb_redo_log_capacity": "32M",
        "gtid_mode": "ON",
        "enforce_gtid_consistency": "ON",
        "mysqlx": "OFF",
        "secure_file_priv": "",
        "relay_log": "relay",
        "table_open_cache": "400",
    },
}
RENAMED: Final = {"log_slave_updates": "log_replica_updates", "binlog_format": ""}
"""What MySQL calls a setting by now; nothing where there is only one way left."""
PLUGINS: Final = ("metadata_lock_info", "auth_ed25519")
"""Of MariaDB, where they are installed."""

CONTROL_RIGHTS: Final[dict[Flavour, str]] = {
    "mariadb": "SELECT, SHOW VIEW, TRIGGER, PROCESS, SLAVE MONITOR, CONNECTION ADMIN",
    "mysql": "SELECT, SHOW VIEW, TRIGGER, SHOW_ROUTINE, PROCESS, REPLICATION CLIENT,"
    " CONNECTION_ADMIN",
}


class MySQLCluster:
    """A primary and its replicas; `with` starts and stops them.

    Args:
        root: A folder that the servers' user can reach; everything is kept in it.
        programs: MariaDB's or MySQL's.
        replicas: How many follow the primary.
        settings: Server settings on top of `SETTINGS`.
        tls: Whether the servers offer TLS, with a certificate of `authority`.

    Raises:
        MissingProgram: There is nobody to run the servers as.
    """

    def __init__(
        self,
        root: Path,
        programs: Programs,
        *,
        replicas: int = 2,
        settings: Mapping[str, str] | None = None,
        tls: bool = False,
    ) -> None:
        self.root = root
        self.programs = programs
        self.password = secrets.token_urlsafe(12)
        self.control_password = secrets.token_urlsafe(12)
        self.account: Account = find_account()
        self.authority: Authority | None = None
        self._settings = self._combine(settings or {})
        self._tls = tls
        self.primary = self._server("primary")
        self.replicas = [self._server(f"replica{number + 1}") for number in range(replicas)]
        self.retired: list[MySQLServer] = []

    @property
    def flavour(self) -> Flavour:
        return self.programs.flavour

    def _combine(self, settings: Mapping[str, str]) -> dict[str, str]:
        ours = dict(SETTINGS)
        if self.flavour == "mysql":
            renamed = {RENAMED.get(name, name): value for name, value in ours.items()}
            ours = {name: value for name, value in renamed.items() if name}
        else:
            there = [p for p in PLUGINS if (self.programs.plugins / f"{p}.so").exists()]
            ours |= {"plugin_load_add": ";".join(there)} if there else {}
        return ours | FLAVOURED[self.flavour] | dict(settings)

    def _server(self, name: str) -> MySQLServer:
        return MySQLServer(
            name,
            self.root / name,
            self.programs,
            self.account,
            password=self.password,
            settings=self._settings,
        )

    @property
    def servers(self) -> list[MySQLServer]:
        return [self.primary, *self.replicas, *self.retired]

    def __enter__(self) -> MySQLCluster:
        try:
            self.start()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Make the servers and start them, all side by side."""
        if len(bytes(self.root)) > LONGEST_SOCKET_FOLDER:
            raise ProgramFailed(f"the path is too long for a Unix socket: {self.root}")
        self.account.make_folder(self.root)
        security = self._security()
        for server in self.servers:
            server.settings |= security
            server.begin_start()
        self.primary.wait_ready()
        self._make_users()
        for replica in self.replicas:
            replica.wait_ready()
            replica.follow(self.primary)
        self.wait_replayed()

    def stop(self) -> None:
        """Stop all servers in good order."""
        for server in self.servers:
            server.begin_stop()
        for server in self.servers:
            server.wait_stopped()

    def kill(self) -> None:
        """Stop all servers at once."""
        for server in self.servers:
            server.kill()

    def fail_over(self, replica: MySQLServer) -> None:
        """Promote a replica in the place of a primary that is down; the others follow it."""
        replica.promote()
        self.replicas.remove(replica)
        for other in self.replicas:
            other.follow(replica)
        self.retired.append(self.primary)
        self.primary = replica

    def rejoin(self, server: MySQLServer) -> None:
        """Have a former primary that is down come back as a replica, with what it has."""
        server.is_read_only = True
        server.start()
        if self.flavour == "mariadb":
            # What it wrote itself is as good as replayed.
            server.execute("SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_current_pos")
        server.follow(self.primary)
        self.retired.remove(server)
        self.replicas.append(server)

    def rebuild(self, server: MySQLServer) -> None:
        """Make a server a fresh replica of the primary, whatever it was before."""
        server.kill()
        server.forget()
        if server in self.retired:
            self.retired.remove(server)
            self.replicas.append(server)
        server.is_read_only = False  # until it follows: it starts with nothing at all
        server.start()
        server.follow(self.primary)

    def wait_replayed(self, *replicas: MySQLServer, timeout: float = 30.0) -> None:
        """Wait until some replicas (all when none is named) show every commit until now."""
        position = self.primary.mark_position()
        for replica in replicas or self.replicas:
            replica.wait_replayed(position, timeout=timeout)

    def _make_users(self) -> None:
        """Make who logs in over TCP: the superuser, the replicas, and Tidegate's control user."""
        # MariaDB makes some of its own, that need no password.
        for (host,) in self.primary.fetch(
            "SELECT host FROM mysql.user WHERE user = %s AND host <> 'localhost'", SUPERUSER
        ):
            self.primary.execute(f"DROP USER '{SUPERUSER}'@'{host}'")
        for user, password, rights in (
            (SUPERUSER, self.password, "ALL PRIVILEGES"),
            (REPLICATION_USER, self.password, "REPLICATION SLAVE"),
            (CONTROL_USER, self.control_password, CONTROL_RIGHTS[self.flavour]),
        ):
            options = " WITH GRANT OPTION" if user == SUPERUSER else ""
            self.primary.execute(
                f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}';"
                f" GRANT {rights} ON *.* TO '{user}'@'%'{options}"
            )

    def _security(self) -> dict[str, str]:
        if not self._tls:
            # MySQL offers it otherwise, with a certificate that it makes itself.
            return {"tls_version": ""} if self.flavour == "mysql" else {}
        folder = self.account.make_folder(self.root / "tls")
        self.authority = Authority(folder)
        pair = self.authority.issue_server()
        self.account.own(self.authority.certificate, pair.certificate, pair.key)
        return {
            "ssl_ca": str(self.authority.certificate),
            "ssl_cert": str(pair.certificate),
            "ssl_key": str(pair.key),
        }


def find_programs(flavour: Flavour) -> Programs:
    """Find, or fetch, the programs of one of the two.

    Raises:
        MissingProgram: They can't be had here.
    """
    return find_mariadb() if flavour == "mariadb" else find_mysql()


@contextmanager
def temporary_mysql(
    flavour: Flavour,
    *,
    replicas: int = 2,
    settings: Mapping[str, str] | None = None,
    tls: bool = False,
) -> Iterator[MySQLCluster]:
    """Lend a cluster in a temporary folder that goes with it, even when we are killed."""
    programs = find_programs(flavour)
    with (
        temporary_folder() as folder,
        MySQLCluster(
            folder / "my", programs, replicas=replicas, settings=settings, tls=tls
        ) as cluster,
    ):
        yield cluster
