"""A client that keeps nothing: it logs in, sends a statement, and counts what comes back.

Blocking, since what it is for is to wait: a thousand of them idle, or one that swallows a
gigabyte without holding it.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import Final

from proxy.wire.postgres import frontend
from proxy.wire.postgres.credentials import Credentials
from proxy.wire.postgres.login import log_in

READY: Final = b"Z\x00\x00\x00\x05I"
CHUNK: Final = 256 * 1024


class BareClient:
    """One connection.

    Args:
        port: On 127.0.0.1.
        database: To connect to.
        user: To log in as.
        password: The user's.
    """

    def __init__(self, port: int, *, database: str, user: str, password: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60.0)
        parameters = {b"user": user.encode(), b"database": database.encode()}
        try:
            self._log_in(parameters, Credentials(password=password.encode()))
        except BaseException:
            self._socket.close()
            raise

    def _log_in(self, parameters: dict[bytes, bytes], credentials: Credentials) -> None:
        dialogue = log_in(parameters, credentials, nonce=secrets.token_urlsafe(18).encode())
        try:
            answer = next(dialogue)
            with self._socket.makefile("rb") as stream:
                while True:
                    if answer:
                        self._socket.sendall(answer)
                    header = stream.read(5)
                    if len(header) < 5:
                        raise ConnectionError("the connection was closed during the login")
                    size = int.from_bytes(header[1:], "big") - 4
                    answer = dialogue.send((header[0], header + stream.read(size)))
        except StopIteration:
            return

    def ask(self, sql: str, progress: Callable[[int], None] | None = None) -> int:
        """Send a statement and swallow its result.

        Args:
            sql: The statement.
            progress: Told how many bytes have come, again and again.

        Returns:
            How many bytes came.
        """
        self._socket.sendall(frontend.query(sql.encode()))
        buffer = bytearray(CHUNK)
        view = memoryview(buffer)
        total = 0
        tail = b""
        while tail != READY:
            size = self._socket.recv_into(view)
            if not size:
                raise ConnectionError("the connection was closed in the middle of a result")
            total += size
            tail = (tail + bytes(view[max(0, size - len(READY)) : size]))[-len(READY) :]
            if progress is not None:
                progress(total)
        return total

    def close(self) -> None:
        self._socket.close()
