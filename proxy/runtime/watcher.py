"""What the witnesses find, told to the ledger and the router in the order in which it became known.

And the other way: what they want to know is asked of the witnesses. What a new epoch means for
connections and clients is the service's affair.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import final

from proxy.freshness.ledger import Ledger
from proxy.freshness.positions import Ticket
from proxy.freshness.replica import Reading
from proxy.observe.logs import Logger
from proxy.observe.metrics import GroupMetrics
from proxy.routing.balancer import Balancer
from proxy.routing.router import Router
from proxy.runtime.pools import Pools
from proxy.session.session import Session
from proxy.topology.group import Group, Server, Sighting, Turn
from proxy.topology.witness import Control, OpenLink, Witness
from proxy.types import Position, Role

log = Logger("group")


@final
class GroupWatcher:
    """See the module. It is the witnesses' watcher, and grants the router's wishes.

    Attributes:
        witnesses: One for each server.
        router: Set when it is made: it asks this watcher for what it wishes to know.
    """

    __slots__ = (
        "_balancer",
        "_clock",
        "_group",
        "_is_closed",
        "_ledger",
        "_new_epoch",
        "_pools",
        "_readings",
        "_sampled_at",
        "_tickets",
        "_wanted",
        "metrics",
        "router",
        "witnesses",
    )

    router: Router

    def __init__(
        self,
        group: Group,
        control: Control,
        ledger: Ledger,
        balancer: Balancer[Server],
        pools: Pools,
        metrics: GroupMetrics,
        clock: Callable[[], float],
        new_epoch: Callable[[Server, Position], None],
        open_link: OpenLink,
    ) -> None:
        self._group = group
        self._ledger = ledger
        self._balancer = balancer
        self._pools = pools
        self.metrics = metrics
        self._clock = clock
        self._new_epoch = new_epoch
        self.witnesses = {
            server: Witness(server, control, self, open_link) for server in group.servers
        }
        self._tickets: dict[Server, Ticket] = {}
        self._readings: dict[Server, Reading] = {}
        self._wanted: dict[Server, Position] = {}
        self._is_closed = False
        self._sampled_at = -inf

    def close(self) -> None:
        """What is lost from now on is lost because we let go."""
        self._is_closed = True

    def ban(self, server: Server, error: str) -> None:
        """Give a server no statements for `ban_time`, and until it has been found well then."""
        if self._balancer.bans.ban(server, self._clock()):
            self.metrics.server(server.name).bans += 1
            log.warning("server banned", group=self._group.name, server=server.name, error=error)

    # What the witnesses find

    def met(self, server: Server) -> None:
        """A new incarnation of a server: what was opened to it before is not trusted."""
        self._group.met(server)
        self.router.watermark(server).void()
        for pool in self._pools.on(server):
            pool.retire()
            pool.try_again()

    def asking(self, server: Server) -> None:
        """A witness is being asked: note what its answer will cover."""
        if server is self._group.primary:
            self._tickets[server] = self._ledger.ask_position()
        else:
            watermark = self.router.watermark(server)
            self._readings[server] = watermark.ask(self._ledger.epoch, self._clock())

    def saw(self, server: Server, sighting: Sighting) -> None:
        """A server said what it is and how far it is."""
        turn = self._group.saw(server, sighting)
        ticket = self._tickets.pop(server, None)
        if ticket is not None:
            self._ledger.position_arrived(ticket, sighting.position)
        reading = self._readings.pop(server, None)
        if reading is not None and self._group.follows(server):
            self.router.watermark(server).arrived(reading, sighting.position)
        now = sighting.received_at
        if server.role is not Role.PRIMARY and self._balancer.load(server).latency == 0.0:
            self._balancer.probed(server, now - sighting.sent_at, now)
        if self._balancer.bans.found_well(server, now):
            log.info("server unbanned", group=self._group.name, server=server.name)
        if turn is not Turn.NOTHING:
            self._turned(server, turn, sighting)
        elif server is self._group.primary:
            self.router.samples.add(sighting.sent_at, sighting.position)

    def lost(self, server: Server, error: str) -> None:
        """A server is out of sight."""
        if self._is_closed:
            return
        ticket = self._tickets.pop(server, None)
        if ticket is not None:
            self._ledger.position_lost(ticket)
        self._readings.pop(server, None)
        self.router.watermark(server).void()
        was_primary = server is self._group.primary
        turn = self._group.lost(server, error)
        if turn is not Turn.NOTHING:
            log.warning(turn.value, group=self._group.name, server=server.name, error=error)
        if turn is Turn.PRIMARY_LOST:
            self._seek_primary()
        if not was_primary:
            self.ban(server, error)
            self._repeat_elsewhere(server, error)

    def _repeat_elsewhere(self, server: Server, error: str) -> None:
        """Wait no longer for a replica's answers: one whose host is gone says nothing of it."""
        for pool in self._pools.on(server):
            for connection in list(pool.book.busy):
                user = connection.user
                if isinstance(user, Session) and user.waits_in_vain(connection):
                    connection.abort(f"out of sight: {error}")

    def _turned(self, server: Server, turn: Turn, sighting: Sighting) -> None:
        is_expected = turn is Turn.REPLICA_JOINED or (
            turn is Turn.NEW_EPOCH and not self._ledger.epoch
        )
        say = log.info if is_expected else log.warning
        say(turn.value, group=self._group.name, server=server.name, timeline=sighting.timeline)
        if turn is Turn.PRIMARY_LOST:
            self._seek_primary()
        if turn is Turn.NEW_EPOCH:
            self.router.samples.restart()
            self._new_epoch(server, sighting.position)

    def _seek_primary(self) -> None:
        """Look at all servers often until one leads.

        What the successor had of its primary's log may show for a moment only.
        """

        def still() -> bool:
            return self._group.primary is None

        for witness in self.witnesses.values():
            witness.want(still)

    # What the router wishes to know

    def want_position(self) -> None:
        """The primary's position is needed, to know what a replica must have."""
        primary = self._group.primary
        if primary is not None and self._ledger.position_wanted():
            self.witnesses[primary].want(self._ledger.position_wanted)

    def want_sample(self, interval: float) -> None:
        """Every server's position should be read, if it was not within these seconds."""
        now = self._clock()
        if now - self._sampled_at < interval:
            return
        self._sampled_at = now
        for witness in self.witnesses.values():
            witness.poke()

    def want_replay(self, server: Server, need: Position) -> None:
        """A replica should be watched until it has replayed this position."""
        self._wanted[server] = max(need, self._wanted.get(server, Position(0)))
        watermark = self.router.watermark(server)

        def still() -> bool:
            return not watermark.reaches(self._wanted[server], self._ledger.epoch)

        self.witnesses[server].want(still)
