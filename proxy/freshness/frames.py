"""What members of a fleet say to each other: docs/fleet.md, "Messages".

A frame is for everybody. Each member's frames are numbered from 1 without a gap, and hold all
that it has to say since the one before. A note is for one member.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from proxy.types import Epoch, Position, Table, Token


class Marked(NamedTuple):
    """A commit on these tables is on its way."""

    token: Token
    tables: frozenset[Table]


class Cleared(NamedTuple):
    """A commit is done.

    Attributes:
        token: Its mark's.
        changed: What it has changed; None: all that was marked.
        position: Where in the log it is; None: the hearer may ask, when somebody wants to know.
    """

    token: Token
    changed: frozenset[Table] | None
    position: Position | None


class Rode(NamedTuple):
    """A token that lingered is cleared: all commits that it stood for are done.

    Attributes:
        token: Its own.
        steps: The sums of their hashed tokens, of each table that they have changed.
        position: Behind all of them; None: the hearer may ask.
    """

    token: Token
    steps: Mapping[Table, int]
    position: Position | None


class Undone(NamedTuple):
    """A commit never was: what was cached is good again."""

    token: Token


UNKNOWN: Final = Token(0)
"""No commit's: its own was announced when it may have been sent already."""


class Claim(NamedTuple):
    """Commits by their ids in the log, which wrote to no other tables."""

    tables: frozenset[Table]
    gtids: tuple[str, ...]


class Wrote(NamedTuple):
    """What a commit has written, or all that rode on a token; in front of its `Cleared` or `Rode`.

    Whoever looks for what is written past the fleet, in the servers' counters or in the log, takes
    it off.

    Attributes:
        token: The mark's, or `UNKNOWN`.
        rows: How many.
        claims: Where the log knows commits by their ids.
    """

    token: Token
    rows: tuple[tuple[Table, int], ...]
    claims: tuple[Claim, ...] = ()


class Turning(NamedTuple):
    """There is a new primary: nothing is read fast any more before its epoch has begun.

    Of the epoch that there is already it says nothing, and is acknowledged all the same.
    """

    epoch: Epoch


class Doubted(NamedTuple):
    """All tables that the sender's audit has in quarantine now, whatever the epoch is."""

    tables: frozenset[Table]


Item = Marked | Cleared | Rode | Undone | Wrote | Turning | Doubted


class Frame(NamedTuple):
    """To all.

    Attributes:
        sender: A member.
        number: One more than that of the sender's frame before.
        epoch: The sender's. What is of another than the hearer's is not heard, but for grants.
        items: In order.
        grants: To whom the sender promises again to send no commit that they have not
            acknowledged, with the number of their frame that it has heard last: from when that was
            sent they count.
    """

    sender: str
    number: int
    epoch: Epoch
    items: tuple[Item, ...]
    grants: Mapping[str, int]


class State(NamedTuple):
    """All that a member has under way and has committed in its epoch, up to one of its frames.

    Attributes:
        epoch: The sender's.
        pending: What is under way.
        sums: Of what it has committed.
        legacies: The same of those who have left and had told all: see `Fleet.inherit`.
        doubted: See `Doubted`.
    """

    epoch: Epoch
    pending: Mapping[Token, frozenset[Table]]
    sums: Mapping[Table, int]
    legacies: Mapping[str, Mapping[Table, int]]
    doubted: frozenset[Table] = frozenset()


class Note(NamedTuple):
    """To one.

    Attributes:
        sender: A member.
        to: Another.
        heard: Up to which of the other's frames the sender has heard; it knows of their marks.
        is_deaf: Whether it hears no more before it has got the other's state.
        number: The sender's last frame, which the state covers.
        state: The sender's, if it was asked for.
    """

    sender: str
    to: str
    heard: int
    is_deaf: bool
    number: int
    state: State | None
