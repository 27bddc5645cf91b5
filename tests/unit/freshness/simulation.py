"""A primary, its replicas, clients and a cache around the real ledger, in one thread.

Everybody is a generator; a `yield` is a moment at which anything else may happen. Which
one goes on is drawn from a seed, so a failing seed is a test case.

The promise is checked literally: every read equals a read on the primary at some instant
between its request and its reply.
"""

from __future__ import annotations

from collections.abc import Generator
from random import Random

from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.replica import ConnectionPosition, Watermark
from proxy.freshness.rules import Rules
from proxy.freshness.tables import ReadSet
from proxy.types import Position, Table, Token

DATABASE = "shop"
TABLES = (Table(DATABASE, 100), Table(DATABASE, 101))
READS = (TABLES[:1], TABLES[1:], TABLES)

Steps = Generator[None, None, None]
Commit = tuple[int, frozenset[Table]]
Result = frozenset[tuple[int, Table]]


class StaleRead(AssertionError):
    """A read that the primary would not have answered at any instant of its life."""


class Primary:
    """The log and what of it is visible: a commit is in the log before anybody sees it."""

    def __init__(self, log: list[Commit]) -> None:
        self.log = log
        self.visible = set(log)
        self.is_alive = True


class Replica:
    """A position in the primary's log, and an incarnation that ends when it crashes."""

    def __init__(self, now: float) -> None:
        self.replayed = 0
        self.incarnation = 0
        self.watermark = Watermark()
        self.connection = Connection(self, now)

    def crash(self, replayed: int, now: float) -> None:
        """Restart further back, with every connection gone; one is opened again."""
        self.replayed = replayed
        self.incarnation += 1
        self.connection = Connection(self, now)


class Connection:
    """One connection to a replica."""

    def __init__(self, replica: Replica, now: float) -> None:
        self.replica = replica
        self.incarnation = replica.incarnation
        self.position = ConnectionPosition(replica.watermark, opened_at=now)

    @property
    def is_alive(self) -> bool:
        return self.incarnation == self.replica.incarnation


class Reader:
    """One read under way, and all that the primary would have answered since it began."""

    def __init__(self, tables: tuple[Table, ...], primary: Primary) -> None:
        self.tables = frozenset(tables)
        self.right: set[Result] = set()
        self.note(primary)

    def of(self, commits: set[Commit] | list[Commit]) -> Result:
        return frozenset((k, t) for k, written in commits for t in written & self.tables)

    def note(self, primary: Primary) -> None:
        self.right.add(self.of(primary.visible))


class Simulation:
    """One seed's history.

    Args:
        seed: Draws who goes on, and every choice.
        rules: The ledger's.
        written_positions: Mutation: positions are of the log as written, not as inserted; that
            is behind, when commits don't wait for the disk.
        newborn_believes: Mutation: connections believe readings from before they opened.
        unnoticed_failover: Mutation: a new primary does not begin a new epoch.
        faults: Whether servers crash and fail over.
    """

    def __init__(
        self,
        seed: int,
        *,
        rules: Rules | None = None,
        written_positions: bool = False,
        newborn_believes: bool = False,
        unnoticed_failover: bool = False,
        faults: bool = True,
    ) -> None:
        self.random = Random(seed)
        self.ledger = Ledger(Token(seed + 1), rules or Rules())
        self.written_positions = written_positions
        self.newborn_believes = newborn_believes
        self.unnoticed_failover = unnoticed_failover
        self.faults = faults
        self.now = 0.0
        self.ids = 0
        self.primary = Primary([])
        self.replicas = [Replica(0.0), Replica(0.0)]
        self.readers: set[Reader] = set()
        self.cache: dict[ReadSet, tuple[Result, int]] = {}
        self.finished = dict.fromkeys(("hit", "replica", "primary", "redone"), 0)

    def run(self, steps: int) -> None:
        """Let things happen.

        Raises:
            StaleRead: The promise was broken.
        """
        self.ledger.new_epoch(self.token())
        makers = [self.commit, self.read, self.read, self.read, self.ask, self.witness]
        running: list[Steps] = []
        for _ in range(steps):
            self.now += 1.0
            self.replay()
            if self.faults and self.random.random() < 0.01:
                self.break_something()
            if len(running) < 6:
                running.append(self.random.choice(makers)())
            process = self.random.choice(running)
            if next(process, self) is self:
                running.remove(process)

    def token(self) -> Token:
        self.ids += 1
        return Token(self.random.getrandbits(128))

    # The servers' side.

    def replay(self) -> None:
        replica = self.random.choice(self.replicas)
        if replica.replayed < len(self.primary.log) and self.random.random() < 0.3:
            replica.replayed += 1

    def show(self, commit: Commit) -> None:
        self.primary.visible.add(commit)
        for reader in self.readers:
            reader.note(self.primary)

    def break_something(self) -> None:
        replica = self.random.choice(self.replicas)
        if self.random.random() < 0.7:
            replica.crash(self.random.randint(0, replica.replayed), self.now)
        else:
            self.fail_over(replica)
        if self.newborn_believes:
            for replica in self.replicas:
                replica.connection.position = ConnectionPosition(replica.watermark, -1.0)

    def fail_over(self, heir: Replica) -> None:
        """Promote a replica: what it had not replayed never happened."""
        self.primary.is_alive = False
        self.primary = Primary(self.primary.log[: heir.replayed])
        for replica in self.replicas:
            if replica is heir or replica.replayed > heir.replayed:
                replica.crash(self.random.randint(0, heir.replayed), self.now)
        position = Position(len(self.primary.log)) if self.random.random() < 0.5 else None
        if not self.unnoticed_failover:
            self.ledger.new_epoch(self.token(), position)
        for reader in self.readers:
            reader.note(self.primary)

    def position(self, primary: Primary) -> Position:
        unwritten = 1 if self.written_positions and primary.log else 0
        return Position(len(primary.log) - unwritten)

    def position_of(self, primary: Primary, commit: Commit) -> Position | None:
        if commit not in primary.log:
            return None
        later = primary.log[::-1].index(commit)
        return Position(len(primary.log) - later - self.written_positions)

    # The proxy's side.

    def commit(self) -> Steps:
        tables = frozenset(self.random.choice(READS))
        primary = self.primary
        mark = self.ledger.mark(tables, self.token())
        is_rolled_back = self.random.random() < 0.2
        is_lost = self.random.random() < 0.2
        pipelined = self.ledger.ask_position(mark) if self.random.random() < 0.3 else None
        yield
        if is_lost:
            self.ledger.lose(mark)
            yield
        told = None
        if not is_rolled_back:
            commit = (self.ids, tables)
            yield from self.happen(primary, commit)
            if self.random.random() < 0.5:
                told = self.position_of(primary, commit)
        self.settle(primary, mark, is_lost, is_rolled_back, told)
        if pipelined is not None and (is_lost or not primary.is_alive):
            self.ledger.position_lost(pipelined)
        elif pipelined is not None:
            position = self.position(primary)
            yield
            self.ledger.position_arrived(pipelined, position)

    def happen(self, primary: Primary, commit: Commit) -> Steps:
        if primary.is_alive:
            primary.log.append(commit)
        yield
        if primary.is_alive:
            self.show(commit)
        yield

    def settle(
        self,
        primary: Primary,
        mark: Mark,
        is_lost: bool,
        is_rolled_back: bool,
        told: Position | None,
    ) -> None:
        if not primary.is_alive and not is_lost:
            self.ledger.lose(mark)
            is_lost = True
        if is_lost:
            self.ledger.resolve(mark)
        elif is_rolled_back:
            self.ledger.rollback(mark)
        else:
            self.ledger.commit(mark, position=told)

    def ask(self) -> Steps:
        primary = self.primary
        if not self.ledger.position_wanted():
            return
        ticket = self.ledger.ask_position()
        yield
        if not primary.is_alive:
            self.ledger.position_lost(ticket)
            return
        position = self.position(primary)
        yield
        self.ledger.position_arrived(ticket, position)

    def witness(self) -> Steps:
        replica = self.random.choice(self.replicas)
        incarnation = replica.incarnation
        reading = replica.watermark.ask(self.ledger.epoch, self.now)
        yield
        if replica.incarnation != incarnation:
            replica.watermark.void()
            return
        position = Position(replica.replayed)
        yield
        replica.watermark.arrived(reading, position)

    def read(self) -> Steps:
        tables = self.random.choice(READS)
        reader = Reader(tables, self.primary)
        self.readers.add(reader)
        yield
        read_set = self.ledger.read_set(DATABASE, tables)
        found = self.cache.get(read_set)
        if found and self.ledger.fast_ok(read_set, found[1], self.now):
            self.finish(reader, found[0], "hit")
            return
        if not (yield from self.read_replica(reader, read_set)):
            yield from self.read_primary(reader, read_set)

    def read_replica(self, reader: Reader, read_set: ReadSet) -> Generator[None, None, bool]:
        ledger = self.ledger
        need = ledger.need(read_set)
        if need is None or not ledger.is_clean(read_set, self.now):
            return False
        version, epoch = ledger.version(read_set), ledger.epoch
        connection = self.random.choice(self.replicas).connection
        reached = connection.position.believes(need, epoch)
        if not reached:
            yield
            position = Position(connection.replica.replayed)
            if connection.is_alive:
                connection.position.verified(position, epoch)
            reached = position >= need
        yield
        if not connection.is_alive:
            return False
        result = reader.of(self.primary.log[: connection.replica.replayed])
        yield
        if not reached or not ledger.answer_ok(read_set, version, self.now):
            self.finished["redone"] += 1
            return False
        self.finish(reader, result, "replica")
        yield
        self.fill(read_set, version, result)
        return True

    def read_primary(self, reader: Reader, read_set: ReadSet) -> Steps:
        version = self.ledger.version(read_set)
        yield
        result = reader.of(self.primary.visible)
        yield
        self.finish(reader, result, "primary")
        yield
        self.fill(read_set, version, result)

    def fill(self, read_set: ReadSet, version: int, result: Result) -> None:
        stamp = self.ledger.stamp(read_set, version, self.now)
        if stamp is not None:
            self.cache[read_set] = result, stamp

    def finish(self, reader: Reader, result: Result, source: str) -> None:
        self.readers.discard(reader)
        self.finished[source] += 1
        if result not in reader.right:
            raise StaleRead(f"{source} at {self.now:.0f}: {sorted(result)}")
