"""What a server group's settings grant to a client that is let in, whatever its protocol."""

from __future__ import annotations

from proxy.session.ports import Terms
from proxy.settings.model import ServerGroup
from proxy.settings.values import PoolMode, RepeatableRead, Transactions
from proxy.types import PinReason


def terms_of(settings: ServerGroup, user: str) -> Terms:
    """How long a user's clients keep their server connections."""
    mode = settings.pool_mode_of(user)
    pins = {PinReason.SESSION_POOL} if mode is PoolMode.SESSION else ()
    return Terms(frozenset(pins), mode is PoolMode.STATEMENT)


def late_levels(settings: ServerGroup) -> frozenset[str]:
    """The levels of isolation at which a transaction may be begun late."""
    if settings.transactions is not Transactions.LATE:
        return frozenset()
    if settings.repeatable_read is RepeatableRead.VERSIONED:
        return frozenset(("read committed", "repeatable read"))
    return frozenset(("read committed",))
