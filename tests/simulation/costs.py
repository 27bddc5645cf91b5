"""What a fleet costs: `make fleet-costs`, or `python -m tests.simulation.costs --members 2,16`.

The product's own fleets, codec and carriers over virtual time, with nothing going wrong: how many
messages and bytes go over the bus, and how long a commit waits. Beside it what there should be on
paper (`paper`), which docs/fleet-sizing.md derives.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import count
from math import ceil
from random import Random
from time import process_time
from typing import Final, NamedTuple

from proxy.freshness.fleet import LEASE, RENEWALS, Fleet
from proxy.freshness.frames import Wrote
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.runtime.bus.carrier import Carrier
from proxy.runtime.bus.seam import Channel
from proxy.types import Epoch, Table, Token
from tests.simulation.virtual import Hub, VirtualBus, run

MEMBERS: Final = (2, 4, 8, 16, 32, 64, 128, 256)
TRIPS: Final = (0.3, 1.0, 10.0, 50.0, 200.0)
RATES: Final = (1, 10, 100, 1000)

REGIONS: Final = (0.3, 80.0, 200.0)
"""Milliseconds from the hub, which is in the first of them, to members in each Region and back."""

JITTER: Final = 0.02
"""By how much a way takes longer than it must, on average."""

COMMIT: Final = 0.001
"""Seconds that the primary takes."""

RENEWAL: Final = LEASE / RENEWALS

EPOCH: Final = Epoch(1, Token(1))
CHANNEL: Final = Channel("tidegate", "0123456789abcdef")
DATABASE: Final = "app"
FIRST_OID: Final = 16_384

BUDGET: Final = 10_000
"""Messages that a measurement takes, more or less: the more there are, the shorter it is."""

LONGEST: Final = 120 * RENEWAL

COLUMNS: Final = (
    *("members", "round trip", "load", "said/s", "kB/s", "carried/s", "kB/s", "on paper/s", "kB/s"),
    *("into each/s", "kB/s", "wait in ms: median", "99 %", "fast", "CPU in us"),
)


class Load(NamedTuple):
    """What is written.

    Attributes:
        rate: Commits a second, in all.
        is_hot: All on one table, and by one member; else each on a table of its own, by anybody.
    """

    rate: float
    is_hot: bool = False

    def __str__(self) -> str:
        kind = "hot" if self.is_hot else "cold"
        return f"{kind} {self.rate:g}/s" if self.rate else "idle"


class Traffic(NamedTuple):
    """What goes over the bus in a second.

    Attributes:
        said: Messages, each counted once.
        bytes_said: Their bytes, as the codec writes them.
        carried: Messages, counted for each member that they go to.
        bytes_carried: Their bytes.
    """

    said: float
    bytes_said: float
    carried: float
    bytes_carried: float


class Measured(NamedTuple):
    """What a load has cost.

    Attributes:
        traffic: In all.
        load: As it was: commits come when they come.
        delays: Seconds that commits have waited, in order.
        fast: The share of time in which a member may read fast.
        cpu: Seconds of this program for each message carried, the simulation's own share included.
    """

    traffic: Traffic
    load: Load
    delays: list[float]
    fast: float
    cpu: float


# On paper. Bytes are the codec's; a number of the sender's frames has two.

FRAME: Final = 6 + 17 + 2 + 17 + 1 + 1
"""Head, sender, number, epoch, and how many items and grants."""

TABLE: Final = 1 + 1 + len(DATABASE) + 3
MARKED: Final = 1 + 16 + 1 + TABLE
CLEARED: Final = 1 + 16 + 1 + 1 + 1 + TABLE + 1  # with a WROTE of one table
GRANT: Final = 17 + 2
NOTE: Final = 6 + 17 + 17 + 2 + 2 + 1


def paper(members: int, load: Load) -> Traffic:
    """Say what there should be, at round trips below `REPEAT`; nothing lingers."""
    others = members - 1
    renewals = members / RENEWAL
    frames = renewals + 2 * load.rate
    notes = others * load.rate
    in_frames = frames * FRAME + renewals * others * GRANT + load.rate * (MARKED + CLEARED)
    return Traffic(
        frames + notes,
        in_frames + notes * NOTE,
        others * frames + notes,
        others * in_frames + notes * NOTE,
    )


def row_on_paper(members: int) -> str:
    """Write what docs/fleet-sizing.md says of a fleet: idle, and what a commit adds."""
    idle, busy = paper(members, Load(0)), paper(members, Load(1))
    cells = [str(members), f"{idle.carried:.0f}", _short(idle.bytes_carried / 1e6)]
    cells += [f"{idle.carried / members:.1f}", _short(idle.bytes_carried / members / 1000)]
    cells += [f"{busy.said - idle.said:.0f}", f"{busy.carried - idle.carried:.0f}"]
    cells.append(f"{(busy.bytes_carried - idle.bytes_carried) / 1000:.1f}")
    return f"| {' | '.join(cells)} |"


def _short(number: float) -> str:
    return f"{float(f'{number:.2g}'):g}"


# By simulation.


class Costed:
    """A member that writes when it is told to, and notes how long it has waited."""

    def __init__(self, name: str, hub: Hub, way: float) -> None:
        self.name = name
        self.delays: list[float] = []
        self._loop = asyncio.get_running_loop()
        self._random = hub.random
        self._ledger = Ledger(EPOCH.token)
        self._fleet = Fleet(name, self._ledger, EPOCH)
        self._began: dict[Mark, float] = {}
        bus = VirtualBus(hub, way)
        self._carrier = Carrier(self._fleet, CHANNEL, bus, self._changed, self._loop.time)

    def enter(self, names: Sequence[str]) -> None:
        """Begin, with all others."""
        self._fleet.enter(name for name in names if name != self.name)
        self._loop.call_later(self._random.uniform(0, RENEWAL), self._carrier.open)
        self._vouch()

    def _vouch(self) -> None:
        """As the primary does."""
        self._fleet.vouched(self._loop.time())
        self._loop.call_later(RENEWAL, self._vouch)

    @property
    def is_fast(self) -> bool:
        """Whether it may read fast."""
        return self._loop.time() < self._ledger.granted_until

    def write(self, table: Table) -> None:
        """Have a client's commit come."""
        token = Token(self._random.getrandbits(127))
        mark = self._fleet.mark([table], token, self._loop.time())
        self._carrier.poke()
        self._began[mark] = self._loop.time()
        if not mark.waiting:
            self._send(mark)

    def _changed(self) -> None:
        for mark in self._fleet.take_ready():
            self._send(mark)

    def _send(self, mark: Mark) -> None:
        self.delays.append(self._loop.time() - self._began.pop(mark))
        self._loop.call_later(COMMIT, self._acknowledged, mark)

    def _acknowledged(self, mark: Mark) -> None:
        rows = tuple([(table, 1) for table in mark.tables])
        self._fleet.wrote(Wrote(mark.token, rows))
        self._ledger.commit(mark)
        self._carrier.poke()


class Costs:
    """A fleet, all of whose members are well. In a running loop.

    Args:
        ways: Seconds from each member to the hub.
        seed: Draws everything.
    """

    def __init__(self, ways: Sequence[float], seed: int = 1) -> None:
        self._loop = asyncio.get_running_loop()
        self._random = Random(seed)
        self._hub = Hub(self._random, JITTER)
        names = [f"{self._random.getrandbits(64):016x}" for _ in ways]
        self.members = [Costed(name, self._hub, way) for name, way in zip(names, ways, strict=True)]
        self._tables = (Table(DATABASE, oid) for oid in count(FIRST_OID + 1))
        for member in self.members:
            member.enter(names)

    async def settle(self) -> None:
        """Wait until all may read fast, and what came of the beginning is over."""
        while not all(member.is_fast for member in self.members):  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(RENEWAL)
        await asyncio.sleep(RENEWAL)

    async def measure(self, load: Load, seconds: float) -> Measured:
        """Write for some seconds, a multiple of `RENEWAL`."""
        for member in self.members:
            member.delays.clear()
        await self._write(load, RENEWAL / 4)  # so that what is under way is as later on
        self._hub.clear()
        began = process_time()
        looks = Counter[bool]()
        watching = self._loop.create_task(self._watch(looks))
        commits = await self._write(load, seconds)
        watching.cancel()
        cpu = process_time() - began
        said, carried = self._hub.said.total(), self._hub.carried.total()
        traffic = Traffic(
            said / seconds,
            self._hub.bytes_said.total() / seconds,
            carried / seconds,
            self._hub.bytes_carried.total() / seconds,
        )
        await asyncio.sleep(RENEWAL if load.rate else 0)
        delays = sorted(delay for member in self.members for delay in member.delays)
        was = load._replace(rate=commits / seconds)
        return Measured(traffic, was, delays, looks[True] / looks.total(), cpu / max(1, carried))

    async def _write(self, load: Load, seconds: float) -> int:
        until = self._loop.time() + seconds
        commits = 0
        while load.rate:
            pause = self._random.expovariate(load.rate)
            if self._loop.time() + pause > until:
                break
            await asyncio.sleep(pause)
            commits += 1
            if load.is_hot:
                self.members[0].write(Table(DATABASE, FIRST_OID))
            else:
                self._random.choice(self.members).write(next(self._tables))
        await asyncio.sleep(until - self._loop.time())
        return commits

    async def _watch(self, looks: Counter[bool]) -> None:
        while True:
            looks.update(member.is_fast for member in self.members)
            await asyncio.sleep(RENEWAL / 7)


def ways_of(members: int, trip: float | None) -> list[float]:
    """List how far each member is from the hub, in seconds.

    Args:
        members: How many.
        trip: Milliseconds from one to another, by way of the hub, and back; None: `REGIONS`.
    """
    if trip is not None:
        return [trip / 4000] * members
    return [REGIONS[number % len(REGIONS)] / 2000 for number in range(members)]


def measure(
    members: int, trip: float | None, loads: Sequence[Load], seconds: float | None = None
) -> list[tuple[Load, Measured]]:
    """Measure some loads, one after the other, in a fleet that is well."""

    async def work() -> list[tuple[Load, Measured]]:
        costs = Costs(ways_of(members, trip))
        await costs.settle()
        found: list[tuple[Load, Measured]] = []
        for load in loads:
            periods = ceil(min(BUDGET / paper(members, load).carried, LONGEST) / RENEWAL)
            found.append((load, await costs.measure(load, seconds or periods * RENEWAL)))
        return found

    return run(work())


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which a share of all is."""
    return values[min(len(values) - 1, int(share * len(values)))]


def main() -> int:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", default=",".join(map(str, MEMBERS)))
    parser.add_argument("--trips", default=",".join(map(str, TRIPS)) + ",regions", help="in ms")
    parser.add_argument("--cold", default=",".join(map(str, RATES)), help="commits a second")
    parser.add_argument("--hot", default="100,1000", help="the same, on one table by one member")
    options = parser.parse_args()
    loads = [Load(0)]
    loads += [Load(float(rate)) for rate in options.cold.split(",") if rate]
    loads += [Load(float(rate), is_hot=True) for rate in options.hot.split(",") if rate]
    print("|", " | ".join(COLUMNS), "|")
    print("|---" * len(COLUMNS) + "|")
    for members in map(int, options.members.split(",")):
        for trip in options.trips.split(","):
            wanted = None if trip == "regions" else float(trip)
            for load, it in measure(members, wanted, loads):
                print(_row(members, trip, load, it), flush=True)
    return 0


def _row(members: int, trip: str, load: Load, it: Measured) -> str:
    traffic, on_paper = it.traffic, paper(members, it.load)
    cells: list[object] = [members, trip, load]
    cells += [f"{traffic.said:.1f}", f"{traffic.bytes_said / 1000:.1f}"]
    cells += [f"{traffic.carried:.0f}", f"{traffic.bytes_carried / 1000:.1f}"]
    cells += [f"{on_paper.carried:.0f}", f"{on_paper.bytes_carried / 1000:.1f}"]
    cells += [f"{traffic.carried / members:.1f}", f"{traffic.bytes_carried / members / 1000:.1f}"]
    waits = [percentile(it.delays, share) * 1000 for share in (0.5, 0.99)] if it.delays else []
    cells += [f"{wait:.2f}" for wait in waits] or ["-", "-"]
    cells += [f"{it.fast:.0%}", f"{it.cpu * 1e6:.0f}"]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
