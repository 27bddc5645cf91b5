"""A member's connection to the view: one at a time, for each primary anew, and when it breaks."""

from __future__ import annotations

import asyncio
from typing import final

from proxy.observe.logs import Logger
from proxy.topology.group import Server
from proxy.topology.views import OpenViews, ViewStore
from proxy.topology.witness import Control

log = Logger("fleet")


@final
class ViewLine:
    """See the module.

    Two want one at times, who agrees on a primary and who looks at the view: none that was made
    is left open behind another. It would go on showing the member, and hold what it has locked.

    Attributes:
        store: The latest; None: there was none.

    Args:
        control: How it is made.
        open_views: By the engine.
    """

    def __init__(self, control: Control, open_views: OpenViews) -> None:
        self.store: ViewStore | None = None
        self._control = control
        self._open_views = open_views
        self._turn = asyncio.Lock()

    async def open(self, server: Server, name: str | None) -> ViewStore:
        """Make one, and close the one before.

        Args:
            server: The primary.
            name: Ours, to be seen by; None: we are no member yet.
        """
        async with self._turn:
            return await self._open(server, name)

    async def keep(self, server: Server, name: str) -> ViewStore:
        """Take the one that there is, or make one."""
        async with self._turn:
            store = self.store
            if store is None or store.is_closed:
                store = await self._open(server, name)
            return store

    async def _open(self, server: Server, name: str | None) -> ViewStore:
        self.close()
        store = await self._open_views(self._control, server)
        try:
            await store.open()
            if name is not None:
                await store.be_seen(name)
        except PermissionError as error:
            store.close()
            log.error("the fleet can't be joined", server=server.name, error=str(error))
            raise
        except BaseException:
            store.close()
            raise
        self.store = store
        return store

    def close(self) -> None:
        """Close it."""
        if self.store is not None:
            self.store.close()
