"""What is asked of Redis, of one server and of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol, cast, final

from proxy.runtime.redis_clients import close_server, open_cluster, open_server

_CLAIMED: Final = b"1"


class Store(Protocol):
    """Redis, however it is set up."""

    async def fetch(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """Get what stands under each of the keys."""

    async def keep(self, values: Sequence[tuple[bytes, bytes]], lifetime: int) -> None:
        """Set keys to values, for so many milliseconds."""

    async def claim(self, keys: Sequence[bytes], lifetime: int) -> list[bool]:
        """Set keys that are not there, for so many milliseconds; which were not?"""

    async def renew(self, keys: Sequence[bytes], lifetime: int) -> None:
        """Set keys that are there."""

    async def close(self) -> None:
        """Hang up."""


@final
class OneServer:
    """A server, or whatever looks like one.

    Args:
        url: As the settings have it.
        timeout: Seconds that a command may take.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._client = open_server(url, timeout)

    async def fetch(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        return cast(list[bytes | None], await self._client.mget(keys))

    async def keep(self, values: Sequence[tuple[bytes, bytes]], lifetime: int) -> None:
        """See `Store`."""
        pipeline = self._client.pipeline(transaction=False)
        for key, value in values:
            pipeline.set(key, value, px=lifetime)
        await pipeline.execute()

    async def claim(self, keys: Sequence[bytes], lifetime: int) -> list[bool]:
        """See `Store`."""
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.set(key, _CLAIMED, px=lifetime, nx=True)
        return [answer is not None for answer in await pipeline.execute()]

    async def renew(self, keys: Sequence[bytes], lifetime: int) -> None:
        """See `Store`."""
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.set(key, _CLAIMED, px=lifetime, xx=True)
        await pipeline.execute()

    async def close(self) -> None:
        """See `Store`."""
        await close_server(self._client)


@final
class Cluster:
    """Servers that have a part of the keys each, and say which.

    Args:
        url: As the settings have it.
        timeout: Seconds that a command may take.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._client = open_cluster(url, timeout)

    async def fetch(self, keys: Sequence[bytes]) -> list[bytes | None]:
        """See `Store`."""
        return await self._client.mget_nonatomic(list(keys))

    async def keep(self, values: Sequence[tuple[bytes, bytes]], lifetime: int) -> None:
        """See `Store`."""
        pipeline = self._client.pipeline()
        for key, value in values:
            pipeline.set(key, value, px=lifetime)
        await pipeline.execute()

    async def claim(self, keys: Sequence[bytes], lifetime: int) -> list[bool]:
        """See `Store`."""
        pipeline = self._client.pipeline()
        for key in keys:
            pipeline.set(key, _CLAIMED, px=lifetime, nx=True)
        return [answer is not None for answer in await pipeline.execute()]

    async def renew(self, keys: Sequence[bytes], lifetime: int) -> None:
        """See `Store`."""
        pipeline = self._client.pipeline()
        for key in keys:
            pipeline.set(key, _CLAIMED, px=lifetime, xx=True)
        await pipeline.execute()

    async def close(self) -> None:
        """See `Store`."""
        await self._client.aclose()
