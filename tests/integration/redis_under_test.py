"""A Redis server of the tests' own, which can be paused, killed and brought back."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import redis

from proxy.demo.processes import MissingProgram, free_port, freeze, temporary_folder, wait_until
from proxy.demo.programs import find_account, spawn

PASSWORD = "not to be seen in any log"
SENTINEL_PASSWORD = "nor-this"


class Redis:
    """One server, on a port that it keeps for life. Nothing it holds outlives it.

    Args:
        folder: Gets its log and, in a folder of its own, what it writes.
        settings: More of its configuration.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self._more = settings
        self._account = find_account()
        self._folder = folder
        self._data = self._account.make_folder(folder / "data")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/0"

    def client(self) -> redis.Redis:
        """Connect to it, past any proxy."""
        return redis.Redis(port=self.port, password=PASSWORD, socket_timeout=5.0)

    def start(self) -> None:
        """Start it and wait until it answers."""
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise MissingProgram("no redis-server: apt-get install redis-server")
        settings = {"port": str(self.port), "bind": "127.0.0.1", "requirepass": PASSWORD}
        settings |= {"save": "", "appendonly": "no", "dir": str(self._data), **self._more}
        command = [part for name, value in settings.items() for part in (f"--{name}", value)]
        log = self._folder / "redis.log"
        self._process = spawn(self._account, [program, *command], log=log)
        wait_until(self._answers, "Redis to answer")

    def _answers(self) -> bool:
        try:
            with self.client() as client:
                return bool(client.ping())
        except redis.ConnectionError:
            return False

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let it answer nothing more, with every connection open."""
        freeze(self._running().pid)

    def resume(self) -> None:
        self._running().send_signal(signal.SIGCONT)

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "it does not run"
        return self._process


@contextmanager
def temporary_redis(**settings: str) -> Iterator[Redis]:
    """Run one while it is needed."""
    with temporary_folder() as folder:
        server = Redis(folder, settings)
        server.start()
        try:
            yield server
        finally:
            server.kill()


@contextmanager
def temporary_redis_cluster() -> Iterator[tuple[Redis, Redis]]:
    """Run two servers with half of the keys each."""
    ports = [str(free_port()) for _ in range(2)]  # else their own and 10,000, which may be taken
    settings = {"cluster-enabled": "yes", "masterauth": PASSWORD}
    with (
        temporary_redis(**settings, **{"cluster-port": ports[0]}) as one,
        temporary_redis(**settings, **{"cluster-port": ports[1]}) as other,
    ):
        with one.client() as first, other.client() as second:
            first.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
            second.execute_command("CLUSTER", "ADDSLOTSRANGE", 8192, 16383)
            first.execute_command("CLUSTER", "MEET", "127.0.0.1", other.port, ports[1])
            for client in (first, second):
                wait_until(lambda client=client: _is_whole(client), "the cluster")  # type: ignore[misc]
        yield one, other


def _has_replica(client: redis.Redis) -> bool:
    told: dict[str, int] = client.info("replication")
    return told["connected_slaves"] > 0


def _is_whole(client: redis.Redis) -> bool:
    told: dict[str, str] = client.execute_command("CLUSTER INFO")
    return told["cluster_state"] == "ok"


class Sentinel:
    """One that watches a server of the tests, by the name of `app`."""

    def __init__(self, folder: Path, primary: Redis) -> None:
        account = find_account()
        self.port = free_port()
        file = account.make_folder(folder / "sentinel") / "sentinel.conf"
        file.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {file.parent}\n"
            f"requirepass {SENTINEL_PASSWORD}\n"
            f"sentinel monitor app 127.0.0.1 {primary.port} 1\n"
            f'sentinel auth-pass app "{PASSWORD}"\n'
            "sentinel down-after-milliseconds app 500\n"
        )
        account.own(file)
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        assert program is not None
        command = [program, str(file), "--sentinel"]
        self.process = spawn(account, command, log=folder / "sentinel.log")

    @property
    def url(self) -> str:
        word = PASSWORD.replace(" ", "%20")
        address = f"127.0.0.1:{free_port()},127.0.0.1:{self.port}"  # nobody is at the first
        return f"redis+sentinel://:{word}@{address}/app?sentinel_password={SENTINEL_PASSWORD}"

    def client(self) -> redis.Redis:
        return redis.Redis(port=self.port, password=SENTINEL_PASSWORD, socket_timeout=5.0)

    def is_ready(self) -> bool:
        """Whether it knows a replica that may follow the primary."""
        try:
            with self.client() as client:
                replicas = client.execute_command("SENTINEL REPLICAS", "app")
                return any(each.get(b"master-link-status") == b"ok" for each in replicas)
        except redis.ConnectionError:
            return False


@contextmanager
def temporary_sentinel() -> Iterator[tuple[Sentinel, Redis]]:
    """Run a primary, its replica, and one that knows which is which; the primary may be killed."""
    settings = {"masterauth": PASSWORD, "repl-diskless-sync-delay": "0"}
    with (
        temporary_redis(**settings) as one,
        temporary_redis(**settings, replicaof=f"127.0.0.1 {one.port}"),
        temporary_folder() as folder,
    ):
        with one.client() as primary:  # else it is asked for its replicas only after 10 s
            wait_until(lambda: _has_replica(primary), "the replica")
        sentinel = Sentinel(folder, one)
        try:
            wait_until(sentinel.is_ready, "the Sentinel to know the replica")
            yield sentinel, one
        finally:
            sentinel.process.kill()
            sentinel.process.wait()
