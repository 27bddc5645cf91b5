"""A commit that is on its way: announced before it is sent, settled by what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, unique
from typing import Final

from proxy.errors import InternalError
from proxy.types import Table, Token


@unique
class MarkState(Enum):
    """How much is known of a commit."""

    PENDING = "pending"
    LOST = "lost"  # its connection is gone: it may have happened, or happen yet
    COMMITTED = "committed"
    ROLLED_BACK = "rolled_back"
    VOID = "void"  # its epoch ended: it happened before the new one began, or never will


PENDING: Final = MarkState.PENDING
LOST: Final = MarkState.LOST
COMMITTED: Final = MarkState.COMMITTED
ROLLED_BACK: Final = MarkState.ROLLED_BACK
VOID: Final = MarkState.VOID

# A lost commit is never said to be rolled back: a closed connection proves nothing, and
# counting one commit too many costs a few cached results. A void mark's owner may still
# settle it, since it can't know yet; that changes nothing but to count a commit.
_NEXT: Final[Mapping[MarkState, frozenset[MarkState]]] = {
    PENDING: frozenset({COMMITTED, ROLLED_BACK, LOST, VOID}),
    LOST: frozenset({COMMITTED, VOID}),
    VOID: frozenset({COMMITTED, ROLLED_BACK, LOST}),
    COMMITTED: frozenset(),
    ROLLED_BACK: frozenset(),
}


class Mark:
    """The handle of one commit, made by `Ledger.mark` before the COMMIT is sent.

    Settling takes a mark, so a commit that was not announced can't be reported.

    Attributes:
        token: The commit's id.
        owner: The member whose commit it is; empty: us.
        tables: What it changes.
        waiting: Members that must acknowledge before the COMMIT may be sent; a member
            that is alone waits for nobody.
        state: What is known of the commit.
        is_ahead: Whether it is certain that it was known here before the COMMIT was sent.
        number: Its place in the order of acknowledgements, once committed.
    """

    __slots__ = ("is_ahead", "number", "owner", "state", "tables", "token", "waiting")

    def __init__(self, token: Token, tables: frozenset[Table], owner: str = "") -> None:
        self.token = token
        self.owner = owner
        self.tables = tables
        self.waiting: set[str] = set()
        self.state = PENDING
        self.is_ahead = not owner
        self.number = 0

    def become(self, state: MarkState) -> None:
        """Step to another state.

        Raises:
            InternalError: The step makes no sense; a commit would be counted twice or lost.
        """
        if state not in _NEXT[self.state]:
            raise InternalError(f"a {self.state.value} mark can't become {state.value}")
        self.state = state

    def __repr__(self) -> str:
        return f"<Mark {self.state.value} {sorted(self.tables)}>"
