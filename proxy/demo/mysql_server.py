"""One local MariaDB or MySQL server, and what may befall it: a stop, a crash, a promotion.

The two differ in a few words of SQL, which are in `Words`; the rest is the same.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

import pymysql

from proxy.demo.mysql_console import SUPERUSER, MySQLConsole
from proxy.demo.mysql_programs import Flavour, Programs
from proxy.demo.processes import ProgramFailed, free_port, wait_until
from proxy.demo.programs import Account, last_lines, spawn

REPLICATION_USER: Final = "replicator"


class Words(NamedTuple):
    """What the two flavours call the same thing."""

    follow: str
    delay: str
    position: str
    replayed: str
    received: str


WORDS: Final[dict[Flavour, Words]] = {
    "mariadb": Words(
        follow=(
            "CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={port}, MASTER_USER='{user}',"
            " MASTER_PASSWORD='{password}', MASTER_CONNECT_RETRY=1, MASTER_USE_GTID=slave_pos"
        ),
        delay="CHANGE MASTER TO MASTER_DELAY={seconds}",
        position="SELECT @@GLOBAL.gtid_current_pos",
        replayed="SELECT MASTER_GTID_WAIT('{position}', 0) = 0",
        received="Gtid_IO_Pos",
    ),
    "mysql": Words(
        follow=(
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT={port},"
            " SOURCE_USER='{user}', SOURCE_PASSWORD='{password}', SOURCE_CONNECT_RETRY=1,"
            " SOURCE_AUTO_POSITION=1, SOURCE_SSL={tls}, GET_SOURCE_PUBLIC_KEY=1"
        ),
        delay="CHANGE REPLICATION SOURCE TO SOURCE_DELAY={seconds}",
        position="SELECT @@GLOBAL.gtid_executed",
        replayed="SELECT GTID_SUBSET('{position}', @@GLOBAL.gtid_executed)",
        received="Retrieved_Gtid_Set",
    ),
}


class MySQLServer(MySQLConsole):
    """A server of ours, on a port that it keeps for life.

    The methods block until what they ask for has come about. SQL goes over the Unix socket as
    the superuser, whom a replica lets write.

    Args:
        name: What it is called here.
        data: The data folder.
        programs: MariaDB's or MySQL's.
        account: Who it runs as.
        password: That of the superuser over TCP, and of the user that replicas log in as.
        settings: Server settings.
    """

    def __init__(
        self,
        name: str,
        data: Path,
        programs: Programs,
        account: Account,
        *,
        password: str,
        settings: Mapping[str, str],
    ) -> None:
        super().__init__(data.with_suffix(".sock"), free_port())
        self.name = name
        self.data = data
        self.log = data.with_suffix(".log")
        self.password = password
        self.settings = dict(settings)
        self.server_id = self.port
        self.is_read_only = False
        self._words = WORDS[programs.flavour]
        self._programs = programs
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<MySQLServer {self.name} 127.0.0.1:{self.port}>"

    @property
    def flavour(self) -> Flavour:
        return self._programs.flavour

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def is_replica(self) -> bool:
        return bool(self.status())

    def dsn(self, database: str = "", *, user: str = SUPERUSER, password: str = "") -> str:
        """Make a connection string for drivers, over TCP."""
        secret = quote(password or self.password, safe="")
        return f"mysql://{user}:{secret}@{self.address}/{database}"

    # Starting and stopping.

    def start(self) -> None:
        self.begin_start()
        self.wait_ready()

    def begin_start(self) -> None:
        """Start it without waiting, so that several can start side by side."""
        if self.is_running:
            raise ProgramFailed(f"{self.name} is already running")
        if not self.data.exists():
            self._programs.prepare(self.data, self._account)
        self._process = spawn(self._account, self._command(), log=self.log)

    def _command(self) -> list[str]:
        settings = {
            "datadir": str(self.data),
            # A MariaDB that starts deletes what it takes for leftovers, of others', too.
            "tmpdir": str(self._account.make_folder(self.data.with_suffix(".tmp"))),
            "socket": str(self.socket),
            "pid-file": str(self.data.with_suffix(".pid")),
            "port": str(self.port),
            "server-id": str(self.server_id),
            "read-only": "ON" if self.is_read_only else "OFF",
            **self.settings,
        }
        if self.flavour == "mysql":
            settings["super-read-only"] = settings["read-only"]
        options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        return [*self._programs.server, *options]

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
        except (OSError, pymysql.MySQLError):
            return False
        return True

    def stop(self, *, timeout: float = 30.0) -> None:
        """Stop it; one that doesn't listen is killed."""
        self.begin_stop()
        self.wait_stopped(timeout=timeout)

    def begin_stop(self) -> None:
        if self.is_running:
            os.kill(self.pid, signal.SIGTERM)
            self.thaw()

    def wait_stopped(self, *, timeout: float = 30.0) -> None:
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    # Faults.

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        if self.is_running:
            os.kill(self.pid, signal.SIGKILL)
            self._running().wait()

    def freeze(self) -> None:
        """Stop its clock: its connections stay, and nothing comes from it any more."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    # Replication.

    def status(self) -> dict[str, object]:
        """Return what a replica says of itself; empty for a server that follows nobody."""
        return self.fetch_named("SHOW REPLICA STATUS")

    def promote(self) -> None:
        """Make a replica a primary, with everything that it received."""
        status = self.status()
        if received := str(status.get(self._words.received) or "").replace("\n", ""):
            self.wait_replayed(received)
        self.execute("STOP REPLICA; RESET REPLICA ALL")
        self.set_read_only(False)

    def forget(self) -> None:
        """Make its data folder anew at the next start, when it is another server to others.

        A replica skips what bears its own id, so what it wrote itself in its former life would
        never come back to it.
        """
        shutil.rmtree(self.data)
        self.server_id += 100_000

    def set_read_only(self, value: bool) -> None:
        """Refuse, or take, writes of everybody but the superuser (MySQL: of him too)."""
        self.is_read_only = value
        word = "ON" if value else "OFF"
        self.execute(f"SET GLOBAL read_only = {word}")
        if self.flavour == "mysql":
            self.execute(f"SET GLOBAL super_read_only = {word}")

    def follow(self, primary: MySQLServer) -> None:
        """Make it a replica of another server, from where it is in that one's history."""
        self.execute("STOP REPLICA")
        self.set_read_only(True)
        follow = self._words.follow.format(
            port=primary.port,
            user=REPLICATION_USER,
            password=self.password,
            tls=int("ssl_cert" in primary.settings),
        )
        self.execute(f"{follow}; START REPLICA")

    def pause_replay(self) -> None:
        """Hold a replica back: it goes on receiving, and shows nothing new."""
        self.execute("STOP REPLICA SQL_THREAD")

    def resume_replay(self) -> None:
        self.execute("START REPLICA SQL_THREAD")

    def delay_replay(self, seconds: int) -> None:
        """Have a replica show everything so much later than its primary."""
        self.execute(f"STOP REPLICA; {self._words.delay.format(seconds=seconds)}; START REPLICA")

    def wait_replayed(self, position: str, *, timeout: float = 30.0) -> None:
        """Wait until a replica shows everything up to a position of its primary's."""
        wait_until(
            lambda: self.has_replayed(position),
            f"{self.name} to replay {position}: {self.status()}",
            timeout=timeout,
        )

    def has_replayed(self, position: str) -> bool:
        return self.fetch_value(self._words.replayed.format(position=position)) == 1

    def mark_position(self) -> str:
        """Return a position that a replica reaches when it shows all commits until now."""
        return str(self.fetch_value(self._words.position)).replace("\n", "")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProgramFailed(f"{self.name} was never started")
        return self._process
