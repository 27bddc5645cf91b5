"""A primary and its replicas, and what a read may see there."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.types import Epoch, Table, Token
from tests.simulation.world import Signal

DATABASE = "shop"
TABLES = tuple(Table(DATABASE, 100 + number) for number in range(3))
PLACES = {table: place for place, table in enumerate(TABLES)}

Content = tuple[int, ...]
"""Of each table, all commits on it: their random numbers, xored."""

EMPTY: Content = (0,) * len(TABLES)


@dataclass(eq=False)
class Commit:
    """A commit on its way.

    Attributes:
        number: Random.
        tables: What it writes.
        owner: The member that has sent it.
        is_begun: The primary has it, and is about it.
        is_ended: Its server process is gone, or will do nothing any more.
        ended: Given then.
    """

    number: int
    tables: frozenset[Table]
    owner: str
    is_begun: bool = False
    is_ended: bool = False
    ended: Signal = field(default_factory=Signal)


def with_commit(content: Content, commit: Commit) -> Content:
    """What there is when a commit is there, too."""
    changed = list(content)
    for table in commit.tables:
        changed[PLACES[table]] ^= commit.number
    return tuple(changed)


def part(content: Content, tables: frozenset[Table]) -> Content:
    """What a read of some tables returns."""
    return tuple(content[PLACES[table]] for table in sorted(tables))


class Primary:
    """A log, and what of it is visible: a commit is in the log before anybody sees it.

    Attributes:
        log: The commits, in order.
        prefixes: What there is behind each of them, from nothing on: replicas show that.
        visible: What a read sees.
        is_alive: Whether it answers anybody.
        under_way: Commits that may still come into the log, or be shown.
        number: Of the epoch that it begins.
    """

    def __init__(self, log: list[Commit], number: int, token: Token) -> None:
        self.log = log
        self.prefixes: list[Content] = [EMPTY]
        for commit in log:
            self.prefixes.append(with_commit(self.prefixes[-1], commit))
        self.visible = self.prefixes[-1]
        self.is_alive = True
        self.under_way: set[Commit] = set()
        self.epoch = Epoch(number, token)

    def write(self, commit: Commit) -> None:
        """Put a commit into the log."""
        self.log.append(commit)
        self.prefixes.append(with_commit(self.prefixes[-1], commit))

    def end(self, commit: Commit) -> None:
        """Nothing will happen to it any more."""
        self.under_way.discard(commit)
        commit.is_ended = True
        commit.ended.give()


class Replica:
    """Replays the primary's log; its incarnation ends when it crashes."""

    def __init__(self) -> None:
        self.replayed = 0
        self.incarnation = 0
        self.is_held = False

    def crash(self, replayed: int) -> None:
        """Restart further back."""
        self.replayed = replayed
        self.incarnation += 1


class View:
    """What the primary's schema `tidegate` says of the fleet; it survives whatever happens.

    Attributes:
        members: Who counts, or did until it is seen gone.
        fenced: Whose statements the primary refuses.
        gone: Those whose server processes are gone: a token, and in which epoch. The token is 0 if
            they have left, and all had heard what they had to say.
    """

    def __init__(self) -> None:
        self.members: list[str] = []
        self.fenced: set[str] = set()
        self.gone: dict[str, tuple[Token, Epoch]] = {}


class Reader:
    """One read under way, and all that the primary would have answered since it began."""

    def __init__(self, tables: frozenset[Table], visible: Content) -> None:
        self.tables = tables
        self.right = {part(visible, tables)}

    def note(self, visible: Content) -> None:
        """Another answer is right from now on."""
        self.right.add(part(visible, self.tables))
