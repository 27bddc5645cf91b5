"""Where clients and operators connect: sockets first, so that none is served unless all are."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Final, cast

from proxy.errors import CannotListen
from proxy.runtime.local_socket import LocalSocket
from proxy.runtime.service import GroupService
from proxy.settings.values import Address

BACKLOG: Final = 1024

_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What a machine without IPv6 says to its address of everything."""


async def bind(setting: str, address: Address) -> list[socket.socket]:
    """Take an address, for each family of addresses that it stands for.

    Args:
        setting: Where the address was given, for whom it is wrong.
        address: The host `*` means all there are.

    Raises:
        CannotListen: It is taken, or not ours to take.
    """
    everywhere = address.host in ("*", "")
    found: list[socket.socket] = []
    try:
        infos = await asyncio.get_running_loop().getaddrinfo(
            None if everywhere else address.host,
            address.port,
            type=socket.SOCK_STREAM,
            flags=socket.AI_PASSIVE,
        )
        for family, _, _, _, where in dict.fromkeys(infos):
            try:
                found.append(_bind(family, where))
            except OSError as error:
                if not everywhere or error.errno not in _NOT_HERE:
                    raise
        if not found:
            raise OSError(errno.EADDRNOTAVAIL, os.strerror(errno.EADDRNOTAVAIL))
    except OSError as error:
        for taken in found:
            taken.close()
        raise CannotListen(f"{setting}: can't listen on {address}: {error.strerror}") from None
    return found


def _bind(family: int, where: tuple[object, ...]) -> socket.socket:
    with contextlib.ExitStack() as undo:
        taken = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # IPv4 has a socket of its own.
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        taken.bind(where)
        # Before the port counts as open: another who took it meanwhile must be an error of ours.
        taken.listen(BACKLOG)
        taken.setblocking(False)
        undo.pop_all()
    return taken


def bind_local(setting: str, path: Path, mode: int) -> LocalSocket:
    """Make a Unix socket; see `LocalSocket`."""
    return LocalSocket(setting, path, mode, BACKLOG)


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
