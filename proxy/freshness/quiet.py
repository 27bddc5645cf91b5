"""When nothing that a member had sent can come about any more, though nobody may end its sessions.

`fencing = "lease"`, docs/fleet.md: grants and time alone. What is assumed there is said there.
"""

from __future__ import annotations

from typing import final


@final
class Quiet:
    """One session of a server, whose member sends nothing more that may commit.

    What was sent by then is at the server within some time, or never will be; but for that, the
    server must have read all that was in front of it. So while it is busy the time does not begin.

    Args:
        since: When the member has certainly sent its last.
        settles: Seconds within which that is at the server.
    """

    __slots__ = ("_settles", "_since")

    def __init__(self, since: float, settles: float) -> None:
        self._since = since
        self._settles = settles

    def saw(self, *, is_busy: bool, asked_at: float, now: float) -> bool:
        """Take what the server has said of it; returns whether all has come about that will.

        Args:
            is_busy: Whether it may be running something.
            asked_at: When the server was asked.
            now: When it has answered.
        """
        if is_busy:
            self._since = max(self._since, now)
            return False
        return asked_at >= self._since + self._settles
