"""What a member knows of another: whom it has heard, whom it was heard by, what either promised."""

from __future__ import annotations

from math import inf
from typing import Final, final

REPEAT: Final = 0.1
"""Seconds after which what has had no answer is said again, unless it is on its way for longer."""


@final
class Peer:
    """Another member of the view.

    Attributes:
        name: Its own.
        heard: Up to which of its frames we have heard, without a gap.
        is_deaf: We hear no more of it before it has told its state.
        is_dead: Its process is known to have ended: nothing is promised to it any more.
        acknowledged: Up to which of our frames it has heard.
        granted_until: When its promise to us ends, by our count.
        last_granted: The same, of one that counts no more, too.
        promised_until: When ours to it ends, by our count, which is the later one.
        awaited: How many of our marks wait for it.
        awaited_at: Since when there are any.
        answered_at: When it last acknowledged what it had not.
        owes: Whether we have heard a mark of it that we have not acknowledged.
        is_asked: Whether it wants our state.
        asked_at: When we last asked for its state.
        told_at: When it was last told ours.
        trip: Seconds from a frame of ours to its acknowledgement, as of late.
        told_heard: Up to which of its frames we have acknowledged.
        heard_at: When it last said anything.
    """

    __slots__ = (
        "acknowledged",
        "answered_at",
        "asked_at",
        "awaited",
        "awaited_at",
        "granted_until",
        "heard",
        "heard_at",
        "is_asked",
        "is_dead",
        "is_deaf",
        "last_granted",
        "name",
        "owes",
        "promised_until",
        "told_at",
        "told_heard",
        "trip",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.heard_at = -inf
        self.heard = 0
        self.is_deaf = True
        self.is_dead = False
        self.acknowledged = 0
        self.granted_until = -inf
        self.last_granted = -inf
        self.promised_until = -inf
        self.awaited = 0
        self.awaited_at = -inf
        self.answered_at = -inf
        self.owes = False
        self.is_asked = False
        self.asked_at = -inf
        self.told_at = -inf
        self.told_heard = 0
        self.trip = 0.0

    @property
    def patience(self) -> float:
        """Seconds after which what has had no answer of it is said again."""
        return max(REPEAT, 2 * self.trip)

    def took(self, seconds: float) -> None:
        """It has acknowledged a frame so long behind it."""
        self.trip += (seconds - self.trip) / 4

    def grants(self, until: float) -> None:
        """It has promised us something until then."""
        self.granted_until = max(self.granted_until, until)
        self.last_granted = max(self.last_granted, until)

    def lose_track(self) -> None:
        """Something that it said is missing: nothing that it promised over it counts any more."""
        self.is_deaf = True
        self.granted_until = -inf
