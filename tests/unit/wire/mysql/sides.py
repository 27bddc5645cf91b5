"""A client's engine and a server connection, for conversations from both ends."""

from __future__ import annotations

from collections.abc import Callable

from proxy.wire.mysql import commands
from proxy.wire.mysql.capabilities import DEPRECATE_EOF, SESSION_TRACK
from proxy.wire.mysql.client_engine import ClientEngine
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.exchange import Exchange
from proxy.wire.mysql.ok import Error, Ok, error_packet, ok_packet
from proxy.wire.mysql.prepared import Library
from proxy.wire.mysql.requests import Request
from proxy.wire.mysql.resultset import Column, binary_result, prepare_ok, text_result

NEW = DEPRECATE_EOF | SESSION_TRACK
LARGEST = 1 << 30

OK = ok_packet(1, Ok(), NEW)
ONE_ROW = text_result(1, [Column(b"a")], [[b"1"]], NEW)
NO_ROW = text_result(1, [Column(b"a")], [], NEW)
BINARY_ROW = binary_result(1, [Column(b"a")], [[b"1"]], NEW)

INT = b"\x03\0"
STRING = b"\xfd\0"


def command(code: int, rest: bytes = b"") -> bytes:
    return packet(0, bytes((code,)) + rest)


def query(sql: bytes) -> bytes:
    return command(commands.QUERY, sql)


def refuses(code: int, sqlstate: bytes = b"HY000", sequence: int = 1) -> bytes:
    """What a server says when it will not."""
    return error_packet(sequence, Error(code, sqlstate, b"no"))


def prepare(sql: bytes) -> bytes:
    return command(commands.STMT_PREPARE, sql)


def number(statement: int) -> bytes:
    return statement.to_bytes(4, "little")


def execute(statement: int, values: bytes = b"", *, flags: int = 0) -> bytes:
    rest = number(statement) + bytes((flags,)) + b"\1\0\0\0" + values
    return command(commands.STMT_EXECUTE, rest)


def typed(kind: bytes, value: bytes) -> bytes:
    """One parameter with its type."""
    return b"\0\1" + kind + value


def untyped(value: bytes) -> bytes:
    """One parameter whose type was sent before."""
    return b"\0\0" + value


def prepared_as(statement: int, *, columns: int = 1, parameters: int = 0) -> bytes:
    """A server's answer to a COM_STMT_PREPARE."""
    return prepare_ok(1, statement, [Column(b"a")] * columns, parameters, NEW)


class Side:
    """A client's engine and one server connection, or more."""

    def __init__(self, *, server: int = NEW, client: int = NEW, room: int = 10) -> None:
        self.server = server
        self.room = room
        self.engine = ClientEngine(Library(lambda: 0, lambda sql: False), client, LARGEST)
        self.exchange = Exchange(server, room)

    def requests(self, data: bytes) -> list[Request]:
        found = self.engine.cutter.feed(data)
        for request in found:
            self.engine.read(request)
        return [one for one in found if isinstance(one, Request)]

    def request(self, data: bytes) -> Request:
        (request,) = self.requests(data)
        return request

    def sends(self, data: bytes) -> bytes:
        """Begin a request; returns what goes to the server."""
        return self.exchange.begin(self.request(data))

    def hears(self, *chunks: bytes) -> bytes:
        """The server answers; returns what the client is told."""
        return b"".join(map(self.exchange.feed, chunks))

    def runs(self, data: bytes, answer: bytes) -> bytes:
        self.sends(data)
        told = self.hears(answer)
        assert self.exchange.done
        return told

    def reconnects(self) -> None:
        """Another connection to a server."""
        self.exchange = Exchange(self.server, self.room)


def however_cut(answer: bytes, play: Callable[[list[bytes]], object]) -> None:
    """Play something with an answer that comes whole, byte by byte, and cut at every offset."""
    first = play([answer])
    ways = [[answer[at : at + 1] for at in range(len(answer))]]
    ways += [[answer[:at], answer[at:]] for at in range(1, len(answer))]
    for way in ways:
        assert play(way) == first
