"""The system's own watch over connections."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxy.runtime.keepalive import limit_delivery, set_keepalive
from proxy.settings.model import ServerGroup


class Broken(asyncio.BaseTransport):
    """A transport whose connection was lost."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        if name == "socket":
            return default
        return pytest.fail(f"asked for {name}")


def test_a_connection_that_is_lost_is_not_watched() -> None:
    set_keepalive(Broken(), ServerGroup())


class Open(asyncio.BaseTransport):
    """A transport with a socket."""

    def __init__(self, own: socket.socket) -> None:
        self.socket = own

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.socket


@pytest.mark.parametrize(("known", "limit"), [(0, 2500), (7000, 2500), (1000, 1000)])
def test_what_is_sent_and_not_taken_is_given_up(known: int, limit: int) -> None:
    with socket.socket() as own:
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, known)
        limit_delivery(Open(own), 2.5)
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == limit


def test_a_unix_socket_loses_nothing() -> None:
    with socket.socket(socket.AF_UNIX) as own:
        limit_delivery(Open(own), 2.5)
    limit_delivery(Broken(), 2.5)
