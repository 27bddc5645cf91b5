"""A member at work: its place in the view, its connections, and those that others leave behind.

What is said and heard is `freshness.fleet`'s, how it travels is the carrier's, what the primary
keeps of it is in `topology.views`. Here is when which of them is asked: docs/fleet.md, "Views".
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from typing import Final, final

from proxy.freshness.fleet import Fleet
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.tables import EVERY_DATABASE, everything_in
from proxy.observe.logs import Logger
from proxy.observe.metrics import FleetCounts
from proxy.runtime.bus.carrier import Carrier
from proxy.runtime.bus.seam import Channel
from proxy.runtime.connections import Connections, NoMember
from proxy.runtime.continuity import Continuity
from proxy.runtime.definitions import Definitions
from proxy.runtime.earshot import Earshot
from proxy.runtime.evictions import Evictions
from proxy.runtime.farewell import say_farewell
from proxy.runtime.fellowship import Fellowship, Surroundings
from proxy.runtime.hearing import find_others, find_troubles
from proxy.runtime.lookout import Lookout
from proxy.runtime.member_link import MemberLink
from proxy.runtime.promises import Promises
from proxy.runtime.roll import Roll
from proxy.runtime.server import ServerConnection
from proxy.runtime.view_line import ViewLine
from proxy.runtime.waits import Waits
from proxy.topology.group import Server
from proxy.topology.views import OpenViews, Standing, View, ViewStore
from proxy.topology.witness import FAILURES, Control, describe
from proxy.types import NO_EPOCH, Epoch, Position, Table, Token

log = Logger("fleet")

POLL: Final = 0.005
"""Seconds between two looks at whether all have heard of an epoch, or a server process is gone."""

_EVERYTHING: Final = everything_in(EVERY_DATABASE)


@final
class Membership:
    """See the module.

    Attributes:
        fleet: This member's part. Another one, once it has been evicted.
        waits: What is kept back until all know of a commit.

    Args:
        ledger: Of the server group.
        control: How the primary is asked.
        open_views: By its engine.
        fellowship: Of the fleet.
        clock: Seconds.
        tells_positions: Whether positions mean the same to all members.
    """

    def __init__(
        self,
        ledger: Ledger,
        control: Control,
        open_views: OpenViews,
        fellowship: Fellowship,
        clock: Callable[[], float],
        *,
        tells_positions: bool,
    ) -> None:
        self._ledger = ledger
        self._fellowship = fellowship
        self._clock = clock
        self._tells_positions = tells_positions
        self._line = ViewLine(control, open_views)
        self._primary: tuple[Server, MemberLink] | None = None
        self._connections = Connections()
        self._counts = FleetCounts()
        self.waits = Waits(self._counts, clock)
        self._lookout = Lookout(self._look, self._line.close)
        self._evictions = Evictions(clock, self._lookout.wake, self._is_bus_up)
        self._carrier: Carrier | None = None
        self._lack = ""
        self._earshot = Earshot(fellowship.label, clock, self._is_bus_up)
        self._promises = Promises(clock)
        self._was = ""  # what we were called in a view that was lost
        self._begin_anew()

    def live_in(self, surroundings: Surroundings) -> None:
        """Take the server group; once, and before anything else."""
        self._surroundings = self._evictions.neighbours = surroundings

    def _begin_anew(self) -> None:
        """Be somebody whom nobody has ever met."""
        self.fleet = Fleet(
            secrets.token_hex(8),
            self._ledger,
            tells_positions=self._tells_positions,
            fences_itself=self._fellowship.settles is not None,
        )
        self._life = object()  # of this member, for those that were told to be its
        self.agreed = NO_EPOCH
        self._epoch = NO_EPOCH
        self._is_in = False
        self._continuity: Continuity | None = None
        self._close_carrier()
        self._definitions = Definitions(self._ledger)
        self._roll = Roll(self.fleet, self._evictions)

    # Commits

    def mark(self, tables: Iterable[Table], token: Token) -> Mark:
        """Announce a commit: see `Ledger.mark`. Its COMMIT waits while the mark is `waiting`."""
        mark = self.fleet.mark(tables, token, self._clock())
        self._counts.rides += self.fleet.hot.is_riding(mark.token)
        self._poke()
        return mark

    def hurry(self) -> None:
        """Have said at once what is to be said."""
        self._poke()

    def settled(self) -> None:
        """A commit's end is known to the ledger: the others are told."""
        self._definitions.changed_here(is_told=self._is_told())
        self._poke()

    def others_define(self) -> bool:
        """See `proxy.runtime.commits.Announcer`."""
        return self._definitions.are_changing

    def replace(self, mark: Mark, by: Mark) -> None:
        """Have what waits with one mark wait with another."""
        self.waits.replace(mark, by)

    def heard(self) -> None:
        """Something was said or heard: see what follows from that. From the carrier."""
        fleet = self.fleet
        if fleet.epoch != self._epoch:
            self._epoch = fleet.epoch
            self._surroundings.epoch_begun(fleet.epoch)
        if self._definitions.follow(fleet, self._surroundings, is_told=self._is_told()):
            self._ledger.foreign_commit([_EVERYTHING], Token(secrets.randbits(127)))
        if fleet.written:
            written, fleet.written = fleet.written, []
            self._surroundings.others_wrote(written)
        for name in fleet.doubters:
            self._surroundings.others_doubt(name, self._ledger.doubted_by(name))
        fleet.doubters.clear()
        for mark in fleet.take_ready(self._clock()):
            self.waits.let_go(mark)
        if fleet.strangers:
            self._lookout.wake()

    def _poke(self) -> None:
        if self._carrier is not None:
            self._carrier.poke()

    def _is_told(self) -> bool:
        """Whether all others let us read fast: they commit nothing that we do not know of."""
        return self._clock() < self._ledger.granted_until

    def _is_bus_up(self) -> bool:
        return self._fellowship.bus.counts.is_up

    def counts(self) -> FleetCounts:
        """Tell what there is and was, for the metrics."""
        counts = self._counts
        counts.members = len(self.fleet.members) + 1 if self._is_in else 0
        counts.is_fast = self._is_told()
        counts.unheard = self._earshot.unheard
        return counts

    def problem(self) -> str | None:
        """Say what it waits for, while it serves nobody."""
        if self._primary is None:
            return None
        waits_for = "; ".join(self._earshot.problems())
        if not self._is_in:
            return waits_for or "the fleet was not entered yet"
        if not self.fleet.is_welcome:
            return waits_for or "not all members of the fleet have answered yet"
        return None

    @property
    def settles(self) -> float | None:
        """See `Fellowship`."""
        return self._fellowship.settles

    def notes(self) -> list[str]:
        """Say what an operator should know while it serves: what keeps all at the primary first."""
        notes = self._earshot.problems() if self._is_in else []
        notes += [
            f"{number} server connections of member {name}, which was given up, do not end"
            for name, number in self._evictions.resisting.items()
        ]
        return [*notes, self._lack] if self._lack else notes

    async def admit(self, connection: ServerConnection) -> None:
        """Write down a connection to the primary, before anything is sent on it.

        Raises:
            ServerLost: We are no member; or the primary does not say whether we are.
        """
        try:
            await self._connections.admit(self.fleet.name, connection, self._line.store)
        except NoMember:
            self._lookout.wake()
            raise

    # The primary

    async def agree(self, server: Server, link: MemberLink, life: object) -> object:
        """Wait until this server may be asked anything, as the primary.

        Args:
            server: It says that it is.
            link: To it.
            life: What this returned for the same link; None: it is new.

        Returns:
            Names what was agreed on.

        Raises:
            ConnectionError: We are not a member any more, or what must be asked isn't answered.
        """
        if life is not None:
            if life is not self._life:
                raise ConnectionError("this member was evicted")
            return life
        store = await self._line.open(server, self.fleet.name if self._is_in else None)
        self._primary = (server, link)
        if self._continuity is not None:
            self._continuity.lost_sight()
        if not self._is_in:
            try:
                await self._enter(store)
            except BaseException:
                self._begin_anew()  # perhaps we are one, and don't know
                raise
        epoch = await store.begin(self.fleet.epoch)
        identity = self._life
        while not self.fleet.turn(epoch, self._clock()):
            self._poke()
            await asyncio.sleep(POLL)
            if self._life is not identity or store.is_closed:
                raise ConnectionError("the primary was lost before the fleet had agreed on it")
        self.agreed = epoch
        return identity

    def lost(self, link: MemberLink) -> None:
        """A server is out of sight, or is no primary."""
        if self._primary is not None and self._primary[1] is link:
            self._primary = None  # nobody vouches for us any more

    def begin(self, position: Position) -> None:
        """Begin the epoch that was agreed on, if nobody has; before the first statement in it."""
        self.fleet.begin(self.agreed, position)
        self.heard()
        self._poke()

    async def _enter(self, store: ViewStore) -> None:
        fleet = self.fleet
        await self._promises.keep(store)
        await store.be_seen(fleet.name)
        await self._look_at_rights(store)
        view = await store.read()
        channel = Channel(self._fellowship.name, view.salt[:8].hex())
        carrier = Carrier(fleet, channel, self._fellowship.bus, self.heard, self._clock)
        self._carrier = carrier
        carrier.open()
        await find_others(store, carrier, self._earshot, self._clock)
        self._fellowship.named(fleet.name)
        salt = view.salt
        view = await store.enter(
            fleet.name, str(self._fellowship.label), settles=self._fellowship.settles
        )
        if view.salt != salt:
            raise ConnectionError("schema tidegate was made anew meanwhile")
        self._roll.enter(view)
        self._is_in = True
        self._continuity = Continuity(fleet.name, view)
        self._surroundings.entered(view.salt)
        if self._was:
            self.bury(self._was)  # where it is still there: we are it no more
        carrier.answer()
        log.info("fleet entered", member=fleet.name, others=len(fleet.members))
        self._lookout.open()

    async def _look_at_rights(self, store: ViewStore) -> None:
        """Say what the control user may not do when another member is gone."""
        lacking = await store.lacking()
        self._lack = ""
        if lacking.ending and self.settles is None:
            self._lack = (
                f"the control user lacks {lacking.ending}: a member that is given up counts until"
                ' its server connections have ended by themselves, but with fencing = "lease"'
            )
        elif lacking.ending and lacking.seeing:
            self._lack = (
                f"the control user lacks {lacking.seeing}: a member that is given up counts until"
                " its open transactions have ended by themselves"
            )
        if self._lack:
            log.warning("the control user lacks a right", why=self._lack)

    # The view

    async def _look(self) -> None:
        if self._primary is None or not self._is_in:
            return
        fleet = self.fleet
        server, link = self._primary
        store = await self._line.keep(server, fleet.name)
        asked_at = self._clock()
        connections = self._connections
        written = connections.count(server)
        epoch = fleet.epoch
        view = await store.read()
        found = len(await store.sessions(fleet.name))
        continuity = self._continuity
        if fleet is not self.fleet or self._primary != (server, link) or continuity is None:
            return
        why = continuity.why_broken(view, epoch) or continuity.is_over(view, self._clock())
        if why is None and view.standing(fleet.name) is not Standing.IN:
            self._lose_membership()
            return
        if why is None and not view.is_over:
            why = continuity.lacks(written, found)
        if why is not None:
            self._lose_view(why)
            return
        if view.is_over:
            return  # the witness will find out, too
        fleet.vouched(asked_at)
        if not self._follow_epoch(view.epoch):
            self._lookout.wake()
            return
        await self._follow_view(view, link, store)
        if await self._evictions.look_for_absent(fleet, store):
            self._lookout.wake()
        cases = find_troubles(fleet, view, self._evictions, self._clock())
        self._earshot.take(cases, view.rows)
        if not self._surroundings.has_lost():  # or others must be able to end what is under way
            await self._connections.forget_closed(fleet.name, store)
        self._poke()
        self.heard()

    def _follow_epoch(self, epoch: Epoch) -> bool:
        """Follow who has begun one, if the bus has not told us; False: not all know of it yet.

        Who is not welcome yet begins none, and nobody may be left who has: what keeps it from being
        welcome may be the view itself, of which somebody is gone who has never answered.
        """
        fleet = self.fleet
        if fleet.epoch == NO_EPOCH or not fleet.is_welcome:
            return True
        if not fleet.turn(epoch, self._clock()):
            self._poke()
            return False
        fleet.begin(epoch)
        self.heard()
        return True

    async def _follow_view(self, view: View, link: MemberLink, store: ViewStore) -> None:
        roll = self._roll
        roll.admit(view)
        gone = roll.part(view)
        if gone:
            roll.expel(gone, await link.position())
            self.heard()  # before anything of ours is settled: its last commit may have been DDL
        roll.remember(view)
        for row in view.rows.values():
            if row.standing is Standing.FENCED:
                self._evictions.see_to(row, link, store)

    def bury(self, name: str) -> None:
        """The process of another, who may be a member, is known to have ended."""
        self._evictions.bury(name)
        self.fleet.bury(name)
        self.heard()
        self._lookout.wake()

    def _lose_view(self, why: str) -> None:
        """Begin anew, and not before all who were in the view have noticed, too."""
        log.error(
            "the view of the fleet is not what the members made it: this one begins anew",
            member=self.fleet.name,
            why=why,
            hint="was schema tidegate dropped, emptied or restored under them?",
        )
        self._was = self.fleet.name
        self._promises.given(self.fleet.members)
        self._start_over()

    def _lose_membership(self) -> None:
        log.error("this member was evicted: it begins anew", member=self.fleet.name)
        self._start_over()

    def _start_over(self) -> None:
        self._connections = Connections()
        self._begin_anew()
        self._ledger.new_epoch(Token(secrets.randbits(127)))
        self._surroundings.expelled()
        self.waits.give_up()

    def _close_carrier(self) -> None:
        carrier, self._carrier = self._carrier, None
        if carrier is not None:
            carrier.close()

    # The end

    async def leave(self) -> None:
        """Hand everything over; all server connections are closed, and nothing is written."""
        await self._lookout.close()
        await self._evictions.close()
        told: list[str] = []
        if self._is_in and not self._ledger.unsettled():
            told = await say_farewell(self.fleet, self._poke, self._clock)
            if self._definitions.is_unsure:
                told = []  # it may have changed more than they were told
        await self._go(told)
        if self._carrier is not None:
            self.fleet.farewell()  # so that the others see at once that we are gone
            self._carrier.close()

    async def _go(self, told: list[str]) -> None:
        """Say so in the view."""
        store = self._line.store
        if store is None or store.is_closed or not self._is_in:
            return
        try:
            if self._surroundings.has_lost():
                await store.fence(self.fleet.name)  # the others see to the rest
            else:
                goes_on = await store.leave(self.fleet.name, told, self.fleet.epoch)
                log.info("fleet left", member=self.fleet.name, versions_go_on=goes_on)
        except FAILURES as error:
            log.warning("left without a word", error=describe(error))
        finally:
            store.close()
