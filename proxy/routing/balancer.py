"""Which of the eligible servers is the fastest just now.

Each server's latency is a moving average that jumps to every peak at once and comes down
with time; times the statements under way, it says what one more would cost. Of two
servers drawn at random the cheaper one is taken: always to take the cheapest of all would
send a whole burst to the server that was measured best a moment ago.

M. Mitzenmacher: The Power of Two Choices in Randomized Load Balancing, IEEE TPDS 12(10),
2001. The average is what Finagle calls peak EWMA.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from math import exp
from typing import Final, Generic, TypeVar, final

from proxy.routing.bans import Bans

Server = TypeVar("Server", bound=Hashable)

DECAY_SECONDS: Final = 3.0
"""After so long a peak counts a third. One statement a thousand times slower than the rest keeps
others away for some twenty seconds, so this must not be long: statements are no equals."""

EXPLORE_ONE_IN: Final = 100
"""Choices that are left to chance, so that a server that was slow once is measured again."""

UNMEASURED_SECONDS: Final = 1.0
"""What a statement is taken to cost at a server that has one under way and no measurement:
it gets one to be measured by, and not the whole burst."""


@final
class Load:
    """What is known of one server's speed.

    Attributes:
        latency: Seconds per statement, lately; 0.0 before the first measurement.
        outstanding: Statements under way.
    """

    __slots__ = ("_measured_at", "latency", "outstanding")

    def __init__(self) -> None:
        self.latency = 0.0
        self.outstanding = 0
        self._measured_at = 0.0

    def measure(self, seconds: float, now: float) -> None:
        """Take a measurement: peaks at once, better times by and by."""
        if seconds >= self.latency:
            self.latency = seconds
        else:
            weight = exp((self._measured_at - now) / DECAY_SECONDS)
            self.latency = seconds + (self.latency - seconds) * weight
        self._measured_at = now

    @property
    def cost(self) -> float:
        """Seconds that one more statement is likely to take."""
        if self.latency:
            return self.latency * (self.outstanding + 1)
        return self.outstanding * UNMEASURED_SECONDS


@final
class Balancer(Generic[Server]):
    """The speeds and the bans of a group's servers.

    Args:
        ban_time: How long one that failed gets no statements, in seconds.

    Attributes:
        bans: Servers that get no statements.
    """

    __slots__ = ("_loads", "bans")

    def __init__(self, ban_time: float) -> None:
        self.bans: Bans[Server] = Bans(ban_time)
        self._loads: dict[Server, Load] = {}

    def load(self, server: Server) -> Load:
        """Find what is known of a server's speed."""
        load = self._loads.get(server)
        if load is None:
            load = self._loads[server] = Load()
        return load

    def started(self, server: Server) -> None:
        """Note that a statement was sent; it ends in `finished` or `abandoned`."""
        self.load(server).outstanding += 1

    def finished(self, server: Server, seconds: float, now: float) -> None:
        """Note that a statement was answered.

        Args:
            server: Who answered.
            seconds: From its sending to the first byte of the answer.
            now: The present.
        """
        load = self.load(server)
        load.outstanding -= 1
        load.measure(seconds, now)

    def abandoned(self, server: Server) -> None:
        """Note that a statement ended without an answer that says anything of the speed."""
        self.load(server).outstanding -= 1

    def probed(self, server: Server, seconds: float, now: float) -> None:
        """Take the time of a question of our own."""
        self.load(server).measure(seconds, now)

    def choose(self, eligible: Sequence[Server], draw: float) -> Server | None:
        """Choose among servers that can answer; None: all of them are banned.

        Args:
            eligible: In any order.
            draw: A random number from 0 up to 1; the draws needed are all made of it.
        """
        servers = [server for server in eligible if server not in self.bans]
        count = len(servers)
        if count < 2:
            return servers[0] if servers else None
        pairs = count * (count - 1)
        number = int(draw * pairs * EXPLORE_ONE_IN)
        first, step = divmod(number % pairs, count - 1)
        one = servers[first]
        if number < pairs:  # one choice in EXPLORE_ONE_IN
            return one
        other = servers[(first + 1 + step) % count]
        return one if self.load(one).cost <= self.load(other).cost else other
