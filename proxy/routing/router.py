"""Which server a read goes to, and why. Pure: facts and `now` go in, a server comes out.

Only a replica that has replayed what the read must see is eligible; among those the fastest is
taken. Where none is, the reason says what was in the way, and whoever can do something about it
is asked to: the primary for a position that is not known yet, a replica for its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol, final

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

    def standings(self) -> list[tuple[Server, Position, bool]]:
        """List every server but the primary: its position, and whether it follows the primary."""
        return [
            (server, self._watermarks[server].position, self._group.follows(server))
            for server in self._group.servers
            if server is not self._group.primary
        ]

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
