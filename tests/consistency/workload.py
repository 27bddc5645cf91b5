"""Clients at work: writers with increasing values, readers on other connections.

`work` is one process's share. Its operations go into a history of its own; where it connects
to is a matter of connection strings, so the same load runs through a proxy, against a
primary, or against readers that are broken on purpose.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import inf

from tests.consistency.door import Door
from tests.consistency.engines import ENGINES, Engine
from tests.consistency.history import Act, Event, History, Operation, Outcome, Pair, Value
from tests.consistency.topics import TOTAL, Read, Row, Topic, Write

PATIENCE = 15.0
"""Seconds after which an answer is no longer waited for."""

ROTATION = 3.0
"""Seconds after which lists are left alone and new ones begun: a long one costs too much."""

RETRY = 0.05
"""Seconds between two attempts to connect."""

CHECK_OWN = 0.3
"""How often a writer reads back what it wrote."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one process has to do.

    Attributes:
        write_dsns: Where writers do, one after the other.
        read_dsns: Where readers do, one after the other.
        until: The instant, on the clock of the machine, at which everybody stops.
        began: The instant from which on lists are numbered.
        first_list: The number of the first of them.
        process: Which of the processes this is, from 0; keys are shared out among their writers.
        processes: How many there are.
        readers: How many connections only read.
        think: Seconds that a reader pauses, on average.
        snapshots: The share of reads that are whole transactions in REPEATABLE READ.
        slowness: By how much slow reads are more frequent than usual.
        limit: How many operations are enough.
        writes_end: Seconds after which nothing is written any more.
        seed: Of all that is random.
        state: The values there are at the beginning.
        engine: What the servers are: a name in `ENGINES`.
        topics: Which of them take part; all when none is named.
        doors: Names of the ways in, of which each client takes one; of all when none is named.
    """

    write_dsns: tuple[str, ...]
    read_dsns: tuple[str, ...]
    until: float
    began: float
    first_list: int = 1
    process: int = 0
    processes: int = 1
    readers: int = 8
    think: float = 0.001
    snapshots: float = 0.08
    slowness: float = 1.0
    limit: int = 300_000
    writes_end: float = inf
    seed: int = 0
    state: Mapping[str, Value] = field(default_factory=dict)
    engine: str = "postgres"
    topics: tuple[str, ...] = ()
    doors: tuple[str, ...] = ()

    @property
    def chosen_topics(self) -> list[Topic]:
        topics = ENGINES[self.engine].topics
        return [topics[name] for name in self.topics or topics]

    @property
    def chosen_doors(self) -> list[type[Door]]:
        doors = ENGINES[self.engine].doors
        return [door for door in doors if not self.doors or door.way in self.doors]


def ready() -> None:
    """Have everything imported; to be called before the first work in a process."""
    time.sleep(0.1)  # so that the next one is for another process


def work(load: Load) -> History:
    """Do it; to be called in a process of its own."""
    return asyncio.run(_work(load))


async def _work(load: Load) -> History:
    history = History()
    crew: list[Client] = [
        Writer(load, history, topic, number) for number, topic in enumerate(load.chosen_topics)
    ]
    crew += [Reader(load, history, number) for number in range(load.readers)]
    async with asyncio.TaskGroup() as group:
        for client in crew:
            group.create_task(client.run())
    return history


class Client:
    """One connection, opened again whenever it breaks.

    Args:
        load: See there.
        history: Where its operations go.
        name: Its own among all clients, without its place.
        dsns: Where clients of its kind connect, one after the other.
        place: Which of these is its own.
        pause: Seconds between two of its turns, on average.
    """

    def __init__(
        self,
        load: Load,
        history: History,
        name: str,
        dsns: Sequence[str],
        place: int,
        *,
        pause: float,
    ) -> None:
        name = f"{name}@{place}"
        self.load = load
        self.history = history
        self.draw = random.Random(f"{load.seed} {name}")
        self._door_type: type[Door] = self.draw.choice(load.chosen_doors)
        self._door: Door | None = None
        self._name = name
        self._sessions = 0
        self._place = place
        self._dsn = dsns[place]
        self._began = self._opened = 0.0
        self._pause = pause
        self._doing = ""

    @property
    def name(self) -> str:
        """A session's name: after a break the client is another one."""
        return f"{self._name}#{self._sessions}"

    @property
    def is_over(self) -> bool:
        is_enough = len(self.history.operations) >= self.load.limit
        return is_enough or time.monotonic() >= self.load.until

    async def run(self) -> None:
        """Work until the end."""
        try:
            while not self.is_over:
                await self._turn()
                await self._rest()
        finally:
            await self._drop()

    async def _rest(self) -> None:
        left = self.load.until - time.monotonic()
        await asyncio.sleep(min(self.draw.expovariate(1 / self._pause), max(0.0, left)))

    async def _turn(self) -> None:
        self._began = time.monotonic()
        if self._door is None:
            await self._open()
        else:
            try:
                await self.act(self._door)
            except self._door_type.errors as error:
                self._note(error)
                await self._drop()

    async def act(self, door: Door) -> None:
        """Do one thing."""
        raise NotImplementedError

    async def ask(self, door: Door, reads: Sequence[tuple[Topic, Read, int]]) -> None:
        """Read, all at once where the door can."""
        requests = [(read.statement, self._values(read, key)) for _, read, key in reads]
        self._doing = f"{door.way}: {'; '.join(statement for statement, _ in requests)}"
        start = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            answers = await door.fetch_many(requests)
        end = time.monotonic()
        for (topic, read, key), rows in zip(reads, answers, strict=True):
            self.saw(door, start, end, topic, read, key, rows)

    def saw(
        self,
        door: Door,
        start: float,
        end: float,
        topic: Topic,
        read: Read,
        key: int,
        rows: Sequence[Row],
    ) -> None:
        """Keep what a read returned."""
        seen = self._interpreted(door, topic, read, key, rows)
        self._keep(Act.READ, start, end, Outcome.OK, seen, f"{door.way}: {read.statement}")

    @staticmethod
    def _interpreted(
        door: Door, topic: Topic, read: Read, key: int, rows: Sequence[Row]
    ) -> tuple[tuple[str, Value], ...]:
        """Say what rows tell about which objects."""
        try:
            seen = tuple(it for row in rows for it in read.interpret(row))
        except (ValueError, IndexError):
            text = f"{door.way}: {read.statement} was answered with {rows}"
            raise AssertionError(text) from None
        if not seen and "$1" in read.statement:
            seen = ((f"{topic.name}:{key}", topic.missing()),)
        return seen

    def _values(self, read: Read, key: int) -> tuple[int, ...]:
        return (key, -self.draw.randrange(1, 1_000_000)) if read.varies else (key,)

    def _keep(
        self,
        act: Act,
        start: float,
        end: float,
        outcome: Outcome,
        values: tuple[tuple[str, Value], ...],
        way: str,
    ) -> None:
        self.history.operations.append(
            Operation(self.name, act, start, end, outcome, values, sys.intern(way))
        )

    async def _open(self) -> None:
        door = self._door_type()
        self._doing = f"{door.way}: a login"
        self._opened = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE):
                await door.open(self._dsn)
        except door.errors as error:
            self._note(error)
            await door.close()
            await asyncio.sleep(RETRY)
        else:
            self._sessions += 1
            self._door = door

    async def _drop(self) -> None:
        door, self._door = self._door, None
        if door is not None:
            await door.close()

    def _note(self, error: BaseException) -> None:
        code = self._door_type.code(error)
        text = f"{type(error).__name__} {code}: {error} ({self._doing}) by {self._name}"
        self.history.errors.append(
            Event(
                self._began,
                time.monotonic(),
                text,
                place=self._place,
                code=code,
                since=self._opened,
            )
        )


class Reader(Client):
    """Reads, mostly in autocommit, often in a transaction, which the proxy may hold back."""

    def __init__(self, load: Load, history: History, number: int) -> None:
        place = number % len(load.read_dsns)
        name = f"reader-{load.process}.{number}"
        super().__init__(load, history, name, load.read_dsns, place, pause=load.think)
        self._topics = load.chosen_topics
        self._weights = [topic.weight for topic in self._topics]
        self._read_weights = {
            topic.name: [it.weight * (load.slowness if it.is_slow else 1.0) for it in topic.reads]
            for topic in self._topics
        }

    async def act(self, door: Door) -> None:
        manner = self.draw.random()
        if manner < 0.2 and door.begins:
            await self._read_in_transaction(door, self.draw.choice(door.begins))
        elif manner < 0.2 + self.load.snapshots:
            await self._read_one_snapshot(door)
        else:
            count = 3 if manner > 0.95 else 1
            await self.ask(door, [self._choose() for _ in range(count)])

    async def _read_in_transaction(self, door: Door, begin: str) -> None:
        self._doing = f"{door.way}: {begin}"
        async with asyncio.timeout(PATIENCE):
            await door.execute(begin)
            for _ in range(2):
                topic, read, key = self._choose()
                start = time.monotonic()
                rows = await door.fetch(read.statement, *self._values(read, key))
                self.saw(door, start, time.monotonic(), topic, read, key, rows)
            await door.execute("COMMIT")

    async def _read_one_snapshot(self, door: Door) -> None:
        """Read several things, some of them twice; all of it is one read, of one instant.

        It may have to be given up. What was read until then is of one snapshot nevertheless.
        """
        choices = [self._choose() for _ in range(self.draw.randint(2, 4))]
        choices.append(self.draw.choice(choices))
        seen: list[tuple[str, Value]] = []
        self._doing = f"{door.way}: {'; '.join(door.snapshot)}"
        end = ""
        async with asyncio.timeout(PATIENCE):
            for statement in door.snapshot:
                await door.execute(statement)
            start = stop = time.monotonic()
            try:
                for topic, read, key in choices:
                    rows = await door.fetch(read.statement, *self._values(read, key))
                    stop = time.monotonic()
                    seen += self._interpreted(door, topic, read, key, rows)
            except door.errors as error:
                if door.code(error) != door.try_again:
                    raise
                end = ", given up"
            self._keep(Act.READ, start, stop, Outcome.OK, tuple(seen), self._doing + end)
            await door.execute("ROLLBACK" if end else "COMMIT")

    def _choose(self) -> tuple[Topic, Read, int]:
        [topic] = self.draw.choices(self._topics, self._weights)
        [read] = self.draw.choices(topic.reads, self._read_weights[topic.name])
        if topic.is_list:
            newest = list_number(self.load)
            return topic, read, max(self.load.first_list, newest - self.draw.randrange(2))
        # Some rows are read more than others, and their answers found in the cache.
        return topic, read, min(self.draw.randint(1, topic.keys) for _ in range(3))


class Writer(Client):
    """Writes one topic's objects: those that are this process's, and any list."""

    def __init__(self, load: Load, history: History, topic: Topic, number: int) -> None:
        place = (number + load.process) % len(load.write_dsns)
        name = f"writer-{load.process}.{topic.name}"
        super().__init__(load, history, name, load.write_dsns, place, pause=topic.pause)
        self._topic = topic
        keys = range(1, topic.keys + 1)
        self._keys = [key for key in keys if key % load.processes == load.process]
        self._next = {key: _number(load.state[f"{topic.name}:{key}"]) + 1 for key in self._keys}
        self._appended = 0

    async def act(self, door: Door) -> None:
        is_over = time.monotonic() >= self.load.began + self.load.writes_end
        if is_over or (not self._keys and not self._topic.is_list):
            return
        write = self.draw.choice(self._topic.writes)
        key, sent, value = self._choose()
        name = f"{self._topic.name}:{key}"
        self._doing = f"{door.way}: {'; '.join(write.statements)}"
        start = time.monotonic()
        outcome, error = await _carry_out(door, write, key, sent)
        end = time.monotonic()
        self._keep(Act.WRITE, start, end, outcome, ((name, value),), self._doing)
        if error is not None:
            raise error
        if self.draw.random() < CHECK_OWN:
            await self.ask(door, [(self._topic, self._topic.reads[0], key)])

    def _choose(self) -> tuple[int, int | str, Value]:
        """Choose a key; return it with what is sent for a value and what that means."""
        if self._topic.is_list:
            self._appended += 1
            element = f"{self.load.process}.{self._appended}"
            return list_number(self.load), f"{element},", element
        key = self.draw.choice(self._keys)
        number = self._next[key]
        self._next[key] += 1
        return key, number, Pair(number, number, TOTAL) if self._topic.is_pair else number


async def _carry_out(
    door: Door, write: Write, key: int, value: int | str
) -> tuple[Outcome, BaseException | None]:
    """Write, statement by statement; what is raised on the way is returned with what it means."""
    tag = ""
    for statement in write.statements:
        try:
            async with asyncio.timeout(PATIENCE):
                tag = await door.execute(statement, *(() if _is_bare(statement) else (key, value)))
        except door.errors as error:
            may_be_committed = statement is write.statements[-1] and not write.rolls_back
            is_open = may_be_committed and not door.is_certain(error)
            return Outcome.UNKNOWN if is_open else Outcome.FAILED, error
        if tag.endswith(" 0") and "DO NOTHING" not in statement:
            raise AssertionError(f"{statement!r} ({key}, {value}) wrote nothing: {tag}")
    # A COMMIT may be answered so, too: something had gone wrong before it.
    return Outcome.FAILED if tag == "ROLLBACK" else Outcome.OK, None


def _is_bare(statement: str) -> bool:
    return "$" not in statement and not statement.startswith("COPY")


def _number(value: Value) -> int:
    assert not isinstance(value, str)
    return value.left if isinstance(value, Pair) else value


def list_number(load: Load) -> int:
    """Return the number of the list that everybody appends to now."""
    return load.first_list + int((time.monotonic() - load.began) / ROTATION)


async def _read_state(engine: Engine, dsn: str) -> dict[str, Value]:
    door = engine.doors[0]()
    await door.open(dsn)
    try:
        state: dict[str, Value] = {}
        for topic in engine.topics.values():
            for row in await door.fetch(topic.state.statement):
                state.update(topic.state.interpret(row))
        return state
    finally:
        await door.close()


def read_state(engine: Engine, dsn: str) -> dict[str, Value]:
    """Read what every object holds, from the primary."""
    return asyncio.run(_read_state(engine, dsn))
