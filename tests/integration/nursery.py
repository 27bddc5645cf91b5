"""Proxies that start at once: forked by a process that has loaded all of Tidegate before.

Loading takes a second of processor time, and the tests start hundreds of proxies. Each is a process
of its own all the same, with the arguments, the environment and the log that `spawn` would give it;
and it dies when we do. What a user's own start is like, `test_demo` and `test_workers` see.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Final

from proxy.demo.programs import ourselves, spawn

ROOT: Final = Path(__file__).parents[2]
LONGEST: Final = 1 << 16
"""Bytes of an order."""

PR_SET_PDEATHSIG: Final = 1


class Forked:
    """A child of the nursery's: what `subprocess.Popen` is to a child of our own."""

    def __init__(self, nursery: Nursery, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._nursery = nursery
        self._end = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """See `Popen`."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """See `Popen`."""
        status = self._look(timeout)
        if status is None:
            raise subprocess.TimeoutExpired("a forked proxy", timeout or 0.0)
        return status

    def send_signal(self, number: int) -> None:
        """See `Popen`."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._end, number)

    def terminate(self) -> None:
        """See `Popen`."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """See `Popen`."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout: float | None) -> int | None:
        if self.returncode is None and select.select([self._end], [], [], timeout)[0]:
            self.returncode = self._nursery.ask({"ended": self.pid})
            os.close(self._end)
        return self.returncode


class Nursery:
    """The process that forks, asked by us."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        with tempfile.TemporaryDirectory() as folder, _socket() as listener:
            path = f"{folder}/line"
            listener.bind(path)
            listener.listen()
            listener.settimeout(30.0)
            self._process = spawn(
                ourselves(),
                (sys.executable, "-m", "tests.integration.nursery", path),
                log=Path(folder, "log"),
                environment={"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
            )
            self._line, _ = listener.accept()

    def start(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str]) -> Forked:
        """Start a proxy.

        Args:
            arguments: Of `tidegate`.
            log: Its output goes to the end of this.
            environment: All of it.
        """
        with log.open("ab") as output:
            order = {"arguments": list(arguments), "environment": dict(environment)}
            return Forked(self, self.ask(order, output.fileno()))

    def ask(self, order: Mapping[str, Any], *files: int) -> int:
        """Give an order; the answer is a number."""
        with self._turn:
            socket.send_fds(self._line, [json.dumps(order).encode()], files)
            return int(self._line.recv(LONGEST))


_making = threading.Lock()


def nursery() -> Nursery:
    """The nursery of this process, which lives as long."""
    with _making:  # tests start proxies from several threads
        return _nursery()


@cache
def _nursery() -> Nursery:
    return Nursery()


def _socket() -> socket.socket:
    return socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def _serve(end: socket.socket) -> None:
    """Do as we are told; returns in each child, and when nobody tells us anything any more."""
    while True:
        said, files, _, _ = socket.recv_fds(end, LONGEST, 1)
        if not said:
            os._exit(0)
        order = json.loads(said)
        if "ended" in order:
            _, status = os.waitpid(order["ended"], 0)
            end.send(str(os.waitstatus_to_exitcode(status)).encode())
            continue
        (log,) = files
        pid = os.fork()
        if pid == 0:
            end.close()
            _become(log, order["arguments"], order["environment"])
            return
        os.close(log)
        end.send(str(pid).encode())


def _become(log: int, arguments: Sequence[str], environment: Mapping[str, str]) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["tidegate", *arguments]


if __name__ == "__main__":
    line = _socket()
    line.connect(sys.argv[1])

    import proxy.app
    import proxy.runtime.mysql.engine
    import proxy.runtime.postgres.engine
    import proxy.runtime.redis_shelf  # noqa: F401
    from proxy.cli import main

    gc.freeze()
    _serve(line)
    main()
