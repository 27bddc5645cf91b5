"""A reader of the binary log and its server connection."""

from __future__ import annotations

from typing import Any, cast

import pytest

from proxy.runtime.mysql.tunnel import Tunnel
from proxy.runtime.server import ServerConnection
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.errors import UnknownCommand, error_packet
from proxy.wire.mysql.ok import Ok, ok_packet

OK = ok_packet(1, Ok(), 0)
EVENT = packet(1, b"\0an event")
REFUSED = error_packet(UnknownCommand(), 1)


class Client:
    """What the reader is told."""

    def __init__(self) -> None:
        self.told = b""
        self.closed = ""

    def write(self, data: bytes) -> None:
        assert data
        self.told += data

    def close(self, reason: str, cause: object) -> None:
        self.closed = reason


class Connection:
    """A server's."""

    def __init__(self) -> None:
        self.user: Any = None
        self.server = type("Server", (), {"name": "primary"})
        self.is_aborted = False
        self.said = b""

    def lend(self, user: Any) -> None:
        self.user = user

    def write(self, data: bytes) -> None:
        self.said += data

    def abort(self, reason: str) -> None:
        self.is_aborted = True
        if self.user is not None:
            self.user.server_lost(self, reason)


def tunnel(owed: int) -> tuple[Tunnel, Client, Connection]:
    client, connection = Client(), Connection()
    made = Tunnel(cast(Any, client), cast(ServerConnection, connection), owed)
    return made, client, connection


@pytest.mark.parametrize(
    ("owed", "heard", "told"),
    [
        (0, EVENT, EVENT),
        (1, OK + EVENT, EVENT),
        (1, OK, b""),
        (1, REFUSED + REFUSED, REFUSED + REFUSED),
    ],
)
def test_the_answer_to_a_registration_is_kept_back(owed: int, heard: bytes, told: bytes) -> None:
    for at in range(len(heard) + 1):
        made, client, connection = tunnel(owed)
        for part in (heard[:at], heard[at:]):
            made.server_data(cast(ServerConnection, connection), part)
        assert client.told == told


def test_a_reader_that_goes_takes_its_connection_along() -> None:
    made, client, connection = tunnel(0)
    made.send(b"ack")
    made.close()
    assert connection.said == b"ack"
    assert connection.is_aborted
    assert not client.closed


def test_a_dump_that_is_killed_ends_the_reader() -> None:
    made, client, _ = tunnel(0)
    made.cancel()
    assert "killed" in client.closed
