"""Run a database server's own programs for a while: never as root, never longer than we live.

Not for production and not a supervisor: this is what the demo and the tests
stand on. Servers in the foreground are our children, each in a session of its
own (Ctrl-C at the terminal is for us, not for them), with a parent-death signal
set after the change of user, since the kernel forgets it at that change.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from proxy.demo.processes import MissingProgram, ProgramFailed

OLDEST_POSTGRES = 13
POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)
UNPRIVILEGED = ("postgres", "nobody")

# A parent-death signal is sent when the *thread* that made the child ends, so
# every child is made by this one, which lasts as long as the interpreter.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


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
