"""One member: the real ledger and the real fleet, and what a proxy does around them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from math import inf
from typing import TYPE_CHECKING, Final

from proxy.freshness.frames import Frame, Note
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import LOST, VOID, Mark
from proxy.freshness.replica import ConnectionPosition, Watermark
from proxy.freshness.tables import ReadSet
from proxy.types import Position, Table, Token
from tests.simulation.servers import DATABASE, TABLES, Commit, Content, Primary, Reader, part
from tests.simulation.world import Body, Signal, Steps

if TYPE_CHECKING:
    from tests.simulation.scene import Scene

READ_SETS = tuple(
    frozenset(tables) for tables in (TABLES[:1], TABLES[1:2], TABLES[2:], TABLES[:2], TABLES)
)
"""What is read and written; the last table is in few of them."""


NOBODY: Final = Primary([], 0, Token(0))
"""The primary of a member that knows of none."""
NOBODY.is_alive = False


class StaleRead(AssertionError):
    """A read that the primary would not have answered at any instant of its life."""


class Connection:
    """One to a replica, for as long as that does not restart."""

    def __init__(self, member: Member, number: int) -> None:
        self.replica = member.scene.replicas[number]
        self.incarnation = self.replica.incarnation
        self.position = ConnectionPosition(member.watermarks[number], member.clock())

    @property
    def is_alive(self) -> bool:
        """Whether the replica has not restarted since."""
        return self.incarnation == self.replica.incarnation


class Member(Body):
    """See the module.

    Args:
        scene: Where it lives.
        name: Its own.
        rate: How fast its clock runs, of real time.
    """

    def __init__(self, scene: Scene, name: str, rate: float) -> None:
        super().__init__()
        self.scene = scene
        self.world = scene.world
        self.name = name
        self.rate = rate
        self.offset = scene.world.random.uniform(0, 1000)
        self.ledger = Ledger(scene.token(), scene.rules)
        self.primary = NOBODY
        self.fleet = scene.make_fleet(name, self.ledger)
        self.watermarks = [Watermark() for _ in scene.replicas]
        self.connections: dict[int, Connection] = {}
        self.cache: dict[ReadSet, tuple[Content, int]] = {}
        self.marks: dict[Mark, Signal] = {}
        self.stepped: set[str] = set()
        self.is_welcome = False
        self.is_cut = False
        self.is_blind = False
        self.is_writing = scene.is_writing
        self._is_flushing = False

    def clock(self) -> float:
        """What time it is, by its own clock."""
        return self.offset + self.world.now * self.rate

    # The bus.

    def begin(self) -> Steps:
        """Enter the fleet: a row in the view, then grants of all that are there."""
        view = self.scene.view
        yield self.world.short(0.001)
        self.fleet.enter([name for name in view.members if name not in view.gone])
        self.remember()
        view.members.append(self.name)
        self.wake()
        self.world.start(self.follow(), self)
        while not self.fleet.is_welcome:
            yield 0.01
        self.is_welcome = True
        self.world.start(self.again(self.commit, self.scene.write_pause), self)
        for kind in (self.read, self.read, self.read, self.ask, self.witness):
            self.world.start(self.again(kind, self.scene.pause), self)

    def wake(self) -> None:
        """Have said what is to be said, at the end of this turn and when it is due."""
        if not self._is_flushing:
            self._is_flushing = True
            self.world.start(self._flush(), self)

    def _flush(self) -> Steps:
        yield 0.0001
        self._is_flushing = False
        self.flush()
        wait = self.fleet.due(self.clock()) - self.clock()
        if wait < inf:
            yield max(0.001, wait / self.rate)
            self.wake()

    def flush(self) -> None:
        """Say it, and let go of what waits for nobody any more."""
        frame, notes = self.fleet.flush(self.clock())
        if frame is not None:
            self.scene.bus.publish(self, frame)
        for note in notes:
            self.scene.bus.send(self, note)
        for mark in self.fleet.take_ready(self.clock()):
            self.marks.pop(mark).give()

    def hear(self, said: Frame | Note) -> None:
        """Something has come."""
        if isinstance(said, Frame):
            self.fleet.hear(said, self.clock())
        else:
            self.fleet.hear_note(said, self.clock())
        self.wake()

    # What it finds out from time to time.

    def follow(self) -> Steps:
        """Look at the primary and the view."""
        view = self.scene.view
        while True:
            yield self.world.short(self.scene.look)
            asked_at = self.clock()
            if self.is_cut or self.is_blind:
                continue
            yield self.world.short(0.0005)
            if self.name not in view.fenced:
                self.fleet.vouched(asked_at)
            for name in sorted(self.fleet.strangers & set(view.members)):
                if name not in view.gone:
                    self.fleet.admit(name)
            for name in self.fleet.members:
                if name in view.gone and self.can_ask():
                    self.part(name)
            self.remember()
            if self.scene.finds_out(self):
                self.is_dead = True
            if self.scene.primary is not self.primary:
                self.turn(self.scene.primary)
            self.wake()

    def part(self, name: str) -> None:
        """Go on without somebody."""
        step, epoch = self.scene.view.gone[name]
        if not step and epoch == self.fleet.epoch:
            self.fleet.inherit(name)
        else:
            self.stepped.add(name)
            self.fleet.expel(name, step, epoch, self.position())

    def remember(self) -> None:
        """Take note of those who are gone otherwise."""
        for name, (step, epoch) in self.scene.view.gone.items():
            if step and name not in self.stepped and name not in self.fleet.members:
                self.stepped.add(name)
                self.fleet.remember(name, step, epoch)

    def turn(self, primary: Primary) -> None:
        """There is another primary: nobody may read fast any more before it is asked anything."""
        if not self.scene.turned(self, primary):
            return
        self.primary = primary
        self.scene.asked(primary)
        is_read = self.world.random.random() < 0.5
        self.fleet.begin(primary.epoch, self.position() if is_read else None)

    @property
    def is_writing_nothing(self) -> bool:
        """Whether nothing of it is under way, nor will be."""
        return not self.is_writing and not self.ledger.unsettled()

    def can_ask(self) -> bool:
        """Whether the primary answers this member, in the epoch that the member is in."""
        if self.is_cut or self.scene.refuses(self) or not self.primary.is_alive:
            return False
        return self.primary.epoch == self.fleet.epoch

    def position(self) -> Position:
        """What the primary says of its log."""
        return Position(len(self.primary.log))

    def again(self, kind: Callable[[], Steps], pause: float) -> Steps:
        """Do a thing over and over."""
        while True:
            yield self.world.short(pause)
            yield from kind()

    # Clients' statements.

    def commit(self) -> Steps:
        """Write, as docs/freshness.md wants it."""
        world = self.world
        if not self.can_ask() or not self.is_writing:
            return
        tables = world.random.choice(self.scene.writes)
        primary = self.primary
        mark = self.fleet.mark(tables, self.scene.token(), self.clock())
        self.scene.rides += self.fleet.hot.is_riding(mark.token)
        self.wake()
        if mark.waiting and self.scene.waits:
            self.marks[mark] = Signal()
            yield self.marks[mark]
        elif mark.waiting:
            self.marks[mark] = Signal()
        if mark.state is VOID or not self.can_ask() or primary is not self.primary:
            self.ledger.rollback(mark)
            self.wake()
            return
        commit = Commit(world.random.getrandbits(64), tables, self.name)
        primary.under_way.add(commit)
        world.start(self.scene.happens(primary, commit))
        is_lost = world.random.random() < 0.1
        if is_lost:
            yield world.short(0.002)
            self.ledger.lose(mark)
        if not commit.is_ended:
            yield commit.ended
        yield world.short(0.0005)
        if not is_lost and primary.is_alive and not self.scene.refuses(self):
            self.settle(mark, commit, primary)
        else:
            if not is_lost:
                self.ledger.lose(mark)
            yield world.short(0.05)
            while not self.can_ask() and mark.state is LOST:
                yield world.short(0.05)  # nobody can say what became of it, or an epoch begins
            self.ledger.resolve(mark)
        self.wake()

    def settle(self, mark: Mark, commit: Commit, primary: Primary) -> None:
        """The primary has answered, perhaps with where in its log that is."""
        if commit not in primary.log:
            self.ledger.rollback(mark)
        elif self.world.random.random() < 0.5:
            self.ledger.commit(mark, position=Position(primary.log.index(commit) + 1))
        else:
            self.ledger.commit(mark)

    def ask(self) -> Steps:
        """Ask the primary for its position, if anybody wants to know."""
        if not self.can_ask() or not self.ledger.position_wanted():
            return
        primary = self.primary
        ticket = self.ledger.ask_position()
        yield self.world.short(0.0005)
        if not self.can_ask() or primary is not self.primary:
            self.ledger.position_lost(ticket)
            return
        position = self.position()
        yield self.world.short(0.0005)
        self.ledger.position_arrived(ticket, position)

    def witness(self) -> Steps:
        """Look how far a replica is."""
        number = self.world.random.randrange(len(self.scene.replicas))
        replica, watermark = self.scene.replicas[number], self.watermarks[number]
        incarnation = replica.incarnation
        reading = watermark.ask(self.ledger.epoch, self.clock())
        yield self.world.short(0.0005)
        if replica.incarnation != incarnation:
            watermark.void()
            return
        position = Position(replica.replayed)
        yield self.world.short(0.0005)
        watermark.arrived(reading, position)

    def read(self) -> Steps:
        """Read, from wherever it may be."""
        reader = self.scene.begin_read(self.world.random.choice(READ_SETS))
        yield from self._read(reader)
        self.scene.readers.discard(reader)

    def _read(self, reader: Reader) -> Steps:
        if not self.is_welcome:
            return
        tables = reader.tables
        read_set = self.ledger.read_set(DATABASE, tables)
        found = self.cache.get(read_set)
        if found and self.ledger.fast_ok(read_set, found[1], self.clock()):
            self.finish(reader, found[0], "hit")
            return
        shared = self.scene.shared.get((self.fleet.epoch, tables))
        if shared:
            content, version = self.world.random.choice(shared)
            yield self.world.short(0.0003)
            if self.ledger.fast_ok(read_set, version, self.clock()):
                self.cache[read_set] = content, version
                self.finish(reader, content, "shared")
                return
        if not (yield from self._read_replica(reader, read_set)):
            yield from self._read_primary(reader, read_set)

    def _read_replica(
        self, reader: Reader, read_set: ReadSet
    ) -> Generator[float | Signal, None, bool]:
        ledger, world = self.ledger, self.world
        need = ledger.need(read_set)
        if need is None or not ledger.is_clean(read_set, self.clock()):
            return False
        version, epoch = ledger.version(read_set), ledger.epoch
        number = world.random.randrange(len(self.scene.replicas))
        connection = self.connections.get(number)
        if connection is None or not connection.is_alive:
            connection = self.connections[number] = Connection(self, number)
        reached = connection.position.believes(need, epoch)
        yield world.short(self.scene.read_time)
        if not connection.is_alive:
            return False
        if not reached:
            position = Position(connection.replica.replayed)
            connection.position.verified(position, epoch)
            reached = position >= need
        content = part(self.scene.shown_by(connection.replica), reader.tables)
        yield world.short(self.scene.read_time)
        if not reached or not ledger.answer_ok(read_set, version, self.clock()):
            self.scene.finished["redone"] += 1
            return False
        self.finish(reader, content, "replica")
        yield world.short(0.0002)
        self.fill(reader.tables, read_set, version, content)
        return True

    def _read_primary(self, reader: Reader, read_set: ReadSet) -> Steps:
        version = self.ledger.version(read_set)
        if not self.can_ask():
            return
        primary = self.primary
        yield self.world.short(self.scene.read_time)
        if not self.can_ask() or primary is not self.primary:
            return
        content = part(primary.visible, reader.tables)
        yield self.world.short(self.scene.read_time)
        if primary is not self.primary:
            return
        self.finish(reader, content, "primary")
        yield self.world.short(0.0002)
        self.fill(reader.tables, read_set, version, content)

    def version(self, tables: frozenset[Table]) -> int:
        """The version of what is read of some tables."""
        return self.ledger.version(self.ledger.read_set(DATABASE, tables))

    def fill(
        self, tables: frozenset[Table], read_set: ReadSet, version: int, content: Content
    ) -> None:
        """Keep a result, here and where all find it."""
        stamp = self.ledger.stamp(read_set, version, self.clock())
        if stamp is not None:
            self.cache[read_set] = content, stamp
            kept = self.scene.shared.setdefault((self.fleet.epoch, tables), [])
            kept.append((content, stamp))
            del kept[: -self.scene.kept]

    def finish(self, reader: Reader, content: Content, source: str) -> None:
        """Answer, and be judged."""
        self.scene.readers.discard(reader)
        self.scene.finished[source] += 1
        if content not in reader.right:
            raise StaleRead(f"{source} at {self.name}, {self.world.now:.4f}")
