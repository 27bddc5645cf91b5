"""The line of those who wait for a primary, while there is none."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from proxy.errors import NoPrimary
from proxy.session.ports import Waiter
from proxy.topology.group import Group


@final
class PrimaryLine:
    """See the module.

    Args:
        group: Whose primary it is.
        clock: Seconds.
        limit: Of a wait, in seconds.
    """

    __slots__ = ("_clock", "_group", "_limit", "_waiting")

    def __init__(self, group: Group, clock: Callable[[], float], limit: float) -> None:
        self._group = group
        self._clock = clock
        self._limit = limit
        self._waiting: dict[Waiter, float] = {}

    def join(self, waiter: Waiter) -> None:
        """Stand in line."""
        self._waiting[waiter] = self._clock()

    def leave(self, waiter: Waiter) -> None:
        """Step out."""
        self._waiting.pop(waiter, None)

    def clear(self) -> list[Waiter]:
        """Send everybody away; the caller tells them that there is a primary."""
        waiters = list(self._waiting)
        self._waiting.clear()
        return waiters

    def end_long_waits(self, now: float) -> None:
        """Tell those who have waited for too long."""
        for waiter, since in list(self._waiting.items()):
            if now - since >= self._limit:
                self._waiting.pop(waiter, None)
                waiter.not_acquired(self.no_primary())

    def no_primary(self) -> NoPrimary:
        """The error of one who waited in vain."""
        seen = ", ".join(
            f"{server.name}: {server.last_error or server.role.value}"
            for server in self._group.servers
        )
        return NoPrimary(
            f'no primary in server group "{self._group.name}" within {self._limit:g} s',
            detail=seen,
        )
