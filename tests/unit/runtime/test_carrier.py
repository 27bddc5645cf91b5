"""What drives a fleet: one message a turn, timers, what goes wrong. The bus is the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

import pytest

from proxy.freshness.codec import LONGEST, Codec
from proxy.freshness.fleet import Fleet
from proxy.freshness.frames import Frame, Note
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.runtime.bus.carrier import Carrier
from proxy.runtime.bus.seam import Bus, Channel, Listener
from proxy.types import NO_EPOCH, Table, Token

CHANNEL = Channel("f", "g")
CODEC = Codec("f", "g")
TABLES = [Table("app", 16384)]
LEASE = 0.3


class Wire(Bus):
    """Two ends in one place; nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.listeners: dict[str, Listener] = {}
        self.said: list[bytes] = []

    def grantors(self) -> set[str]:
        """Who has promised something to the other."""
        said = map(CODEC.decode, self.said)
        return {each.sender for each in said if isinstance(each, Frame) and each.grants}

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def join(self, channel: Channel, member: str, listener: Listener) -> None:
        self.listeners[member] = listener

    def leave(self, channel: Channel) -> None: ...

    def publish(self, channel: Channel, message: bytes) -> None:
        self.said.append(message)
        for listener in list(self.listeners.values()):
            listener.heard(message)

    def tell(self, channel: Channel, member: str, message: bytes) -> None:
        self.listeners[member].heard(message)


class End:
    def __init__(self, name: str, wire: Wire) -> None:
        self.ready: list[Mark] = []
        fleet = Fleet(name, Ledger(Token(1)), NO_EPOCH, lease=LEASE)
        self.carrier = Carrier(fleet, CHANNEL, wire, self._take_ready)
        self.fleet = fleet

    def _take_ready(self) -> None:
        self.ready += self.fleet.take_ready()

    def mark(self, token: int) -> Mark:
        mark = self.fleet.mark(TABLES, Token(token), self.carrier._clock())
        self.carrier.poke()
        return mark


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5.0):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


async def turns(count: int = 10) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.fixture
def wire() -> Wire:
    return Wire()


async def two(wire: Wire) -> tuple[End, End]:
    one, other = End("one", wire), End("other", wire)
    for end, name in ((one, "other"), (other, "one")):
        end.fleet.enter([name])
        end.carrier.open()
    await until(lambda: wire.grantors() == {"one", "other"})
    await turns()
    return one, other


async def test_marks_of_one_turn_are_one_message_and_are_handed_out(wire: Wire) -> None:
    one, other = await two(wire)
    wire.said.clear()
    marks = [one.mark(number) for number in range(3)]
    waiting = [mark for mark in marks if mark.waiting]
    assert waiting
    await turns()
    assert len(wire.said) == 1
    said = CODEC.decode(wire.said[0])
    assert isinstance(said, Frame)
    assert len(said.items) == 3
    assert one.ready == waiting
    for end in (one, other):
        end.carrier.close()


async def test_what_is_due_is_said_without_being_poked(wire: Wire) -> None:
    one, other = await two(wire)
    wire.said.clear()
    await until(lambda: wire.grantors() == {"one", "other"})
    one.carrier.close()
    other.carrier.close()
    wire.said.clear()
    await asyncio.sleep(LEASE / 2)
    assert not wire.said


async def test_who_waits_for_somebody_that_says_nothing_is_let_go_as_the_grant_runs_out(
    wire: Wire,
) -> None:
    one, other = await two(wire)
    other.carrier.close()
    mark = one.mark(1)
    assert mark.waiting
    await until(lambda: bool(one.ready))
    assert one.ready == [mark]
    assert one.fleet.due(0.0) < inf
    one.carrier.close()


async def test_a_stranger_is_told_of(wire: Wire) -> None:
    one, other = await two(wire)
    note = Note("somebody", "one", 0, True, 0, None)
    wire.tell(CHANNEL, "one", CODEC.encode(note))
    assert one.fleet.strangers == {"somebody"}
    one.carrier.close()
    other.carrier.close()


async def test_what_is_too_long_is_lost_and_said_once(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = await two(wire)
    wire.said.clear()
    long = Table("x" * LONGEST, 1)
    mark = one.fleet.mark([long], Token(1), one.carrier._clock())
    one.carrier.poke()
    await until(lambda: not mark.waiting)  # as the grant runs out; until then it is said again
    frames = [each for each in map(CODEC.decode, wire.said) if isinstance(each, Frame)]
    assert not any(frame.items for frame in frames)
    assert len(caplog.records) == 1
    one.carrier.close()
    other.carrier.close()


async def test_what_makes_no_sense_is_counted(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    one, other = await two(wire)
    for _ in range(3):
        one.carrier.heard(b"nonsense")
    assert wire.counts.refused == 3
    assert len(caplog.records) == 1
    one.carrier.close()
    other.carrier.close()
