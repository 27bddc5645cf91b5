"""Which server a read goes to, and why. Pure: facts and `now` go in, a server comes out.

Only a replica that has replayed what the read must see is eligible; among those the fastest is
taken. Where none is, the reason says what was in the way, and whoever can do something about it
is asked to: the primary for a position that is not known yet, a replica for its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, final

from proxy.freshness.ledger import Ledger
from proxy.freshness.replica import Watermark
from proxy.freshness.tables import ReadSet
from proxy.routing.balancer import Balancer
from proxy.topology.group import Group, Server
from proxy.types import Position, Reason

_PENDING: Final = Reason.PENDING
_NO_REPLICA: Final = Reason.NO_REPLICA
_BEHIND: Final = Reason.BEHIND
_REPLICA: Final = Reason.REPLICA


class Wishes(Protocol):
    """Who can find out what is missing."""

    def want_position(self) -> None:
        """The primary's position is needed, to know what a replica must have."""

    def want_replay(self, server: Server, need: Position) -> None:
        """A replica should be watched until it has replayed this position."""


class Standing(NamedTuple):
    """What is known of a server, for people.

    Attributes:
        lag: Bytes of the primary's log, as last heard, that it has not replayed; None: not known.
        latency: Seconds per statement, lately; 0.0: not measured.
        why_not: What keeps it from serving a read; empty: nothing.
    """

    server: Server
    position: Position
    lag: int | None
    latency: float
    why_not: str


@final
class Router:
    """See the module."""

    __slots__ = (
        "_balancer",
        "_draw",
        "_group",
        "_ledger",
        "_share",
        "_watermarks",
        "_wishes",
    )

    def __init__(
        self,
        group: Group,
        ledger: Ledger,
        balancer: Balancer[Server],
        wishes: Wishes,
        draw: Callable[[], float],
        *,
        share: bool,
    ) -> None:
        self._group = group
        self._ledger = ledger
        self._balancer = balancer
        self._wishes = wishes
        self._draw = draw
        self._share = share
        self._watermarks: dict[Server, Watermark] = {
            server: Watermark() for server in group.servers
        }

    @property
    def primary(self) -> Server | None:
        """The server that takes writes, if there is one."""
        return self._group.primary

    def watermark(self, server: Server) -> Watermark:
        """What is known of a replica's position."""
        return self._watermarks[server]

    def standings(self, read_set: ReadSet | None, now: float) -> list[Standing]:
        """Say of every server what is known of it, and what keeps it from serving a read now.

        Args:
            read_set: What the read depends on; None: it is for the primary.
            now: The time by which the ledger counts.
        """
        primary = self._group.primary
        end = None if primary is None else primary.position
        return [
            self._primary_standing(server, read_set)
            if server is primary
            else self._standing(server, read_set, end, now)
            for server in self._group.servers
        ]

    def _primary_standing(self, server: Server, read_set: ReadSet | None) -> Standing:
        latency = self._balancer.load(server).latency
        is_asked = read_set is None or self._share
        why = "" if is_asked else "only when no replica can"
        return Standing(server, server.position, 0, latency, why)

    def _standing(
        self, server: Server, read_set: ReadSet | None, end: Position | None, now: float
    ) -> Standing:
        position = self._watermarks[server].position
        lag = None if end is None or position < 0 else max(0, end - position)
        latency = self._balancer.load(server).latency
        return Standing(server, position, lag, latency, self._why_not(server, read_set, now))

    def _why_not(self, server: Server, read_set: ReadSet | None, now: float) -> str:
        ledger = self._ledger
        if read_set is None:
            return "it is for the primary"
        if not self._group.follows(server):
            return "not a replica of this primary"
        if server in self._balancer.bans:
            return "banned"
        if not ledger.is_clean(read_set, now):
            return "a commit is under way"
        need = ledger.need(read_set)
        if need is None:
            return "what it must have is not known yet"
        if not self._watermarks[server].reaches(need, ledger.epoch):
            return "behind"
        return ""

    def choose(self, read_set: ReadSet, now: float) -> tuple[Server | None, Reason]:
        """Choose a server for a read; None: the primary, for the reason given."""
        ledger = self._ledger
        if not ledger.is_clean(read_set, now):
            return None, _PENDING
        replicas = self._group.replicas
        if not replicas:
            return None, _NO_REPLICA
        need = ledger.need(read_set)
        if need is None:
            self._wishes.want_position()
            return None, _BEHIND
        eligible = []
        is_any_up = False
        for server in replicas:
            if server in self._balancer.bans:
                continue
            is_any_up = True
            if self._watermarks[server].reaches(need, ledger.epoch):
                eligible.append(server)
            else:
                self._wishes.want_replay(server, need)
        if not eligible:
            return None, _BEHIND if is_any_up else _NO_REPLICA
        if self._share and self._group.primary is not None:
            eligible.append(self._group.primary)
        chosen = self._balancer.choose(eligible, self._draw())
        if chosen is None or chosen is self._group.primary:
            return None, _REPLICA
        return chosen, _REPLICA
