"""Many clients share a few server connections, and each finds its own statements, as on its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import example, given, settings
from hypothesis import strategies as st

from proxy.wire.postgres import frontend, tags
from proxy.wire.postgres.client_engine import ClientEngine
from proxy.wire.postgres.cutting import Cutter
from proxy.wire.postgres.exchange import Exchange
from proxy.wire.postgres.items import Item
from proxy.wire.postgres.prepared import Library
from proxy.wire.postgres.requests import Request
from proxy.wire.prepared import AS_AT_LOGIN
from proxy.wire.requests import End
from tests.unit.wire.postgres.model_server import BAD_TEXT, BAD_VALUE, FAILING, ModelServer

NAMES = st.sampled_from([b"", b"s", b"t"])
PORTALS = st.sampled_from([b"", b"p"])
TEXTS = st.sampled_from([b"A", b"B", b"C", b"D", BAD_TEXT, FAILING])
MESSAGES = st.one_of(
    st.builds(frontend.parse, NAMES, TEXTS),
    st.builds(frontend.bind, PORTALS, NAMES, st.sampled_from([(), (b"1",), (BAD_VALUE,)])),
    st.builds(frontend.execute, PORTALS),
    st.builds(frontend.describe, st.just(tags.PORTAL), PORTALS),
    st.builds(frontend.describe, st.just(tags.STATEMENT), NAMES),
    st.builds(frontend.close, st.just(tags.STATEMENT), NAMES),
    st.builds(frontend.close, st.just(tags.PORTAL), PORTALS),
)
BATCHES = st.lists(MESSAGES, max_size=6).map(lambda messages: b"".join(messages) + frontend.SYNC)
QUERIES = st.builds(frontend.query, TEXTS)

CLIENTS = 3
CONNECTIONS = 2
ROOM = 2


@dataclass
class Turn:
    """One client says something, on one of the connections."""

    client: int
    connection: int
    data: bytes
    chunk: int  # bytes of the server's answer that come at a time
    in_doubt: bool = False  # whether anything may be set there


TURNS = st.lists(
    st.builds(
        Turn,
        st.integers(0, CLIENTS - 1),
        st.integers(0, CONNECTIONS - 1),
        st.one_of(BATCHES, BATCHES, QUERIES),
        st.sampled_from([1, 2, 7, 1000]),
        st.booleans(),
    ),
    max_size=12,
)


class Connection:
    """A server and our end of the line to it."""

    def __init__(self) -> None:
        self.server = ModelServer()
        self.exchange = Exchange({}, ROOM)

    def serve(self, request: Request, chunk: int) -> bytes:
        exchange = self.exchange
        answer = self.server.say(exchange.begin(request))
        told = [exchange.say_at_once()]
        for start in range(0, len(answer), chunk):
            assert not exchange.done
            told.append(exchange.feed(answer[start : start + chunk]))
        assert exchange.done
        return b"".join(told)


class Proxy:
    """What a session does with engines and exchanges, as far as it matters for names."""

    def __init__(self) -> None:
        library = Library(lambda: 0, lambda sql: False)
        self.engines = [ClientEngine(library) for _ in range(CLIENTS)]
        self.connections = [Connection() for _ in range(CONNECTIONS)]

    def say(self, turn: Turn) -> bytes:
        engine = self.engines[turn.client]
        connection = self.connections[turn.connection]
        exchange = connection.exchange
        (request,) = Cutter().feed(turn.data)
        engine.sense = None if turn.in_doubt else AS_AT_LOGIN
        engine.read(request)
        exchange.editor.in_doubt = turn.in_doubt
        told = connection.serve(request, turn.chunk)
        if exchange.error is not None:
            engine.undo(request, exchange.confirmed, unnamed_is_lost=exchange.unnamed_is_lost)
        engine.forget_portals()
        return told


def named(name: bytes) -> bytes:
    return frontend.bind(b"", name) + frontend.execute(b"") + frontend.SYNC


A_UNNAMED = frontend.parse(b"", b"A") + frontend.SYNC


@given(TURNS)
@settings(max_examples=400)
@example([Turn(0, 0, A_UNNAMED, 1000), Turn(1, 0, named(b""), 1000)])
@example(
    [
        Turn(0, 0, A_UNNAMED, 1000),
        Turn(0, 0, frontend.execute(b"") + frontend.parse(b"", b"B") + frontend.SYNC, 1000),
        Turn(0, 1, named(b""), 1000),
    ]
)
@example(
    [
        Turn(0, 0, frontend.parse(b"s", b"A") + frontend.parse(b"t", b"B") + frontend.SYNC, 1000),
        Turn(0, 0, frontend.execute(b"p") + frontend.parse(b"", b"C") + named(b"s"), 1000),
        Turn(1, 0, frontend.execute(b"p") + frontend.parse(b"s", b"C") + frontend.SYNC, 1000),
        Turn(0, 0, named(b"s"), 1000),
    ]
)
def test_every_client_is_answered_as_on_a_connection_of_its_own(turns: list[Turn]) -> None:
    proxy = Proxy()
    alone = [ModelServer() for _ in range(CLIENTS)]
    for turn in turns:
        assert proxy.say(turn) == alone[turn.client].say(turn.data)


@given(TURNS)
@example(
    [
        Turn(0, 0, frontend.parse(b"s", b"A") + frontend.SYNC, 1000, in_doubt=True),
        Turn(0, 0, frontend.parse(b"t", b"A") + frontend.SYNC, 1000, in_doubt=True),
        Turn(1, 0, frontend.query(b"A"), 1000),
    ]
)
def test_what_was_prepared_in_doubt_is_used_by_nobody_else(turns: list[Turn]) -> None:
    proxy = Proxy()
    for turn in turns:
        server = proxy.connections[turn.connection].server
        server.in_doubt = turn.in_doubt
        proxy.say(turn)
        exchange = proxy.connections[turn.connection].exchange
        assert not server.doubtful & {prepared.server_name for prepared in exchange.editor.prepared}
        assert exchange.editor.unnamed is None or b"" not in server.doubtful


@given(TURNS.map(lambda turns: [replace(turn, in_doubt=False) for turn in turns]))
def test_no_connection_keeps_more_statements_than_it_has_room_for(turns: list[Turn]) -> None:
    proxy = Proxy()
    for turn in turns:
        proxy.say(turn)
    for connection in proxy.connections:
        known = {prepared.server_name for prepared in connection.exchange.editor.prepared}
        there = {name for name in connection.server.statements if name.startswith(b"tidegate_")}
        assert known == there


def parts_of(data: bytes) -> list[bytes]:
    """Cut a batch behind each Flush in it, as a client may send it."""
    parts = data.split(frontend.FLUSH)
    return [part + frontend.FLUSH for part in parts[:-1]] + parts[-1:]


OPEN_BATCHES = st.lists(
    st.one_of(MESSAGES, MESSAGES, st.just(frontend.FLUSH)), min_size=1, max_size=8
).map(lambda messages: b"".join(messages) + frontend.SYNC)


@given(
    st.lists(
        st.tuples(st.integers(0, CLIENTS - 1), st.integers(0, CONNECTIONS - 1), OPEN_BATCHES),
        max_size=8,
    ),
    st.booleans(),
)
@example(
    [
        (0, 0, frontend.parse(b"s", b"A") * 2 + frontend.FLUSH + frontend.SYNC),
        (1, 0, named(b"s")),
    ],
    False,
)
def test_batches_that_come_in_parts_are_answered_alike(
    turns: list[tuple[int, int, bytes]], at_the_end: bool
) -> None:
    """Whether the client waits for the answer to each part, or for none before the last."""
    proxy = Proxy()
    alone = [ModelServer() for _ in range(CLIENTS)]
    for client, number, data in turns:
        connection = proxy.connections[number]
        exchange = connection.exchange
        engine = proxy.engines[client]
        first: Request | None = None
        answer = told = b""
        for part in parts_of(data):
            for request in Cutter().feed(part):
                engine.read(request)
                if first is None:
                    first = request
                    sent = exchange.begin(request)
                else:
                    first.undo += request.undo if first is not request else []
                    if exchange.error is not None:
                        if request.end is not End.READY:
                            continue
                        request = Request(End.READY, [Item(tags.SYNC, frontend.SYNC, None, b"")])
                    sent = exchange.go_on(request)
                told += exchange.say_at_once()
                answer += connection.server.say(sent)
                if not at_the_end:
                    told += exchange.feed(answer)
                    answer = b""
        if answer:
            told += exchange.feed(answer)
        assert first is not None
        assert exchange.done
        if exchange.error is not None:
            engine.undo(first, exchange.confirmed, unnamed_is_lost=exchange.unnamed_is_lost)
        engine.forget_portals()
        assert told == alone[client].say(data)
