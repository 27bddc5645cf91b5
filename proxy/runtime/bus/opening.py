"""From the settings of a fleet to its bus."""

from __future__ import annotations

from pathlib import Path

from proxy.runtime.bus.redis_bus import RedisBus
from proxy.runtime.bus.seam import Bus
from proxy.runtime.bus.socket_bus import SocketBus
from proxy.settings import Fleet
from proxy.settings.stores import folder_of


def make_bus(settings: Fleet) -> Bus | None:
    """Make the bus that the settings want; None: a member stays alone. In a running loop."""
    if settings.bus_url is None:
        return None
    url = settings.bus_url.get_secret_value()
    folder = folder_of(url)
    return RedisBus(url) if folder is None else SocketBus(Path(folder))
