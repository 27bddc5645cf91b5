"""A client that says exactly what it is told to, byte for byte, and hears everything."""

from __future__ import annotations

import socket
import ssl
from base64 import b64encode
from collections.abc import Callable, Iterable

from proxy.wire.postgres import backend, frontend, tags
from proxy.wire.postgres.framer import Framer, watch
from proxy.wire.postgres.login import Credentials, Welcome, log_in
from proxy.wire.postgres.packets import V3_0, startup_message

Message = tuple[int, bytes]
Heard = list[Message]

NONCE = b64encode(b"0123456789abcdefgh")
_EVERYTHING = watch(bytes(range(256)))


class RawClient:
    """A blocking connection to one port of 127.0.0.1; `with` closes it without a farewell.

    Attributes:
        socket: Wrapped in TLS where a test has done so.
        welcome: What the other side said of the session, once logged in.
    """

    def __init__(self, port: int, *, timeout: float = 5.0) -> None:
        self.socket: socket.socket | ssl.SSLSocket
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.welcome = Welcome()
        self._framer = Framer(_EVERYTHING, 2**30)
        self._heard: Heard = []

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def send(self, *data: bytes) -> None:
        """Say something."""
        self.socket.sendall(b"".join(data))

    def read(self) -> Message:
        """Hear one message: its tag and its bytes, header included.

        Raises:
            EOFError: The other side hung up.
        """
        while not self._heard:
            data = self.socket.recv(1 << 20)
            if not data:
                raise EOFError
            passed = self._framer.feed(data)
            self._heard += [(tag, passed[start:stop]) for tag, start, stop in self._framer.found]
        return self._heard.pop(0)

    def read_until(self, is_last: Callable[[Message], bool]) -> Heard:
        """Hear messages up to one that ends the wait."""
        heard = [self.read()]
        while not is_last(heard[-1]):
            heard.append(self.read())
        return heard

    def hear(self, last: bytes = b"Z") -> Heard:
        """Hear messages up to one that has one of these tags."""
        return self.read_until(lambda message: message[0] in last)

    def hear_out(self) -> Heard:
        """Hear everything until the other side hangs up."""
        heard: Heard = []
        try:
            while True:
                heard.append(self.read())
        except (EOFError, ConnectionResetError):
            return heard

    def ask(self, *data: bytes, last: bytes = b"Z") -> Heard:
        """Say something, and hear the answer up to a tag: by default ReadyForQuery."""
        self.send(*data)
        return self.hear(last)

    def query(self, sql: str) -> Heard:
        """Ask by the simple protocol."""
        return self.ask(frontend.query(sql.encode()))

    def value(self, sql: str) -> str | None:
        """Ask for one value."""
        (row,) = rows(self.query(sql))
        return row[0]

    def log_in(
        self,
        user: str,
        password: str,
        database: str,
        *,
        version: int = V3_0,
        binding: bytes | None = None,
        **settings: str,
    ) -> Welcome:
        """Begin a session.

        Raises:
            LoginRefused: The other side said no.
        """
        named = {"user": user, "database": database, **settings}
        dialogue = log_in(
            {name.encode(): value.encode() for name, value in named.items()},
            Credentials(password=password.encode()),
            nonce=NONCE,
            channel_binding=binding,
            encrypted=True,  # as good as: nobody listens on this machine
            version=version,
        )
        answer = next(dialogue)
        while True:
            self.send(answer)
            try:
                answer = dialogue.send(self.read())
            except StopIteration as stop:
                self.welcome = stop.value
                return self.welcome

    def start(self, user: str, database: str, *, version: int = V3_0, **settings: str) -> None:
        """Send a startup packet and nothing else."""
        named = {"user": user, "database": database, **settings}
        self.send(
            startup_message({name.encode(): v.encode() for name, v in named.items()}, version)
        )


def shape(heard: Iterable[Message]) -> str:
    """The tags of what was heard, as letters: `TDCZ` is a result of one row."""
    return "".join(chr(tag) for tag, _ in heard)


def rows(heard: Iterable[Message]) -> list[list[str | None]]:
    """The rows in what was heard, as text."""
    return [
        [None if value is None else value.decode() for value in backend.read_data_row(data)]
        for tag, data in heard
        if tag == tags.DATA_ROW
    ]


def command_tags(heard: Iterable[Message]) -> list[str]:
    """The command tags in what was heard."""
    return [
        backend.read_command_tag(data).decode()
        for tag, data in heard
        if tag == tags.COMMAND_COMPLETE
    ]


def sqlstates(heard: Iterable[Message]) -> list[str]:
    """The SQLSTATEs of the errors in what was heard."""
    return [error[backend.SQLSTATE].decode() for error in errors(heard)]


def errors(heard: Iterable[Message]) -> list[dict[bytes, bytes]]:
    """The fields of the errors in what was heard."""
    return [backend.read_error(data) for tag, data in heard if tag == tags.ERROR_RESPONSE]


def status(heard: Heard) -> str:
    """What the last message, a ReadyForQuery, says of the transaction."""
    tag, data = heard[-1]
    assert tag == tags.READY_FOR_QUERY
    return chr(backend.read_ready_status(data))
