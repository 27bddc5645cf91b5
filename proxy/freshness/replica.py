"""What a replica is known to have replayed, and who may believe it.

The replayed position goes *backwards* when a replica restarts after a crash, and even
`pg_postmaster_start_time()` stays when only one of its server processes crashed. What no
restart survives is a connection. Hence both ways to believe in a position:

- It was read on this very connection: true as long as the connection lives.
- A witness connection read it, by a query sent after this connection was open. A restart
  before the reading, or after it, would have killed this connection: a statement sent on
  it now is either answered by the replica that was read, or not at all.

A connection opened after the reading may lead to a replica that has since gone back.
"""

from __future__ import annotations

from math import inf
from typing import Final, final

from proxy.types import Position

NOWHERE: Final = Position(-1)


@final
class Reading:
    """One position query of a witness, under way."""

    __slots__ = ("epoch", "sent_at")

    def __init__(self, epoch: int, sent_at: float) -> None:
        self.epoch = epoch
        self.sent_at = sent_at


@final
class Watermark:
    """The position of one replica, as its witness last read it.

    Attributes:
        position: Replayed at the reading; `NOWHERE` when there is none that counts.
        epoch: The ledger's epoch when the reading was sent; positions of others are void.
        sent_at: When the reading was sent.
    """

    __slots__ = ("_asked", "epoch", "position", "sent_at")

    def __init__(self) -> None:
        self.position = NOWHERE
        self.epoch = -1
        self.sent_at = -inf
        self._asked: Reading | None = None

    def ask(self, epoch: int, now: float) -> Reading:
        """Note that the witness is being asked for its position: call it at sending."""
        self._asked = Reading(epoch, now)
        return self._asked

    def arrived(self, reading: Reading, position: Position) -> None:
        """Take the witness's answer, unless the witness is lost or has been asked again."""
        if reading is not self._asked:
            return
        self._asked = None
        self.position = position
        self.epoch = reading.epoch
        self.sent_at = reading.sent_at

    def void(self) -> None:
        """Note that the witness is gone: its replica may have restarted."""
        self.position = NOWHERE
        self._asked = None

    def reaches(self, need: Position, epoch: int) -> bool:
        """Tell whether the replica was seen at a position: worth a try, and no more than that."""
        return self.position >= need and self.epoch == epoch


@final
class ConnectionPosition:
    """What one connection to a replica may believe.

    Args:
        watermark: The replica's.
        opened_at: When the login was complete: from then on a restart would break it.
    """

    __slots__ = ("_epoch", "_opened_at", "_seen", "_watermark")

    def __init__(self, watermark: Watermark, opened_at: float) -> None:
        self._watermark = watermark
        self._opened_at = opened_at
        self._seen = NOWHERE
        self._epoch = -1

    def verified(self, position: Position, epoch: int) -> None:
        """Take a position read on this connection itself.

        Args:
            position: What the replica had replayed, at least.
            epoch: The ledger's epoch when the query was sent.
        """
        self._seen = position
        self._epoch = epoch

    def believes(self, need: Position, epoch: int) -> bool:
        """Tell whether a statement sent now will see what needs this position.

        Args:
            need: What the statement's tables need.
            epoch: The ledger's epoch, which `need` belongs to.
        """
        if self._seen >= need and self._epoch == epoch:
            return True
        watermark = self._watermark
        return watermark.reaches(need, epoch) and self._opened_at < watermark.sent_at
