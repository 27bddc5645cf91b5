"""How server connections are opened."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest

from proxy.runtime import pool_maker as under_test
from proxy.runtime.pool_maker import PoolMaker
from proxy.settings.model import ServerGroup
from proxy.topology.group import Server
from proxy.types import Role


class Open(asyncio.BaseTransport):
    """A transport with a socket."""

    def __init__(self, own: socket.socket) -> None:
        self.socket = own

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.socket


class Member:
    """Lets everything in, and tells how it was set then."""

    def __init__(self, settles: float | None) -> None:
        self.settles = settles
        self.limit = -1

    async def admit(self, connection: Any) -> None:
        own = connection.transport.socket
        self.limit = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)


@pytest.mark.parametrize(("settles", "limit"), [(2.5, 2500), (None, 0)])
async def test_who_fences_himself_limits_delivery_before_anything_is_sent(
    settles: float | None, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By whatever else is set of TCP: `tcp_keepalive` may be off."""
    server = Server("a", 1)
    server.role = Role.PRIMARY
    member = Member(settles)
    made: list[Any] = []
    monkeypatch.setattr(under_test, "Pool", lambda *given: made.append(given))
    with socket.socket() as own:
        connection = SimpleNamespace(transport=Open(own), server=server)

        async def open_one(*_: object) -> object:
            return connection

        maker = PoolMaker(
            ServerGroup(tcp_keepalive=False),
            *fakes(server, open_one),
            is_meant=lambda name, oid: True,
            member=member,  # type: ignore[arg-type]
        )
        maker.make(server, "app", "app")
        await made[0][4]()
    assert member.limit == limit


def fakes(server: Server, open_one: Any) -> tuple[Any, Any, Any, Any]:
    """What is around: security, the group, its engine, and who watches it."""
    metrics = SimpleNamespace(server=lambda name: None)
    witness = SimpleNamespace(confirm=None)
    return (
        SimpleNamespace(servers=None),
        SimpleNamespace(primary=server),
        SimpleNamespace(open=open_one, tongue=None),
        SimpleNamespace(metrics=metrics, witnesses={server: witness}),
    )
