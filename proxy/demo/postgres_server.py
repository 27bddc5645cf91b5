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
from proxy.demo.processes import ProgramFailed, children, free_port, is_alive, wait_until
from proxy.demo.programs import Account, Postgres, last_lines, spawn

StopMode = Literal["smart", "fast", "immediate"]
STOP_SIGNALS = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}


class Server(Console):
    """A PostgreSQL server of ours, on a port that it keeps for life.

    The methods block until what they ask for has come about. SQL goes over the
    Unix socket as the superuser, so it works whatever `auth` the cluster has.

    Args:
        name: Its `cluster_name`; a replica is this to `synchronous_standby_names`.
        data: The data directory, made by `initdb` or `pg_basebackup`.
        postgres: The programs.
        account: Who they run as.
        password: The superuser's, for `dsn`.
    """

    def __init__(
        self, name: str, data: Path, postgres: Postgres, account: Account, *, password: str
    ) -> None:
        super().__init__(data.parent, free_port())
        self.name = name
        self.data = data
        self.log = data.with_suffix(".log")
        self.password = password
        self._postgres = postgres
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Server {self.name} 127.0.0.1:{self.port}>"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def is_replica(self) -> bool:
        return self.fetch_value("SELECT pg_is_in_recovery()") is True

    def dsn(self, database: str = "postgres", *, user: str = SUPERUSER, password: str = "") -> str:
        """Make a connection string for drivers, over TCP."""
        secret = quote(password or self.password, safe="")
        return f"postgresql://{user}:{secret}@{self.address}/{database}"

    # Starting and stopping.

    def start(self) -> None:
        self.begin_start()
        self.wait_ready()

    def begin_start(self) -> None:
        """Start it without waiting, so that several can start side by side."""
        if self.is_running:
            raise ProgramFailed(f"{self.name} is already running")
        command = [self._postgres.path("postgres"), "-D", str(self.data), "-p", str(self.port)]
        self._process = spawn(
            self._account,
            [*command, "-c", f"cluster_name={self.name}"],
            log=self.log,
            on_our_death=signal.SIGQUIT,
        )

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
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return True

    def stop(self, mode: StopMode = "fast", *, timeout: float = 30.0) -> None:
        """Stop it; one that doesn't listen is told more and more firmly."""
        self.begin_stop(mode)
        self.wait_stopped(timeout=timeout)

    def begin_stop(self, mode: StopMode = "fast") -> None:
        if self.is_running:
            os.kill(self.pid, STOP_SIGNALS[mode])

    def wait_stopped(self, *, timeout: float = 30.0) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.begin_stop("immediate")
            try:
                self._process.wait(5.0)
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
        os.kill(process.pid, signal.SIGSTOP)
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

    def wait_replayed(self, position: str, *, timeout: float = 30.0) -> None:
        """Wait until a replica shows everything up to a position of its primary's log."""
        wait_until(
            lambda: self.has_replayed(position),
            f"{self.name} to replay {position}",
            timeout=timeout,
        )

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

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProgramFailed(f"{self.name} was never started")
        return self._process


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        # It ended between our look and our blow.
        return
