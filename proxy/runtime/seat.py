"""What a process must know that is one of several on its host: where it sits among them."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, final

Words: TypeAlias = tuple[object, ...]
"""What one says to the others: what it is about, as a text, and plain values."""


def _to_nobody(group: str, words: Words) -> None:
    """Say something where nobody else is."""


def _unasked(group: str, member: str) -> None:
    """Be called something where nobody asks."""


@final
@dataclass(frozen=True, slots=True)
class Seat:
    """See the module. The default is a process by itself."""

    number: int = 1  # from 1
    count: int = 1
    bus_url: str = ""  # the bus of this host's workers, where the settings name none
    local: Mapping[str, socket.socket] = field(default_factory=dict)
    """Unix sockets for clients, by server group: all accept from one, as there is one file."""
    pass_on: Callable[[str, Words], None] = _to_nobody
    """Says something to all others, of a server group; nobody answers."""
    named: Callable[[str, str], None] = _unasked
    """Says what this process is called as a member of a fleet, of a server group."""

    @property
    def is_alone(self) -> bool:
        """Tell if there are no others."""
        return self.count == 1


ALONE = Seat()
