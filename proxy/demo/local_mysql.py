"""A MariaDB or MySQL primary with replicas that follow it, for the demo and the tests.

By GTID, or where the settings say `gtid_mode = OFF` by file and offset.

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

from proxy.demo.local_cluster import LocalCluster
from proxy.demo.mysql_console import SUPERUSER
from proxy.demo.mysql_programs import Flavour, Programs, find_mariadb, find_mysql
from proxy.demo.mysql_server import REPLICATION_USER, MySQLServer
from proxy.demo.processes import temporary_folder

CONTROL_USER: Final = "tidegate"

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
WITHOUT_GTIDS: Final = {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}
"""As MySQL is by default."""
RENAMED: Final = {"log_slave_updates": "log_replica_updates", "binlog_format": ""}
"""What MySQL calls a setting by now; nothing where there is only one way left."""
PLUGINS: Final = ("metadata_lock_info", "auth_ed25519")
"""Of MariaDB, where they are installed."""

CONTROL_RIGHTS: Final[dict[Flavour, str]] = {
    "mariadb": "SELECT, SHOW VIEW, TRIGGER, PROCESS, SLAVE MONITOR, CONNECTION ADMIN",
    "mysql": "SELECT, SHOW VIEW, TRIGGER, SHOW_ROUTINE, PROCESS, REPLICATION CLIENT,"
    " CONNECTION_ADMIN",
}

LOG_RIGHTS: Final[dict[Flavour, str]] = {
    "mariadb": "REPLICATION SLAVE, BINLOG MONITOR",
    "mysql": "REPLICATION SLAVE",
}
"""What it takes besides to read the primary's log."""


VIEW_RIGHTS: Final = "CREATE, INSERT, UPDATE, DELETE"
"""What a member of a fleet needs besides, in its schema."""


class MySQLCluster(LocalCluster[MySQLServer]):
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

    socket = "replica99.sock"

    def __init__(
        self,
        root: Path,
        programs: Programs,
        *,
        replicas: int = 2,
        settings: Mapping[str, str] | None = None,
        tls: bool = False,
    ) -> None:
        self.programs = programs
        self.control_password = secrets.token_urlsafe(12)
        self._settings = self._combine(settings or {})
        self._tls = tls
        super().__init__(root, replicas)

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

    def _start(self) -> None:
        """Start all side by side."""
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

    def end(self) -> None:
        """See the base."""
        for server in self.servers:
            server.kill()

    def fail_over(self, replica: MySQLServer) -> None:
        """See the base.

        Without GTIDs the others are told where to begin: where it was when it had replayed all that
        it had received. Who has received less, or more, is made anew.
        """
        if replica.has_gtids:
            super().fail_over(replica)
            return
        replica.replay_received()
        position, reached = replica.mark_position(), replica.replayed()
        replica.promote()
        self.replicas.remove(replica)
        self.retired.append(self.primary)
        self.primary = replica
        for other in self.replicas:
            other.replay_received()
            if other.replayed() == reached:
                other.follow(replica, position)
            else:
                self.rebuild(other)

    def rejoin(self, server: MySQLServer) -> None:
        """See the base: with what it has."""
        if not server.has_gtids:
            # Nobody can tell what it has.
            self.rebuild(server)
            return
        server.is_read_only = True
        server.start()
        if self.flavour == "mariadb":
            # What it wrote itself is as good as replayed.
            server.execute("SET GLOBAL gtid_slave_pos = @@GLOBAL.gtid_current_pos")
        server.follow(self.primary)
        self._is_replica_again(server)

    def rebuild(self, server: MySQLServer) -> None:
        """See the base."""
        server.kill()
        server.forget()
        self._is_replica_again(server)
        server.is_read_only = False  # until it follows: it starts with nothing at all
        server.start()
        server.follow(self.primary)

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
        self.primary.execute(f"GRANT {VIEW_RIGHTS} ON tidegate.* TO '{CONTROL_USER}'@'%'")

    def _security(self) -> dict[str, str]:
        if not self._tls:
            # MySQL offers it otherwise, with a certificate that it makes itself.
            return {"tls_version": ""} if self.flavour == "mysql" else {}
        authority, pair = self._certified()
        return {
            "ssl_ca": str(authority),
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
