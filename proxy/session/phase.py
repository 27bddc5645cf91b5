"""What a session is doing: its one state, and what may follow what.

`NEXT` is the theory; tests/unit/session checks each change of a phase against it. What is done in a
phase is not said here: see `conversation`.
"""

from __future__ import annotations

from enum import Enum, unique
from typing import Final


@unique
class Phase(Enum):
    """What a session is doing."""

    FREE = "free"  # between requests, perhaps in a transaction
    WAITING = "waiting"  # for a server connection, a primary, another's result, or the second level
    SETTING = "setting"  # the client's settings are being made: for its request, or after a reset
    RUNNING = "running"  # a request is with the server
    OPEN = "open"  # a batch is with the server, and the client has not ended it yet
    ASKING = "asking"  # a question of our own, before the connection is given back
    OVER = "over"  # the client is gone, and nothing is kept for it


FREE: Final = Phase.FREE
WAITING: Final = Phase.WAITING
SETTING: Final = Phase.SETTING
RUNNING: Final = Phase.RUNNING
OPEN: Final = Phase.OPEN
ASKING: Final = Phase.ASKING
OVER: Final = Phase.OVER

NEXT: Final[dict[Phase, frozenset[Phase]]] = {
    # A request is taken up; or the client is gone.
    FREE: frozenset((WAITING, SETTING, RUNNING, OPEN, OVER)),
    # It came, or won't come.
    WAITING: frozenset((FREE, SETTING, RUNNING, OPEN, OVER)),
    # They are made, or refused.
    SETTING: frozenset((FREE, RUNNING, OPEN, OVER)),
    # Answered; or answered by a replica in a way that does not count, so that the primary is asked,
    # for which a connection must be waited for; or a Sync was lost on a COPY, so that the client
    # must send another. A server's default may have to be made the client's.
    RUNNING: frozenset((FREE, WAITING, OPEN, ASKING, SETTING, OVER)),
    # The client has ended its batch; or the server has, by going.
    OPEN: frozenset((RUNNING, FREE, OVER)),
    # The server has answered.
    ASKING: frozenset((FREE, SETTING, OVER)),
    OVER: frozenset(),
}
"""What may follow. To stay in a phase is always possible: one thing after another of its kind."""
