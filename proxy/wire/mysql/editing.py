"""What a client says of statements, put into the words of one server connection.

A statement has another id on each connection, and a connection is many clients': here are those
that it has, by what they are to all of them, and those whose ids nobody will use any more.

Source: "Prepared Statements" in the MySQL source documentation.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final, final

from proxy.errors import RemoteProtocolError
from proxy.wire.mysql import commands
from proxy.wire.mysql.codec import packet
from proxy.wire.mysql.prepared import Facts
from proxy.wire.mysql.requests import ARGUMENTS, STATEMENT, Request
from proxy.wire.prepared import Prepared

_CLOSE: Final = bytes((commands.STMT_CLOSE,))


@final
class Editor:
    """See the module.

    Args:
        limit: Statements that are kept on the connection; the one not used for longest goes.
    """

    __slots__ = ("_ids", "_kinds", "_limit", "_preparing", "_stray")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._ids: OrderedDict[Prepared, bytes] = OrderedDict()
        self._kinds: dict[Prepared, bytes] = {}  # of the values they were first run with
        self._preparing: deque[Prepared] = deque()  # the server's answers are to come
        self._stray: list[bytes] = []  # ids to be closed at the next occasion

    def close_strays(self) -> list[bytes]:
        """Close what nobody uses any more; no server answers that."""
        pieces = [packet(0, _CLOSE + name) for name in self._stray]
        self._stray = []
        return pieces

    def prepares(self, prepared: Prepared) -> None:
        """A statement is being prepared."""
        self._preparing.append(prepared)

    def has_id(self, statement: int, facts: Facts) -> None:
        """The server says what the statement due goes by."""
        prepared = self._preparing[0]
        before = self._ids.pop(prepared, None)
        self._kinds.pop(prepared, None)
        if before is not None:
            self._stray.append(before)
        while len(self._ids) >= self._limit:
            oldest, number = self._ids.popitem(last=False)
            self._kinds.pop(oldest, None)
            self._stray.append(number)
        self._ids[prepared] = statement.to_bytes(4, "little")
        prepared.facts = facts

    def is_answered(self) -> None:
        """The server has answered to the preparation due, whatever it said."""
        self._preparing.popleft()

    def say(self, request: Request, prepared: Prepared) -> list[bytes]:
        """Say what speaks of a statement, and what goes in front of it."""
        remote = self._ids.get(prepared)
        if remote is None:
            raise RemoteProtocolError("a statement was run that is not prepared")
        self._ids.move_to_end(prepared)
        if request.kinds:
            self._kinds.setdefault(prepared, request.kinds)
        pieces = [_with_id(ahead, remote) for ahead in request.ahead]
        pieces.append(_with_id(request.packets, remote))
        return pieces

    def lacks(self, request: Request, prepared: Prepared) -> bool:
        """Tell if a statement must be prepared first.

        A server may hold on to the types of the values that it was run with first, which may have
        been another client's.
        """
        return prepared not in self._ids or not self._bears(prepared, request.kinds)

    def _bears(self, prepared: Prepared, kinds: bytes) -> bool:
        """Tell if values are of the kinds that a statement was run with first, or NULL."""
        first = self._kinds.get(prepared, kinds)
        if first == kinds or not kinds:
            return True
        if len(first) != len(kinds):
            return False
        return all(not now or now == then for then, now in zip(first, kinds, strict=True))

    def forget(self) -> None:
        """The connection has none any more."""
        self._ids.clear()
        self._kinds.clear()
        self._stray.clear()


def _with_id(packets: bytes, remote: bytes) -> bytes:
    return packets[:STATEMENT] + remote + packets[ARGUMENTS:]
