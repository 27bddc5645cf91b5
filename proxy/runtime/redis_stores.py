"""What is asked of Redis, of one server and of a cluster, by redis-py.

Its own repeating is off: whoever asks knows better what a failure is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, cast, final

from redis.asyncio import Redis
from redis.asyncio.cluster import RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisClusterException, RedisError

FAILURES: Final = (RedisError, RedisClusterException, OSError, EOFError, ValueError)
"""All that redis-py raises where a store is gone, not what it seems, or refuses."""


class Store(Protocol):
    """Redis, however it is set up."""

    async def fetch(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Get what stands under each of the keys."""

    async def keep(self, values: Sequence[tuple[bytes, bytes]], lifetime: int) -> None:
        """Set keys to values, for so many milliseconds."""

    async def close(self) -> None:
        """Hang up."""


@final
class OneServer:
    """A server, or whatever looks like one.

    Args:
        url: As redis-py takes it.
        timeout: Seconds that a command may take.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._client = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
        )

    async def fetch(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        return cast(list[bytes | None], await self._client.mget(keys))

    async def keep(self, values: Sequence[tuple[bytes, bytes]], lifetime: int) -> None:
        """See `Store`."""
        pipeline = self._client.pipeline(transaction=False)
        for key, value in values:
            pipeline.set(key, value, px=lifetime)
        await pipeline.execute()

    async def close(self) -> None:
        """See `Store`."""
        await self._client.aclose()


@final
class Cluster:
    """Servers that have a part of the keys each, and say which.

    They are looked for at the address in the settings each time: all of them may have others since.

    Args:
        url: As redis-py takes it.
        timeout: Seconds that a command may take.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._client = RedisCluster.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
            protocol=2,
            dynamic_startup_nodes=False,
        )

    async def fetch(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        return await self._client.mget_nonatomic(list(keys))

    async def keep(self, values: Sequence[tuple[bytes, bytes]], lifetime: int) -> None:
        """See `Store`."""
        pipeline = self._client.pipeline()
        for key, value in values:
            pipeline.set(key, value, px=lifetime)
        await pipeline.execute()

    async def close(self) -> None:
        """See `Store`."""
        await self._client.aclose()
