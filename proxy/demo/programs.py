"""Run a database server's own programs for a while: never as root, never longer than we live.

Not for production and not a supervisor: this is what the demo and the tests
stand on. Servers in the foreground are our children, each in a session of its
own (Ctrl-C at the terminal is for us, not for them), with a parent-death signal
set after the change of user, since the kernel forgets it at that change.
"""

from __future__ import annotations

import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.errors import ProxyError

OLDEST_POSTGRES = 13
POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)
UNPRIVILEGED = ("postgres", "nobody")

# More than once, since a dying server may still write beside the removal.
REMOVE_WHEN_ALONE = """
read -r _
for _ in 1 2 3 4 5 6 7 8 9 10; do
    rm -rf -- "$0" && exit
    sleep 0.3
done
"""

# A parent-death signal is sent when the *thread* that made the child ends, so
# every child is made by this one, which lasts as long as the interpreter.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


class MissingProgram(ProxyError):
    """Something that has to be installed first; the text is one line that says what and how."""


class ProgramFailed(ProxyError):
    """A program ended with an error; the text holds the last of what it printed."""


@dataclass(frozen=True, slots=True)
class Postgres:
    """One installed PostgreSQL.

    Args:
        folder: Where `postgres`, `initdb` and `pg_basebackup` are.
        major: 15 for 15.18.
    """

    folder: Path
    major: int

    def path(self, program: str) -> str:
        return str(self.folder / program)


@dataclass(frozen=True, slots=True)
class Account:
    """The unprivileged user that servers run as when we are root; ourselves when we are not."""

    name: str
    uid: int
    gid: int
    prefix: tuple[str, ...] = ()

    def own(self, *paths: Path) -> None:
        """Give files that we wrote to the servers' user."""
        for path in paths:
            os.chown(path, self.uid, self.gid)

    def make_folder(self, path: Path) -> Path:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.own(path)
        return path

    def write(self, path: Path, text: str | bytes) -> Path:
        """Write a file that only the servers' user (and root) can read."""
        path.touch(mode=0o600)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.own(path)
        return path


def find_postgres() -> Postgres:
    """Find the newest PostgreSQL on this machine.

    Raises:
        MissingProgram: None is installed, or none that is new enough.
    """
    found = [Postgres(folder, major) for folder in _candidates() if (major := _major(folder))]
    newest = max(found, key=lambda postgres: postgres.major, default=None)
    if newest is None or newest.major < OLDEST_POSTGRES:
        raise MissingProgram(
            f"a PostgreSQL server ({OLDEST_POSTGRES} or newer) is not installed: on Debian or"
            " Ubuntu run `make setup-servers` as root; elsewhere put its `postgres` in PATH"
        )
    return newest


def _candidates() -> Iterator[Path]:
    for pattern in POSTGRES_FOLDERS:
        yield from Path("/").glob(pattern.lstrip("/"))
    for folder in os.get_exec_path():
        yield Path(folder)


def _major(folder: Path) -> int:
    """Tell the major version of the server programs in a folder; 0 when they are not all there."""
    needed = ("postgres", "initdb", "pg_basebackup")
    if not all(os.access(folder / program, os.X_OK) for program in needed):
        return 0
    asked = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=False
    )
    version = re.search(r"\) (\d+)", asked.stdout)
    return int(version[1]) if version else 0


def ourselves() -> Account:
    """Return the user that we are, for programs that need no other."""
    me = pwd.getpwuid(os.geteuid())
    return Account(
        me.pw_name, me.pw_uid, me.pw_gid, ("setpriv",) if shutil.which("setpriv") else ()
    )


def find_account() -> Account:
    """Choose the user that servers run as.

    Raises:
        MissingProgram: We are root and there is no way to stop being it.
    """
    if os.geteuid() != 0:
        return ourselves()
    if shutil.which("setpriv") is None:
        raise MissingProgram("`setpriv` (util-linux) is needed to run servers as another user")
    for name in UNPRIVILEGED:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            continue
        change = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        return Account(name, user.pw_uid, user.pw_gid, ("setpriv", *change))
    raise MissingProgram(f"servers don't run as root: one of the users {UNPRIVILEGED} must exist")


def spawn(
    account: Account,
    command: Sequence[str],
    *,
    log: Path,
    on_our_death: signal.Signals = signal.SIGKILL,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start a program in the foreground as our child; its output goes to the end of a file.

    Args:
        account: Who it runs as.
        command: Program and arguments.
        log: Made when missing.
        on_our_death: What the program gets when we vanish, however we vanish.
        environment: Added to our own.
    """
    prefix = account.prefix
    if prefix:
        prefix = (*prefix, f"--pdeathsig={on_our_death.name.removeprefix('SIG')}", "--")
    with log.open("ab") as output:
        return _spawner.submit(
            subprocess.Popen,
            [*prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # A server's user may not read the folder that we are in.
            cwd="/",
            env={**os.environ, **(environment or {})},
        ).result()


def finish(process: subprocess.Popen[bytes], *, log: Path, timeout: float = 60.0) -> None:
    """Wait for a program that ends by itself.

    Raises:
        ProgramFailed: It ended with an error, or did not end in time.
    """
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        status = process.wait()
    if status:
        raise ProgramFailed(f"{program_name(process)} ended with {status}: {last_lines(log)}")


def program_name(process: subprocess.Popen[bytes]) -> str:
    """Name the program behind the change of user."""
    arguments = process.args
    assert isinstance(arguments, list)
    start = arguments.index("--") + 1 if "--" in arguments else 0
    return Path(str(arguments[start])).name


def last_lines(log: Path, count: int = 5) -> str:
    """Return the end of a log in one line, for an error's text."""
    return " | ".join(log.read_text(errors="replace").splitlines()[-count:])


def children(pid: int) -> list[int]:
    """List the living child processes of a process; none where there is no /proc."""
    every = (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))
    return [child for child in every if _state(child)[1] == pid]


def is_alive(pid: int) -> bool:
    """Tell whether a process still runs; one that only waits to be reaped does not."""
    return _state(pid)[0] not in ("", "Z", "X")


def _state(pid: int) -> tuple[str, int]:
    """Read a process's state letter and its parent; ("", 0) when there is no such process."""
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


def free_port() -> int:
    """Find a TCP port of 127.0.0.1 that a server can have, and have again after a restart.

    Not one the kernel hands out by itself: while the server is down, some
    outgoing connection could be given that port as its own.
    """
    for _ in range(1000):
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            # As the servers do: a port whose last connection lingers is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
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
