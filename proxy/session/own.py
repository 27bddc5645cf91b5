"""What a client sets of the proxy itself: `SET tidegate.consistency`, `SET tidegate.max_staleness`.

No server hears of it. It follows its transaction as any SET does: ROLLBACK takes it back, so does
ROLLBACK TO a savepoint in front of it, and what was set LOCAL ends with the transaction.
"""

from __future__ import annotations

from typing import Final, final

from proxy.errors import InvalidSetting, UnknownSetting
from proxy.routing.terms import NO_WISHES, Wishes
from proxy.settings.values import format_duration, parse_duration
from proxy.types import Consistency

PREFIX: Final = "tidegate."
CONSISTENCY: Final = "tidegate.consistency"
MAX_STALENESS: Final = "tidegate.max_staleness"


def with_value(wishes: Wishes, name: str, value: str | None) -> Wishes:
    """What is wished for once a setting has a value; None: it has none of its own.

    Raises:
        UnknownSetting: There is no such setting.
        InvalidSetting: It can't have this value.
    """
    consistency, staleness = wishes.consistency, wishes.max_staleness
    if name == CONSISTENCY:
        consistency = None if value is None else _consistency(value)
    elif name == MAX_STALENESS:
        staleness = None if value is None else _staleness(value)
    else:
        raise unknown(name)
    if consistency is None and staleness is None:
        return NO_WISHES
    return Wishes(consistency, staleness)


def unknown(name: str) -> UnknownSetting:
    """The error of a setting that there is not."""
    return UnknownSetting(f'unrecognized configuration parameter "{name}"')


def _consistency(value: str) -> Consistency:
    try:
        return Consistency(value.lower())
    except ValueError:
        names = ", ".join(each.value for each in Consistency)
        raise InvalidSetting(
            f'invalid value for parameter "{CONSISTENCY}": "{value}"',
            hint=f"Available values: {names}.",
        ) from None


def _staleness(value: str) -> float:
    try:
        staleness = parse_duration(value)
        if staleness > 0:
            return staleness
    except ValueError:
        pass
    raise InvalidSetting(
        f'invalid value for parameter "{MAX_STALENESS}": "{value}"',
        hint='A duration above 0 is needed, like "500ms" or "5s", or a number of seconds.',
    )


def show(wishes: Wishes, name: str, consistency: Consistency, max_staleness: float) -> str:
    """Say what a setting is.

    Args:
        wishes: Of the client.
        name: Of the setting.
        consistency: The server group's.
        max_staleness: The same.

    Raises:
        UnknownSetting: There is no such setting.
    """
    if name == CONSISTENCY:
        return (wishes.consistency or consistency).value
    if name == MAX_STALENESS:
        own = wishes.max_staleness
        return format_duration(max_staleness if own is None else own)
    raise unknown(name)


@final
class Own:
    """See the module.

    Attributes:
        startup: What the client said when it came: RESET leads back to it.
        now: What counts.
    """

    __slots__ = ("_before", "_kept", "_savepoints", "now", "startup")

    def __init__(self, startup: Wishes = NO_WISHES) -> None:
        self.startup = startup
        self.now = startup
        self._kept = startup  # once the transaction is committed
        self._before: Wishes | None = None  # once it is rolled back; None: nothing was set in it
        self._savepoints: list[tuple[str, Wishes, Wishes]] = []

    def set(
        self, name: str, value: str | None, *, is_local: bool = False, in_transaction: bool
    ) -> None:
        """SET, or RESET where the value is None; LOCAL means nothing outside of a transaction.

        Raises:
            UnknownSetting: There is no such setting.
            InvalidSetting: It can't have this value.
        """
        now = self._with(self.now, name, value)
        if in_transaction:
            self._remember()
        elif is_local:
            return
        self.now = now
        if not is_local:
            self._kept = self._with(self._kept, name, value)

    def reset_all(self, *, in_transaction: bool) -> None:
        """RESET ALL, or DISCARD ALL."""
        if in_transaction:
            self._remember()
        self.now = self._kept = self.startup

    def end(self, *, committed: bool) -> None:
        """The transaction has ended, if there was one."""
        if self._savepoints:
            self._savepoints.clear()
        if self._before is not None:
            self.now = self._kept = self._kept if committed else self._before
            self._before = None

    def mark(self, name: str) -> None:
        """SAVEPOINT."""
        self._savepoints.append((name, self.now, self._kept))

    def release(self, name: str) -> None:
        """RELEASE: what was set since stays."""
        del self._savepoints[self._find(name) :]

    def go_back(self, name: str) -> None:
        """ROLLBACK TO: what was set since is taken back."""
        place = self._find(name)
        if place < len(self._savepoints):
            _, self.now, self._kept = self._savepoints[place]
            del self._savepoints[place + 1 :]

    def _with(self, wishes: Wishes, name: str, value: str | None) -> Wishes:
        if value is not None:
            return with_value(wishes, name, value)
        found = with_value(wishes, name, None)
        consistency, staleness = found.consistency, found.max_staleness
        if name == CONSISTENCY:
            consistency = self.startup.consistency
        else:
            staleness = self.startup.max_staleness
        if consistency is None and staleness is None:
            return NO_WISHES
        return Wishes(consistency, staleness)

    def _remember(self) -> None:
        if self._before is None:
            self._before = self._kept

    def _find(self, name: str) -> int:
        """The latest of a name; where there is none, behind all of them."""
        for place in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[place][0] == name:
                return place
        return len(self._savepoints)
