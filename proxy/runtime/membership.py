"""A member at work: its place in the view, its connections, and those that others leave behind.

What is said and heard is `freshness.fleet`'s, how it travels is the carrier's, what the primary
keeps of it is in `topology.views`. Here is when which of them is asked: docs/fleet.md, "Views".
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Final, final

from proxy.freshness.fleet import Fleet
from proxy.freshness.ledger import Ledger
from proxy.observe.logs import Logger
from proxy.observe.metrics import FleetCounts
from proxy.runtime.announcing import Announcing
from proxy.runtime.bus.carrier import Carrier
from proxy.runtime.bus.seam import Channel
from proxy.runtime.connections import Connections, NoMember
from proxy.runtime.continuity import Continuity
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
from proxy.topology.group import Server
from proxy.topology.views import OpenViews, Standing, View, ViewStore
from proxy.topology.witness import FAILURES, Control, describe
from proxy.types import NO_EPOCH, Epoch, Position, Token

log = Logger("fleet")

POLL: Final = 0.005
"""Seconds between two looks at whether all have heard of an epoch, or a server process is gone."""


@final
class Membership:
    """See the module.

    Attributes:
        announcing: What it says of commits, and hears.
        fleet: This member's part. Another one, once it has been evicted.

    Args:
        surroundings: The server group,
        ledger: and of it.
        control: How the primary is asked.
        open_views: By its engine.
        fellowship: Of the fleet.
        clock: Seconds.
        tells_positions: Whether positions mean the same to all members.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        ledger: Ledger,
        control: Control,
        open_views: OpenViews,
        fellowship: Fellowship,
        clock: Callable[[], float],
        *,
        tells_positions: bool,
    ) -> None:
        self._surroundings = surroundings
        self._ledger = ledger
        self._fellowship = fellowship
        self._clock = clock
        self._tells_positions = tells_positions
        self._line = ViewLine(control, open_views)
        self._primary: tuple[Server, MemberLink] | None = None
        self._connections = Connections()
        self._counts = FleetCounts()
        self._lookout = Lookout(self._look, self._line.close)
        self._evictions = Evictions(surroundings, clock, self._lookout.wake, self._is_bus_up)
        self._lack = ""
        self._earshot = Earshot(fellowship.label, clock, self._is_bus_up)
        self._promises = Promises(clock)
        self._was = ""  # what we were called in a view that was lost
        self.announcing = Announcing(
            self._new_fleet(), ledger, surroundings, self._counts, clock, self._lookout.wake
        )
        self._be_new()

    def _begin_anew(self) -> None:
        """Be somebody whom nobody has ever met."""
        carrier = self.announcing.carrier
        self.announcing.become(self._new_fleet())
        self._be_new()
        if carrier is not None:
            carrier.close()  # behind that: nothing of before is let go by it

    def _new_fleet(self) -> Fleet:
        return Fleet(
            secrets.token_hex(8),
            self._ledger,
            tells_positions=self._tells_positions,
            fences_itself=self._fellowship.settles is not None,
        )

    def _be_new(self) -> None:
        self._life = object()  # of this member, for those that were told to be its
        self.agreed = NO_EPOCH
        self._is_in = False
        self._continuity: Continuity | None = None
        self._roll = Roll(self.fleet, self._evictions)

    @property
    def fleet(self) -> Fleet:
        """See the class."""
        return self.announcing.fleet

    def _is_bus_up(self) -> bool:
        return self._fellowship.bus.counts.is_up

    def counts(self) -> FleetCounts:
        """Tell what there is and was, for the metrics."""
        counts = self._counts
        counts.members = len(self.fleet.members) + 1 if self._is_in else 0
        counts.is_fast = self.announcing.is_told
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
            self.announcing.hurry()
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
        self.announcing.heard()
        self.announcing.hurry()

    async def _enter(self, store: ViewStore) -> None:
        fleet = self.fleet
        await self._promises.keep(store)
        await store.be_seen(fleet.name)
        await self._look_at_rights(store)
        view = await store.read()
        channel = Channel(self._fellowship.name, view.salt[:8].hex())
        carrier = Carrier(fleet, channel, self._fellowship.bus, self.announcing.heard, self._clock)
        self.announcing.carrier = carrier
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
        self.announcing.hurry()
        self.announcing.heard()

    def _follow_epoch(self, epoch: Epoch) -> bool:
        """Follow who has begun one, if the bus has not told us; False: not all know of it yet.

        Who is not welcome yet begins none, and nobody may be left who has: what keeps it from being
        welcome may be the view itself, of which somebody is gone who has never answered.
        """
        fleet = self.fleet
        if fleet.epoch == NO_EPOCH or not fleet.is_welcome:
            return True
        if not fleet.turn(epoch, self._clock()):
            self.announcing.hurry()
            return False
        fleet.begin(epoch)
        self.announcing.heard()
        return True

    async def _follow_view(self, view: View, link: MemberLink, store: ViewStore) -> None:
        roll = self._roll
        roll.admit(view)
        gone = roll.part(view)
        if gone:
            roll.expel(gone, await link.position())
            # Before anything of ours is settled: its last commit may have been DDL.
            self.announcing.heard()
        roll.remember(view)
        for row in view.rows.values():
            if row.standing is Standing.FENCED:
                self._evictions.see_to(row, link, store)

    def bury(self, name: str) -> None:
        """The process of another, who may be a member, is known to have ended."""
        self._evictions.bury(name)
        self.fleet.bury(name)
        self.announcing.heard()
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
        self.announcing.waits.give_up()

    # The end

    async def leave(self) -> None:
        """Hand everything over; all server connections are closed, and nothing is written."""
        await self._lookout.close()
        await self._evictions.close()
        told: list[str] = []
        if self._is_in and not self._ledger.unsettled():
            told = await say_farewell(self.fleet, self.announcing.hurry, self._clock)
            if self.announcing.is_unsure:
                told = []  # it may have changed more than they were told
        await self._go(told)
        carrier = self.announcing.carrier
        if carrier is not None:
            self.fleet.farewell()  # so that the others see at once that we are gone
            carrier.close()

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
