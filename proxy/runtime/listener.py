"""Where clients connect: sockets made with the settings' options, one Protocol per client."""

from __future__ import annotations

import asyncio
import socket
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


def set_keepalive(sock: socket.socket, service: GroupService) -> None:
    """Let the system notice that the other end of an idle connection is gone."""
    settings = service.settings
    if not settings.tcp_keepalive:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, int(settings.tcp_keepidle)),
        (socket.TCP_KEEPINTVL, int(settings.tcp_keepintvl)),
        (socket.TCP_KEEPCNT, settings.tcp_keepcnt),
        (socket.TCP_USER_TIMEOUT, int(settings.tcp_user_timeout * 1000)),
    ):
        if value:
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
