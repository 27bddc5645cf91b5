"""What is kept back on server connections."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.freshness.mark import Mark
from proxy.observe.metrics import FleetCounts, ServerMetrics
from proxy.runtime.server import Address, ServerConnection
from proxy.runtime.waits import Waits
from proxy.topology.group import Server
from proxy.types import Table, Token


class Wire(asyncio.Transport):
    """Takes what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None: ...

    def write(self, data: Any) -> None:
        self.sent += data


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def connection(wire: Wire) -> ServerConnection:
    tongue: Any = SimpleNamespace(goodbye=b"")
    address = Address(Server("a", 1), tongue, None, "", 1.0, 1, ServerMetrics("a"))
    connection = ServerConnection(address)
    connection.connection_made(wire)
    return connection


def mark(number: int) -> Mark:
    return Mark(Token(number), frozenset((Table("app", number),)))


def test_a_batch_that_has_grown_waits_for_what_it_writes_now(
    connection: ServerConnection, wire: Wire
) -> None:
    waits = Waits(FleetCounts(), lambda: 0.0)
    before, now = mark(1), mark(2)
    waits.hold(before, connection)
    connection.write(b"first part")
    waits.hold(now, connection)
    connection.write(b", second part and its end")
    waits.let_go(before)
    assert wire.sent == b""
    waits.let_go(now)
    assert wire.sent == b"first part, second part and its end"
