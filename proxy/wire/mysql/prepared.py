"""Statements that clients prepared, as MySQL's servers have them: each under an id of its own.

Source: "Prepared Statements" in the MySQL source documentation.
"""

from __future__ import annotations

from typing import NamedTuple, final

from proxy.wire import prepared
from proxy.wire.mysql import commands
from proxy.wire.mysql.codec import packet


@final
class Library(prepared.Library):
    """See the base."""

    def say(self, server_name: bytes, sql: bytes, oids: tuple[int, ...]) -> bytes:
        """A COM_STMT_PREPARE; its answer has the id."""
        return packet(0, bytes((commands.STMT_PREPARE,)) + sql)


class Facts(NamedTuple):
    """What a server has said of a statement.

    Attributes:
        parameters: How many it has.
        columns: How many its result has.
    """

    parameters: int
    columns: int
