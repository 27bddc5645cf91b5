"""What a client sets of the proxy itself: `SET tidegate.consistency`, `SET tidegate.max_staleness`,
`SET tidegate.position`.

No server hears of it. It follows its transaction as any SET does: ROLLBACK takes it back, so does
ROLLBACK TO a savepoint in front of it, and what was set LOCAL ends with the transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from proxy.errors import InvalidSetting, UnknownSetting
from proxy.freshness.handed import Handed
from proxy.routing.terms import NO_WISHES, Wishes
from proxy.settings.values import format_duration, parse_duration
from proxy.types import Consistency

PREFIX: Final = "tidegate."
CONSISTENCY: Final = "tidegate.consistency"
MAX_STALENESS: Final = "tidegate.max_staleness"
POSITION: Final = "tidegate.position"

Hand = Callable[[str], Handed]
"""Takes a position from a client. Raises ValueError, or NoPrimary: see `Places.read`."""

_SHOWN: Final = 200
"""Characters of a value that an error repeats."""


def with_value(wishes: Wishes, name: str, value: str | None, hand: Hand) -> Wishes:
    """What is wished for once a setting has a value; None: it has none of its own.

    Args:
        wishes: What was before.
        name: Of the setting.
        value: The new one.
        hand: Takes a position.

    Raises:
        UnknownSetting: There is no such setting.
        InvalidSetting: It can't have this value.
        NoPrimary: It can't have it yet.
    """
    consistency, staleness, position = wishes.consistency, wishes.max_staleness, wishes.position
    if name == CONSISTENCY:
        consistency = None if value is None else _consistency(value)
    elif name == MAX_STALENESS:
        staleness = None if value is None else _staleness(value)
    elif name == POSITION:
        position = None if value is None else _position(value, hand)
    else:
        raise unknown(name)
    return _wishes(consistency, staleness, position)


def _wishes(
    consistency: Consistency | None, staleness: float | None, position: Handed | None
) -> Wishes:
    if consistency is None and staleness is None and position is None:
        return NO_WISHES
    return Wishes(consistency, staleness, position)


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


def _position(value: str, hand: Hand) -> Handed:
    try:
        return hand(value)
    except ValueError:
        raise InvalidSetting(
            f'invalid value for parameter "{POSITION}": "{value[:_SHOWN]}"',
            hint=f"A value is needed that SHOW {POSITION} has told of these servers.",
        ) from None


def show(wishes: Wishes, name: str, consistency: Consistency, max_staleness: float) -> str:
    """Say what a setting is.

    Args:
        wishes: Of the client.
        name: Of the setting.
        consistency: The server group's.
        max_staleness: The same.

    Raises:
        UnknownSetting: There is no such setting.
        InvalidSetting: It is not told, but waited for: see `answering`.
    """
    if name == CONSISTENCY:
        return (wishes.consistency or consistency).value
    if name == MAX_STALENESS:
        own = wishes.max_staleness
        return format_duration(max_staleness if own is None else own)
    if name == POSITION:  # of which only a text that sets it otherwise speaks here
        raise InvalidSetting(f'parameter "{POSITION}" takes a constant, or DEFAULT')
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
        self,
        name: str,
        value: str | None,
        *,
        hand: Hand,
        is_local: bool = False,
        in_transaction: bool,
    ) -> None:
        """SET, or RESET where the value is None; LOCAL means nothing outside of a transaction.

        Raises:
            UnknownSetting: There is no such setting.
            InvalidSetting: It can't have this value.
            NoPrimary: It can't have it yet.
        """
        now = self._with(self.now, name, value, hand)
        if in_transaction:
            self._remember()
        elif is_local:
            return
        if not is_local:
            is_same = self._kept is self.now
            self._kept = now if is_same else self._with(self._kept, name, value, hand)
        self.now = now

    def reset_all(self, *, in_transaction: bool) -> None:
        """RESET ALL, or what ends the session's transaction with everything: DISCARD ALL."""
        if in_transaction:
            self._remember()
        else:
            self._before = None
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

    def _with(self, wishes: Wishes, name: str, value: str | None, hand: Hand) -> Wishes:
        found = with_value(wishes, name, value, hand)
        if value is not None:
            return found
        consistency, staleness, position = found.consistency, found.max_staleness, found.position
        if name == CONSISTENCY:
            consistency = self.startup.consistency
        elif name == MAX_STALENESS:
            staleness = self.startup.max_staleness
        else:
            position = self.startup.position
        return _wishes(consistency, staleness, position)

    def _remember(self) -> None:
        if self._before is None:
            self._before = self._kept

    def _find(self, name: str) -> int:
        """The latest of a name; where there is none, behind all of them."""
        for place in range(len(self._savepoints) - 1, -1, -1):
            if self._savepoints[place][0] == name:
                return place
        return len(self._savepoints)
