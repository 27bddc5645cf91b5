"""From the settings of a fleet to its bus."""

from __future__ import annotations

from pathlib import Path

from proxy.runtime.bus.seam import Bus
from proxy.runtime.bus.socket_bus import SocketBus
from proxy.settings import Fleet
from proxy.settings.stores import folder_of, public_part


def make_bus(settings: Fleet, otherwise: str) -> Bus | None:
    """Make the bus of a member; None: it stays alone. In a running loop.

    Args:
        settings: May name one.
        otherwise: The one to take when they do not; empty: none.
    """
    url = _url(settings, otherwise)
    if not url:
        return None
    folder = folder_of(url)
    if folder is not None:
        return SocketBus(Path(folder))
    from proxy.runtime.bus.redis_bus import RedisBus  # its client takes a while to load

    return RedisBus(url)


def name_bus(settings: Fleet, otherwise: str) -> str:
    """Name the bus that `make_bus` makes, for people: nothing in it is secret."""
    return public_part(_url(settings, otherwise))


def _url(settings: Fleet, otherwise: str) -> str:
    return otherwise if settings.bus_url is None else settings.bus_url.get_secret_value()
