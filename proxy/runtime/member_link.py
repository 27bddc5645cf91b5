"""A witness's connection to a server, for a proxy that is a member of a fleet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, final

from proxy.topology.group import Server
from proxy.topology.witness import Control, Link, OpenLink, Sight
from proxy.types import Position, Role


class Agreeing(Protocol):
    """The member."""

    async def agree(self, server: Server, link: MemberLink, life: object, /) -> object:
        """Wait until a server may be asked anything, as the primary; names what was agreed on."""

    def lost(self, link: MemberLink, /) -> None:
        """A server is out of sight, or is no primary."""


@final
class MemberLink:
    """A witness's connection. A primary is not told of before the fleet agrees on its epoch."""

    def __init__(self, link: Link, server: Server, member: Agreeing) -> None:
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

    async def is_busy(self, pid: int) -> bool:
        """Tell whether a session may be running something: see `Witness.is_busy`."""
        async with self._turn:
            return await self._link.is_busy(pid)

    def close(self) -> None:
        """Let go, without a farewell."""
        self._member.lost(self)
        self._link.close()


def open_member_link(open_link: OpenLink, member: Agreeing) -> OpenLink:
    """Return what opens a witness's connections for a member."""

    async def open_one(control: Control, server: Server, broken: Callable[[], None]) -> MemberLink:
        return MemberLink(await open_link(control, server, broken), server, member)

    return open_one
