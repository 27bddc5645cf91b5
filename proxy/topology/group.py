"""Which server is what: sightings in, the primary and its epoch out. Pure.

A server is known by its *witness*, one control connection that is kept open. An incarnation of
a server is the lifetime of its witness: whatever restarts a server, be it a crash of the whole
machine or of one backend, ends every connection to it, while its start time may stay the same.
So a connection that was opened while the witness lived, and was followed by a sign of life from
it, is of the same incarnation; nothing needs to be asked of the server's own clock.

An epoch is one primary's history: (system identifier, timeline, incarnation of the primary).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from math import inf
from typing import Final, NamedTuple, final

from proxy.types import Position, Role


class Epoch(NamedTuple):
    """The primary's history that positions and versions belong to."""

    system: int
    timeline: int
    server: str
    incarnation: int


@dataclass(slots=True)
class Sighting:
    """What a server said of itself, just now.

    Attributes:
        position: The primary's insert position, or what a replica has replayed.
        sent_at: When the question was sent; the answer is true of some instant after that.
        received_at: When the answer came.
    """

    role: Role
    system: int
    timeline: int
    position: Position
    sent_at: float
    received_at: float


DISTANCE_WINDOW: Final = 10.0
"""Seconds. How far away a server is, is the quickest of its answers of one to two of these."""


@final
class Server:
    """One server of a group, and what is known of it."""

    __slots__ = (
        "_nearest",
        "_nearest_before",
        "_window_ends",
        "goal",
        "goal_at",
        "host",
        "incarnation",
        "lag",
        "last_error",
        "name",
        "port",
        "position",
        "role",
        "seen_at",
        "system",
        "timeline",
    )

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port
        self.name = f"{host}:{port}"
        self.role = Role.UNKNOWN
        self.incarnation = 0  # grows with each new witness
        self.system = 0
        self.timeline = 0
        self.position = Position(0)
        self.seen_at = 0.0
        self.lag = 0.0  # seconds, as estimated: see `_measure`
        self.goal = Position(0)
        self.goal_at = 0.0
        self.last_error = "not asked yet"
        self._nearest = self._nearest_before = inf
        self._window_ends = -inf

    @property
    def distance(self) -> float:
        """Seconds that the way there and back takes, at best; infinite: not known."""
        return min(self._nearest, self._nearest_before)

    def answered(self, seconds: float, now: float) -> None:
        """Note how long a question took that costs a server next to nothing."""
        if now >= self._window_ends:
            self._window_ends = now + DISTANCE_WINDOW
            self._nearest, self._nearest_before = inf, self._nearest
        self._nearest = min(self._nearest, seconds)

    @property
    def unix_socket(self) -> str | None:
        """The path of its Unix socket, where that is how it is reached."""
        return f"{self.host}/.s.PGSQL.{self.port}" if self.host.startswith("/") else None

    def __repr__(self) -> str:
        return f"<Server {self.name} {self.role.value}>"


@unique
class Turn(Enum):
    """What a sighting or a loss meant for the group."""

    NOTHING = "nothing"
    NEW_EPOCH = "new_epoch"
    PRIMARY_LOST = "primary_lost"
    REPLICA_JOINED = "replica_joined"
    REPLICA_LOST = "replica_lost"
    SPLIT = "split"  # a server claims to be the primary, and must not be


@final
class Group:
    """The servers that hold one data set. See the module.

    Attributes:
        primary: Who takes writes now.
        replicas: Who follows its very history, as far as is known. Asked for with every read, so
            it is told anew when something changes.
    """

    __slots__ = ("epoch", "name", "primary", "replicas", "servers")

    def __init__(self, name: str, servers: list[Server]) -> None:
        self.name = name
        self.servers = servers
        self.primary: Server | None = None
        self.replicas: list[Server] = []
        self.epoch: Epoch | None = None

    def follows(self, server: Server) -> bool:
        """Tell if a server is a replica of the present epoch: same system, same timeline.

        A replica on an older timeline may have replayed past the fork, where positions compare
        falsely; so it stays out until it has followed.
        """
        epoch = self.epoch
        return (
            server.role is Role.REPLICA
            and epoch is not None
            and server.system == epoch.system
            and server.timeline == epoch.timeline
        )

    def met(self, server: Server) -> None:
        """A new witness was opened: a new incarnation, of which nothing is known yet."""
        server.incarnation += 1
        server.role = Role.UNKNOWN
        server.goal = Position(0)
        self._count_replicas()

    def saw(self, server: Server, sighting: Sighting) -> Turn:
        """Take in what a server said of itself."""
        followed = self.follows(server)
        server.role = sighting.role
        server.system = sighting.system
        server.timeline = sighting.timeline
        server.position = sighting.position
        server.seen_at = sighting.received_at
        server.last_error = ""
        server.answered(sighting.received_at - sighting.sent_at, sighting.received_at)
        self._measure(server)
        turn = self._turn(server, sighting, followed=followed)
        self._count_replicas()
        return turn

    def _turn(self, server: Server, sighting: Sighting, *, followed: bool) -> Turn:
        if sighting.role is Role.PRIMARY:
            return self._saw_primary(server)
        if server is self.primary:
            self.primary = None
            return Turn.PRIMARY_LOST
        if self.follows(server) is not followed:
            return Turn.REPLICA_LOST if followed else Turn.REPLICA_JOINED
        return Turn.NOTHING

    def lost(self, server: Server, error: str) -> Turn:
        """The witness of a server is gone: until there is a new one, nothing is known of it."""
        followed = self.follows(server)
        server.role = Role.UNKNOWN
        server.last_error = error
        self._count_replicas()
        if server is self.primary:
            self.primary = None
            return Turn.PRIMARY_LOST
        return Turn.REPLICA_LOST if followed else Turn.NOTHING

    def _count_replicas(self) -> None:
        self.replicas = [server for server in self.servers if self.follows(server)]

    def _measure(self, server: Server) -> None:
        """Estimate how old what a replica shows is, in no finer steps than servers are asked.

        A goal is where the primary was seen when the replica had not shown as much yet; so as
        long as it has not, what it shows is at least as old as that sight.
        """
        primary = self.primary
        if primary is None or server is primary:
            server.lag = 0.0
            return
        if server.position < server.goal:
            server.lag = max(0.0, server.seen_at - server.goal_at)
            return
        server.lag = 0.0
        server.goal, server.goal_at = primary.position, primary.seen_at

    def _saw_primary(self, server: Server) -> Turn:
        epoch = Epoch(server.system, server.timeline, server.name, server.incarnation)
        if server is self.primary and epoch == self.epoch:
            return Turn.NOTHING
        if self.epoch is not None and not self._may_succeed(server, self.epoch):
            return Turn.SPLIT
        self.primary = server
        self.epoch = epoch
        return Turn.NEW_EPOCH

    def _may_succeed(self, server: Server, known: Epoch) -> bool:
        """Tell if `server` may be the primary after what the group has seen.

        A primary that comes back after another was promoted is on an older timeline; its writes
        would be lost. On the same timeline, the one that serves stays. Another system is another
        data set: a wrong address, unless the primary itself was made anew.
        """
        if server.system != known.system:
            return server.name == known.server
        if server.timeline == known.timeline:
            return self.primary in (None, server)
        return server.timeline > known.timeline
