"""What is explored: which commits there are, what may go wrong, and which rule is left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from tests.model.rules import Rule
from tests.model.states import (
    ALL,
    EPOCH,
    EVICTION,
    Fleet,
    Member,
    Replica,
    Standing,
    Stream,
    Write,
)

Step: TypeAlias = tuple[str, Fleet]
"""What happened, in words, and how things are then."""

Steps: TypeAlias = Iterator[Step]


@dataclass(frozen=True)
class Commit:
    """A commit that may be made: by which member, and what it changes."""

    owner: int
    tables: tuple[int, ...] = (0,)


@dataclass(frozen=True)
class Scene:
    """A bounded world. Reads have no bound, except on how many are on their way at once.

    Attributes:
        commits: In any order; of those that are alike the first goes first.
        read_sets: The tables that each kind of read depends on.
        reads_at_once: How many reads may be on their way.
        cache: Results are stored.
        expiry: Grants run out.
        loss: Messages are lost.
        broken: Server connections break under commits.
        refused: The primary may refuse a commit.
        lingering: Tokens may linger after their commit.
        restarts: The replica may restart, and then be behind where it was.
        begins: Where member 1 stands at the beginning: it is one, or OUTSIDE, or EVICTED.
        eviction: Member 1 may be evicted, dead or alive.
        returning: And may come back as a new incarnation.
        failover: The primary's history may begin anew, without the last commits.
        without: The rule that does not hold.
    """

    commits: tuple[Commit, ...]
    read_sets: tuple[tuple[int, ...], ...] = ((0,),)
    reads_at_once: int = 1
    cache: bool = True
    expiry: bool = False
    loss: bool = False
    broken: bool = False
    refused: bool = False
    lingering: bool = False
    restarts: bool = False
    begins: Standing = Standing.MEMBER
    eviction: bool = False
    returning: bool = False
    failover: bool = False
    without: Rule | None = None

    own: tuple[int, int] = field(init=False)
    """For each member, the tokens of its commits."""

    shown: tuple[int, ...] = field(init=False)
    """For each read set, the commits that a result of it may show."""

    asked: tuple[int, ...] = field(init=False)
    """For each read set, the tokens that are asked for before it is served fast."""

    needed: tuple[tuple[int, ...], ...] = field(init=False)
    """For each read set, the tables whose needs count."""

    def __post_init__(self) -> None:
        needed = self.read_sets
        if not self.holds(Rule.WHOLE_SET):
            needed = tuple(tables[:1] for tables in needed)
        always = ALL | EPOCH | EVICTION
        own = (self._tokens_by(0), self._tokens_by(1))
        object.__setattr__(self, "own", own)
        object.__setattr__(self, "needed", needed)
        object.__setattr__(self, "shown", tuple(map(self._tokens_on, self.read_sets)))
        object.__setattr__(self, "asked", tuple(always | self._tokens_on(it) for it in needed))

    def holds(self, rule: Rule) -> bool:
        """Tell whether a rule holds."""
        return self.without is not rule

    def lacking(self, rule: Rule) -> Scene:
        """The same without one rule."""
        return replace(self, without=rule)

    @property
    def tables(self) -> int:
        """How many tables there are."""
        return 1 + max(table for commit in self.commits for table in commit.tables)

    def first(self) -> Fleet:
        """How it begins: nothing was written, and who are members hold each other's grants."""
        member = Member(Standing.MEMBER, 0, 0, (0,) * self.tables)
        alone = member._replace(requires=False, holds=False, grants=False)
        members = {
            Standing.MEMBER: (member, member),
            Standing.OUTSIDE: (alone, newcomer(self, Standing.OUTSIDE)),
            Standing.EVICTED: (
                alone._replace(version=EVICTION),
                newcomer(self, Standing.EVICTED),
            ),
        }[self.begins]
        return Fleet(
            writes=(Write(),) * len(self.commits),
            log=(),
            visible=0,
            epoch=0,
            replica=Replica(),
            members=members,
            streams=(Stream(), Stream()),
        )

    def written(self, tokens: int) -> tuple[int, ...]:
        """What some commits change."""
        return tuple({t for k, it in enumerate(self.commits) if tokens >> k & 1 for t in it.tables})

    def _tokens_by(self, owner: int) -> int:
        return sum(1 << k for k, commit in enumerate(self.commits) if commit.owner == owner)

    def _tokens_on(self, tables: tuple[int, ...]) -> int:
        return sum(
            1 << k
            for k, commit in enumerate(self.commits)
            if not set(tables).isdisjoint(commit.tables)
        )


def newcomer(scene: Scene, standing: Standing) -> Member:
    """A process that has just begun: it knows nothing, and nobody knows it."""
    return Member(standing, 0, 0, (0,) * scene.tables, holds=False, grants=False)


def higher(need: tuple[int, ...], tables: tuple[int, ...], position: int) -> tuple[int, ...]:
    """Raise the needs of some tables to a position."""
    return tuple(max(old, position) if table in tables else old for table, old in enumerate(need))
