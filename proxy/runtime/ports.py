"""Ports: sockets are made first, so that nobody is served unless all can be."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from pathlib import Path
from typing import Final

from proxy.errors import CannotListen
from proxy.runtime.local_socket import LocalSocket
from proxy.settings.values import Address

BACKLOG: Final = 1024

_NOT_HERE: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)
"""What a machine without IPv6 says to its address of everything."""


async def bind(setting: str, address: Address, *, is_shared: bool = False) -> list[socket.socket]:
    """Take an address, for each family of addresses that it stands for.

    Args:
        setting: Where the address was given, for whom it is wrong.
        address: The host `*` means all there are.
        is_shared: Whether other processes of ours listen there, too (SO_REUSEPORT, socket(7)): each
            connection goes to one of them.

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
                found.append(_bind(family, where, is_shared))
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


async def hold(setting: str, address: Address) -> list[socket.socket]:
    """Take an address for processes that will listen there with `is_shared`, and for nobody else.

    Nobody is listening when this returns. Who connects is refused, and not kept waiting in a line
    that nobody serves.

    Raises:
        CannotListen: As for `bind`.
    """
    held = await bind(setting, address)
    for taken in held:
        # From here on it shares with those that ask for that, and are the same user's. Others
        # find it taken, SO_REUSEADDR or not.
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        taken.shutdown(socket.SHUT_RDWR)  # it listens no more, and has its port still
    return held


def _bind(family: int, where: tuple[object, ...], is_shared: bool) -> socket.socket:
    with contextlib.ExitStack() as undo:
        taken = undo.enter_context(socket.socket(family, socket.SOCK_STREAM))
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if is_shared:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
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
