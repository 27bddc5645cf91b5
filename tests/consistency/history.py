"""What clients did and saw, and when: the only thing the judge is given.

An object is a row, as "topic:key". What is read of it or written to it is a value of one of
three kinds, each such that the order of an object's values can be told afterwards:

- a register holds an integer; a write sets a greater one than any before it,
- a list holds elements, each appended once by somebody; its text is the order itself,
- a pair holds what one transaction keeps equal in two tables.

Instants are those of `time.monotonic`, which all processes of a machine share. They are
taken before a request is sent and after its answer was read, so an interval is rather too
long than too short: an anomaly that is found is one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from itertools import chain
from math import inf
from typing import NamedTuple, TypeAlias

SETUP = "setup"
"""The client that is said to have written what was there before anybody began."""

AUDITOR = "auditor"
"""The one that is said to have read what is there when everybody has ended."""


class Pair(NamedTuple):
    """A row of two tables that every transaction changes alike.

    Attributes:
        left: The number of the last transfer, in the one table.
        right: The same in the other.
        total: What the two balances come to; transfers leave it alone.
    """

    left: int
    right: int
    total: int


Value: TypeAlias = int | str | Pair
"""An int: a register's; a str: an element appended, or the text of a whole list as it was read."""


@unique
class Act(Enum):
    """What a client wanted."""

    __hash__ = object.__hash__

    READ = "read"
    WRITE = "write"


@unique
class Outcome(Enum):
    """How it ended.

    An unknown write may have happened, may not, and may still happen. A failed one was
    rolled back, so nobody may ever see it. A failed read says nothing.
    """

    __hash__ = object.__hash__

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(slots=True)
class Operation:
    """One request of one client, with everything that it read or wrote at one instant.

    Attributes:
        client: One connection; its operations follow each other.
        act: What was wanted.
        start: Before it was sent; in a REPEATABLE READ transaction, before its first read was.
        end: After it was answered.
        outcome: How it ended.
        values: The objects, each with what was read of it or written to it.
        way: How it was done, for people: the driver, the protocol, the statement.
    """

    client: str
    act: Act
    start: float
    end: float
    outcome: Outcome
    values: tuple[tuple[str, Value], ...]
    way: str


@dataclass(slots=True)
class Event:
    """Something that happened meanwhile.

    Attributes:
        start: When it began.
        end: When it was over.
        text: What it was.
        bytes_behind: How much of the primary's log a replica lacked in the end.
        place: Of an error: the number of the connection string that the client has.
        code: Of an error: what the server said went wrong; "" when no server said anything.
        since: Of an error: when the client began to open the connection that it came on.
    """

    start: float
    end: float
    text: str
    bytes_behind: int = 0
    place: int = 0
    code: str = ""
    since: float = inf


@dataclass(slots=True, repr=False)
class History:
    """The operations of all clients, in no order, and what befell them.

    Attributes:
        operations: Of all clients.
        events: What was done to the servers.
        errors: What clients were told instead of an answer.
    """

    operations: list[Operation] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    errors: list[Event] = field(default_factory=list)

    @staticmethod
    def merge(histories: Iterable[History]) -> History:
        """Make one of those that several processes kept."""
        them = list(histories)
        return History(
            list(chain.from_iterable(it.operations for it in them)),
            list(chain.from_iterable(it.events for it in them)),
            list(chain.from_iterable(it.errors for it in them)),
        )

    def count(self, act: Act, outcome: Outcome = Outcome.OK) -> int:
        """Count the operations of a kind."""
        return sum(1 for it in self.operations if it.act is act and it.outcome is outcome)


def started_with(values: Iterable[tuple[str, Value]], now: float) -> list[Operation]:
    """Tell the judge what was there at the beginning: writes that nobody overlaps.

    Args:
        values: The objects and what they held; of a list, its whole text.
        now: After it was read, before any client began.
    """
    return [
        Operation(SETUP, Act.WRITE, now, now, Outcome.OK, ((name, value),), "there before")
        for name, value in values
    ]


def ended_with(
    state: Mapping[str, Value], operations: Iterable[Operation], now: float
) -> list[Operation]:
    """Tell the judge what is left: reads at the primary, after everybody.

    With them an acknowledged write that is lost comes to light, though nobody else asked for it.

    Args:
        state: What every object holds.
        operations: Of everybody; lists that none of them wrote are not spoken of.
        now: Before it was read.
    """
    written = {name for it in operations if it.act is Act.WRITE for name, _ in it.values}
    lists = {it for it in written if it.startswith("list:")}
    left = {name: state.get(name, "") for name in lists}
    left |= {name: value for name, value in state.items() if not isinstance(value, str)}
    return [
        Operation(AUDITOR, Act.READ, now, now, Outcome.OK, ((name, value),), "left at the end")
        for name, value in left.items()
    ]
