"""A Unix socket in the file system, for clients of this machine: made, and taken away again.

What a process that was killed has left behind is replaced. One that somebody listens on is theirs.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
from pathlib import Path
from typing import final

from proxy.errors import CannotListen


@final
class LocalSocket:
    """A listening socket, and the file that leads to it.

    Args:
        setting: Where the folder was given, for whom it is wrong.
        path: Of the file.
        mode: Its permissions: who may write to it may connect.
        backlog: How many may wait to be accepted.

    Raises:
        CannotListen: The file is somebody else's, or not ours to make.
    """

    __slots__ = ("_identity", "_path", "socket")

    def __init__(self, setting: str, path: Path, mode: int, backlog: int) -> None:
        try:
            _clear(path)
            self.socket = _listen(path, mode, backlog)
            self._identity = _identity(path)
        except OSError as error:
            what = error.strerror or error
            raise CannotListen(f"{setting}: can't listen on {path}: {what}") from None
        self._path = path

    def remove(self) -> None:
        """Take the file away, unless another has put its own there meanwhile."""
        with contextlib.suppress(OSError):
            if _identity(self._path) == self._identity:
                self._path.unlink()


def _clear(path: Path) -> None:
    """Remove a socket that nobody listens on.

    Raises:
        OSError: Somebody does, or it is no socket.
    """
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise OSError("a file by that name is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.setblocking(False)  # whose line is full is listening too
        try:
            other.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:
            pass
    raise OSError("another process listens there")


def _listen(path: Path, mode: int, backlog: int) -> socket.socket:
    with contextlib.ExitStack() as undo:
        taken = undo.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        mask = os.umask(0o777 & ~mode)  # from the first moment on
        try:
            taken.bind(str(path))
        finally:
            os.umask(mask)
        taken.listen(backlog)
        taken.setblocking(False)
        undo.pop_all()
    return taken


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino
