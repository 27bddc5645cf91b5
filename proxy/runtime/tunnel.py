"""A client whose bytes are passed both ways unread, over a server connection of its own."""

from __future__ import annotations

from proxy.errors import Fault
from proxy.runtime.server import ServerConnection
from proxy.session.ports import Shell


class Tunnel:
    """See the module. It is the server connection's user.

    Args:
        client: Whose tunnel it is.
        connection: Of this client alone from now on.
    """

    def __init__(self, client: Shell, connection: ServerConnection) -> None:
        self._client = client
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Pass on what the client sent."""
        if data:
            self._connection.write(data)

    def pause_server(self) -> None:
        """The client is slow."""
        self._connection.pause_reading()

    def resume_server(self) -> None:
        """The client has caught up."""
        self._connection.resume_reading()

    def close(self) -> None:
        """The client is gone."""
        self._connection.user = None
        self._connection.abort("the client is gone")

    # The server connection's user

    def server_data(self, link: ServerConnection, data: bytes) -> None:
        """Pass on what the server sent."""
        self._client.write(data)

    def server_lost(self, link: ServerConnection, reason: str) -> None:
        """The server hung up: so do we."""
        self._client.close(f"server {link.server.name}: {reason}", Fault.SERVER_LOST)

    def server_paused(self, link: ServerConnection, paused: bool) -> None:
        """The server is slow, or has caught up."""
        if paused:
            self._client.pause_reading()
        else:
            self._client.resume_reading()
