"""The system's own watch over connections."""

from __future__ import annotations

import asyncio

import pytest

from proxy.runtime.keepalive import set_keepalive
from proxy.settings.model import ServerGroup


class Broken(asyncio.BaseTransport):
    """A transport whose connection was lost."""

    def get_extra_info(self, name: str, default: object = None) -> object:
        if name == "socket":
            return default
        return pytest.fail(f"asked for {name}")


def test_a_connection_that_is_lost_is_not_watched() -> None:
    set_keepalive(Broken(), ServerGroup())
