"""Three servers of MySQL's protocol: what they say, and what comes of it."""

from __future__ import annotations

from proxy.topology.group import Group, Server, Sighting, Turn
from proxy.topology.gtid_history import STRANGE, Finding, GtidHistory, Report
from proxy.types import Position, Role


class ThreeServers:
    """A history and a group, and time that passes with each report."""

    def __init__(self) -> None:
        self.a, self.b, self.c = (Server(name, 3306) for name in "abc")
        self.servers = [self.a, self.b, self.c]
        self.history = GtidHistory(self.servers)
        self.group = Group("app", self.servers)
        self.now = 0.0
        self.finding = Finding(Role.UNKNOWN, STRANGE, Position(0))
        for server in self.servers:
            self.group.met(server)

    def take(self, server: Server, report: Report) -> Turn:
        self.now += 1.0
        found = self.finding = self.history.saw(server, report)
        return self.group.saw(
            server,
            Sighting(found.role, 1, found.timeline, found.position, self.now - 0.1, self.now),
        )

    def lost(self, server: Server) -> Turn:
        self.history.lost(server)
        turn = self.group.lost(server, "gone")
        self.group.met(server)
        return turn
