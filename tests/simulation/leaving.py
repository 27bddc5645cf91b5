"""How long a killed member is waited for: `python -m tests.simulation.leaving`.

The product's memberships and evictions (proxy/runtime) over virtual time. Only the primary is made
up: it keeps the view, answers after a round trip, and notices at once that a process is gone.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from random import Random
from typing import Final, NamedTuple, cast

from proxy.freshness.fleet import DRIFT, LEASE
from proxy.freshness.ledger import Ledger
from proxy.runtime.evictions import ABSENT_AFTER, LEASE_OVER
from proxy.runtime.fellowship import Fellowship
from proxy.runtime.label import Label
from proxy.runtime.lookout import LOOK
from proxy.runtime.member_link import MemberLink
from proxy.runtime.membership import Membership
from proxy.topology.group import Server
from proxy.topology.views import Lacking, Row, Session, Standing, View, ViewStore
from proxy.topology.witness import Control
from proxy.types import NO_EPOCH, Epoch, Position, Table, Token
from tests.simulation.virtual import Hub, VirtualBus, run
from tests.unit.runtime.groups import Group

SEEDS: Final = 40
TABLE: Final = Table("app", 16_384)
LOOKS: Final = 0.01
"""Seconds between two looks at what has changed, in what is measured here."""

EARLIEST: Final = ABSENT_AFTER + LEASE_OVER
"""Seconds from the kill: it had said nothing for as long as an idle member says nothing."""

LATEST: Final = ABSENT_AFTER + 3 * LOOK + LEASE_OVER
"""Whoever looks has just looked, and looks twice; another one finds out at its own next look."""


class Took(NamedTuple):
    """Seconds from a kill on, at a member that stays.

    Attributes:
        commit: How long a commit waited that came right behind it.
        fast: Until reads are fast again.
        gone: Until it is in no view any more.
    """

    commit: float
    fast: float
    gone: float


class Kept:
    """What the primary keeps."""

    def __init__(self, trip: float, random: Random) -> None:
        self.trip = trip
        self.random = random
        self.rows: dict[str, Row] = {}
        self.seen: set[str] = set()
        self.dead: set[str] = set()
        self.epoch = NO_EPOCH


class KeptViews(ViewStore):
    """One member's way to it."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self._kept = kept
        self._whose = ""

    async def _trips(self, number: int = 1) -> Kept:
        if self._whose in self._kept.dead:
            await asyncio.Future()  # a killed process does nothing more
        await asyncio.sleep(number * self._kept.trip)
        return self._kept

    async def run(self, sql: str, *values: object) -> Sequence[Sequence[object]]:
        """Nothing here is said in SQL."""
        raise NotImplementedError

    async def make(self) -> None:
        """See the base."""

    async def lacking(self) -> Lacking:
        """See the base."""
        return Lacking()

    async def life(self) -> str:
        """See the base."""
        return ""

    def is_same_life(self, one: str, other: str) -> bool:
        """See the base."""
        return one == other

    async def show(self, key: int) -> None:
        """See `be_seen`."""

    async def silence(self, key: int) -> float | None:
        """See `silent_for`."""
        return None

    def hang_up(self) -> None:
        """See the base."""

    async def open(self) -> None:
        """See the base."""
        await self._trips()

    async def be_seen(self, name: str) -> None:
        """See the base."""
        self._whose = name
        (await self._trips()).seen.add(name)

    async def silent_for(self, name: str) -> float | None:
        """See the base."""
        return 0.0 if name in (await self._trips()).seen else None

    async def read(self) -> View:
        """See the base."""
        kept = await self._trips()
        return View(kept.epoch, False, dict(kept.rows), b"\0" * 16)

    async def enter(self, name: str, label: str, settles: float | None = None) -> View:
        """See the base."""
        kept = await self._trips(4)
        kept.rows[name] = Row(name, Standing.IN, Token(0), NO_EPOCH)
        return View(kept.epoch, False, dict(kept.rows), b"\0" * 16)

    async def fence(self, name: str) -> None:
        """See the base."""
        kept = await self._trips(4)
        if kept.rows[name].standing is Standing.IN:
            kept.rows[name] = kept.rows[name]._replace(standing=Standing.FENCED)

    async def expel(self, name: str) -> None:
        """See the base."""
        kept = await self._trips(4)
        if kept.rows[name].standing is not Standing.GONE:
            step = Token(kept.random.getrandbits(127))
            kept.rows[name] = Row(name, Standing.GONE, step, kept.epoch)

    async def begin(self, behind: Epoch) -> Epoch:
        """See the base."""
        kept = await self._trips(4)
        if kept.epoch == NO_EPOCH:
            kept.epoch = Epoch(1, Token(1))
        return kept.epoch

    async def sessions(self, name: str) -> list[Session]:
        """See the base."""
        await self._trips()
        return []


class Link:
    """The control connection to the primary."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    async def position(self) -> Position:
        """See `Primary`."""
        await asyncio.sleep(self._kept.trip)
        return Position(1)

    async def fence(self, pid: int, start: float) -> bool:
        """See `Primary`."""
        return True

    async def is_busy(self, pid: int) -> bool:
        """See `Primary`."""
        return False


class Living:
    """A member, and how it is killed."""

    def __init__(self, hub: Hub, kept: Kept, way: float) -> None:
        self._kept = kept
        self._loop = asyncio.get_running_loop()
        self._bus = VirtualBus(hub, way)
        self.ledger = Ledger(Token(kept.random.getrandbits(127)))
        self.membership = Membership(
            Group(),
            self.ledger,
            cast(Control, None),
            self._open_views,
            Fellowship("tidegate", Label("", "tidegate", "memory:"), self._bus),
            self._loop.time,
            tells_positions=True,
        )

    async def _open_views(self, control: Control, server: Server) -> ViewStore:
        return KeptViews(self._kept)

    async def start(self) -> None:
        """Enter, as a witness of the primary has it done."""
        member, server = self.membership, Server("primary", 5432)
        await member.agree(server, cast(MemberLink, Link(self._kept)), None)
        member.begin(Position(1))

    async def kill(self) -> None:
        """End it without a word."""
        name = self.membership.fleet.name
        await self._bus.close()
        self._kept.seen.discard(name)
        self._kept.dead.add(name)

    @property
    def is_fast(self) -> bool:
        """Whether it may read fast."""
        return self._loop.time() < self.ledger.granted_until

    async def until_fast(self) -> float:
        """Wait until it may; returns when that was."""
        while not self.is_fast:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(LOOKS)
        return self._loop.time()

    async def until_commit(self) -> None:
        """Wait until a commit may be sent."""
        mark = self.membership.announcing.mark([TABLE], Token(self._kept.random.getrandbits(127)))
        while mark.waiting:  # noqa: ASYNC110 - in virtual time
            await asyncio.sleep(LOOKS)
        self.ledger.commit(mark)
        self.membership.announcing.settled()


def leave(seed: int, members: int, trip: float) -> list[Took]:
    """Kill one of several members, and say how long that was felt by each of the others.

    Args:
        seed: Draws everything.
        members: How many there are.
        trip: Seconds from each to each other, and to the primary, and back.
    """

    async def work() -> list[Took]:
        random = Random(seed)
        hub, kept = Hub(random, 0.0), Kept(trip, random)
        living = [Living(hub, kept, trip / 4) for _ in range(members)]
        for member in living:
            await asyncio.sleep(random.uniform(0, LOOK))
            await member.start()
        for member in living:
            await member.until_fast()
        await asyncio.sleep(random.uniform(LOOK, 2 * LOOK))
        victim, *stay = living
        await victim.kill()
        return await asyncio.gather(*[_until_over(member, members - 1) for member in stay])

    return run(work())


async def _until_over(member: Living, members: int) -> Took:
    loop = asyncio.get_running_loop()
    killed = loop.time()
    await member.until_commit()
    commit = loop.time() - killed
    while len(member.membership.fleet.members) >= members:  # noqa: ASYNC110 - in virtual time
        await asyncio.sleep(LOOKS)
    gone = loop.time() - killed
    return Took(commit, await member.until_fast() - killed, gone)


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", default="2,3,8")
    parser.add_argument("--trips", default="0.3,10,80,200", help="in ms")
    options = parser.parse_args()
    print(f"on paper: a commit waits for {LEASE * (1 + DRIFT):.2f} s at most,")
    print(f"gone after {EARLIEST:.1f} to {LATEST:.1f} s, and some round trips to the primary")
    print("| members | round trip | commit, at most | gone: least | median | most |")
    print("|---|---|---|---|---|---|")
    for members in map(int, options.members.split(",")):
        for trip in map(float, options.trips.split(",")):
            took = [it for seed in range(SEEDS) for it in leave(seed, members, trip / 1000)]
            fast = sorted(it.fast for it in took)
            cells = [max(it.commit for it in took), fast[0], fast[len(fast) // 2], fast[-1]]
            print(f"| {members} | {trip:g} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
