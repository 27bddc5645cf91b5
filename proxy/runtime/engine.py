"""What the shell asks of an engine: how its servers are reached, watched, and told apart.

One `Engine` belongs to one server group. What sessions ask is in `proxy.session.ports`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from proxy.freshness.feed import Snapshot
from proxy.freshness.handed import Places
from proxy.routing.reading import Reader
from proxy.routing.terms import Policy
from proxy.runtime.seat import Words
from proxy.runtime.server import Address, ServerConnection, Tongue
from proxy.session.grammar import Grammar
from proxy.session.ports import Dialect
from proxy.session.profile import Profile
from proxy.session.traces import Traces
from proxy.settings.model import ServerGroup
from proxy.topology.catalogs import Definitions
from proxy.topology.group import Group
from proxy.topology.views import OpenViews
from proxy.topology.witness import Control, OpenLink
from proxy.types import Position
from proxy.wire.client import ClientEngine
from proxy.wire.prepared import Library

Confirm = Callable[[], Coroutine[Any, Any, int]]
"""Waits for a sign of life of a server's witness; returns the incarnation."""


class Answers(Protocol):
    """Tells the end of each answer to a visitor."""

    def ask(self, data: bytes, /) -> None:
        """It says this next, and takes what it is told for one answer."""

    def feed(self, data: bytes, /) -> Sequence[int | None]:
        """Take what it was told: None for an error, its transaction's status for an end."""


class Visit(NamedTuple):
    """What a session needs that has no socket."""

    engine: ClientEngine
    profile: Profile
    answers: Answers


class Written(NamedTuple):
    """What a primary's log tells of a commit.

    Attributes:
        xid: Its number.
        rows: How many were written, by schema and table.
        emptied: Tables that were.
        is_clear: Whether that is all.
        gtid: Its id, where its client is told that too.
    """

    xid: int
    rows: Mapping[tuple[str, str], int]
    emptied: frozenset[tuple[str, str]]
    is_clear: bool
    gtid: str = ""


class View(NamedTuple):
    """What was to be seen at a primary.

    Attributes:
        snapshot: What is visible.
        position: In its log, behind all that was acknowledged when it was asked.
        kept: How many bytes of its log it keeps for us.
    """

    snapshot: Snapshot
    position: Position
    kept: int


class Hearer(Protocol):
    """Who is told what a primary's log says of one database, in its order."""

    def heard(self, written: Written, /) -> None:
        """A commit; it may not be visible yet."""

    def reached(self, position: Position, /) -> None:
        """All commits up to here have been told of."""

    def lost(self) -> None:
        """Nothing more will be told: `Changes.look` says why."""


class Changes(Protocol):
    """A primary's log being read."""

    @property
    def heard_at(self) -> float:
        """When the primary last said anything."""

    async def look(self) -> View:
        """Ask what is to be seen.

        Raises:
            ServerLost: The log is read no more. A control connection's failures, too.
        """

    def confirm(self) -> None:
        """Tell how far it has been read, and have it said how far it goes."""

    def close(self) -> None:
        """Stop, and leave nothing behind."""


class Engine(ABC):
    """See the module.

    Attributes:
        tongue: Of its servers.
        dialect, grammar, traces: For sessions.
        places: Of its servers' history, for everybody.
        open_link: Opens a witness's connection.
        open_views: Opens a connection to what a primary keeps of a fleet.
        tells_positions: Whether positions mean the same to all members of a fleet.
        definitions: Reads catalogs.
        tells_gtids: Whether commits are known by their ids in the log, rather than by their rows.
    """

    tongue: Tongue
    dialect: Dialect
    grammar: Grammar
    traces: Traces
    places: Places
    open_link: OpenLink
    open_views: OpenViews
    tells_positions: bool
    definitions: Definitions
    tells_gtids = False

    @abstractmethod
    def serve(self, service: Any) -> None:
        """The group's service is whole but for this: clients may come. It is a `GroupService`."""

    @abstractmethod
    def new_library(
        self, generation: Callable[[], int], is_momentary: Callable[[bytes], bool]
    ) -> Library:
        """Remember what clients prepare; see `Library`."""

    @abstractmethod
    def new_reader(self) -> Reader:
        """Read clients' texts."""

    @abstractmethod
    def new_client(self, *, is_local: bool) -> object:
        """Serve one that has come: an `asyncio.Protocol` in all but its class.

        Args:
            is_local: Whether it came by a Unix socket: nobody else can listen in.
        """

    @abstractmethod
    async def visit(self, database: str, policy: Policy) -> Visit:
        """Let a client in that no port has accepted, as the group's control user.

        Args:
            database: Where it goes.
            policy: What counts for it in place of what the server group says.

        Raises:
            ClientVisibleError: It is not let in.
        """

    @abstractmethod
    async def open(
        self, address: Address, user: str, database: str, confirm: Confirm
    ) -> ServerConnection:
        """Open a connection for a pool.

        Args:
            address: Where to, and how.
            user: In whose name.
            database: Of the pool.
            confirm: A connection that no incarnation vouches for is not used.

        Raises:
            ServerLost: It could not be reached, or broke.
            ServerRefused: The server said no; it has the server's own words.
        """

    @abstractmethod
    async def follow(
        self, address: Address, database: str, hearer: Hearer, *, limit: int
    ) -> Changes:
        """Begin to read a primary's log.

        Args:
            address: Of the primary.
            database: What is written there is told.
            hearer: It is.
            limit: How many bytes of log the server may keep for that.

        Raises:
            ServerLost: It can't be read; the words are the server's.
            ServerRefused: The control user may not.
        """

    @abstractmethod
    async def cancel(self, connection: ServerConnection, within: float) -> None:
        """Ask a server to stop what a connection runs; returns when it has taken note."""

    @abstractmethod
    def pool_of(self, profile: Profile) -> str:
        """Find the database of the pool that serves a session."""

    @abstractmethod
    def is_read_only(self, error: bytes) -> bool:
        """Tell if a server refuses to write as such: it is no primary, or not any more."""

    @abstractmethod
    def vacate(self, database: str, role: str) -> None:
        """Somebody is about to say what nobody may be connected to a database for."""

    @abstractmethod
    def sit_down(self, number: int, count: int) -> None:
        """Be one of several processes of this host: numbers that clients are told must differ.

        Args:
            number: From 1.
            count: Of processes.
        """

    @abstractmethod
    def hear(self, words: Words) -> None:
        """Take what another process of this host says: what a client asked it for may be ours."""

    @abstractmethod
    def forget(self) -> None:
        """There is a new primary: what was known of logins is nothing."""

    @abstractmethod
    def close(self) -> None:
        """Stop."""


class NewEngine(Protocol):
    """Makes the engine of a group."""

    def __call__(
        self,
        settings: ServerGroup,
        control: Control,
        group: Group,
        incarnation: str,
        clock: Callable[[], float],
        changed: Callable[[str], None],
    ) -> Engine:
        """Make one.

        Args:
            settings: Of the group.
            control: How control connections are made.
            group: Whose servers they are.
            incarnation: Of this proxy: part of the name under which it logs in.
            clock: Seconds.
            changed: Is told of a user with another password, or of another user.
        """
