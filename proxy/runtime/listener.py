"""How a group's clients are let in, once there are sockets (`ports`)."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from proxy.runtime.ports import BACKLOG
from proxy.runtime.service import GroupService


async def listen(service: GroupService, taken: socket.socket) -> asyncio.Server:
    """Begin to serve a group's clients."""
    is_local = taken.family == socket.AF_UNIX
    # It has a protocol's methods and not its class: see `server`, which is made alike.
    factory = cast(
        "Callable[[], asyncio.Protocol]", lambda: service.engine.new_client(is_local=is_local)
    )
    loop = asyncio.get_running_loop()
    if is_local:
        return await loop.create_unix_server(factory, sock=taken, backlog=BACKLOG)
    return await loop.create_server(factory, sock=taken, backlog=BACKLOG)
