"""A fleet whose control user may not end anybody's sessions: `fencing = "lease"`.

Nothing keeps a fenced member's commits from coming about but that it sends none of them. What it
has sent may be on its way for some time, and the server may take long for it.
"""

from __future__ import annotations

from typing import Final

from proxy.freshness.fleet import Fleet
from proxy.freshness.ledger import Ledger
from proxy.freshness.quiet import Quiet
from tests.simulation.member import Member
from tests.simulation.scene import ALL_FAULTS, DRIFT, LEASE, Scene
from tests.simulation.servers import Commit, Primary
from tests.simulation.world import Steps

MARGIN: Final = 0.6 * LEASE
"""Seconds within which what was sent is at the primary, or never gets there."""

LEASED_FAULTS: Final = (*ALL_FAULTS, "blind_member", "blind_member")


class Leased(Scene):
    """See the module.

    Attributes:
        settles: Seconds for which an evictor waits, behind the lease.
        fences_itself: Whether members do.
        lateness: How many commits are on their way for long.
        slowness: How many the primary takes long for.
        late: How many commits came about though their member was fenced.
    """

    settles = MARGIN
    fences_itself = True
    lateness = 0.3
    slowness = 0.1
    late = 0

    def make_fleet(self, name: str, ledger: Ledger) -> Fleet:
        return Fleet(
            name,
            ledger,
            lease=LEASE,
            drift=2 * DRIFT,
            patience=self.patience,
            fences_itself=self.fences_itself,
        )

    def refuses(self, member: Member) -> bool:
        return False

    def finds_out(self, member: Member) -> bool:
        return member.name in self.view.fenced or member.name in self.view.gone

    def happens(self, primary: Primary, commit: Commit) -> Steps:
        is_late = self.draw.random() < self.lateness
        yield self.draw.uniform(0, 0.99 * MARGIN) if is_late else self.world.short(0.0005)
        commit.is_begun = True
        yield self.draw.uniform(0, 4 * LEASE) if self.draw.random() < self.slowness else 0.0005
        if primary.is_alive:
            self.late += commit.owner in self.view.fenced
            primary.write(commit)
            yield self.world.short(self.show_time)
            self.show(primary, commit)
        primary.end(commit)

    def evict(self, member: Member, *, is_dead: bool = False) -> Steps:
        name = member.name
        if name in self.view.fenced or name not in self.view.members:
            return
        self.view.fenced.add(name)
        since = self.world.now + (0.0 if is_dead else LEASE * (1 + DRIFT))
        quiet = Quiet(since, self.settles)
        while True:
            now = self.world.now
            if quiet.saw(is_busy=self.is_busy(name), asked_at=now, now=now):
                break
            yield 0.005
        self.expel(name)

    def is_busy(self, name: str) -> bool:
        """Whether the primary is about something of a member's."""
        return any(it.owner == name and it.is_begun for it in self.primary.under_way)

    def blind_member(self) -> Steps:
        """Somebody reaches the primary, and does not hear from it that it is given up."""
        if len(self.members) > 1:
            member = self.draw.choice(self.members)
            member.is_blind = True
            yield from self.evict(member)
            yield self.world.short(LEASE)
            member.is_blind = False
            self.enter()


class Unsettled(Leased):
    """Nobody waits for what is on its way."""

    write_pause = 0.3
    settles = 0.0
    lateness = 0.9
    slowness = 0.0


class Unfenced(Leased):
    """Members write whether the primary has heard of them or not."""

    write_pause = 0.3
    fences_itself = False


class Unseen(Leased):
    """Nobody looks whether the primary is about something yet."""

    write_pause = 0.3
    slowness = 0.9

    def is_busy(self, name: str) -> bool:
        return False
