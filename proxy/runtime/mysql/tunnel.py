"""A reader of the binary log, a replica most often: from its request on, bytes both ways, unread.

It has the server connection that its session was pinned to, for what it has set there is for the
dump to follow; and nobody else has that connection afterwards.
"""

from __future__ import annotations

from typing import final

from proxy.runtime import tunnel
from proxy.runtime.server import ServerConnection
from proxy.session.ports import Shell
from proxy.wire.mysql.codec import HEADER
from proxy.wire.mysql.ok import ERROR


@final
class Tunnel(tunnel.Tunnel):
    """See the module.

    Args:
        client: Whose tunnel it is.
        connection: To the primary.
        owed: How many packets come first that are not for the client, unless one is an error.
    """

    def __init__(self, client: Shell, connection: ServerConnection, owed: int) -> None:
        super().__init__(client, connection)
        self._owed = owed
        self._held = b""
        connection.lend(self)

    def cancel(self) -> None:
        """Stop what the server runs for this client: there is nothing else."""
        self._connection.abort("the dump was killed")

    def server_data(self, link: ServerConnection, data: bytes) -> None:
        """Pass on what the server sent."""
        if self._owed:
            data = self._swallow(data)
        if data:
            self._client.write(data)

    def _swallow(self, data: bytes) -> bytes:
        data = self._held + data
        while self._owed and len(data) > HEADER and data[HEADER] != ERROR:
            size = HEADER + int.from_bytes(data[:3], "little")
            if len(data) < size:
                break
            data = data[size:]
            self._owed -= 1
        if self._owed and len(data) > HEADER and data[HEADER] == ERROR:
            self._owed = 0
        self._held = data if self._owed else b""
        return b"" if self._owed else data
