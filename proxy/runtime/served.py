"""Who is served by a server group: a connection that a port has accepted, or a lane of a mirror."""

from __future__ import annotations

from typing import Protocol

from proxy.errors import ClientVisibleError


class Client(Protocol):
    """What a group asks of each, and tells it."""

    @property
    def catalog(self) -> str:
        """The database whose catalog it uses; empty before it has asked for any."""

    @property
    def received(self) -> int:
        """Bytes that came from it."""

    @property
    def sent(self) -> int:
        """Bytes that went to it."""

    def why_overdue(self, now: float, /) -> ClientVisibleError | None:
        """Say why it must go, if it has been idle for too long."""

    def follow_policy(self) -> None:
        """The rules have changed, or the contract of the server group."""

    def refuse(self, error: ClientVisibleError, /) -> None:
        """Tell it why it must go, and hang up."""
