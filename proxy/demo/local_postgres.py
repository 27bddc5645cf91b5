"""A PostgreSQL primary with streaming replicas, for the demo and the tests.

Real servers in a folder of their own, on free ports of 127.0.0.1, made in about
two seconds and gone with their maker. See `programs` for how they are run and
`postgres_server` for what can be done to one of them.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from proxy.demo.console import SUPERUSER
from proxy.demo.local_cluster import LocalCluster
from proxy.demo.postgres_server import Server, StopMode
from proxy.demo.processes import MissingProgram, ProgramFailed, temporary_folder
from proxy.demo.programs import find_postgres, finish, spawn

__all__ = [
    "SUPERUSER",
    "MissingProgram",
    "PostgresCluster",
    "ProgramFailed",
    "Server",
    "temporary_cluster",
]

Auth = Literal["scram-sha-256", "md5", "password", "trust", "cert"]

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "shared_buffers": "32MB",
    "max_connections": "250",
    "wal_level": "logical",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "hot_standby": "on",
    "hot_standby_feedback": "on",
    # A replica that lost its primary looks for it again at once, not after 5 s.
    "wal_retrieve_retry_interval": "200ms",
    "checkpoint_timeout": "30min",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %q%a ",
}
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class PostgresCluster(LocalCluster[Server]):
    """A primary and its replicas; `with` starts and stops them.

    Args:
        root: A folder that the servers' user can reach; everything is kept in it.
        replicas: How many follow the primary.
        settings: Server settings on top of `SETTINGS`.
        auth: How users log in over TCP. Over the Unix socket nobody is asked.
        hba: Lines of pg_hba.conf that come before those of `auth`.
        tls: Whether the servers offer TLS, with a certificate of `authority`.
        durable: False makes it quick, and a loss when the machine (not the server) crashes.

    Raises:
        MissingProgram: PostgreSQL isn't installed, or there is nobody to run it as.
    """

    socket = ".s.PGSQL.65535"

    def __init__(
        self,
        root: Path,
        *,
        replicas: int = 2,
        settings: Mapping[str, str] | None = None,
        auth: Auth = "scram-sha-256",
        hba: Sequence[str] = (),
        tls: bool = False,
        durable: bool = False,
    ) -> None:
        self.postgres = find_postgres()
        self._auth = auth
        self._hba = tuple(hba)
        self._tls = tls or auth == "cert"
        self._settings = SETTINGS | ({} if durable else NOT_DURABLE) | dict(settings or {})
        super().__init__(root, replicas)

    def _server(self, name: str) -> Server:
        return Server(name, self.root / name, self.postgres, self.account, password=self.password)

    def _start(self) -> None:
        """Start the primary, then all replicas side by side."""
        self._make_primary()
        self.primary.start()
        self.copy_primary(*self.replicas)

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop all servers, replicas first: a primary waits for those that follow it."""
        for server in reversed(self.servers):
            server.begin_stop(mode)
        for server in reversed(self.servers):
            server.wait_stopped()

    def end(self) -> None:
        """See the base."""
        self.stop("immediate")

    def copy_primary(self, *servers: Server) -> None:
        """Make servers new replicas of the primary and start them, all side by side.

        Their folders must be missing or empty, their slots not in use.
        """
        for new in servers:
            # First of all: a copy that makes its own slot makes it after its start
            # position is known, and a checkpoint between the two can take the log away.
            self.primary.create_slot(new.slot)
        copies = [(spawn(self.account, self._copy(new), log=new.log), new) for new in servers]
        try:
            for process, new in copies:
                finish(process, log=new.log)
                new.begin_start()
        finally:
            for process, _ in copies:
                process.kill()
                process.wait()
        for new in servers:
            new.wait_ready()

    def rebuild(self, server: Server) -> None:
        """See the base."""
        server.stop("immediate")
        shutil.rmtree(server.data)
        self.primary.drop_slot(server.slot)
        self._is_replica_again(server)
        self.copy_primary(server)

    def _make_primary(self) -> None:
        secret = self.account.write(self.root / "superuser.password", self.password)
        command = [
            *(self.postgres.path("initdb"), "-D", str(self.primary.data)),
            *("--username", SUPERUSER, "--pwfile", str(secret), "--auth-local", "trust"),
            # The method also settles how passwords are kept.
            *("--auth-host", self._auth),
            *("--encoding", "UTF8", "--locale", "C", "--no-sync"),
        ]
        finish(spawn(self.account, command, log=self.primary.log), log=self.primary.log)
        data = self.primary.data
        self.account.write(data / "pg_hba.conf", "\n".join([*self._access(), ""]))
        settings = self._settings | {"unix_socket_directories": str(self.root)}
        if self._tls:
            settings |= self._make_certificates()
        self._append(data / "postgresql.conf", settings)

    def _copy(self, new: Server) -> list[str]:
        source = ["--dbname", self.primary.local_conninfo, "--pgdata", str(new.data)]
        follow = ["--write-recovery-conf", "--slot", new.slot]
        return [
            self.postgres.path("pg_basebackup"),
            *source,
            *follow,
            *("--checkpoint", "fast", "--no-sync", "--no-manifest"),
        ]

    def _access(self) -> Iterator[str]:
        """Yield the lines of pg_hba.conf."""
        yield "local all all trust"
        yield "local replication all trust"
        yield from self._hba
        kind = "hostssl" if self._auth == "cert" else "host"
        yield f"{kind} all all 127.0.0.1/32 {self._auth}"
        yield f"{kind} replication all 127.0.0.1/32 {self._auth}"

    def _make_certificates(self) -> dict[str, str]:
        authority, pair = self._certified()
        return {
            "ssl": "on",
            "ssl_ca_file": str(authority),
            "ssl_cert_file": str(pair.certificate),
            "ssl_key_file": str(pair.key),
        }

    def _append(self, file: Path, settings: Mapping[str, str]) -> None:
        lines = "".join(f"{name} = '{value}'\n" for name, value in settings.items())
        self.account.write(file, file.read_text() + lines)


@contextmanager
def temporary_cluster(
    *,
    replicas: int = 2,
    settings: Mapping[str, str] | None = None,
    auth: Auth = "scram-sha-256",
    hba: Sequence[str] = (),
    tls: bool = False,
) -> Iterator[PostgresCluster]:
    """Lend a cluster in a temporary folder that goes with it, even when we are killed."""
    with (
        temporary_folder() as folder,
        PostgresCluster(
            folder / "pg", replicas=replicas, settings=settings, auth=auth, hba=hba, tls=tls
        ) as cluster,
    ):
        yield cluster
