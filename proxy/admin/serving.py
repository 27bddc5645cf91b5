"""The HTTP server of operators and their machines, on sockets that are given to it."""

from __future__ import annotations

import asyncio
import socket
from typing import final

import uvicorn
from starlette.applications import Starlette


@final
class AdminServer:
    """Answers until it is closed.

    Args:
        app: What answers.
    """

    def __init__(self, app: Starlette) -> None:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off")
        self._server = uvicorn.Server(config)
        self._task: asyncio.Task[None] | None = None

    async def start(self, sockets: list[socket.socket]) -> None:
        """Begin. Uvicorn's own `serve` would take our signals."""
        config = self._server.config
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup(sockets=sockets)
        self._task = asyncio.get_running_loop().create_task(self._server.main_loop())

    async def close(self) -> None:
        """Stop, whoever is connected."""
        if self._task is not None:
            self._server.should_exit = True
            await self._task
            await self._server.shutdown()
