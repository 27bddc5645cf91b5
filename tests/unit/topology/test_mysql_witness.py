"""How control connections to MySQL fail."""

from __future__ import annotations

import aiomysql
import pytest

from proxy.topology.mysql_witness import failing


async def test_what_is_closed_while_it_is_asked_fails_as_connections_do() -> None:
    """As when the server sends the head of an answer, and we let go before the rest is read."""
    connection = aiomysql.Connection()
    assert connection.closed
    with pytest.raises(ConnectionError, match="closed while it was asked"):
        async with failing(1.0, connection):
            await connection._read_bytes(4)


async def test_a_mistake_of_our_own_is_not_hidden() -> None:
    with pytest.raises(AttributeError):
        async with failing(1.0):
            raise AttributeError


async def test_writing_where_the_server_has_hung_up_fails_as_connections_do() -> None:
    """On uvloop; asyncio's own transports take it, and lose it."""

    class HungUp:
        def write(self, data: bytes) -> None:
            raise RuntimeError("unable to perform operation; the handler is closed")

        def is_closing(self) -> bool:
            return True

        transport = None

    connection = aiomysql.Connection()
    connection._writer = HungUp()
    try:
        with pytest.raises(ConnectionError, match="closed while it was asked"):
            async with failing(1.0, connection):
                connection._write_bytes(b"")
    finally:
        connection._writer = None
