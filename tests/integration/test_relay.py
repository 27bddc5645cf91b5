"""The relay does to a connection what it is told to, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.integration.relay import Relay


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with Relay(server.sockets[0].getsockname()[1]) as relay:
        yield relay
    server.close()
    await server.wait_closed()


@asynccontextmanager
async def client(
    relay: Relay,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def test_bytes_and_the_end_pass_both_ways(relay: Relay) -> None:
    async with client(relay) as (reader, writer):
        writer.write(b"x" * 300_000)
        writer.write_eof()
        assert await reader.read(-1) == b"x" * 300_000
    assert relay.to_server.passed == relay.to_client.passed == 300_000


async def test_paused_direction_holds_its_bytes_back(relay: Relay) -> None:
    async with client(relay) as (reader, writer):
        relay.to_client.pause()
        writer.write(b"held")
        await relay.to_server.wait_seen(4)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(10), 0.05)
        relay.to_client.resume()
        assert await reader.readexactly(4) == b"held"


async def test_delayed_direction_takes_its_time(relay: Relay) -> None:
    relay.to_server.delay = 0.05
    async with client(relay) as (reader, writer):
        started = asyncio.get_running_loop().time()
        writer.write(b"late")
        assert await reader.readexactly(4) == b"late"
        assert asyncio.get_running_loop().time() - started >= 0.05


async def test_losing_direction_drops_what_it_gets(relay: Relay) -> None:
    async with client(relay) as (reader, writer):
        relay.to_client.loses = True
        writer.write(b"lost")
        await relay.to_client.wait_seen(4)
        relay.to_client.loses = False
        writer.write(b"found")
        assert await reader.readexactly(5) == b"found"


async def test_cut_resets_every_connection(relay: Relay) -> None:
    async with client(relay) as (one, writer), client(relay) as (two, _):
        writer.write(b"x")
        assert await one.readexactly(1) == b"x"
        await relay.cut()
        for reader in (one, two):
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
    assert relay.connections == 0


async def test_connection_is_cut_at_the_byte_asked_for(relay: Relay) -> None:
    relay.to_client.cut_at = 3
    async with client(relay) as (reader, writer):
        writer.write(b"abcdef")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await reader.readexactly(6)
    assert relay.to_client.passed == 3


async def test_refused_port_is_the_same_when_it_opens_again(relay: Relay) -> None:
    port = relay.port
    relay.refuse()
    with pytest.raises(ConnectionRefusedError):
        async with client(relay):
            pass
    await relay.accept()
    assert relay.port == port
    async with client(relay) as (reader, writer):
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"


async def test_new_connections_are_reset_while_that_is_asked_for(relay: Relay) -> None:
    relay.resets = True
    async with client(relay) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
    relay.resets = False
    async with client(relay) as (reader, writer):
        writer.write(b"x")
        assert await reader.readexactly(1) == b"x"


async def test_target_that_is_down_ends_the_connection() -> None:
    async with Relay(1) as relay, client(relay) as (reader, _):
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
