"""What the model knows of a fleet at one instant: everything is named, frozen and hashable.

Sets of commits are integers, one bit for each: they are compared and united in one step. A
version is such a set too, of committed tokens and of what else changes versions; unlike the
product's sum of hashes it never collides (docs/freshness.md, "Words").
"""

from __future__ import annotations

from enum import IntEnum, unique
from typing import Final, NamedTuple

EVICTION: Final = 1 << 8
"""In versions: member 1 was evicted."""

EPOCH: Final = 1 << 9
"""In versions: the second epoch has begun."""

ALL: Final = 1 << 10
"""Among pending tokens: a new epoch is being marked, on every table."""


@unique
class Stage(IntEnum):
    """How far a commit has come, at its owner and at the primary."""

    IDLE = 0
    MARKED = 1
    SENT = 2
    LOGGED = 3  # in the primary's log: replicas may show it already
    VISIBLE = 4  # and to the primary's own readers
    DONE = 5  # its client was told; its token may linger
    ABORTED = 6


class Write(NamedTuple):
    """One commit.

    Attributes:
        acknowledged: The other member knows its mark.
        lost: Its owner's connection broke under it.
        riding: It was sent under a lingering token, not under one of its own.
    """

    stage: Stage = Stage.IDLE
    acknowledged: bool = False
    lost: bool = False
    riding: bool = False


@unique
class Standing(IntEnum):
    """What the primary and the fleet hold of a process."""

    OUTSIDE = 0
    JOINING = 1  # its row is there; not everybody has it in their view
    MEMBER = 2
    FENCED = 3  # its row says evicted, its server connections are terminated
    EVICTED = 4  # and the others' view is without it. It may live, and not know
    FORGOTTEN = 5  # the same, but the primary that there is now has lost the row


class Member(NamedTuple):
    """One member's ledger and grants.

    Attributes:
        pending: Tokens of commits that may be under way, its own and the other's.
        version: Tokens of commits that it counts as done.
        need: For each table, what a replica must have replayed.
        lingering: Tokens of its own that are pending at the other, though their commits are done.
        untold: What it counts as done, and the other has not been told.
        epoch: The history that it is in.
        requires: The other is in its view.
        holds: It holds a grant of the other's that it takes for valid.
        grants: The other may hold a grant of its.
        epoch_acknowledged: The other knows that it is about to begin a new epoch.
    """

    standing: Standing
    pending: int
    version: int
    need: tuple[int, ...]
    lingering: int = 0
    untold: int = 0
    epoch: int = 0
    requires: bool = True
    holds: bool = True
    grants: bool = True
    epoch_acknowledged: bool = False


@unique
class Kind(IntEnum):
    """What a message says."""

    MARK = 0
    CLEAR = 1
    ROLLED_BACK = 2
    GRANT = 3
    STATE = 4
    EPOCH_MARK = 5
    EPOCH_CLEAR = 6


class Message(NamedTuple):
    """One message. Acknowledgements are not among them: one on its way only delays.

    Attributes:
        epoch: The epoch that it speaks of.
        tokens: The commits that it is about; in a STATE, the sender's own pending ones.
        version: In a STATE and in an epoch's CLEAR, the sender's.
        need: In a CLEAR, the commit's position; in a STATE and in an epoch's CLEAR, the sender's
            need of each table.
    """

    kind: Kind
    epoch: int
    tokens: int = 0
    version: int = 0
    need: tuple[int, ...] = ()


class Stream(NamedTuple):
    """The messages of one member that are on their way, in order.

    Attributes:
        gap: A message in front of these was lost.
    """

    messages: tuple[Message, ...] = ()
    gap: bool = False


class Replica(NamedTuple):
    """The one replica.

    Attributes:
        log: What it has replayed, and shows.
        believed: The position that members believe it has reached.
        epoch: The history that its log belongs to.
    """

    log: tuple[int, ...] = ()
    believed: int = 0
    epoch: int = 0


@unique
class Phase(IntEnum):
    """How far a read has come."""

    ASKED = 0  # its statement is on the way to the replica
    ANSWERED = 1  # the replica's answer is on the way back
    PASSED_ON = 2  # the client has the first byte; what is left is to store the result


class Read(NamedTuple):
    """A strong read whose answer is on its way.

    Attributes:
        member: Whom it was asked.
        read_set: Which of the scene's read sets it depends on.
        version: The version of its tables when it was asked for.
        floor: While it is asked for, what its answer must show.
        content: The commits that its answer shows.
        too_old: Its answer shows less than it must.
    """

    member: int
    read_set: int
    phase: Phase
    version: int
    floor: int = 0
    content: int = 0
    too_old: bool = False


class Entry(NamedTuple):
    """A result that was stored once."""

    read_set: int
    version: int
    content: int


class Fleet(NamedTuple):
    """Everything.

    Attributes:
        writes: The scene's commits.
        log: The primary's.
        visible: What the primary's readers see.
        epoch: The primary's history.
        replica: What follows it.
        members: Two; only the second one joins, and is evicted.
        streams: What each of them has sent to the other.
        reads: Those on their way. One that has ended leaves nothing but `known` and `entries`.
        entries: All that was ever stored and may still be found, by whomever. So both levels
            are covered, and a store that loses, or brings back what it had lost.
        known: The commits that were acknowledged, or returned by a strong read.
        started_over: Somebody's statement was sent to a server of the second history.
        stale: A strong read has returned something too old: the invariant is broken.
    """

    writes: tuple[Write, ...]
    log: tuple[int, ...]
    visible: int
    epoch: int
    replica: Replica
    members: tuple[Member, Member]
    streams: tuple[Stream, Stream]
    reads: tuple[Read, ...] = ()
    entries: frozenset[Entry] = frozenset()
    known: int = 0
    started_over: bool = False
    stale: bool = False

    def in_its_history(self) -> Fleet:
        """A client's statement goes out to a server of the history that there is now.

        With the first one, history starts over: what was acknowledged or returned, and is lost,
        is the database's loss. From here on it must not be seen again.
        """
        if self.epoch == 0 or self.started_over:
            return self
        return self._replace(known=self.known & self.visible, started_over=True)

    def with_write(self, number: int, write: Write) -> Fleet:
        """Change one commit."""
        writes = self.writes
        return self._replace(writes=(*writes[:number], write, *writes[number + 1 :]))

    def with_member(self, number: int, member: Member) -> Fleet:
        """Change one member."""
        first, second = self.members
        return self._replace(members=(first, member) if number else (member, second))

    def with_stream(self, sender: int, stream: Stream) -> Fleet:
        """Change what one member has sent."""
        first, second = self.streams
        return self._replace(streams=(first, stream) if sender else (stream, second))

    def sent(self, sender: int, message: Message) -> Fleet:
        """Put a message behind the others of its sender."""
        messages, gap = self.streams[sender]
        return self.with_stream(sender, Stream((*messages, message), gap))
