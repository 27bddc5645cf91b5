"""A member's connections to the primary, as they are written down there.

Who evicts it must find them all, and none may come later: so each asks first whether its member
still is one (docs/fleet.md, `EXPELLED`).
"""

from __future__ import annotations

from typing import final

from proxy.errors import ServerLost
from proxy.runtime.server import ServerConnection
from proxy.topology.group import Server
from proxy.topology.views import Session, ViewStore
from proxy.topology.witness import FAILURES, describe


class NoMember(ServerLost):
    """We are none any more."""


@final
class Connections:
    """See the module."""

    def __init__(self) -> None:
        self._written: dict[ServerConnection, Session] = {}

    async def admit(
        self, member: str, connection: ServerConnection, store: ViewStore | None
    ) -> None:
        """Write one down, before anything is sent on it.

        Raises:
            NoMember: The view says so.
            ServerLost: The primary does not answer.
        """
        if store is None or store.is_closed:
            raise ServerLost("the primary does not tell whether we are a member of the fleet")
        session = Session(connection.pid, connection.facts.backend_start)
        try:
            is_member = await store.admit(member, session)
        except FAILURES as error:
            raise ServerLost(f"the view of the fleet can't be read: {describe(error)}") from None
        if not is_member:
            raise NoMember("we are a member of the fleet no more")
        self._written[connection] = session

    def count(self, server: Server) -> int:
        """Tell how many are written down, of those to a server as it is now."""
        return sum(
            it.server is server and it.incarnation == server.incarnation and not it.is_lost
            for it in self._written
        )

    async def forget_closed(self, member: str, store: ViewStore) -> None:
        """Strike out those that are closed."""
        closed = {it: session for it, session in self._written.items() if it.is_lost}
        if closed:
            await store.forget(member, closed.values())
            for connection in closed:
                self._written.pop(connection, None)
