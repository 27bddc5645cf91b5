"""Where clients connect: one Protocol per client."""

from __future__ import annotations

import asyncio
from typing import Final

from proxy.runtime.client import ClientConnection
from proxy.runtime.service import GroupService

BACKLOG: Final = 1024


async def listen(service: GroupService) -> asyncio.Server:
    """Open a group's port.

    Raises:
        OSError: It is taken, or not ours to take.
    """
    address = service.settings.listen
    loop = asyncio.get_running_loop()
    return await loop.create_server(
        lambda: ClientConnection(service),
        None if address.host in ("*", "") else address.host,
        address.port,
        backlog=BACKLOG,
        reuse_address=True,
    )
