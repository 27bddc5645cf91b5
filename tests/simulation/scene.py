"""Where a fleet lives: servers, a bus, time, and what goes wrong."""

from __future__ import annotations

from collections import Counter
from typing import Final

from proxy.freshness.fleet import Fleet
from proxy.freshness.frames import Frame, Note
from proxy.freshness.ledger import ALL_RULES, Ledger
from proxy.types import Epoch, Table, Token
from tests.simulation.member import READ_SETS, Member
from tests.simulation.servers import Commit, Content, Primary, Reader, Replica, View, with_commit
from tests.simulation.world import Steps, World

LEASE: Final = 0.5
"""Seconds: shorter than it would be, so that much happens in little time."""

DRIFT: Final = 0.02
"""By how much clocks may run at different speeds, and do."""

PATIENCE: Final = 5.0
"""Of who has many tokens linger, though several write the same tables in turn."""

QUICK: Final = (0.0005, 0.002)
"""Seconds that servers take, when they are well: `read_time` and `show_time`."""


class Bus:
    """Carries what members say, each one's frames to each other one in order, or not at all.

    Attributes:
        loss: How much gets lost.
        loss_of_notes: How much of what is for one only.
        disorder: How much overtakes what was said before it, or comes twice.
        cut: Pairs of members between whom nothing passes.
        isolated: Members whom nobody hears any more.
        delay: Seconds that it takes, on average.
        messages: How many were sent.
    """

    def __init__(self, world: World) -> None:
        self.loss = 0.0
        self.loss_of_notes = 0.0
        self.disorder = 0.0
        self.cut: set[frozenset[str]] = set()
        self.isolated: set[str] = set()
        self.delay = 0.0005
        self.messages = 0
        self.members: list[Member] = []
        self._world = world
        self._arrivals: dict[tuple[str, str, bool], float] = {}

    def publish(self, sender: Member, frame: Frame) -> None:
        """To all."""
        self.messages += 1
        for member in self.members:
            if member is not sender:
                self._carry(sender, member, frame)

    def send(self, sender: Member, note: Note) -> None:
        """To one."""
        self.messages += 1
        for member in self.members:
            if member.name == note.to:
                self._carry(sender, member, note)

    def _carry(self, sender: Member, to: Member, said: Frame | Note) -> None:
        world, draw = self._world, self._world.random
        is_frame = isinstance(said, Frame)
        loss = self.loss if is_frame else max(self.loss, self.loss_of_notes)
        is_cut = frozenset((sender.name, to.name)) in self.cut or sender.name in self.isolated
        if is_cut or to.name in self.isolated or draw.random() < loss:
            return
        arrival = world.now + world.short(self.delay)
        way = sender.name, to.name, is_frame
        if draw.random() >= self.disorder:
            arrival = self._arrivals[way] = max(arrival, self._arrivals.get(way, 0.0))
        elif draw.random() < 0.3:
            self._deliver(to, said, arrival + world.short(0.1))
        self._deliver(to, said, arrival)

    def _deliver(self, to: Member, said: Frame | Note, at: float) -> None:
        def arrive() -> None:
            if to.is_dead:
                return
            if to.paused_until > self._world.now:
                self._world.after(to.paused_until - self._world.now, arrive)
            else:
                to.hear(said)

        self._world.after(at - self._world.now, arrive)


class Scene:
    """One seed's history. Subclasses leave out a rule, to see that it is missed.

    Attributes:
        finished: How many reads were served from where.
        legacies: How many have left and had told all.
        shared: What is kept where all members find it, old things too.
        kept: How many of these, of one kind.
        official: The primary that everybody reads as of now: the new one as soon as it is asked.
        is_writing: Whether anybody writes.
        rides: How many commits were not announced.
        waits: Whether a commit waits for who may be reading fast.
        are_killed: Whether workers are that are said to be.
        pause: Seconds between two things that a client does, on average.
        write_pause: Seconds between two writes of one.
        look: Seconds between two looks at the primary, on average.
        read_time: Seconds that a server takes to answer, on average.
        show_time: Seconds from the log to everybody's eyes.

    Args:
        seed: Draws everything.
        members: How many there are at the beginning.
        faults: What goes wrong: names of methods.
        drift: By how much clocks run at different speeds.
        patience: For how long tables stay hot: see `proxy.freshness.lingering.Hot`.
    """

    rules = ALL_RULES
    waits = True
    are_killed = True
    kept = 3
    pause = 0.03
    write_pause = 0.03
    look = LEASE / 6
    writes: tuple[frozenset[Table], ...] = READ_SETS

    def __init__(
        self,
        seed: int,
        members: int = 3,
        faults: tuple[str, ...] = (),
        drift: float = DRIFT,
        patience: float = 1.0,
    ) -> None:
        self.world = World(seed)
        self.draw = self.world.random
        self.faults = faults
        self.drift = drift
        self.patience = patience
        self.rides = 0
        self.view = View()
        self.bus = Bus(self.world)
        self.replicas = [Replica(), Replica()]
        self.primary = self.official = Primary([], 1, self.token())
        self.readers: set[Reader] = set()
        self.shared: dict[tuple[Epoch, frozenset[Table]], list[tuple[Content, int]]] = {}
        self.finished: Counter[str] = Counter()
        self.happened: Counter[str] = Counter()
        self.read_time, self.show_time = QUICK
        self.legacies = 0
        self.is_writing = True
        self._names = 0
        for _ in range(members):
            self.enter()

    def run(self, seconds: float) -> None:
        """Let it live.

        Raises:
            StaleRead: The promise was broken.
        """
        self.world.start(self.replay())
        if self.faults:
            self.world.start(self.go_wrong())
        self.world.run(seconds)

    def be_well(self) -> None:
        """Let nothing go wrong any more, nothing be written, and all come to rest."""
        self.faults = ()
        self.is_writing = False  # nor by those who come yet
        for member in self.members:
            member.is_writing = False
        self.world.run(self.world.now + 20 * LEASE)

    def token(self) -> Token:
        """Draw one."""
        return Token(self.draw.getrandbits(128))

    def make_fleet(self, name: str, ledger: Ledger) -> Fleet:
        """Make a member's part."""
        return Fleet(name, ledger, lease=LEASE, drift=2 * DRIFT, patience=self.patience)

    @property
    def members(self) -> list[Member]:
        """Those that live."""
        return [member for member in self.bus.members if not member.is_dead]

    def enter(self) -> None:
        """Have another member begin."""
        self._names += 1
        rate = 1 + self.draw.uniform(-self.drift, self.drift) / 2
        member = Member(self, f"m{self._names}", rate)
        self.bus.members.append(member)
        self.world.start(member.begin(), member)

    def turned(self, member: Member, primary: Primary) -> bool:
        """Whether all know of a new primary, so that a member may ask it."""
        return member.fleet.turn(primary.epoch, member.clock())

    # The servers.

    def begin_read(self, tables: frozenset[Table]) -> Reader:
        """Somebody asks."""
        reader = Reader(tables, self.official.visible)
        self.readers.add(reader)
        return reader

    def asked(self, primary: Primary) -> None:
        """A primary has its first statement: from now on it is what everybody reads."""
        if primary is not self.official:
            self.official = primary
            self._note()

    def shown_by(self, replica: Replica) -> Content:
        """What a replica answers from."""
        return self.primary.prefixes[replica.replayed]

    def happens(self, primary: Primary, commit: Commit) -> Steps:
        """What the primary does with a COMMIT."""
        yield self.world.short(0.0005)
        if primary.is_alive and commit.owner not in self.view.fenced:
            primary.write(commit)
            yield self.world.short(self.show_time)
            self.show(primary, commit)
        primary.end(commit)

    def show(self, primary: Primary, commit: Commit) -> None:
        """What is in the log comes before everybody's eyes."""
        if primary.is_alive:
            primary.visible = with_commit(primary.visible, commit)
            if primary is self.official:
                self._note()

    def refuses(self, member: Member) -> bool:
        """Whether the primary answers a member no more."""
        return member.name in self.view.fenced

    def finds_out(self, member: Member) -> bool:
        """Whether a member that looks at the view finds that it is one no more."""
        return member.name in self.view.gone

    def replay(self) -> Steps:
        """Replicas follow, some at some distance."""
        while True:
            yield self.world.short(0.002)
            replica = self.draw.choice(self.replicas)
            if self.draw.random() < 0.05:
                yield self.world.short(0.05)
            ahead = len(self.primary.log) - replica.replayed
            if not replica.is_held:
                replica.replayed += self.draw.randint(0, max(0, ahead))

    def _note(self) -> None:
        for reader in self.readers:
            reader.note(self.official.visible)

    # What goes wrong.

    def go_wrong(self) -> Steps:
        """One thing after the other."""
        while True:
            yield self.world.short(LEASE / 2)
            if not self.faults:
                return
            name = self.draw.choice(self.faults)
            self.happened[name] += 1
            self.world.start(getattr(self, name)())

    def lose_words(self) -> Steps:
        """Some of what is said gets lost."""
        self.bus.loss = self.draw.choice((0.02, 0.2, 1.0))
        yield self.world.short(LEASE)
        self.bus.loss = 0.0

    def lose_notes(self) -> Steps:
        """What is for one gets lost, and some of the rest."""
        self.bus.loss, self.bus.loss_of_notes = 0.2, 1.0
        yield self.world.short(2 * LEASE)
        self.bus.loss = self.bus.loss_of_notes = 0.0

    def mix_words_up(self) -> Steps:
        """Some of it comes late, or twice."""
        self.bus.disorder = self.draw.choice((0.05, 0.5))
        yield self.world.short(LEASE)
        self.bus.disorder = 0.0

    def slow_words(self) -> Steps:
        """All of it comes late."""
        self.bus.delay = self.draw.choice((0.01, 0.1))
        yield self.world.short(LEASE)
        self.bus.delay = 0.0005

    def split(self) -> Steps:
        """Two of them do not hear each other."""
        if len(self.members) > 1:
            pair = frozenset(it.name for it in self.draw.sample(self.members, 2))
            self.bus.cut.add(pair)
            yield self.world.short(2 * LEASE)
            self.bus.cut.discard(pair)

    def break_bus(self) -> Steps:
        """Somebody's connection to the bus breaks; he knows."""
        if self.members:
            member = self.draw.choice(self.members)
            member.fleet.broken()
            member.wake()
        yield 0.0

    def pause_member(self) -> Steps:
        """Somebody stops, and goes on as if nothing had been."""
        if self.members:
            member = self.draw.choice(self.members)
            member.paused_until = self.world.now + self.draw.uniform(0.0, 2.5) * LEASE
        yield 0.0

    def kill_member(self) -> Steps:
        """Somebody ends, is evicted, and another begins."""
        if len(self.members) > 1:
            member = self.draw.choice(self.members)
            member.is_dead = True
            self.enter()
            yield self.world.short(LEASE)
            yield from self.evict(member)

    def kill_worker(self) -> Steps:
        """Somebody ends, and those of its host are told so at once; others find out."""
        if len(self.members) > 1:
            member = self.draw.choice(self.members)
            member.is_dead = self.are_killed
            told = [it for it in self.members if it is not member and self.draw.random() < 0.7]
            for other in told:
                yield self.world.short(0.001)
                other.fleet.bury(member.name)
                other.wake()
            yield from self.evict(member, is_dead=bool(told))
            self.enter()

    def evict_member(self) -> Steps:
        """Somebody is evicted who is well, but does not know it for a while."""
        if len(self.members) > 1:
            member = self.draw.choice(self.members)
            yield from self.evict(member)
            self.enter()

    def isolate_member(self) -> Steps:
        """Nobody hears somebody, who writes on, and is evicted."""
        is_another = any(member.name in self.bus.isolated for member in self.members)
        if len(self.members) > 1 and not is_another:
            member = self.draw.choice(self.members)
            self.bus.isolated.add(member.name)
            yield self.world.short(2 * LEASE)
            yield from self.evict(member)
            self.enter()

    def evict(self, member: Member, *, is_dead: bool = False) -> Steps:
        """docs/fleet.md, "Views": fenced, then seen gone, then all go on without."""
        name = member.name
        if name in self.view.fenced or name not in self.view.members:
            return
        self.view.fenced.add(name)
        while any(commit.owner == name for commit in self.primary.under_way):
            yield 0.005
        if not is_dead:
            yield LEASE * (1 + DRIFT)
        self.expel(name)

    def expel(self, name: str) -> None:
        """Have somebody be gone with a step, which those take part in who had told all before."""
        gone = self.view.gone
        for other, (step, epoch) in gone.items():
            if not step:
                gone[other] = self.token(), epoch
        gone[name] = self.token(), self.primary.epoch

    def leave_member(self) -> Steps:
        """Somebody leaves, having told all if it can; another begins."""
        if len(self.members) > 1:
            member = self.draw.choice(self.members)
            member.is_writing = False
            yield self.world.short(0.02)
            if member.is_writing_nothing:
                member.fleet.farewell()
                member.wake()
                for _ in range(20):
                    if self.has_told(member):
                        break
                    yield 0.005
            if not member.is_dead:
                is_told = self.is_known(member) and self.has_told(member)
                member.is_dead = True
                if is_told:
                    self.legacies += 1
                    self.view.gone[member.name] = Token(0), self.primary.epoch
                else:
                    yield from self.evict(member, is_dead=True)
            self.enter()

    def is_known(self, member: Member) -> bool:
        """Whether the primary finds somebody who leaves to be a member yet."""
        name, view = member.name, self.view
        is_in = name in view.members and name not in view.fenced and member.can_ask()
        return is_in and member.is_writing_nothing

    def has_told(self, member: Member) -> bool:
        """Whether all who stay have heard all that somebody had to say."""
        view, fleet = self.view, member.fleet
        stay = {name for name in view.members if name not in view.gone} - {member.name}
        return bool(stay) and stay.issubset(fleet.members) and fleet.is_heard_out

    def cut_off(self) -> Steps:
        """Somebody does not reach the primary."""
        if self.members:
            member = self.draw.choice(self.members)
            member.is_cut = True
            yield self.world.short(2 * LEASE)
            member.is_cut = False

    def lag(self) -> Steps:
        """A replica replays nothing."""
        replica = self.draw.choice(self.replicas)
        replica.is_held = True
        yield self.world.short(2 * LEASE)
        replica.is_held = False

    def slow_reads(self) -> Steps:
        """Servers take long to answer, and to show what is in their log."""
        self.read_time, self.show_time = self.draw.choice(((0.02, 0.02), (0.4, 0.002)))
        yield self.world.short(LEASE)
        self.read_time, self.show_time = QUICK

    def crash_replica(self) -> Steps:
        """A replica restarts further back."""
        replica = self.draw.choice(self.replicas)
        replica.crash(self.draw.randint(0, replica.replayed))
        yield 0.0

    def fail_over(self) -> Steps:
        """A replica becomes the primary: what it had not replayed never happened."""
        heir = self.draw.choice(self.replicas)
        self.primary.is_alive = False
        log = self.primary.log[: heir.replayed]
        self.primary = Primary(log, self.primary.epoch.number + 1, self.token())
        for replica in self.replicas:
            if replica is heir or replica.replayed > heir.replayed:
                replica.crash(self.draw.randint(0, heir.replayed))
        yield 0.0


ALL_FAULTS: Final = (
    "lose_words",
    "lose_notes",
    "mix_words_up",
    "slow_words",
    "split",
    "break_bus",
    "pause_member",
    "kill_member",
    "kill_worker",
    "leave_member",
    "evict_member",
    "isolate_member",
    "cut_off",
    "lag",
    "slow_reads",
    "crash_replica",
    "fail_over",
)
