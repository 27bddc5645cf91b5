"""What all who may be reading fast must know, and who of them has not acknowledged it yet."""

from __future__ import annotations

from typing import final

from proxy.freshness.mark import Mark
from proxy.freshness.peer import Peer
from proxy.types import Epoch


@final
class Announced:
    """What must be known: that is so to whom has heard a frame of ours.

    Attributes:
        mark: Waits; an epoch's has no tables.
        number: The frame's.
        epoch: That is to begin; None: it is a commit.
    """

    __slots__ = ("epoch", "mark", "number")

    def __init__(self, mark: Mark, number: int, epoch: Epoch | None = None) -> None:
        self.mark = mark
        self.number = number
        self.epoch = epoch


@final
class Awaiting:
    """See the module.

    Attributes:
        ready: Marks that wait for nobody any more; whoever sends their COMMITs takes them out.
        turn: The epoch that is to begin.

    Args:
        peers: The others in the view, by name, as they come and go.
    """

    __slots__ = ("_peers", "_waiting", "ready", "turn")

    def __init__(self, peers: dict[str, Peer]) -> None:
        self.ready: list[Mark] = []
        self.turn: Announced | None = None
        self._peers = peers
        self._waiting: list[Announced] = []

    def announce(self, mark: Mark, number: int, now: float) -> None:
        """Have a mark wait for everybody who may be reading fast to hear a frame."""
        self._ask_all(mark, now)
        if mark.waiting:
            self._waiting.append(Announced(mark, number))

    def start_turning(self, epoch: Epoch, number: int, now: float) -> Announced:
        """Have an epoch wait for them, and no other one."""
        self.stop_turning()
        self.turn = turn = Announced(Mark(epoch.token, frozenset()), number, epoch)
        self._ask_all(turn.mark, now)
        return turn

    def stop_turning(self) -> None:
        """No epoch is to begin."""
        turn, self.turn = self.turn, None
        if turn is not None:
            for name in turn.mark.waiting:
                self._peers[name].awaited -= 1

    def acknowledged(self, peer: Peer) -> None:
        """It has heard more of our frames."""
        for announced in self._all():
            if announced.number <= peer.acknowledged:
                _wait_no_more(announced, peer)
        self._find_ready()

    def give_up(self, peer: Peer) -> None:
        """It can't be reading fast any more."""
        for announced in self._all():
            _wait_no_more(announced, peer)
        self._find_ready()

    def expire(self, now: float) -> None:
        """Give up whose grants have run out."""
        for peer in self._peers.values():
            if peer.awaited and peer.promised_until <= now:
                self.give_up(peer)

    def _all(self) -> list[Announced]:
        return self._waiting if self.turn is None else [*self._waiting, self.turn]

    def _ask_all(self, mark: Mark, now: float) -> None:
        for peer in self._peers.values():
            if peer.promised_until > now:
                mark.waiting.add(peer.name)
                if not peer.awaited:
                    peer.awaited_at = now
                peer.awaited += 1
                peer.told_at = max(peer.told_at, now)  # it is told now: again only after a while

    def _find_ready(self) -> None:
        self.ready += [it.mark for it in self._waiting if not it.mark.waiting]
        self._waiting = [it for it in self._waiting if it.mark.waiting]


def _wait_no_more(announced: Announced, peer: Peer) -> None:
    if peer.name in announced.mark.waiting:
        announced.mark.waiting.discard(peer.name)
        peer.awaited -= 1
