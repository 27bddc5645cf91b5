"""What a server says of its session's state beside a result, gathered over one reply.

Source: "OK_Packet", "Session State Information" in the MySQL source documentation.
"""

from __future__ import annotations

from typing import Final, final

from proxy.wire.mysql import ok

LAST_GTID: Final = b"last_gtid"
"""The variable that stands for GTIDS at MariaDB, which has no such change."""

STATEMENT_ID: Final = b"statement_id"
"""A variable that MySQL 9 sets itself with each statement, and tells of as of any other."""


@final
class Tracked:
    """The changes that the statements of one reply made."""

    __slots__ = (
        "gtid",
        "results",
        "schema",
        "state_changed",
        "variables",
    )

    def __init__(self) -> None:
        self.gtid = b""  # the last
        self.variables: list[tuple[bytes, bytes]] = []  # the system's, with their new values
        self.results: list[int] = []  # with which of the results each of them was told
        self.schema: bytes | None = None
        self.state_changed = False

    def take(self, changes: list[ok.Change], result: int = 0) -> bool:
        """Take in what one OK packet carries.

        Args:
            changes: What it says has changed.
            result: How many results came before.

        Returns:
            Whether there was anything but the statement's number.

        Raises:
            RemoteProtocolError: A change is cut off.
        """
        is_anything = False
        for change in changes:
            about = change[0]
            if about == ok.SYSTEM_VARIABLE:
                for name, value in ok.read_variables(change[1]):
                    if name == STATEMENT_ID:
                        continue
                    is_anything = True
                    if name == LAST_GTID:
                        self.gtid = value
                    else:
                        self.variables.append((name, value))
                        self.results.append(result)
                continue
            is_anything = True
            if about == ok.GTIDS:
                self.gtid = ok.read_text(change)
            elif about == ok.SCHEMA:
                self.schema = ok.read_text(change)
            elif about == ok.STATE_CHANGE:
                self.state_changed = True
        return is_anything


NOTHING: Final = Tracked()
"""Of a reply that carries none; nobody writes to it."""
