"""How old what a replica shows may be: what is claimed never says younger than it is.

A reference knows when each commit was acknowledged, and what each replica has replayed; random
interleavings of commits, questions and answers are played against it.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from math import inf

import pytest

from proxy.freshness.contracts import Contract
from proxy.freshness.floor import Floor
from proxy.freshness.staleness import Samples
from proxy.types import Consistency, Position


def test_nothing_is_known_at_first() -> None:
    samples = Samples()
    assert samples.proven(Position(10)) == (-inf, 0)
    assert samples.latest == -inf


def test_a_replica_is_as_old_as_the_latest_sample_it_has_reached() -> None:
    samples = Samples()
    for sent_at, position in ((1.0, 10), (2.0, 20), (3.0, 20), (4.0, 30)):
        samples.add(sent_at, Position(position))
    assert samples.proven(Position(9))[0] == -inf
    assert samples.proven(Position(10)) == (1.0, 10)
    assert samples.proven(Position(29)) == (3.0, 20)
    assert samples.proven(Position(99)) == (4.0, 30)
    assert samples.latest == 4.0


def test_an_answer_out_of_its_order_counts_for_nothing() -> None:
    samples = Samples()
    samples.add(2.0, Position(20))
    samples.add(1.0, Position(30))
    samples.add(3.0, Position(10))
    assert samples.proven(Position(99)) == (2.0, 20)


def test_an_epoch_ends_all_proofs() -> None:
    samples = Samples()
    samples.add(1.0, Position(10))
    samples.restart()
    assert samples.proven(Position(99))[0] == -inf


def test_of_many_samples_the_late_ones_are_kept() -> None:
    samples = Samples(limit=8)
    for number in range(100):
        samples.add(float(number), Position(number))
    assert samples.proven(Position(1000)) == (99.0, 99)
    assert samples.proven(Position(50))[0] == -inf


class World:
    """A primary and its replicas, as only a reference can see them.

    A commit is in the log before it is acknowledged, if ever; a replica may show it in between.
    """

    def __init__(self, seed: int, replicas: int = 2) -> None:
        self.dice = random.Random(seed)
        self.now = 0.0
        self.log: list[float] = []  # when each commit was acknowledged
        self.acknowledged = 0
        self.replayed = [0] * replicas
        self.watermarks = [0] * replicas
        self.life = [0] * replicas
        self.samples = Samples(limit=16)
        self.asked: tuple[float, int] | None = None  # when it was sent; the answer, once it is

    def step(self) -> None:
        dice = self.dice
        self.now += dice.random() / 4
        what = dice.randrange(6)
        if what == 0:
            self.log.append(inf)
            if dice.random() < 0.6:
                self.log[self.acknowledged] = self.now
                self.acknowledged += 1
        elif what == 1 and self.acknowledged < len(self.log):
            self.log[self.acknowledged] = self.now
            self.acknowledged += 1
        elif what == 2:
            which = dice.randrange(len(self.replayed))
            self.replayed[which] = dice.randint(self.replayed[which], len(self.log))
        elif what == 3:
            which = dice.randrange(len(self.replayed))
            self.watermarks[which] = self.replayed[which]
        elif what == 4 and self.asked is None:
            self.asked = (self.now, -1)
        elif what == 5 and self.asked is not None:
            sent_at, answer = self.asked
            if answer < 0:
                self.asked = (sent_at, len(self.log))  # the primary looks; more may come meanwhile
            else:
                self.samples.add(sent_at, Position(answer))
                self.asked = None

    def acknowledged_by(self, when: float) -> int:
        return bisect_right(self.log[: self.acknowledged], when)

    def restart(self, which: int) -> None:
        """A crash: what was replayed may be gone; a witness looks before anybody asks it."""
        self.life[which] += 1
        self.replayed[which] = self.dice.randint(0, self.replayed[which])
        self.watermarks[which] = self.replayed[which]


@pytest.mark.parametrize("seed", range(200))
def test_a_claim_is_never_younger_than_the_truth(seed: int) -> None:
    world = World(seed)
    for _ in range(150):
        world.step()
        for which, watermark in enumerate(world.watermarks):
            since, need = world.samples.proven(Position(watermark))
            assert need <= world.replayed[which]
            if since > -inf:
                # Everything acknowledged before `since` is on it.
                assert world.acknowledged_by(since) <= world.replayed[which]


SESSION = Contract(Consistency.SESSION, 5.0)


class Client:
    """One that reads and writes in such a world, by the floor that is counted for it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.floor = Floor(world.now)
        self.seen = world.acknowledged
        self.cached: list[tuple[float, float, int]] = []  # current at, filled at, what is in it
        self.reads = {"replica": 0, "other replica": 0, "cache": 0}
        self.last = -1

    def write(self) -> None:
        world = self.world
        if world.acknowledged == len(world.log):
            world.log.append(world.now)
            world.acknowledged = self.seen = len(world.log)
            self.floor.rise(world.now)

    def read(self) -> None:
        """From a replica; nothing is pending, as its answer would be thrown away otherwise."""
        world = self.world
        which = world.dice.randrange(2)
        since, _ = world.samples.proven(Position(world.watermarks[which]))
        asks = self.floor.asks(which, world.life[which])
        if since < world.now - 5.0 or since <= asks or world.acknowledged != len(world.log):
            return
        shown = world.replayed[which]
        assert shown >= self.seen, "a replica shows less than its client has seen"
        assert shown >= world.acknowledged_by(world.now - 5.0)
        self.seen = max(self.seen, shown)
        self.floor.read(which, world.life[which], world.now)
        self.cached.append((since, world.now, shown))
        self.reads["replica" if which == self.last else "other replica"] += 1
        self.last = which

    def read_cached(self) -> None:
        if not self.cached:
            return
        world = self.world
        current_at, filled_at, shown = world.dice.choice(self.cached[-3:])
        if current_at >= SESSION.oldest(world.now, self.floor):
            assert shown >= self.seen, "a cached result shows less than its client has seen"
            assert shown >= world.acknowledged_by(world.now - 5.0)
            self.seen = max(self.seen, shown)
            self.floor.hit(filled_at)
            self.reads["cache"] += 1


def test_a_client_never_goes_back_in_time() -> None:
    """`session`: what a replica or a cached result shows has all that its client has seen."""
    reads: Counter[str] = Counter()
    for seed in range(300):
        world = World(seed)
        client, other = Client(world), Client(world)
        other.cached = client.cached
        for _ in range(300):
            for _ in range(world.dice.randrange(8)):
                world.step()
            choice = world.dice.random()
            who = world.dice.choice([client, other])
            if choice < 0.03:
                world.restart(world.dice.randrange(2))
            elif choice < 0.15:
                who.write()
            elif choice < 0.7:
                who.read()
            else:
                who.read_cached()
        reads.update(client.reads)
    assert min(reads.values()) > 100, reads
