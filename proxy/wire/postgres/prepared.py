"""Statements that clients prepared, as PostgreSQL's servers are told of them.

Sources: "PREPARE" and "Extended Query" in the PostgreSQL manual.
"""

from __future__ import annotations

from typing import final

from proxy.wire import prepared
from proxy.wire.postgres import frontend


@final
class Library(prepared.Library):
    """See the base."""

    def say(self, server_name: bytes, sql: bytes, oids: tuple[int, ...]) -> bytes:
        """A Parse under the name that all clients share."""
        return frontend.parse(server_name, sql, oids)
