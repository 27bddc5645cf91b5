"""What a member says of commits to its fleet, and what follows from what it hears of others'.

Each commit passes here twice, and each word of another member: what takes longer is membership's.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from typing import Final, final

from proxy.freshness.fleet import Fleet
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.tables import EVERY_DATABASE, everything_in
from proxy.observe.metrics import FleetCounts
from proxy.runtime.bus.carrier import Carrier
from proxy.runtime.definitions import Definitions
from proxy.runtime.fellowship import Surroundings
from proxy.runtime.waits import Waits
from proxy.types import NO_EPOCH, Table, Token

_EVERYTHING: Final = everything_in(EVERY_DATABASE)


@final
class Announcing:
    """See the module. The `Announcer` of the server group's commits.

    Attributes:
        fleet: The member's part.
        carrier: Of its words, while it has one.
        waits: What is kept back until all know of a commit.
        is_unsure: Whether something was committed by definitions that others may have changed.

    Args:
        fleet: See above.
        ledger: Of the server group.
        surroundings: Are told what others do.
        counts: Of the member.
        clock: Seconds.
        meet: Is called when somebody has spoken who is not in the view.
    """

    def __init__(
        self,
        fleet: Fleet,
        ledger: Ledger,
        surroundings: Surroundings,
        counts: FleetCounts,
        clock: Callable[[], float],
        meet: Callable[[], None],
    ) -> None:
        self.waits = Waits(counts, clock)
        self._ledger = ledger
        self._surroundings = surroundings
        self._counts = counts
        self._clock = clock
        self._meet = meet
        self.become(fleet)

    def become(self, fleet: Fleet) -> None:
        """Be another member, whom nobody has ever met."""
        self.fleet = fleet
        self.carrier: Carrier | None = None
        self._epoch = NO_EPOCH
        self._definitions = Definitions(self._ledger)

    @property
    def is_unsure(self) -> bool:
        """See the class."""
        return self._definitions.is_unsure

    @property
    def is_told(self) -> bool:
        """Whether all others let us read fast: they commit nothing that we do not know of."""
        return self._clock() < self._ledger.granted_until

    def hurry(self) -> None:
        """Have said at once what is to be said."""
        carrier = self.carrier
        if carrier is not None:
            carrier.poke()

    # Announcer

    def mark(self, tables: Iterable[Table], token: Token) -> Mark:
        """Announce a commit: see `Ledger.mark`. Its COMMIT waits while the mark is `waiting`."""
        fleet = self.fleet
        mark = fleet.mark(tables, token, self._clock())
        if fleet.hot.is_riding(mark.token):
            self._counts.rides += 1
        self.hurry()
        return mark

    def replace(self, mark: Mark, by: Mark) -> None:
        """Have what waits with one mark wait with another."""
        self.waits.replace(mark, by)

    def settled(self) -> None:
        """A commit's end is known to the ledger: the others are told."""
        self._definitions.changed_here(is_told=self.is_told)
        self.hurry()

    def others_define(self) -> bool:
        """See `proxy.runtime.commits.Announcer`."""
        return self._definitions.are_changing

    # From the carrier

    def heard(self) -> None:
        """Something was said or heard: see what follows from that."""
        fleet, around = self.fleet, self._surroundings
        if fleet.epoch != self._epoch:
            self._epoch = fleet.epoch
            around.epoch_begun(fleet.epoch)
        if self._definitions.follow(fleet, around, is_told=self.is_told):
            self._ledger.foreign_commit([_EVERYTHING], Token(secrets.randbits(127)))
        if fleet.written:
            written, fleet.written = fleet.written, []
            around.others_wrote(written)
        if fleet.doubters:
            for name in fleet.doubters:
                around.others_doubt(name, self._ledger.doubted_by(name))
            fleet.doubters.clear()
        for mark in fleet.take_ready(self._clock()):
            self.waits.let_go(mark)
        if fleet.strangers:
            self._meet()
