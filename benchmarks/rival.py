"""Another proxy, for comparison: a process in front of one server, with its usual settings."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from proxy.demo.processes import MissingProgram, ProgramFailed, free_port, wait_until
from proxy.demo.programs import Account, last_lines, spawn


class Rival:
    """One such process; `with` starts and stops it.

    Args:
        title: What it is called.
        folder: Gets its configuration and log.
        account: Who it runs as.
    """

    def __init__(self, title: str, folder: Path, account: Account) -> None:
        self.title = title
        self.port = free_port()
        self.folder = account.make_folder(folder)
        self.log = folder / "log"
        self._account = account
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> Sequence[str]:
        """Write its configuration, and return how to start it in the foreground."""
        raise NotImplementedError

    def __enter__(self) -> Rival:
        self._process = spawn(self._account, self.command(), log=self.log)
        try:
            wait_until(self._answers, f"{self.title} to listen")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        assert self._process is not None, f"{self.title} was not started"
        return self._process.pid

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise ProgramFailed(f"{self.title} ended at its start: {last_lines(self.log)}")
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=5.0).close()
        except OSError:
            return False
        return True


def find_program(title: str) -> str:
    """Find a program that is called as its title is, in small letters.

    Raises:
        MissingProgram: It isn't installed.
    """
    name = title.lower()
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        raise MissingProgram(
            f"{title} is not installed: on Debian or Ubuntu run `make setup-servers` as root"
        )
    return found
