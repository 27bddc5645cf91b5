"""What is kept back on server connections until all members of a fleet know of a commit."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from proxy.freshness.mark import Mark
from proxy.observe.metrics import FleetCounts
from proxy.runtime.server import ServerConnection


@final
class Waits:
    """See the module.

    Args:
        counts: Is told how many there were, and for how long.
        clock: Seconds.
    """

    def __init__(self, counts: FleetCounts, clock: Callable[[], float]) -> None:
        self._counts = counts
        self._clock = clock
        self._held: dict[Mark, tuple[ServerConnection, float]] = {}

    def hold(self, mark: Mark, connection: ServerConnection) -> None:
        """Keep back what is sent on a connection from now on.

        What a batch has grown to write is marked anew: the mark of before lets nothing go then.
        """
        if connection.is_held:
            self._held = {it: held for it, held in self._held.items() if held[0] is not connection}
        connection.hold()
        self._held[mark] = connection, self._clock()

    def replace(self, mark: Mark, by: Mark) -> None:
        """Have what waits with one mark wait with another."""
        held = self._held.pop(mark, None)
        if held is not None:
            self._held[by] = held
            if not by.waiting:
                self.let_go(by)

    def let_go(self, mark: Mark) -> None:
        """All know of a commit."""
        held = self._held.pop(mark, None)
        if held is not None:
            connection, since = held
            self._counts.waits += 1
            self._counts.wait_seconds += self._clock() - since
            connection.let_go()

    def give_up(self) -> None:
        """Nobody will tell us any more."""
        held, self._held = self._held, {}
        for connection, _ in held.values():
            connection.abort("the member of the fleet was evicted")
