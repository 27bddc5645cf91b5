"""One member's part in a fleet: docs/fleet.md.

A pure state machine around the ledger. What others have said goes in, with the time; frames and
notes to be sent come out of `flush`, and commits that may be sent out of `ready`. Nothing is
assumed of the bus but that what arrives was sent: it may lose, delay, repeat and reorder. Theory:
leases (Gray and Cheriton, 1989). The exploration of this protocol is in tests/model, this very
code in tests/simulation.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from math import inf
from typing import Final

from mypy_extensions import mypyc_attr

from proxy.freshness.awaiting import Awaiting
from proxy.freshness.frames import (
    Cleared,
    Doubted,
    Frame,
    Item,
    Marked,
    Note,
    Rode,
    State,
    Turning,
    Undone,
    Wrote,
)
from proxy.freshness.ledger import Ledger
from proxy.freshness.lingering import Hot
from proxy.freshness.mark import Mark
from proxy.freshness.peer import Peer
from proxy.freshness.shares import US
from proxy.types import NO_EPOCH, Epoch, Position, Table, Token

LEASE: Final = 2.0
"""Seconds for which a grant holds, by its holder's count from when it last spoke."""

DRIFT: Final = 0.01
"""By how much clocks may run at different speeds."""

RENEWALS: Final = 3
"""How often within its time a grant is renewed."""

PRIMARY: Final = ""
"""Whom a mark waits for, in place of a member, of which no member is called so."""


@mypyc_attr(allow_interpreted_subclasses=True)  # those that the simulation makes worse
class Fleet:
    """See the module.

    Attributes:
        name: Ours, that no other member has ever had.
        epoch: The one we are in.
        hot: Our tokens that linger.
        written: What others have written, with the marks that it was announced by, as far as they
            are known; whoever looks for what was written by anybody else takes it out.
        doubters: Whose word on what is in quarantine has changed; whoever tells of it takes it out.
        strangers: Who has spoken and is not in the view, or will not be: it may have changed.

    Args:
        name: Ours.
        ledger: Of this member. It needs grants from now on.
        epoch: That the ledger is in: `NO_EPOCH`, but in tests.
        lease: Seconds for which grants hold.
        drift: By how much clocks may run at different speeds.
        tells_positions: Whether a position means the same to every member.
        patience: See `Hot`.
        fences_itself: Whether it sends no commit but while the primary has said of late that it is
            a member: then its server connections need not be ended when it is given up.
    """

    __slots__ = (
        "_awaiting",
        "_drift",
        "_fences_itself",
        "_is_outside",
        "_is_welcome",
        "_items",
        "_last",
        "_lease",
        "_ledger",
        "_legacies",
        "_member_until",
        "_number",
        "_peers",
        "_refused",
        "_renew_at",
        "_sent",
        "_steps",
        "_tells_positions",
        "_turning",
        "_withheld",
        "doubters",
        "epoch",
        "hot",
        "name",
        "strangers",
        "written",
    )

    def __init__(
        self,
        name: str,
        ledger: Ledger,
        epoch: Epoch = NO_EPOCH,
        *,
        lease: float = LEASE,
        drift: float = DRIFT,
        tells_positions: bool = True,
        patience: float = 1.0,
        fences_itself: bool = False,
    ) -> None:
        self.name = name
        self.epoch = epoch
        self.hot = Hot(lease / 8, patience)
        self.strangers: set[str] = set()
        self.written: list[tuple[Mark | None, Wrote]] = []
        self.doubters: set[str] = set()
        self._ledger = ledger
        for doubter in ledger.doubters:
            if doubter != US:
                ledger.doubt(doubter, frozenset())  # that we knew when we were somebody else
        ledger.shares.are_told = True
        ledger.teller = self
        self._tells_positions = tells_positions
        self._lease = lease
        self._drift = drift
        self._fences_itself = fences_itself
        self._peers: dict[str, Peer] = {}
        self._items: list[Item] = []
        self._number = 0
        self._sent: deque[float] = deque()  # when our last frames were, those of one lease
        self._renew_at = -inf
        self._steps: dict[Epoch, list[Token]] = {}  # by which versions changed as members went
        self._awaiting = Awaiting(self._peers)
        self._legacies: set[str] = set()  # of whom, in this epoch
        self._refused: set[str] = set()  # whose are none
        self._last = 0
        self._withheld: list[Mark] = []
        self._member_until = -inf
        self._is_outside = True
        self._is_welcome = False
        self._turning: Epoch | None = None
        self._count_grants()

    # The view.

    def enter(self, names: Iterable[str]) -> None:
        """Begin, with the members that there are besides us: once, and before anything else."""
        for name in names:
            self.admit(name)
        self._is_outside = False

    def admit(self, name: str) -> None:
        """Require another member's grants from now on."""
        if name not in self._peers:
            self._peers[name] = Peer(name)
        self.strangers.discard(name)
        self._renew_at = -inf
        self._count_grants()

    def expel(self, name: str, step: Token, epoch: Epoch, position: Position) -> None:
        """Go on without a member.

        Its server processes are gone, and it has been fenced for so long that it reads nothing
        fast any more: see `vouched`.

        Args:
            name: The member.
            step: An id of its going, the same for all who stay: what they had heard of its last
                commits may differ, so every version changes.
            epoch: In which it went.
            position: Of the primary, read when the processes were gone.
        """
        peer = self._peers.pop(name)
        self._awaiting.give_up(peer)
        self._ledger.expel(name, position)
        self._hear_doubts(name, frozenset())
        self.remember(name, step, epoch)
        self._count_grants()

    def inherit(self, name: str) -> None:
        """Go on without a member that has left, whose every word all have heard who are there.

        Its sums are what they will be, and versions stay what they are. Whoever comes later is told
        of them by all, by its name: who has a member's last sums can't have another's.
        """
        peer = self._peers.pop(name)
        self._awaiting.give_up(peer)
        sums = self._ledger.shares.of(name)
        self._ledger.take_state(name, {}, sums)
        self._hear_doubts(name, frozenset())
        if sums:
            self._legacies.add(name)
        self._count_grants()

    def bury(self, name: str) -> None:
        """Wait no more for a member whose process is known to have ended: it reads nothing.

        What it has sent may still come about: it counts as before until it is expelled.
        """
        peer = self._peers.get(name)
        if peer is not None:
            peer.is_dead = True
            peer.promised_until = -inf
            self._awaiting.give_up(peer)

    def remember(self, name: str, step: Token, epoch: Epoch) -> None:
        """Have the versions of an epoch be as behind somebody's going, of whom we know nothing.

        If there was a legacy, there is none any more: the step stands for all that it was.
        """
        self._refused.add(name)
        if name in self._legacies:
            self._legacies.discard(name)
            self._ledger.take_state(name, {}, {})
        if epoch >= self.epoch:
            self._steps.setdefault(epoch, []).append(step)
        if epoch == self.epoch:
            self._ledger.step(step)

    def vouched(self, asked_at: float) -> None:
        """Note that the primary said we are a member, when it was asked at that time.

        Nobody reads fast for longer than a lease without that. Grants alone would not do: those who
        give them may have been evicted, too.
        """
        self._member_until = max(self._member_until, asked_at + self._lease)
        self._count_grants()

    @property
    def is_welcome(self) -> bool:
        """Whether all have us in their view who were there when we came.

        Who has not tells us nothing. Until then nothing is to be written, answered or begun.
        """
        if not self._is_welcome and not self._is_outside:
            self._is_welcome = not any(peer.is_deaf for peer in self._peers.values())
        return self._is_welcome

    @property
    def members(self) -> list[str]:
        """The others in the view."""
        return list(self._peers)

    def withhold(self, marks: Iterable[Mark]) -> None:
        """Acknowledge nothing before all know of these marks of ours, or can't be reading fast.

        What was heard has changed what they may write: nobody is to find that out from its outcome.
        """
        self._withheld += [mark for mark in marks if mark.waiting and PRIMARY not in mark.waiting]

    def heard_at(self, name: str) -> float:
        """Tell when another member last said anything, to anybody or to us."""
        return self._peers[name].heard_at

    def last_granted(self, name: str) -> float:
        """Tell when another member's last promise to us ends: it knew that we hear it.

        Of one that counts no more, too, as the bus has been away since.
        """
        return self._peers[name].last_granted

    def farewell(self) -> None:
        """Say that nothing more will come, and have that acknowledged: see `is_heard_out`.

        Who hears it looks at the view: said once more when it has changed, nobody waits for us.
        """
        self.hot.stop()
        self._say(Turning(self.epoch))  # which is no news, but is acknowledged
        self._last = self._number + 1

    @property
    def is_heard_out(self) -> bool:
        """Whether all others have heard all that we had said before our farewell."""
        return all(peer.acknowledged >= self._last for peer in self._peers.values())

    # Commits of ours.

    def mark(self, tables: Iterable[Table], token: Token, now: float) -> Mark:
        """Announce a commit: see `Ledger.mark`. `take_ready` has it when its COMMIT may be sent,

        unless nobody is in its `waiting` from the beginning. What becomes of it is told the ledger.
        """
        mark = self._ledger.mark(tables, token)
        if not self.hot.begun(mark, now):
            self._awaiting.announce(mark, self._number + 1, now)
        if not (mark.waiting or self.may_commit(now)):
            mark.waiting.add(PRIMARY)
            self._awaiting.ready.append(mark)
        return mark

    def may_commit(self, now: float) -> bool:
        """Whether anything may be sent that may commit, as far as the view is concerned."""
        return not self._fences_itself or now < self._member_until

    def take_ready(self, now: float = inf) -> list[Mark]:
        """Take out the marks whose COMMIT may be sent right now; see `may_commit`.

        Args:
            now: Who fences himself has none without saying when that is.
        """
        if not self.may_commit(now):
            return []
        ready, self._awaiting.ready = self._awaiting.ready, []
        for mark in ready:
            mark.waiting.discard(PRIMARY)
        return ready

    # Teller, for the ledger.

    def marked(self, mark: Mark) -> None:
        """Tell of a commit that is on its way."""
        if not self.hot.carries(mark):
            self._say(Marked(mark.token, mark.tables))

    def committed(
        self, mark: Mark, changed: frozenset[Table] | None, position: Position | None
    ) -> None:
        """Tell of one that is done."""
        if not self._tells_positions:
            position = None
        if not self.hot.committed(mark, mark.tables if changed is None else changed, position):
            self._say(Cleared(mark.token, changed, position))

    def counted(self, token: Token, tables: frozenset[Table]) -> None:
        """Tell of one that was never announced."""
        self._say(Cleared(token, tables, None))

    def wrote(self, written: Wrote) -> None:
        """Tell what a commit has written, which is to be settled now."""
        if not self.hot.wrote(written):
            self._say(written)

    def doubted(self, tables: frozenset[Table]) -> None:
        """Tell what our audit has in quarantine now."""
        self._say(Doubted(tables))

    def undone(self, token: Token) -> None:
        """Tell of one that never was."""
        if not self.hot.undone(token):
            self._say(Undone(token))

    # A new primary.

    def turn(self, epoch: Epoch, now: float) -> bool:
        """Stop all fast reads, of everybody: there is another primary, or the same one anew.

        To be called until it says yes: then the epoch may `begin`, if it has not by then. Not
        before we are welcome: whoever does not know us would not know of the epoch either, and who
        hears us in it takes it for begun.

        Returns:
            Whether everybody knows, who might read fast.
        """
        if epoch <= self.epoch:
            return True
        if not self.is_welcome:
            return False
        turn = self._awaiting.turn
        if turn is None or turn.epoch != epoch:
            self._turning = epoch
            self._say(Turning(epoch))
            turn = self._awaiting.start_turning(epoch, self._number + 1, now)
            self._count_grants()
        return not turn.mark.waiting

    def begin(self, epoch: Epoch, position: Position | None = None) -> None:
        """Begin an epoch: see `Ledger.new_epoch`.

        Args:
            epoch: That everybody knows of.
            position: The new primary's, if it has been read.
        """
        if epoch <= self.epoch:
            return
        self.epoch = epoch
        self.hot.clear()
        self._ledger.new_epoch(epoch.token, position)
        self._legacies.clear()
        self._steps = {of: steps for of, steps in self._steps.items() if of >= epoch}
        for step in self._steps.get(epoch, ()):
            self._ledger.step(step)
        if self._turning is not None and self._turning <= epoch:
            self._turning = None
            self._awaiting.stop_turning()
        self._renew_at = -inf  # so that the others hear of it
        self._count_grants()

    # From the bus.

    def hear(self, frame: Frame, now: float) -> None:
        """Take what another member says to all."""
        peer = self._known(frame.sender, now)
        if peer is None or peer.is_deaf or frame.number <= peer.heard:
            return
        if frame.number > peer.heard + 1:
            peer.lose_track()
            self._count_grants()
            return
        peer.heard = frame.number
        if frame.epoch > self.epoch:
            self.begin(frame.epoch)
        for item in frame.items:
            if isinstance(item, Turning):
                peer.owes = True
                self._hear_turning(peer.name, item.epoch)
            elif isinstance(item, Doubted):
                self._hear_doubts(peer.name, item.tables)
            elif frame.epoch == self.epoch:
                self._take(peer, item)
            elif isinstance(item, Marked):
                peer.owes = True
        heard = frame.grants.get(self.name)
        if heard is not None:
            self._take_grant(peer, heard)

    def hear_note(self, note: Note, now: float) -> None:
        """Take what another member says to one."""
        if note.to != self.name:
            return
        peer = self._known(note.sender, now)
        if peer is None:
            return
        if note.heard > peer.acknowledged:
            peer.acknowledged = note.heard
            peer.answered_at = now
            sent_at = self._sent_at(note.heard)
            if sent_at is not None:
                peer.took(now - sent_at)
            self._awaiting.acknowledged(peer)
        if note.is_deaf:
            peer.is_asked = True
        state = note.state
        if state is not None and (note.number > peer.heard or peer.is_deaf):
            if note.number < peer.heard:
                return  # an old one
            peer.heard = note.number
            peer.is_deaf = False
            peer.owes = True
            self._hear_doubts(peer.name, state.doubted)
            if state.epoch > self.epoch:
                self.begin(state.epoch)
            if state.epoch == self.epoch:
                self._ledger.take_state(peer.name, state.pending, state.sums)
                self._take_legacies(state.legacies)

    def broken(self) -> None:
        """The bus was away, for whatever time: nobody knows what was missed."""
        for peer in self._peers.values():
            peer.lose_track()
        self._count_grants()

    # To the bus.

    def flush(self, now: float) -> tuple[Frame | None, list[Note]]:
        """Say what is to be said by now: once in each turn of the event loop, and at `due`."""
        self._awaiting.expire(now)
        if not self._peers:
            self.hot.clear()
        for written in self.hot.take_written():
            self._say(written)
        for ended in self.hot.ended(now):
            last = ended.take_written()
            if last is not None:
                self._say(last)
            self._say(Rode(ended.token, ended.steps, ended.position))
        frame = self._frame(now)
        return frame, self._notes(now)

    def due(self, now: float) -> float:
        """When there will be something to do, if nothing happens before; `now` or later."""
        if not self._peers:
            return inf
        first = now if self._items else min(self._renew_at, self.hot.due())
        for peer in self._peers.values():
            if peer.is_deaf:
                first = min(first, peer.asked_at + peer.patience)
            if peer.awaited:
                first = min(first, peer.promised_until, peer.told_at + peer.patience)
        return max(first, now)

    def _frame(self, now: float) -> Frame | None:
        grants: dict[str, int] = {}
        if self._peers and now >= self._renew_at:
            self._renew_at = now + self._lease / RENEWALS
            for peer in self._peers.values():
                # Who acknowledges nothing while we wait for it has what it was promised, no more.
                is_silent = peer.heard_at < now - self._lease or (
                    peer.awaited > 0
                    and max(peer.answered_at, peer.awaited_at) < now - peer.patience
                )
                if not (is_silent or peer.is_deaf or peer.is_dead):
                    grants[peer.name] = peer.heard
                    until = now + self._lease * (1 + self._drift)
                    peer.promised_until = max(peer.promised_until, until)
        elif not self._items:
            return None
        self._number += 1
        self._sent.append(now)
        while self._sent[0] < now - self._lease:
            self._sent.popleft()
        items, self._items = tuple(self._items), []
        return Frame(self.name, self._number, self.epoch, items, grants)

    def _notes(self, now: float) -> list[Note]:
        notes: list[Note] = []
        state: State | None = None
        if self._withheld:
            self._withheld = [mark for mark in self._withheld if mark.waiting]
        withholds = bool(self._withheld)
        for peer in self._peers.values():
            asks = peer.is_deaf and now >= peer.asked_at + peer.patience
            if peer.awaited and now >= peer.told_at + peer.patience:
                peer.is_asked = True
            if not (asks or peer.is_asked or (peer.owes and not withholds)):
                continue
            if not withholds:
                peer.told_heard = peer.heard
                peer.owes = False
            if asks:
                peer.asked_at = now
            told: State | None = None
            if peer.is_asked:
                if state is None:
                    state = self._state()
                told = state
                peer.told_at = now
            notes.append(Note(self.name, peer.name, peer.told_heard, asks, self._number, told))
            peer.is_asked = False
        return notes

    def _state(self) -> State:
        pending = {it.token: it.tables for it in self.hot.tokens()}
        for mark in self._ledger.unsettled():
            if not self.hot.is_riding(mark.token):
                pending[mark.token] = mark.tables
        shares = self._ledger.shares
        legacies = {name: dict(shares.of(name)) for name in self._legacies}
        told = self.hot.told_of(shares.of(US))
        return State(self.epoch, pending, told, legacies, self._ledger.doubted_by(US))

    def _say(self, item: Item) -> None:
        if self._peers:
            self._items.append(item)

    # What is heard.

    def _known(self, name: str, now: float) -> Peer | None:
        peer = self._peers.get(name)
        if peer is not None:
            peer.heard_at = now
        elif name != self.name:
            self.strangers.add(name)
        return peer

    def _take(self, peer: Peer, item: Item) -> None:
        ledger = self._ledger
        if isinstance(item, Marked):
            peer.owes = True
            if ledger.marked(item.token) is None:
                begun = ledger.mark(item.tables, item.token, peer.name)
                # It sends nothing that we have not acknowledged, as long as its promise holds.
                begun.is_ahead = peer.heard_at < peer.granted_until
            return
        if isinstance(item, (Turning, Doubted)):
            return
        if isinstance(item, Wrote):
            self.written.append((ledger.marked(item.token), item))
            return
        if isinstance(item, Rode):
            ledger.heard_rides(peer.name, item.token, item.steps, item.position)
            return
        mark = ledger.marked(item.token)
        if isinstance(item, Undone):
            if mark is not None:
                ledger.rollback(mark)
        elif mark is not None:
            ledger.commit(mark, item.changed, item.position)
        elif item.changed is not None:
            ledger.heard_commit(peer.name, item.changed, item.token)

    def _take_legacies(self, legacies: Mapping[str, Mapping[Table, int]]) -> None:
        for name, sums in legacies.items():
            # Who is a member yet, as far as we know, has told us all that is in them.
            if name not in self._peers and name not in self._refused:
                self._legacies.add(name)
                self._ledger.take_state(name, {}, sums)

    def _hear_turning(self, name: str, epoch: Epoch) -> None:
        if epoch == self.epoch:
            self.strangers.add(name)  # a farewell
        elif epoch > self.epoch and (self._turning is None or epoch > self._turning):
            self._turning = epoch
            self._count_grants()

    def _hear_doubts(self, name: str, tables: frozenset[Table]) -> None:
        """Hold to be wrong what another member's audit does, for as long as it does."""
        if tables != self._ledger.doubted_by(name):
            self._ledger.doubt(name, tables)
            self.doubters.add(name)

    def _take_grant(self, peer: Peer, heard: int) -> None:
        """A grant holds from when the frame was sent that its grantor had heard last."""
        sent_at = self._sent_at(heard)
        if sent_at is not None:
            peer.grants(sent_at + self._lease)
            self._count_grants()

    def _sent_at(self, number: int) -> float | None:
        """When we sent a frame, if that is not long ago."""
        place = number - (self._number - len(self._sent) + 1)  # they are numbered without a gap
        return self._sent[place] if 0 <= place < len(self._sent) else None

    def _count_grants(self) -> None:
        """The first grant that runs out is where fast reads end."""
        until = self._member_until
        for peer in self._peers.values():
            if peer.granted_until < until:
                until = peer.granted_until
        self._ledger.granted_until = -inf if self._turning is not None else until
