"""Processes, ports and folders of the moment: find them, wait for them, leave none behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.errors import ProxyError

# More than once, since a dying server may still write beside the removal.
REMOVE_WHEN_ALONE = """
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$0" && exit
    sleep 0.3
done
"""


class MissingProgram(ProxyError):
    """Something that has to be installed first; the text is one line that says what and how."""


class ProgramFailed(ProxyError):
    """A program ended with an error; the text holds the last of what it printed."""


def children(pid: int) -> list[int]:
    """List the living child processes of a process; none where there is no /proc."""
    every = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [child for child in every if _state(child)[1] == pid]


def is_alive(pid: int) -> bool:
    """Tell whether a process still runs; one that only waits to be reaped does not."""
    return _state(pid)[0] not in ("", "Z", "X")


def freeze(pid: int) -> None:
    """Stop a process's clock, and wait until none of its threads runs any more.

    The signal comes back at once, and each thread goes on until the kernel looks at it next: a busy
    machine's server answers one more question then.
    """
    os.kill(pid, signal.SIGSTOP)
    threads = Path(f"/proc/{pid}/task")
    wait_until(
        lambda: all(_state(int(thread.name))[0] in ("T", "") for thread in threads.glob("*")),
        f"all threads of process {pid} to stand still",
    )


def _state(pid: int) -> tuple[str, int]:
    """Read a process's or thread's state letter and its parent; ("", 0) when there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "", 0
    # The name is in parentheses and may hold anything, so look behind the last one.
    state, parent = stat.rpartition(")")[2].split()[:2]
    return state, 0 if state in "ZX" else int(parent)


def wait_until(condition: Callable[[], bool], what: str, *, timeout: float = 30.0) -> None:
    """Wait for a state, asking every few milliseconds.

    Raises:
        ProgramFailed: The state did not come in time; the text says which.
    """
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ProgramFailed(f"waited {timeout:g} s in vain: {what}")
        time.sleep(0.01)


_given: set[int] = set()
_ports = list(range(15_000, 32_000))


def share_ports(number: int, of: int) -> None:
    """Take ports from one part of them only: others who work beside us take from theirs.

    Args:
        number: Of the part, from 0.
        of: How many parts there are.
    """
    _ports[:] = _ports[number::of]


def free_port() -> int:
    """Find a TCP port of 127.0.0.1 that a server can have, and have again after a restart.

    Not one the kernel hands out by itself: while the server is down, some
    outgoing connection could be given that port as its own. Never the same twice, so that who
    asks for two before using the first has two.
    """
    for _ in range(1000):
        port = random.choice(_ports)
        if port in _given:
            continue
        with socket.socket() as probe:
            # As the servers do: a port whose last connection lingers is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            _given.add(port)
            return port
    raise ProgramFailed("no free TCP port was found on 127.0.0.1")


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Lend a folder that servers of another user can reach; it goes when we do.

    Also when we are killed: a shell waits for the end of a pipe that only we
    hold, and removes what is left then.
    """
    folder = Path(tempfile.mkdtemp(prefix="tidegate-"))
    folder.chmod(0o711)
    keeper = subprocess.Popen(
        ["/bin/sh", "-c", REMOVE_WHEN_ALONE, str(folder)],
        stdin=subprocess.PIPE,
        start_new_session=True,
        cwd="/",
    )
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        keeper.communicate()
