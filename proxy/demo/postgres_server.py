"""One local PostgreSQL server, and what may befall it: a stop, a crash, a pause, a promotion."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import Literal
from urllib.parse import quote

import asyncpg

from proxy.demo.console import SUPERUSER, Console, run_blocking
from proxy.demo.local_server import LocalServer
from proxy.demo.processes import ProgramFailed, children, free_port, freeze, is_alive, wait_until
from proxy.demo.programs import Account, Postgres, last_lines, spawn

StopMode = Literal["smart", "fast", "immediate"]
STOP_SIGNALS = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}


class Server(Console, LocalServer):
    """A PostgreSQL server of ours, on a port that it keeps for life.

    SQL goes over the Unix socket as the superuser, so it works whatever `auth` the
    cluster has.

    Args:
        name: Its `cluster_name`; a replica is this to `synchronous_standby_names`.
        data: The data directory, made by `initdb` or `pg_basebackup`.
        postgres: The programs.
        account: Who they run as.
        password: The superuser's, for `dsn`.
    """

    silence = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError)

    def __init__(
        self, name: str, data: Path, postgres: Postgres, account: Account, *, password: str
    ) -> None:
        Console.__init__(self, data.parent, free_port())
        LocalServer.__init__(self, name, data, account, password=password)
        self._postgres = postgres

    @property
    def is_replica(self) -> bool:
        return self.fetch_value("SELECT pg_is_in_recovery()") is True

    def dsn(self, database: str = "postgres", *, user: str = SUPERUSER, password: str = "") -> str:
        """Make a connection string for drivers, over TCP."""
        secret = quote(password or self.password, safe="")
        return f"postgresql://{user}:{secret}@{self.address}/{database}"

    # Starting and stopping.

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [self._postgres.path("postgres"), "-D", str(self.data), "-p", str(self.port)]
        return spawn(
            self._account,
            [*command, "-c", f"cluster_name={self.name}"],
            log=self.log,
            on_our_death=signal.SIGQUIT,
        )

    def stop(self, mode: StopMode = "fast", *, timeout: float = 30.0) -> None:
        """Stop it; one that doesn't listen is told more and more firmly."""
        self.begin_stop(mode)
        self.wait_stopped(timeout=timeout)

    def begin_stop(self, mode: StopMode = "fast") -> None:
        if self.is_running:
            os.kill(self.pid, STOP_SIGNALS[mode])

    def _make_stop(self) -> None:
        self.begin_stop("immediate")
        try:
            self._running().wait(5.0)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self, mode: StopMode = "fast") -> None:
        self.stop(mode)
        self.start()

    # Faults.

    def kill(self) -> None:
        """Kill all its processes at once, as a power cut would."""
        process = self._running()
        if process.poll() is not None:
            return
        # Stopped first, so that it makes no more children while we count them. They
        # are in sessions of their own, so there is no group to send the signal to.
        freeze(process.pid)
        victims = [process.pid, *children(process.pid)]
        for pid in victims:
            _kill(pid)
        process.wait()
        wait_until(lambda: not any(map(is_alive, victims)), f"{self.name} to die")

    def crash_backend(self) -> None:
        """Kill one session's process, which makes the server crash and recover in place.

        The postmaster stays, everything else is new: every connection breaks.
        """
        before = children(self.pid)
        run_blocking(self._kill_own_backend())
        wait_until(lambda: not any(map(is_alive, before)), f"{self.name} to notice its crash")
        self.wait_ready()

    async def _kill_own_backend(self) -> None:
        connection = await self.connect("postgres")
        _kill(connection.get_server_pid())
        connection.terminate()

    # Replication.

    def promote(self) -> None:
        """Make a replica a primary, and wait until it is."""
        if not self.fetch_value("SELECT pg_promote(true, 60)"):
            raise ProgramFailed(f"{self.name} was not promoted: {last_lines(self.log)}")

    def pause_replay(self) -> None:
        """Hold a replica back: it goes on receiving, and shows nothing new."""
        self.execute("SELECT pg_wal_replay_pause()")
        if self._postgres.major < 14:
            return
        state = "SELECT pg_get_wal_replay_pause_state()"
        wait_until(lambda: self.fetch_value(state) == "paused", f"{self.name} to pause its replay")

    def resume_replay(self) -> None:
        self.execute("SELECT pg_wal_replay_resume()")

    def has_replayed(self, position: str) -> bool:
        sql = f"SELECT pg_last_wal_replay_lsn() >= '{position}'::pg_lsn"
        return self.fetch_value(sql) is True

    def mark_position(self) -> str:
        """Return a position that a replica reaches when it shows all commits until now.

        A message is written, not `pg_current_wal_insert_lsn()` read: at the edge of
        a page that is behind the next header, where replay gets with the next record only.
        """
        return str(self.fetch_value("SELECT pg_logical_emit_message(true, 'mark', '')::text"))

    def follow(self, primary: Server) -> None:
        """Make a replica stream from another server, without a restart."""
        primary.drop_slot(self.slot)
        primary.create_slot(self.slot)
        self.execute(f"ALTER SYSTEM SET primary_conninfo = '{primary.local_conninfo}'")
        self.execute("SELECT pg_reload_conf()")

    def create_slot(self, slot: str) -> None:
        """Make a physical replication slot that keeps the log from now on."""
        self.execute(f"SELECT pg_create_physical_replication_slot('{slot}', true)")

    def drop_slot(self, slot: str) -> None:
        """Drop a replication slot of this server, if it has it."""
        self.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
            f" WHERE slot_name = '{slot}'"
        )

    @property
    def slot(self) -> str:
        """The name of its physical replication slot on its primary."""
        return f"slot_{self.name}"

    @property
    def local_conninfo(self) -> str:
        return f"host={self.data.parent} port={self.port} user={SUPERUSER}"


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        # It ended between our look and our blow.
        return
