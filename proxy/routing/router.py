"""Which server a read goes to, and why. Pure: facts and `now` go in, a server comes out.

Only a replica that has replayed what the read must see is eligible; among those the fastest is
taken. Where none is, the reason says what was in the way, and whoever can do something about it
is asked to: the primary for a position that is not known yet, a replica for its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from math import inf
from typing import Final, NamedTuple, Protocol, final

from proxy.freshness.floor import Floor
from proxy.freshness.handed import Handed
from proxy.freshness.ledger import Ledger
from proxy.freshness.replica import Watermark
from proxy.freshness.staleness import Samples
from proxy.freshness.tables import ReadSet
from proxy.routing.balancer import Balancer
from proxy.routing.terms import Terms
from proxy.topology.group import Group, Server
from proxy.types import Consistency, Position, Reason

_PENDING: Final = Reason.PENDING
_NO_REPLICA: Final = Reason.NO_REPLICA
_BEHIND: Final = Reason.BEHIND
_REPLICA: Final = Reason.REPLICA
_SESSION: Final = Consistency.SESSION
_EVENTUAL: Final = Consistency.EVENTUAL

_ANY: Final = Position(0)
_SAMPLES_PER_BOUND: Final = 4
"""How often the primary's position is read within `max_staleness`, while somebody counts on
that."""

_WORTH_WAITING: Final = 0.005
"""Seconds that the primary must be farther away than a replica, for a read to wait for that one:
less is lost in the noise of what a statement takes."""

_SOONEST: Final = 0.005
"""Seconds between two such readings at least."""


class Wishes(Protocol):
    """Who can find out what is missing."""

    def want_position(self) -> None:
        """The primary's position is needed, to know what a replica must have."""

    def want_replay(self, server: Server, need: Position) -> None:
        """A replica should be watched until it has replayed this position."""

    def want_sample(self, interval: float) -> None:
        """Every server's position should be read, if it was not within these seconds."""


@final
class Choice:
    """Who serves a read, and what is known of what it shows.

    Attributes:
        server: The replica; None: the primary.
        need: What it must have replayed.
        is_current: Whether that is all that its tables need.
        current_at: Since when something may be missing.
    """

    __slots__ = ("current_at", "is_current", "need", "reason", "server")

    def __init__(
        self,
        server: Server | None,
        reason: Reason,
        need: Position | None = None,
        *,
        is_current: bool = True,
        current_at: float = inf,
    ) -> None:
        self.server = server
        self.reason = reason
        self.need = need
        self.is_current = is_current
        self.current_at = current_at


class Standing(NamedTuple):
    """What is known of a server, for people.

    Attributes:
        lag: By how much its position was behind the primary's, as last heard; None: not known.
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
    """See the module.

    Attributes:
        samples: Of the primary's position: they prove how old a replica is.
    """

    __slots__ = (
        "_balancer",
        "_draw",
        "_group",
        "_ledger",
        "_share",
        "_waits",
        "_watermarks",
        "_wishes",
        "samples",
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
        waits: Callable[[], bool],
    ) -> None:
        self._group = group
        self._ledger = ledger
        self._balancer = balancer
        self._wishes = wishes
        self._draw = draw
        self._share = share
        self._waits = waits
        self.samples = Samples()
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

    def standings(
        self, read_set: ReadSet | None, now: float, terms: Terms | None = None
    ) -> list[Standing]:
        """Say of every server what is known of it, and what keeps it from serving a read now.

        Args:
            read_set: What the read depends on; None: it is for the primary.
            now: The time by which the ledger counts.
            terms: How it is to be served; None: like any other.
        """
        primary = self._group.primary
        end = None if primary is None else primary.position
        if terms is not None and terms.to_primary is not None:
            read_set = None
        return [
            self._primary_standing(server, read_set, terms)
            if server is primary
            else self._standing(server, end, self._why_not(server, read_set, now, terms))
            for server in self._group.servers
        ]

    def _primary_standing(
        self, server: Server, read_set: ReadSet | None, terms: Terms | None
    ) -> Standing:
        latency = self._balancer.load(server).latency
        is_shared = self._share and not (terms is not None and terms.only_replicas)
        why = "" if read_set is None or is_shared else "only when no replica can"
        return Standing(server, server.position, 0, latency, why)

    def _standing(self, server: Server, end: Position | None, why_not: str) -> Standing:
        position = self._watermarks[server].position
        lag = None if end is None or position < 0 else max(0, end - position)
        return Standing(server, position, lag, self._balancer.load(server).latency, why_not)

    def _why_not(
        self, server: Server, read_set: ReadSet | None, now: float, terms: Terms | None
    ) -> str:
        if read_set is None:
            return "it is for the primary"
        if self._ledger.is_quarantined(read_set):
            return "a read of its tables was found to be wrong"
        if not self._group.follows(server):
            return "not a replica of this primary"
        if server in self._balancer.bans:
            return "banned"
        if terms is not None and terms.among is not None and server.name not in terms.among:
            return "the rule names others"
        behind = self._why_behind(server, read_set, now)
        handed = None if terms is None else terms.handed
        if handed is not None and not behind:
            wanted = handed.need(self._ledger.epoch)
            if wanted is None or not self._reaches(server, wanted):
                behind = "behind the position that its session has set"
        if not behind or terms is None or terms.contract.is_strong:
            return behind
        is_session = terms.contract.consistency is _SESSION
        if is_session and not self._ledger.is_clean(read_set, now):
            return behind
        return "" if self._weakly(server, now, terms, None) is not None else behind

    def _why_behind(self, server: Server, read_set: ReadSet, now: float) -> str:
        """Say why a replica may not show what the primary does."""
        ledger = self._ledger
        if not ledger.is_clean(read_set, now):
            return "a commit is under way"
        need = ledger.need(read_set)
        if need is None:
            return "what it must have is not known yet"
        return "" if self._reaches(server, need) else "behind"

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
            near = self._worth_waiting(replicas) if is_any_up else None
            if near is not None:
                return near, _REPLICA
            return None, _BEHIND if is_any_up else _NO_REPLICA
        if self._share and self._group.primary is not None:
            eligible.append(self._group.primary)
        chosen = self._balancer.choose(eligible, self._draw())
        if chosen is None or chosen is self._group.primary:
            return None, _REPLICA
        return chosen, _REPLICA

    def patience(self, server: Server, need: Position) -> float:
        """Tell how long a read may wait at a replica: as long as its way to the primary would take.

        Then it takes at most twice as long as there, and mostly far less: what a commit wrote is
        under way to the replica as soon as its acknowledgement is to the client.

        Args:
            server: Who was chosen.
            need: What it must have replayed.
        """
        primary = self._group.primary
        if primary is None or self._reaches(server, need) or not self._waits():
            return 0.0
        return max(0.0, primary.distance - server.distance)

    def _worth_waiting(self, replicas: Sequence[Server]) -> Server | None:
        """Find a replica that is so much nearer than the primary that it may be waited for.

        One that was seen to be behind for longer than that is not: it may have stopped.
        """
        primary = self._group.primary
        if primary is None or primary.distance == inf or not self._waits():
            return None
        nearest: Server | None = None
        for server in replicas:
            if nearest is not None and nearest.distance <= server.distance:
                continue
            saved = primary.distance - server.distance
            is_there = server not in self._balancer.bans and self._reaches(server, _ANY)
            if is_there and saved >= _WORTH_WAITING and server.lag < saved:
                nearest = server
        return nearest

    def choose_by(self, read_set: ReadSet, now: float, terms: Terms, floor: Floor | None) -> Choice:
        """Choose a server for a read that may see less than the primary, or may not go anywhere.

        Args:
            read_set: What it reads.
            now: When it was asked for.
            terms: How it is to be served.
            floor: What its client has seen, if that is counted.
        """
        if terms.to_primary is not None:
            return Choice(None, terms.to_primary)
        replicas = self._allowed(terms.among)
        if not replicas:
            return Choice(None, _NO_REPLICA)
        ledger = self._ledger
        is_clean = ledger.is_clean(read_set, now)
        is_strong = terms.contract.is_strong
        if not is_clean and (is_strong or terms.contract.consistency is _SESSION):
            # A replica may show what its primary has not acknowledged.
            return Choice(None, _PENDING)
        need = ledger.need(read_set)
        if need is None:
            self._wishes.want_position()
        wanted = need
        if terms.handed is not None:
            wanted = terms.handed.need(ledger.epoch)
            need = None if need is None or wanted is None else max(need, wanted)
        eligible: dict[Server, Choice] = {}
        for server in replicas:
            if is_clean and need is not None and self._reaches(server, need):
                eligible[server] = Choice(server, _REPLICA, need, current_at=now)
            elif not is_strong and (choice := self._weakly(server, now, terms, floor)) is not None:
                eligible[server] = choice
            elif wanted is not None:
                self._wishes.want_replay(server, wanted)
        if not is_strong:
            self._keep_sampling(now, terms, floor)
        if not eligible:
            near = self._worth_waiting(replicas) if is_clean and need is not None else None
            if near is not None:
                return Choice(near, _REPLICA, need, current_at=now)
            return Choice(None, _BEHIND)
        servers = list(eligible)
        if self._share and not terms.only_replicas and self._group.primary is not None:
            servers.append(self._group.primary)
        chosen = self._balancer.choose(servers, self._draw())
        if chosen is None or chosen is self._group.primary:
            return Choice(None, _REPLICA)
        return eligible[chosen]

    def _allowed(self, among: Collection[str] | None) -> list[Server]:
        bans = self._balancer.bans
        return [
            server
            for server in self._group.replicas
            if server not in bans and (among is None or server.name in among)
        ]

    def _reaches(self, server: Server, need: Position) -> bool:
        return self._watermarks[server].reaches(need, self._ledger.epoch)

    def _weakly(
        self, server: Server, now: float, terms: Terms, floor: Floor | None
    ) -> Choice | None:
        """What a replica may serve that lacks something, perhaps; None: nothing."""
        if not self._reaches(server, _ANY):
            return None
        since, proof = self.samples.proven(self._watermarks[server].position)
        least = _ANY
        if terms.handed is not None:
            wanted = self._shows(server, terms.handed, since, proof)
            if wanted is None:
                return None
            least = wanted
        if terms.contract.consistency is _EVENTUAL:
            return Choice(server, _REPLICA, least, is_current=False, current_at=since)
        if since < now - terms.contract.max_staleness:
            return None
        is_session = terms.contract.consistency is _SESSION
        if is_session and floor is not None and since <= floor.asks(server, server.incarnation):
            return None
        return Choice(server, _REPLICA, max(proof, least), is_current=False, current_at=since)

    def _shows(
        self, server: Server, handed: Handed, since: float, proof: Position
    ) -> Position | None:
        """Find a position that a replica has, and that shows what a client was handed; None: none.

        Args:
            server: The replica.
            handed: What must be seen.
            since: Up to when nothing is missing from it.
            proof: The position that proves it.
        """
        need = handed.need(self._ledger.epoch)
        if need is not None and self._reaches(server, need):
            return need
        return proof if since > handed.since else None

    def _keep_sampling(self, now: float, terms: Terms, floor: Floor | None) -> None:
        """Have positions read often enough for the proofs that reads like this one need."""
        contract = terms.contract
        latest = self.samples.latest
        handed = terms.handed
        is_lost = (
            handed is not None
            and latest <= handed.since
            and handed.need(self._ledger.epoch) is None
        )
        if contract.consistency is _EVENTUAL:
            if is_lost:
                self._wishes.want_sample(_SOONEST)
            return
        interval = max(_SOONEST, contract.max_staleness / _SAMPLES_PER_BOUND)
        if is_lost:
            interval = _SOONEST
        if contract.consistency is _SESSION and floor is not None and latest <= floor.at:
            interval = _SOONEST
        if now - latest > interval:
            self._wishes.want_sample(interval)
