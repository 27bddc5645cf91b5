"""What a snapshot of PostgreSQL's shows, by what `pg_current_snapshot` says of it.

Source: "Transaction ID and Snapshot Information Functions" in the manual.
"""

from __future__ import annotations

from typing import Final, final

from proxy.errors import RemoteProtocolError

_HALF: Final = 1 << 31
_MASK: Final = (1 << 32) - 1


@final
class Snapshot:
    """Transactions are known by the lower half of their number, as the log has it.

    Args:
        text: `xmin:xmax:xip_list`.

    Raises:
        RemoteProtocolError: It is none.
    """

    __slots__ = ("_xmax", "_xmin", "running")

    def __init__(self, text: str) -> None:
        first, _, rest = text.partition(":")
        last, _, listed = rest.partition(":")
        numbers = listed.split(",") if listed else []
        for number in (first, last, *numbers):
            if not number.isdecimal():
                raise RemoteProtocolError("no snapshot of transactions")
        self._xmin = int(first)
        self._xmax = int(last)
        self.running = frozenset([int(number) & _MASK for number in numbers])

    def shows(self, xid: int) -> bool:
        """Tell whether a transaction is over, and all that it wrote can be read."""
        # No two that are looked for are further apart than half of all numbers: PostgreSQL itself
        # compares them so.
        behind = (xid - self._xmax + _HALF & _MASK) - _HALF
        if behind >= 0:
            return False
        return self._xmax + behind < self._xmin or xid not in self.running
