"""A replication connection: logged in on the client's behalf, then bytes both ways, unread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import final

from proxy.errors import ServerLost
from proxy.runtime import tunnel
from proxy.runtime.postgres.opening import reach
from proxy.runtime.server import Address, ServerConnection
from proxy.session.ports import Shell
from proxy.wire.postgres import backend
from proxy.wire.postgres.authentication import Authenticated
from proxy.wire.postgres.startup import Replication, Startup


@final
class Tunnel(tunnel.Tunnel):
    """See the module."""

    def __init__(
        self,
        client: Shell,
        connection: ServerConnection,
        cancel: Callable[[ServerConnection], None],
    ) -> None:
        super().__init__(client, connection)
        self._cancel = cancel

    @classmethod
    async def open(
        cls,
        client: Shell,
        address: Address,
        wish: Startup,
        proven: Authenticated,
        *,
        key: tuple[int, bytes],
        cancel: Callable[[ServerConnection], None],
    ) -> Tunnel:
        """Log in to the server with what the client asked for, and tell the client.

        Args:
            client: Whose tunnel it is.
            address: Of the server.
            wish: What the client asked for.
            proven: Who it is.
            key: Cancels what runs for the client.
            cancel: Stops what the server runs.

        Raises:
            ServerLost: The server can't be reached.
            LoginRefused: It said no.
        """
        server = address.server
        parameters = {b"user": wish.user, b"database": wish.database, **wish.settings}
        is_logical = wish.replication is Replication.LOGICAL
        parameters[b"replication"] = b"database" if is_logical else b"true"
        try:
            async with asyncio.timeout(address.timeout):
                connection, welcome = await reach(address, parameters, proven.credentials)
        except (OSError, TimeoutError) as error:
            raise ServerLost(f"server {server.name} can't be reached: {error}") from None
        connection.pid, connection.secret = welcome.pid, welcome.secret
        opened = cls(client, connection, cancel)
        connection.user = opened
        said = [backend.parameter_status(*pair) for pair in welcome.parameters.items()]
        said += [backend.backend_key_data(*key), backend.READY_IDLE]
        client.write(proven.answer + b"".join(said))
        return opened

    def cancel(self) -> None:
        """Stop what the server runs for this client."""
        self._cancel(self._connection)
