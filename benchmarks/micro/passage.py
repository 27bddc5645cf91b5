"""One statement's whole way through the proxy and its answer's way back, without sockets.

Everything is real but the transports, which keep nothing: what is left is what a statement costs
the process besides the kernel. Times here are of one client that nobody disturbs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, cast

from benchmarks.micro.replies import BY_KEY, COMPLETE, DESCRIPTION, READY, row
from benchmarks.micro.steps import Step
from proxy.engines.postgres.grammar import defaults
from proxy.freshness.replica import ConnectionPosition
from proxy.runtime.postgres.client import PostgresClient
from proxy.runtime.postgres.engine import PostgresEngine
from proxy.runtime.security import make_security
from proxy.runtime.server import Facts, ServerConnection
from proxy.runtime.service import GroupService
from proxy.session.profile import Profile
from proxy.session.session import Session
from proxy.session.state import UNTOUCHED
from proxy.settings.load import parse
from proxy.sql.access import Access
from proxy.topology.group import Server, Sighting
from proxy.types import Position, Role, Table
from proxy.wire.postgres import backend, frontend
from proxy.wire.postgres.client_engine import ClientEngine
from proxy.wire.postgres.exchange import Exchange
from proxy.wire.postgres.prepared import Library

DATABASE: Final = "shop"
USER: Final = "ann"
SHAPE: Final = "0"
SETTINGS: Final = """
[server_groups.main]
engine = "postgres"
listen = "127.0.0.1:6432"
servers = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
auth_user = "tidegate"
cache = {cache}
"""
SIMPLE: Final = frontend.query(BY_KEY)
REPLY: Final = DESCRIPTION + row(100) + COMPLETE + READY
PREPARED: Final = b"by_key"
TEXT: Final = BY_KEY.replace(b"4711", b"$1")
PREPARED_REPLY: Final = backend.PARSE_COMPLETE + READY
BATCH: Final = frontend.bind(b"", PREPARED, (b"4711",)) + frontend.execute(b"") + frontend.SYNC
BOUND_REPLY: Final = backend.BIND_COMPLETE + row(100) + COMPLETE + READY


class _Transport:
    """Takes everything and keeps nothing."""

    def write(self, data: bytes) -> None:
        """Send nothing."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


class _Catalog:
    """Knows of one table, which every statement reads."""

    def resolve(self, *_: object) -> Access:
        return Access(read_set=frozenset((Table(DATABASE, 16400),)))


def passages() -> Iterator[Step]:
    """Yield each way. To be used inside of a running loop, each before the next is asked for."""
    for name, servers in (("the primary", 1), ("a replica", 3)):
        place = _Place(servers, cache=False)
        yield Step(f"by key, simple, by {name}", partial(place.serve, SIMPLE, REPLY))
        place.prepare()
        yield Step(f"by key, prepared, by {name}", partial(place.serve, BATCH, BOUND_REPLY))
    place = _Place(3, cache=True)
    place.warm(SIMPLE, REPLY)
    yield Step("by key, simple, from the cache", partial(place.client.data_received, SIMPLE))
    place.prepare()
    place.warm(BATCH, BOUND_REPLY)
    yield Step("by key, prepared, from the cache", partial(place.client.data_received, BATCH))


class _Place:
    """One client, and one connection to each server of a group.

    Args:
        servers: How many there are, the primary counted.
        cache: Whether results are kept.
    """

    def __init__(self, servers: int, *, cache: bool) -> None:
        service = _service(servers, cache=cache)
        self.links = [_link(service, server) for server in service.group.servers]
        _look_at(service)
        self.client = _client(service)

    def serve(self, request: bytes, reply: bytes) -> bool:
        """Let the client ask, and whoever was asked answer; False: no server was."""
        self.client.data_received(request)
        for link in self.links:
            if link.user is not None:
                link.data_received(reply)
                return True
        return False

    def prepare(self) -> None:
        """Let the client prepare its statement, and every server have it."""
        self.serve(frontend.parse(PREPARED, TEXT) + frontend.SYNC, PREPARED_REPLY)
        wanted = self.client.session.engine.statements[PREPARED]
        for link in self.links:
            link.exchange.editor.prepared[wanted] = None

    def warm(self, request: bytes, reply: bytes) -> None:
        """Ask until nobody has to be asked."""
        while self.serve(request, reply):
            pass


def _service(servers: int, *, cache: bool) -> GroupService:
    text = SETTINGS.format(cache=str(cache).lower())
    settings = parse(text, {}).server_groups["main"]
    service = GroupService(settings, make_security(settings), PostgresEngine)
    service.group.servers[servers:] = []
    for server in service.group.servers:
        service.watcher.met(server)
    _look_at(service)
    service.planner.know(DATABASE, cast(Any, _Catalog()))
    return service


def _look_at(service: GroupService) -> None:
    """Let every server say what it is and how far it is."""
    for number, server in enumerate(service.group.servers):
        role = Role.REPLICA if number else Role.PRIMARY
        now = service.clock()
        service.watcher.asking(server)
        service.watcher.saw(server, Sighting(role, 1, 1, Position(1000), now, now))


def _link(service: GroupService, server: Server) -> ServerConnection:
    pool = service.pools.of(server, USER, DATABASE)
    link = ServerConnection(service.maker.address(server))
    link.transport = cast(asyncio.Transport, _Transport())
    link.exchange = Exchange({}, 100)
    link.facts = Facts(server.role is Role.REPLICA, 0.0, {}, SHAPE, 16384)
    link.shape = SHAPE
    link.incarnation = server.incarnation
    link.opened_at = service.clock()
    link.position = ConnectionPosition(service.router.watermark(server), link.opened_at)
    link.pool = pool
    pool.book.opening += 1
    pool._opened(link)
    return link


def _client(service: GroupService) -> PostgresClient:
    engine = cast(PostgresEngine, service.engine)
    client = PostgresClient(service, engine.logins)
    client._transport = cast(asyncio.Transport, _Transport())
    reader = ClientEngine(cast(Library, service.library))
    profile = Profile(
        service.planner,
        service.results,
        service.grammar,
        group=service.group.name,
        user=USER,
        database=DATABASE,
        startup=UNTOUCHED,
        defaults=defaults("public", "read committed", "UTF8", SHAPE),
    )
    terms = engine.logins.terms(USER)
    client.session = Session(service, client, reader, profile, terms, service.traces)
    return client
