"""The system's own watch over connections on which nothing is said."""

from __future__ import annotations

import asyncio
import socket

from proxy.settings.model import ServerGroup


def set_keepalive(transport: asyncio.BaseTransport, settings: ServerGroup) -> None:
    """Let the system notice that the other end of an idle connection is gone.

    One that was lost meanwhile has no socket any more: its end is told elsewhere.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or not settings.tcp_keepalive or connection.family == socket.AF_UNIX:
        return
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, int(settings.tcp_keepidle)),
        (socket.TCP_KEEPINTVL, int(settings.tcp_keepintvl)),
        (socket.TCP_KEEPCNT, settings.tcp_keepcnt),
        (socket.TCP_USER_TIMEOUT, int(settings.tcp_user_timeout * 1000)),
    ):
        if value:
            connection.setsockopt(socket.IPPROTO_TCP, option, value)


def limit_delivery(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Have the system break a connection on which what was sent is not taken within some time.

    From then on it sends none of it again: Linux's tcp(7), TCP_USER_TIMEOUT, in ms. A server that
    reads nothing for so long while there is something to be sent is left, too.
    """
    connection = transport.get_extra_info("socket")
    if connection is None or connection.family == socket.AF_UNIX:
        return
    known = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    most = max(1, int(seconds * 1000))
    if not known or known > most:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, most)
