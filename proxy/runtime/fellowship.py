"""What a member of a fleet is given: the fleet, and the server group around it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from proxy.freshness.frames import Wrote
from proxy.freshness.mark import Mark
from proxy.runtime.bus.seam import Bus
from proxy.runtime.definitions import Planning
from proxy.runtime.evictions import Neighbours
from proxy.runtime.label import Label
from proxy.types import Epoch, Table


class Surroundings(Neighbours, Planning, Protocol):
    """The server group around a member."""

    def has_lost(self) -> bool:
        """Tell whether there is a commit of ours whose outcome nobody knows."""

    def epoch_begun(self, epoch: Epoch, /) -> None:
        """Another epoch has begun: what was under way is to be announced again."""

    def others_wrote(self, written: Iterable[tuple[Mark | None, Wrote]], /) -> None:
        """Other members have written this; each with the mark that it was announced by."""

    def others_doubt(self, member: str, tables: frozenset[Table], /) -> None:
        """Another member's audit has these in quarantine now, so that we do, too."""

    def entered(self, salt: bytes, /) -> None:
        """We are a member of the fleet with this salt."""

    def expelled(self) -> None:
        """We are a member no more: hang up on the primary."""


def _to_nobody(name: str) -> None:
    """Be called something where nobody asks."""


class Fellowship(NamedTuple):
    """What all groups of a process have in common as members of fleets.

    Attributes:
        name: The fleet's.
        label: What the process says of itself, for people.
        bus: Carries their words.
        named: Is told what a member is called, before it is one.
        settles: Seconds within which what is sent is at the primary, or never gets there, where
            members fence themselves (`fencing = "lease"`); None: they do not.
    """

    name: str
    label: Label
    bus: Bus
    named: Callable[[str], None] = _to_nobody
    settles: float | None = None
