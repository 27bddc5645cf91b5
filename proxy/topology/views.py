"""What a fleet keeps in its primary: who is a member, in which epoch all are, whose connections
there are. docs/fleet.md, "Views".

Schema `tidegate`, made by whoever comes first. Everything that changes the view is done under a
lock of its one row of `epoch`, in a transaction of its own. An engine's part is how its statements
are run, how the tables are made, and how one life of a server is told from the next: what a crash
may have lost must not be taken for still there.
"""

from __future__ import annotations

import asyncio
import secrets
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import asynccontextmanager
from enum import Enum, unique
from typing import Any, Final, NamedTuple

from proxy.topology.group import Server
from proxy.topology.witness import Control
from proxy.types import Epoch, Token

SCHEMA: Final = "tidegate"

TABLES: Final = ("epoch", "member", "session")
"""What is in it with every engine."""

MOST_LEGACIES: Final = 32
"""Who left after having told all, before one who leaves changes all versions, so that what is kept
of them may be forgotten: each member keeps it, and tells it to each that comes."""


@unique
class Standing(Enum):
    """What the view says of a member."""

    IN = "in"
    FENCED = "fenced"  # it must not write any more, and may still be reading
    GONE = "gone"


class Row(NamedTuple):
    """A member, as the primary has it.

    Attributes:
        name: Its own.
        standing: Whether it counts.
        step: Of its going: see `Fleet.expel`. It means something when it is gone, and is 0 if all
            had heard by then what it had to say: see `Fleet.inherit`.
        epoch: In which it went.
        label: What it says of itself, for people: see `proxy.runtime.label`.
        settles: Seconds within which what it has sent is at the primary, or never gets there, where
            it fences itself (docs/fleet.md); None: its connections must be seen gone.
    """

    name: str
    standing: Standing
    step: Token
    epoch: Epoch
    label: str = ""
    settles: float | None = None

    @property
    def has_told(self) -> bool:
        """Whether it has left, and all had heard what it had to say."""
        return self.standing is Standing.GONE and not self.step


class View(NamedTuple):
    """All of them.

    Attributes:
        epoch: The fleet's.
        is_over: Whether that epoch was of another life of the server, or of another server.
        rows: The members, by name.
        salt: The fleet's: what its second-level cache is sealed with, and its channel is named by.
    """

    epoch: Epoch
    is_over: bool
    rows: Mapping[str, Row]
    salt: bytes

    def standing(self, name: str) -> Standing | None:
        """Tell a member's; None: it has no row."""
        row = self.rows.get(name)
        return None if row is None else row.standing


class Lacking(NamedTuple):
    """Which rights the control user lacks, by their engine's names; empty: none.

    Attributes:
        ending: To end others' connections.
        seeing: To see whether one of them is at rest.
    """

    ending: str = ""
    seeing: str = ""


class Session(NamedTuple):
    """A server connection of a member: see `Witness.fence`."""

    pid: int
    start: float


class ViewStore(ABC):
    """One control connection to the primary. What fails, fails as a witness's does.

    Attributes:
        is_closed: Whether it was let go.
    """

    def __init__(self) -> None:
        self.is_closed = False
        self._turn = asyncio.Lock()  # one at a time

    # An engine's part.

    @abstractmethod
    async def run(self, sql: str, *values: object) -> Sequence[Sequence[Any]]:
        """Run a statement with `?` in the places of values; returns its rows."""

    @abstractmethod
    async def make(self) -> None:
        """Make the tables that are not there.

        Raises:
            PermissionError: We may not.
        """

    @abstractmethod
    async def lacking(self) -> Lacking:
        """Find out which rights we do not have."""

    @abstractmethod
    async def life(self) -> str:
        """Name this life of the server: a crash, a restart or a failover begin another."""

    @abstractmethod
    def is_same_life(self, one: str, other: str) -> bool:
        """Compare two of those."""

    @abstractmethod
    async def show(self, key: int) -> None:
        """Have this connection hold a lock of its server for as long as it is there.

        Args:
            key: Of 63 bits.
        """

    @abstractmethod
    async def silence(self, key: int) -> float | None:
        """Tell for how many seconds a connection has asked nothing that holds that lock.

        None: no connection does. 0: that can't be told.
        """

    @abstractmethod
    def hang_up(self) -> None:
        """Let go, without a farewell."""

    # What all have in common.

    def close(self) -> None:
        """Let go."""
        self.is_closed = True
        self.hang_up()

    async def open(self) -> None:
        """Make what is not there: once, and first.

        Raises:
            PermissionError: We may not.
        """
        async with self._turn:
            await self.make()

    async def be_seen(self, name: str) -> None:
        """Show that a member is there, as long as this connection is."""
        async with self._turn:
            await self.show(_key(name))

    async def silent_for(self, name: str) -> float | None:
        """Tell whether a member is there: for how many seconds it has asked the primary nothing.

        None: it has no such connection. One that is well looks at the view all the time.
        """
        async with self._turn:
            return await self.silence(_key(name))

    async def read(self) -> View:
        """Read the view."""
        async with self._turn:
            return await self._read("")

    async def enter(self, name: str, label: str, settles: float | None = None) -> View:
        """Become a member; returns the view as it was when we did, ourselves among it.

        Args:
            name: That nobody ever had.
            label: For people.
            settles: See `Row`.
        """
        async with self._changing() as view:
            await self.run(
                "INSERT INTO tidegate.member (name, label, standing, step, number, token, settles)"
                " VALUES (?, ?, 'in', '0', 0, '0', ?)",
                name,
                label,
                settles,
            )
        mine = Row(name, Standing.IN, Token(0), Epoch(0, Token(0)), label, settles)
        return view._replace(rows={**view.rows, name: mine})

    async def fence(self, name: str) -> None:
        """Let no new connection of a member in any more."""
        async with self._changing():
            await self.run(
                "UPDATE tidegate.member SET standing = 'fenced' WHERE name = ? AND standing = 'in'",
                name,
            )

    async def expel(self, name: str) -> None:
        """Have a member be gone, whose connections are, in the epoch that all are in."""
        async with self._changing() as view:
            await self._expel(name, view)

    async def leave(self, name: str, told: Collection[str], epoch: Epoch) -> bool:
        """Be gone; all our connections are.

        Args:
            name: Ours.
            told: Who has heard all that we had to say.
            epoch: In which they have.

        Returns:
            Whether that is everybody who stays, and one at least: then versions go on.
        """
        async with self._changing() as view:
            stay = {row.name for row in view.rows.values() if row.standing is not Standing.GONE}
            is_in = view.standing(name) is Standing.IN
            stay.discard(name)
            legacies = sum(row.has_told for row in view.rows.values())
            is_told = bool(stay) and stay.issubset(told)
            is_now = view.epoch == epoch and not view.is_over
            goes_on = is_in and is_told and is_now and legacies < MOST_LEGACIES
            if goes_on:
                await self._go(name, Token(0), view.epoch)
            else:
                await self._expel(name, view)
        return goes_on

    async def _expel(self, name: str, view: View) -> None:
        """Have somebody be gone with a step, which those take part in who had told all before."""
        if view.standing(name) is Standing.GONE:
            return
        for row in view.rows.values():
            if row.has_told:
                await self._go(row.name, Token(secrets.randbits(127)), row.epoch)
        await self._go(name, Token(secrets.randbits(127)), view.epoch)

    async def _go(self, name: str, step: Token, epoch: Epoch) -> None:
        await self.run(
            "UPDATE tidegate.member SET standing = 'gone', step = ?, number = ?, token = ?"
            " WHERE name = ?",
            _written(step),
            epoch.number,
            _written(epoch.token),
            name,
        )
        await self.run("DELETE FROM tidegate.session WHERE member = ?", name)

    async def begin(self, behind: Epoch) -> Epoch:
        """Find the epoch of this life of the server, greater than any that a member was in.

        Args:
            behind: The one that we are in.
        """
        async with self._changing() as view:
            if not view.is_over and view.epoch >= behind:
                return view.epoch
            number = max(view.epoch.number, behind.number) + 1
            epoch = Epoch(number, Token(secrets.randbits(127)))
            await self.run(
                "UPDATE tidegate.epoch SET number = ?, token = ?, life = ? WHERE id = 1",
                epoch.number,
                _written(epoch.token),
                await self.life(),
            )
            # Those in earlier epochs changed nothing that counts in this one.
            await self.run("DELETE FROM tidegate.member WHERE standing = 'gone'")
            return epoch

    async def admit(self, name: str, session: Session) -> bool:
        """Write down a connection of ours; False: we are no member, and it must not be used."""
        async with self._transaction():
            rows = await self.run(
                "SELECT standing FROM tidegate.member WHERE name = ? FOR UPDATE", name
            )
            if not rows or rows[0][0] != Standing.IN.value:
                return False
            await self.run(
                "INSERT INTO tidegate.session (member, pid, start) VALUES (?, ?, ?)",
                name,
                session.pid,
                session.start,
            )
        return True

    async def forget(self, name: str, sessions: Iterable[Session]) -> None:
        """Strike out connections of ours that are closed."""
        async with self._transaction():
            for session in sessions:
                await self.run(
                    "DELETE FROM tidegate.session WHERE member = ? AND pid = ? AND start = ?",
                    name,
                    session.pid,
                    session.start,
                )

    async def sessions(self, name: str) -> list[Session]:
        """List a member's connections."""
        async with self._turn:
            rows = await self.run("SELECT pid, start FROM tidegate.session WHERE member = ?", name)
        return [Session(int(pid), float(start)) for pid, start in rows]

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[View]:
        """Change the view in a transaction, while nobody else does."""
        async with self._transaction():
            yield await self._read(" FOR UPDATE")

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        """Do all or nothing. Where it breaks off, nobody knows what the connection does yet."""
        async with self._turn:
            try:
                await self.run("BEGIN")
                yield
                await self.run("COMMIT")
            except BaseException:
                self.close()
                raise

    async def _read(self, lock: str) -> View:
        epochs = await self.run(
            "SELECT number, token, life, salt FROM tidegate.epoch WHERE id = 1" + lock
        )
        if not epochs:
            raise ConnectionError("tidegate.epoch is empty")  # it is made when we connect anew
        ((number, token, life, salt),) = epochs
        rows = await self.run(
            "SELECT name, standing, step, number, token, label, settles"
            " FROM tidegate.member ORDER BY name"
        )
        return View(
            epoch=Epoch(int(number), _token(token)),
            is_over=not self.is_same_life(life, await self.life()),
            rows={
                name: Row(
                    name,
                    Standing(standing),
                    _token(step),
                    Epoch(int(of), _token(epoch)),
                    label,
                    settles,
                )
                for name, standing, step, of, epoch, label, settles in rows
            },
            salt=bytes.fromhex(salt),
        )


OpenViews = Callable[[Control, Server], Awaitable[ViewStore]]
"""Opens a connection to the view in a primary."""


def not_ours(why: str) -> str:
    """Say that the schema is not there for us, and what helps."""
    return (
        f"schema {SCHEMA} can't be made, or not be used: {why};"
        " what `tidegate init-db` prints makes it, if an administrator runs it once"
    )


def new_salt() -> str:
    """Make a fleet's salt."""
    return secrets.token_hex(32)


def _key(name: str) -> int:
    """Number a member, whose name is a random number of 64 bits."""
    return int(name, 16) >> 1


def _written(token: int) -> str:
    return f"{token:x}"


def _token(text: str) -> Token:
    return Token(int(text, 16))
