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

from proxy.demo.local_server import LocalServer
from proxy.demo.mysql_console import SUPERUSER, MySQLConsole
from proxy.demo.mysql_programs import Flavour, Programs
from proxy.demo.processes import free_port, freeze
from proxy.demo.programs import Account, spawn

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
BY_GTID: Final = "SOURCE_AUTO_POSITION=1"
BY_LOG: Final = "SOURCE_AUTO_POSITION=0"
"""How MySQL's replicas follow where commits have no GTIDs: by file and offset of the log."""


class MySQLServer(MySQLConsole, LocalServer):
    """A server of ours, on a port that it keeps for life.

    SQL goes over the Unix socket as the superuser, whom a replica lets write.

    Args:
        name: What it is called here.
        data: The data folder.
        programs: MariaDB's or MySQL's.
        account: Who it runs as.
        password: That of the superuser over TCP, and of the user that replicas log in as.
        settings: Server settings.
    """

    silence = (OSError, pymysql.MySQLError)

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
        MySQLConsole.__init__(self, data.with_suffix(".sock"), free_port())
        LocalServer.__init__(self, name, data, account, password=password)
        self.settings = dict(settings)
        self.server_id = self.port
        self.is_read_only = False
        self._words = WORDS[programs.flavour]
        self._programs = programs

    @property
    def flavour(self) -> Flavour:
        return self._programs.flavour

    @property
    def has_gtids(self) -> bool:
        """Whether commits are numbered; else positions are files and offsets of the log."""
        return self.settings.get("gtid_mode", "ON") == "ON"

    @property
    def is_replica(self) -> bool:
        return bool(self.status())

    def dsn(self, database: str = "", *, user: str = SUPERUSER, password: str = "") -> str:
        """Make a connection string for drivers, over TCP."""
        secret = quote(password or self.password, safe="")
        return f"mysql://{user}:{secret}@{self.address}/{database}"

    # Starting and stopping.

    def _spawn(self) -> subprocess.Popen[bytes]:
        if not self.data.exists():
            self._programs.prepare(self.data, self._account)
        return spawn(self._account, self._command(), log=self.log)

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

    def stop(self, *, timeout: float = 30.0) -> None:
        """Stop it; one that doesn't listen is killed."""
        self.begin_stop()
        self.wait_stopped(timeout=timeout)

    def begin_stop(self) -> None:
        if self.is_running:
            os.kill(self.pid, signal.SIGTERM)
            self.thaw()

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
        freeze(self.pid)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    # Replication.

    def status(self) -> dict[str, object]:
        """Return what a replica says of itself; empty for a server that follows nobody."""
        return self.fetch_named("SHOW REPLICA STATUS")

    def promote(self) -> None:
        """Make a replica a primary, with everything that it received."""
        self.replay_received()
        self.execute("STOP REPLICA; RESET REPLICA ALL")
        self.set_read_only(False)

    def replay_received(self) -> None:
        """Wait until a replica shows everything that it has received."""
        status = self.status()
        if not self.has_gtids:
            self.execute("STOP REPLICA IO_THREAD; START REPLICA SQL_THREAD")
            status = self.status()
            self.wait_replayed(f"{status['Source_Log_File']}:{status['Read_Source_Log_Pos']}")
        elif received := str(status.get(self._words.received) or "").replace("\n", ""):
            self.wait_replayed(received)

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

    def follow(self, primary: MySQLServer, position: str = "") -> None:
        """Make it a replica of another server, from where it is in that one's history.

        Args:
            primary: Whom it is to follow.
            position: Where it is, if it cannot tell: without GTIDs. Empty: at the beginning.
        """
        self.execute("STOP REPLICA")
        self.set_read_only(True)
        follow = self._words.follow.format(
            port=primary.port,
            user=REPLICATION_USER,
            password=self.password,
            tls=int("ssl_cert" in primary.settings),
        )
        if not self.has_gtids:
            follow = follow.replace(BY_GTID, BY_LOG)
        if position:
            log, _, offset = position.partition(":")
            follow += f", SOURCE_LOG_FILE='{log}', SOURCE_LOG_POS={offset}"
        self.execute(f"{follow}; START REPLICA")

    def pause_replay(self) -> None:
        """Hold a replica back: it goes on receiving, and shows nothing new."""
        self.execute("STOP REPLICA SQL_THREAD")

    def resume_replay(self) -> None:
        self.execute("START REPLICA SQL_THREAD")

    def delay_replay(self, seconds: int) -> None:
        """Have a replica show everything so much later than its primary."""
        self.execute(f"STOP REPLICA; {self._words.delay.format(seconds=seconds)}; START REPLICA")

    def _how_it_is(self) -> str:
        return f": {self.status()}"

    def has_replayed(self, position: str) -> bool:
        if not self.has_gtids:
            return _in_log(self.replayed()) >= _in_log(position)
        return self.fetch_value(self._words.replayed.format(position=position)) == 1

    def replayed(self) -> str:
        """Say where a replica without GTIDs is in its primary's log."""
        status = self.status()
        return f"{status['Relay_Source_Log_File']}:{status['Exec_Source_Log_Pos']}"

    def mark_position(self) -> str:
        """Return a position that a replica reaches when it shows all commits until now."""
        if not self.has_gtids:
            is_new = self._programs.version >= (8, 4)
            status = self.fetch_named(f"SHOW {'BINARY LOG' if is_new else 'MASTER'} STATUS")
            return f"{status['File']}:{status['Position']}"
        return str(self.fetch_value(self._words.position)).replace("\n", "")


def _in_log(position: str) -> tuple[str, int]:
    log, _, offset = position.partition(":")
    return log, int(offset)
