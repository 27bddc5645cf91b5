"""A member at work: its place in the view, its connections, and those that others leave behind.

What is said and heard is `freshness.fleet`'s, how it travels is the carrier's, what the primary
keeps of it is in `topology.views`. Here is when which of them is asked: docs/fleet.md, "Views".
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol, final

from proxy.freshness.fleet import LEASE, Fleet
from proxy.freshness.ledger import Ledger
from proxy.freshness.mark import Mark
from proxy.freshness.tables import EVERY_DATABASE, schema_of
from proxy.observe.logs import Logger
from proxy.observe.metrics import FleetCounts
from proxy.runtime.bus.carrier import Carrier
from proxy.runtime.bus.seam import Bus, Channel
from proxy.runtime.connections import Connections, NoMember
from proxy.runtime.evictions import Evictions, Neighbours
from proxy.runtime.server import ServerConnection
from proxy.runtime.waits import Waits
from proxy.topology.group import Server
from proxy.topology.views import OpenViews, Row, Standing, View, ViewStore
from proxy.topology.witness import FAILURES, Control, Link, OpenLink, Sight, describe
from proxy.types import NO_EPOCH, Epoch, Position, Role, Table, Token

log = Logger("fleet")

LOOK: Final = LEASE / 3
"""Seconds between two looks at the view."""

LEAST: Final = 0.02
"""Seconds between two looks that somebody unknown has caused, or an epoch that is to begin."""

_SCHEMA: Final = schema_of(EVERY_DATABASE)

POLL: Final = 0.005
"""Seconds between two looks at whether all have heard of an epoch, or a server process is gone."""


class Surroundings(Neighbours, Protocol):
    """The server group around a member."""

    def has_lost(self) -> bool:
        """Tell whether there is a commit of ours whose outcome nobody knows."""

    def epoch_begun(self, epoch: Epoch, /) -> None:
        """Another epoch has begun: what was under way is to be announced again."""

    def definitions_change(self) -> list[Mark]:
        """Another member is about to change definitions; returns what is announced anew."""

    def definitions_changed(self) -> None:
        """Another member has changed definitions."""

    def others_wrote(self, rows: Iterable[tuple[Table, int]], /) -> None:
        """Other members have written so many rows."""

    def entered(self, salt: bytes, /) -> None:
        """We are a member of the fleet with this salt."""

    def expelled(self) -> None:
        """We are a member no more: hang up on the primary."""


class Fellowship(NamedTuple):
    """What all groups of a process have in common as members of fleets.

    Attributes:
        name: The fleet's.
        label: The process's, for people.
        bus: Carries their words.
    """

    name: str
    label: str
    bus: Bus


class MemberLink:
    """A witness's connection. A primary is not told of before the fleet agrees on its epoch."""

    def __init__(self, link: Link, server: Server, member: Membership) -> None:
        self._link = link
        self._turn = asyncio.Lock()  # a look, or the end of a session
        self._server = server
        self._member = member
        self._life: object = None

    async def look(self) -> Sight:
        """Ask the server what it is and how far it is."""
        async with self._turn:
            sight = await self._link.look()
        if sight.role is not Role.PRIMARY:
            self._life = None
            self._member.lost(self)
            return sight
        life = await self._member.agree(self._server, self, self._life)
        if life is not self._life:
            self._life = life
            async with self._turn:
                sight = await self._link.look()
        return sight

    async def position(self) -> Position:
        """Ask how far it is."""
        async with self._turn:
            return (await self._link.look()).position

    async def fence(self, pid: int, start: float) -> bool:
        """End a session of a client's: see `Witness.fence`."""
        async with self._turn:
            return await self._link.fence(pid, start)

    def close(self) -> None:
        """Let go, without a farewell."""
        self._member.lost(self)
        self._link.close()


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
        self._control = control
        self._open_views = open_views
        self._fellowship = fellowship
        self._clock = clock
        self._tells_positions = tells_positions
        self._store: ViewStore | None = None
        self._primary: tuple[Server, MemberLink] | None = None
        self._connections = Connections()
        self._counts = FleetCounts()
        self.waits = Waits(self._counts, clock)
        self._wake = asyncio.Event()
        self._evictions = Evictions(clock, self._wake.set, self._is_bus_up)
        self._carrier: Carrier | None = None
        self._looking: asyncio.Task[None] | None = None
        self._begin_anew()

    def live_in(self, surroundings: Surroundings) -> None:
        """Take the server group; once, and before anything else."""
        self._surroundings = self._evictions.neighbours = surroundings

    def _begin_anew(self) -> None:
        """Be somebody whom nobody has ever met."""
        self.fleet = Fleet(
            secrets.token_hex(8), self._ledger, tells_positions=self._tells_positions
        )
        self._life = object()  # of this member, for those that were told to be its
        self.agreed = NO_EPOCH
        self._epoch = NO_EPOCH
        self._is_in = False
        self._are_changing = False  # definitions, by another member
        self._definitions = 0  # their version
        self._stepped: set[str] = set()

    # Commits

    def mark(self, tables: Iterable[Table], token: Token) -> Mark:
        """Announce a commit: see `Ledger.mark`. Its COMMIT waits while the mark is `waiting`."""
        mark = self.fleet.mark(tables, token, self._clock())
        self._counts.rides += self.fleet.hot.is_riding(mark.token)
        self._poke()
        return mark

    def settled(self) -> None:
        """A commit's end is known to the ledger: the others are told."""
        self._definitions = self._ledger.version_of(_SCHEMA)  # if it was ours that changed them
        self._poke()

    def others_define(self) -> bool:
        """See `proxy.runtime.commits.Announcer`."""
        return self._are_changing

    def _follow_definitions(self) -> None:
        """See whether another member changes definitions, or has: plans and triggers are others."""
        are_changing = self._ledger.is_marked_by_others(_SCHEMA)
        if are_changing and not self._are_changing:
            self.fleet.withhold(self._surroundings.definitions_change())
        self._are_changing = are_changing
        version = self._ledger.version_of(_SCHEMA)
        if version != self._definitions:
            self._definitions = version
            self._surroundings.definitions_changed()

    def replace(self, mark: Mark, by: Mark) -> None:
        """Have what waits with one mark wait with another."""
        self.waits.replace(mark, by)

    def heard(self) -> None:
        """Something was said or heard: see what follows from that. From the carrier."""
        fleet = self.fleet
        if fleet.epoch != self._epoch:
            self._epoch = fleet.epoch
            self._surroundings.epoch_begun(fleet.epoch)
        self._follow_definitions()
        if fleet.written:
            written, fleet.written = fleet.written, []
            self._surroundings.others_wrote(written)
        for mark in fleet.take_ready():
            self.waits.let_go(mark)
        if fleet.strangers:
            self._wake.set()

    def _poke(self) -> None:
        if self._carrier is not None:
            self._carrier.poke()

    def _is_bus_up(self) -> bool:
        return self._fellowship.bus.counts.is_up

    def counts(self) -> FleetCounts:
        """Tell what there is and was, for the metrics."""
        counts = self._counts
        counts.members = len(self.fleet.members) + 1 if self._is_in else 0
        counts.is_fast = self._clock() < self._ledger.granted_until
        return counts

    def problem(self) -> str | None:
        """Say what it waits for, while it serves nobody."""
        if self._primary is None:
            return None
        if not self._is_in:
            return "the fleet was not entered yet"
        if not self.fleet.is_welcome:
            return "not all members of the fleet have answered yet"
        return None

    async def admit(self, connection: ServerConnection) -> None:
        """Write down a connection to the primary, before anything is sent on it.

        Raises:
            ServerLost: We are no member; or the primary does not say whether we are.
        """
        try:
            await self._connections.admit(self.fleet.name, connection, self._store)
        except NoMember:
            self._wake.set()
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
        store = await self._reach(server)
        self._primary = (server, link)
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
            if self._life is not identity or self._store is not store or store.is_closed:
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

    async def _reach(self, server: Server) -> ViewStore:
        """Have a connection to a server's view."""
        if self._store is not None:
            self._store.close()
        store = await self._open_views(self._control, server)
        try:
            await store.open()
            if self._is_in:
                await store.be_seen(self.fleet.name)
        except PermissionError as error:
            store.close()
            log.error("the fleet can't be joined", server=server.name, error=str(error))
            raise
        except BaseException:
            store.close()
            raise
        self._store = store
        return store

    async def _enter(self, store: ViewStore) -> None:
        fleet = self.fleet
        await store.be_seen(fleet.name)
        view = await store.enter(fleet.name, self._fellowship.label)
        others = [row for row in view.rows if row.name != fleet.name]
        fleet.enter(row.name for row in others if row.standing is not Standing.GONE)
        for row in others:
            if row.standing is Standing.GONE:
                self._step(row)
            else:
                self._evictions.met(row.name)
        self._is_in = True
        self._surroundings.entered(view.salt)
        channel = Channel(self._fellowship.name, view.salt[:8].hex())
        self._carrier = Carrier(fleet, channel, self._fellowship.bus, self.heard, self._clock)
        self._carrier.open()
        log.info("fleet entered", member=fleet.name, others=len(fleet.members))
        if self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._keep_looking())

    def _step(self, row: Row) -> None:
        if row.name not in self._stepped:
            self._stepped.add(row.name)
            self.fleet.remember(row.step, row.epoch)

    # The view

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self._look()
            except FAILURES as error:
                if self._store is not None:
                    self._store.close()
                log.warning("the view can't be read", error=describe(error))
                await asyncio.sleep(LEAST * 5)
            except Exception as error:
                log.exception("a member met a bug", error)
                await asyncio.sleep(LOOK)
            await self._rest()

    async def _rest(self) -> None:
        await asyncio.sleep(LEAST)
        try:
            async with asyncio.timeout(LOOK - LEAST):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _look(self) -> None:
        if self._primary is None or not self._is_in:
            return
        fleet = self.fleet
        server, link = self._primary
        store = self._store
        if store is None or store.is_closed:
            store = await self._reach(server)
        asked_at = self._clock()
        view = await store.read()
        if fleet is not self.fleet or self._primary != (server, link):
            return
        if view.standing(fleet.name) is not Standing.IN:
            self._lose_membership()
            return
        if view.is_over:
            return  # the witness will find out, too
        fleet.vouched(asked_at)
        if not self._follow_epoch(view.epoch):
            self._wake.set()
            return
        await self._follow_view(view, link, store)
        if await self._evictions.look_for_absent(fleet, store):
            self._wake.set()
        if not self._surroundings.has_lost():  # or others must be able to end what is under way
            await self._connections.forget_closed(fleet.name, store)
        self._poke()
        self.heard()

    def _follow_epoch(self, epoch: Epoch) -> bool:
        """Follow who has begun one, if the bus has not told us; False: not all know of it yet."""
        fleet = self.fleet
        if fleet.epoch == NO_EPOCH:
            return True  # we are about to agree on it
        if not fleet.turn(epoch, self._clock()):
            self._poke()
            return False
        fleet.begin(epoch)
        self.heard()
        return True

    async def _follow_view(self, view: View, link: MemberLink, store: ViewStore) -> None:
        fleet = self.fleet
        names = {row.name for row in view.rows if row.standing is not Standing.GONE}
        for name in names.difference(fleet.members, [fleet.name]):
            log.info("another member", member=name)
            self._evictions.met(name)
            fleet.admit(name)
        fleet.strangers.clear()
        gone = [name for name in fleet.members if name not in names]
        if gone:
            position = await link.position()
            rows = {row.name: row for row in view.rows}
            for name in gone:
                row = rows.get(name)
                if row is None:  # in an epoch before this one
                    row = Row(name, Standing.GONE, Token(0), NO_EPOCH)
                fleet.expel(name, row.step, row.epoch, position)
                self._stepped.add(name)
                self._evictions.is_gone(name)
                log.info("a member is gone", member=name)
            self.heard()  # before anything of ours is settled: its last commit may have been DDL
        for row in view.rows:
            if row.standing is Standing.GONE:
                self._step(row)
            elif row.standing is Standing.FENCED:
                self._evictions.see_to(row.name, link, store)

    def _lose_membership(self) -> None:
        log.error("this member was evicted: it begins anew", member=self.fleet.name)
        self._connections = Connections()
        if self._carrier is not None:
            self._carrier.close()
            self._carrier = None
        self._begin_anew()
        self._ledger.new_epoch(Token(secrets.randbits(127)))
        self._surroundings.expelled()
        self.waits.give_up()

    # The end

    async def leave(self) -> None:
        """Hand everything over; all server connections are closed."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await self._evictions.close()
        if self._carrier is not None:
            self._carrier.close()
        store = self._store
        if store is None or store.is_closed or not self._is_in:
            return
        try:
            if self._surroundings.has_lost():
                await store.fence(self.fleet.name)  # the others see to the rest
            else:
                await store.expel(self.fleet.name)
        except FAILURES as error:
            log.warning("left without a word", error=describe(error))
        finally:
            store.close()


def open_member_link(open_link: OpenLink, member: Membership) -> OpenLink:
    """Return what opens a witness's connections for a member."""

    async def open_one(control: Control, server: Server, broken: Callable[[], None]) -> MemberLink:
        return MemberLink(await open_link(control, server, broken), server, member)

    return open_one
