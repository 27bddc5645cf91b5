"""How Redis is reached by redis-py: one server, a cluster, or whom Sentinels call the primary.

Its own repeating is off: whoever asks knows better what a failure is worth.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol, cast

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

from proxy.settings.stores import Sentinels, sentinels_of

FAILURES: Final = (
    *(RedisError, RedisClusterException, OSError, EOFError, ValueError),
    RuntimeError,  # uvloop's, when something is sent where the other side has hung up
)
"""All that redis-py raises where a server is gone, not what it seems, or refuses."""


_SENTINELS: Final = re.compile(r"<redis\.asyncio\.client\.Redis\(.*?\)>\)>\)> - ")


class Connection(Protocol):
    """One connection, as redis-py has it below its clients."""

    socket_timeout: float | None

    async def connect(self) -> None: ...

    async def disconnect(self, nowait: bool = False) -> None: ...

    def pack_commands(self, commands: Iterable[Iterable[bytes]]) -> list[bytes]: ...

    async def send_packed_command(
        self, command: Iterable[bytes], check_health: bool = True
    ) -> None: ...

    async def read_response(
        self,
        disable_decoding: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109 - its name
    ) -> Any: ...


class _Connected(Protocol):
    """What redis-py (8) has below a connection, and does not show: the streams of asyncio."""

    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter


def open_server(url: str, timeout: float) -> Redis:
    """Make a client of one server, or of whatever looks like one. It connects when it is used.

    Args:
        url: As the settings have it.
        timeout: Seconds that a command may take, and a connection.
    """
    sentinels = sentinels_of(url)
    if sentinels is None:
        return Redis.from_url(url, **_options(timeout))
    return _watched(sentinels, timeout)


def open_cluster(url: str, timeout: float) -> RedisCluster:
    """Make a client of servers that have a part of the keys each, and say which.

    They are looked for at the address in the settings each time: all of them may have others since.
    """
    return RedisCluster.from_url(url, **_options(timeout), dynamic_startup_nodes=False)


def make_connection(client: Redis, place: tuple[str, int] | None = None) -> Connection:
    """Make a connection of one's own, as a client would; it is not connected yet.

    Args:
        client: Of one server, to be kept for as long as the connection.
        place: The host and the port, where it is not the client's.
    """
    pool = client.connection_pool
    options = pool.connection_kwargs
    if place is not None:
        options = options | {"host": place[0], "port": place[1]}
    return cast(Connection, pool.connection_class(**options))


def take_over(connection: Connection, protocol: asyncio.Protocol) -> None:
    """Have all that a connection says told to somebody else from now on, who writes to it as well.

    It has to be connected, and everything answered that it was asked. It is still its own
    `disconnect` that hangs up.

    Raises:
        ConnectionError: It has ended.
    """
    connected = cast(_Connected, connection)
    transport = connected._writer.transport
    if connected._reader.at_eof() or transport.is_closing():
        raise ConnectionError("Redis has hung up")
    transport.set_protocol(protocol)
    protocol.connection_made(transport)


async def close_server(client: Redis) -> None:
    """Hang up, on the Sentinels too."""
    await client.aclose()
    pool = client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        for each in pool.sentinel_manager.sentinels:
            await each.aclose()


def reason_of(error: BaseException) -> str:
    """Say what went wrong, in one line; a time that is up says nothing of itself.

    Of a pipeline redis-py says in front which command it was, with what was to be written; of a
    Sentinel, all that it knows of it.
    """
    text = _SENTINELS.sub("", str(error))
    text = text.rpartition(" caused error: ")[2].strip("(),'\"")
    return " ".join(text.split()) or type(error).__name__


def _options(timeout: float) -> dict[str, Any]:
    return {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
    }


def _watched(place: Sentinels, timeout: float) -> Redis:
    """Make a client that asks, whenever it connects, who is the primary now."""
    options = _options(timeout) | dict(place.tls)
    if place.is_tls:
        options["ssl"] = True
    make_sentinel: Callable[..., Any] = Sentinel
    sentinel = make_sentinel(
        place.addresses,
        sentinel_kwargs={
            **options,
            "username": place.sentinel_username,
            "password": place.sentinel_password,
        },
    )
    client: Redis = sentinel.master_for(
        place.service,
        db=place.database,
        username=place.username,
        password=place.password,
        **options,
    )
    return client
